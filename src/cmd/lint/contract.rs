//! `lint contract`: validates issue bodies from files or GitHub against the registry. Reads the inputs, and calls the rules.

use std::path::PathBuf;

use crate::cmd::context::Context;
use crate::cmd::github;
use crate::cmd::help::{self, Help};
use crate::cmd::lint::fix::{Fixing, Offer};
use crate::cmd::lint::gather::{self, Documents};
use crate::cmd::print_findings;
use crate::document::{Document, Source};
use crate::domain::exit::Exit;
use crate::lint;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::VERDICTS,
    variables: help::OF_SCAN_AND_GITHUB,
    examples: &[
        "lint contract issue.md",
        "lint contract --issue 12",
        "lint contract issue.md --fix",
    ],
};

/// Arguments of `lint contract`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check these issue bodies or bare YAML files, and those below these folders; `-` is standard input.
    #[arg(value_name = "FILE|DIR", required_unless_present = "issue")]
    files: Vec<PathBuf>,
    /// Fetch the issue with this number from GitHub. Can be given more than once.
    #[arg(long, value_name = "N", conflicts_with = "write")]
    issue: Vec<u64>,
    #[command(flatten)]
    fix: Fixing,
}

/// Runs `lint contract`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    check(context, args, args.fix)
}

fn check(context: &Context, args: &Args, fix: Fixing) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let mut documents = Documents::read(&args.files, "nmoe");
    if !args.issue.is_empty() {
        let github = github::connect(context)?;
        for number in &args.issue {
            let issue = github.issue(*number)?;
            documents
                .sources
                .push(Source::new(Some(format!("issue #{number}")), issue.body));
        }
    }
    if documents.is_unusable() {
        return Ok(Exit::Unusable);
    }
    let facts = gather::facts(context)?;
    let findings: Vec<_> = documents
        .sources
        .iter()
        .flat_map(|source| lint::contract::lint(&Document::parse(source.clone()), &facts))
        .collect();
    let exit = match fix.offer(&documents.sources, &findings)? {
        Offer::None => print_findings::print_all(context, &documents.sources, &findings)?,
        Offer::Shown => print_findings::exit(&findings),
        Offer::Written => check(context, args, Fixing::default())?,
    };
    Ok(documents.exit(exit))
}
