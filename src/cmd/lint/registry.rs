//! `lint registry`: compares the registry with its checkout and with the ids of an earlier revision. Reads the inputs, and
//! calls the rules.

use std::path::PathBuf;

use anyhow::bail;

use crate::cmd::context::{self, Context};
use crate::cmd::help::{self, Help};
use crate::cmd::lint::fix::{Fixing, Offer};
use crate::cmd::lint::gather;
use crate::cmd::print_findings;
use crate::document::Document;
use crate::domain::exit::Exit;
use crate::git::Git;
use crate::leaks::private_terms;
use crate::lint;
use crate::lint::context::RegistryIndex;
use crate::lint::registry::RegistryContext;
use crate::policy::Revision;
use crate::policy::help_without_files;
use crate::system::files;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::CHECKS,
    variables: help::OF_SCAN,
    examples: &["lint registry", "lint registry --base origin/master"],
};

/// Arguments of `lint registry`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check this registry (default: `configs/gates/gates.toml` of the policy checkout).
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Require that all ids of the registry at this revision still exist.
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    #[command(flatten)]
    fix: Fixing,
}

/// Runs `lint registry`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    check(context, args, args.fix)
}

fn check(context: &Context, args: &Args, fix: Fixing) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let path = args.file.clone().unwrap_or_else(|| context.registry_path());
    if args.file.is_none() && !path.exists() {
        bail!(
            "cannot read {}: no such file\nhelp: {}",
            path.display(),
            help_without_files(&context.repo)
        );
    }
    let source = gather::source(&path)?;
    let has_file = |file: &str| files::contains(&context.subject, file);
    let base = match &args.base {
        Some(base) => ids_at(context, base)?,
        None => None,
    };
    let around = RegistryContext {
        has_file: Some(&has_file),
        base: base.as_ref(),
        leaks: private_terms::options(context::variable)?,
    };
    let findings = lint::registry::lint(&Document::parse(source.clone()), &around);
    let documents = [source];
    match fix.offer(&documents, &findings)? {
        Offer::None => print_findings::print_all(context, &documents, &findings),
        Offer::Shown => Ok(print_findings::exit(&findings)),
        Offer::Written => check(context, args, Fixing::default()),
    }
}

/// Returns the registry at a revision, or nothing if the revision has no registry.
pub fn ids_at(context: &Context, base: &str) -> anyhow::Result<Option<RegistryIndex>> {
    let git = Git::at(&context.repo);
    let Some(commit) = git.commit(base)? else {
        bail!(
            "cannot read the registry of the base: {} has no commit `{base}`\nhelp: fetch it",
            git.dir().display()
        );
    };
    let file = Revision::Commit(&git, &commit).registry_file()?;
    let root = file.and_then(|file| file.document.root);
    Ok(root.map(RegistryIndex::new))
}
