//! `lint workflows`: checks the workflow files of a checkout, and compares them and the forms with the registry.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use crate::cmd::context::Context;
use crate::cmd::form_files;
use crate::cmd::help::{self, Help};
use crate::cmd::lint::gather;
use crate::cmd::print_findings;
use crate::document::Source;
use crate::domain::exit::Exit;
use crate::domain::paths;
use crate::lint;
use crate::lint::init_files;
use crate::policy::help_without_files;
use crate::system::files;

/// The size up to which an action is read, in bytes.
const LARGEST_ACTION: u64 = 4 << 20;

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
    // The other workflows tell what calls these files.
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let others = folders
        .into_iter()
        .filter(|folder| folder.ends_with(paths::WORKFLOWS))
        .flat_map(|folder| in_folder(folder).unwrap_or_default())
        .filter(|path| !files.contains(path));
    let mut known = sources.clone();
    known.extend(others.filter_map(|path| gather::source(&path).ok()));
    let labels = context.settings().map(|settings| settings.runner.labels);
    let mut findings = lint::workflows::lint_all(
        &known,
        &actions(&context.repo, &known),
        &labels.unwrap_or_default(),
    );
    let mut documents = sources;
    findings.retain(|finding| {
        documents
            .iter()
            .any(|source| source.name() == finding.path.as_deref())
    });
    if args.files.is_empty()
        && let (Ok(registry), Ok(settings)) = (context.registry(), context.settings())
    {
        let tier_b = documents.iter().filter(|source| {
            source
                .name()
                .is_some_and(|name| name.ends_with(settings.publish.workflow()))
        });
        findings.extend(tier_b.filter_map(|source| init_files::choices(source, &registry.value)));
        let forms = form_files::paths(&context.repo).map(|form| context.repo.join(form));
        for form in forms.iter().filter(|form| form.is_file()) {
            let source = gather::source(form)?;
            findings.extend(init_files::form(&source, &registry.value));
            documents.push(source);
        }
    }
    print_findings::print_all(context, &documents, &findings)
}

/// Reads the local actions that workflows of a checkout use. A file that cannot be read is left out.
pub fn actions(repo: &Path, workflows: &[Source]) -> Vec<Source> {
    let Ok(actions) = lint::workflows::actions(workflows, |name| {
        let inside = files::contains(repo, name);
        let text = inside.then(|| files::read_following_links(&repo.join(name), LARGEST_ACTION).ok());
        Ok::<_, Infallible>(text.flatten())
    });
    actions
}

/// Lists the workflow files of a folder.
fn in_folder(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yml" || e == "yaml"))
        .collect();
    files.sort();
    Ok(files)
}

fn all(context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let dir = context.repo.join(paths::WORKFLOWS);
    let files = in_folder(&dir).map_err(|error| {
        anyhow!(
            "cannot read {}: {error}\nhelp: {}",
            dir.display(),
            help_without_files(&context.repo)
        )
    })?;
    if files.is_empty() {
        bail!("cannot check {}: the folder contains no workflow", dir.display());
    }
    Ok(files)
}
