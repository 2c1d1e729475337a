//! `lint workflows`: checks the workflow files of a checkout. Finds the files, and calls the rules.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::cmd::context::Context;
use crate::cmd::help::{self, Help};
use crate::cmd::lint::gather;
use crate::cmd::print_findings;
use crate::domain::exit::Exit;
use crate::lint;

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
    /// Check these workflow files (default: all of `.github/workflows` in the policy checkout).
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
    let findings: Vec<_> = sources.iter().flat_map(lint::workflows::lint).collect();
    print_findings::print_all(context, &sources, &findings)
}

fn all(context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let dir = context.repo.join(".github/workflows");
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
