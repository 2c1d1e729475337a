//! `resolve`: prints what a Tier-B run of a pull request is about: commits, contract, gates and cost.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::cmd::context::{Context, Format, print, print_json_line};
use crate::cmd::gates::Which;
use crate::cmd::github;
use crate::cmd::lint::gather;
use crate::cmd::runner_files;
use crate::domain::exit::Exit;
use crate::git::Git;
use crate::lint::context::RegistryIndex;
use crate::pull::fresh_merge::Checkout;
use crate::pull::resolution::{self, Request};
use crate::report::comment_sections::{self, Terms};
use crate::terminal::Text;

/// The largest resolution in bytes. It travels in an environment variable, which holds at most 128 KiB.
const LARGEST: usize = 120_000;

/// Arguments of `resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of the pull request.
    #[arg(long, value_name = "N")]
    pr: u64,
    #[command(flatten)]
    which: Which,
    /// Number of the issue with the contract (default: the issue that the pull request closes).
    #[arg(long, value_name = "N")]
    issue: Option<u64>,
    /// Use the registry of the pull request, although it is not merged.
    #[arg(long)]
    registry_from_change: bool,
    /// Write the resolution to this file, as one line of JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `resolve`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let github = github::connect(context)?;
    let git = Git::at(&context.repo);
    let settings = context.settings()?;
    let remote = settings.naming.remote;
    let request = Request {
        checkout: Checkout {
            git: &git,
            remote: &remote,
        },
        pull: args.pr,
        selection: &args.which.request(),
        issue: args.issue,
        registry_from_change: args.registry_from_change,
        authors: &settings.contracts.authors,
    };
    let mut registry = context.policy().registry_with_tree()?;
    let facts = gather::facts_with(context, registry.root.take().map(RegistryIndex::new))?;
    let (resolution, contract) = resolution::resolve(&github, registry, &facts, &request, context)?;
    let line = serde_json::to_string(&resolution)?;
    if line.len() > LARGEST {
        bail!(
            "cannot pass the contract between jobs: it is too long\nhelp: keep the issue body below 64 KiB"
        );
    }
    if let Some(path) = &args.output {
        std::fs::write(path, format!("{line}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let terms = contract.as_ref().map(|contract| Terms {
        contract,
        policy_pct: settings.perf.budget_pct,
    });
    let shown = comment_sections::resolution(&resolution, terms);
    runner_files::append(runner_files::SUMMARY, &shown)?;
    // GitHub does not have a merge that was made here. Then the gates job checks out the head, and `run` makes the merge again.
    let checkout = match github.commit(&resolution.merge) {
        Ok(_) => &resolution.merge,
        Err(error) if error.is_missing() => &resolution.head,
        Err(error) => return Err(error.into()),
    };
    runner_files::append(runner_files::OUTPUT, &format!("merge={checkout}\n"))?;
    if format == Format::Json {
        print_json_line(&resolution)?;
    } else {
        print(Text::new().document(&shown))?;
    }
    Ok(Exit::Passed)
}
