//! `lint workflows`: checks the workflow files of a checkout, and compares them and the forms with the registry.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::cmd::context::Context;
use crate::cmd::help::{self, Help};
use crate::cmd::lint::gather;
use crate::cmd::print_findings;
use crate::domain::exit::Exit;
use crate::domain::paths;
use crate::lint;
use crate::lint::init_files;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::CHECKS,
    variables: help::OF_TERMINAL,
    examples: &["lint workflows"],
};

/// Arguments of `lint workflows`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check these workflow files (default: all of `.github/workflows` in the policy checkout, and the forms).
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs `lint workflows`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let files = if args.files.is_empty() {
        all(context)?
    } else {
        args.files.clone()
    };
    let sources = files
        .iter()
        .map(|file| gather::source(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut findings: Vec<_> = sources.iter().flat_map(lint::workflows::lint).collect();
    let mut documents = sources;
    if args.files.is_empty()
        && let (Ok(registry), Ok(settings)) = (context.registry(), context.settings())
    {
        let tier_b = documents.iter().filter(|source| {
            source
                .name()
                .is_some_and(|name| name.ends_with(settings.publish.workflow()))
        });
        findings.extend(tier_b.filter_map(|source| init_files::choices(source, &registry.value)));
        let forms = init_files::FORMS.map(|form| context.repo.join(form));
        for form in forms.iter().filter(|form| form.is_file()) {
            let source = gather::source(form)?;
            findings.extend(init_files::form(&source, &registry.value));
            documents.push(source);
        }
    }
    print_findings::print_all(context, &documents, &findings)
}

fn all(context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let dir = context.repo.join(paths::WORKFLOWS);
    let entries = std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yml" || e == "yaml"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("cannot check {}: the folder contains no workflow", dir.display());
    }
    Ok(files)
}
