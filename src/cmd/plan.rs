//! `plan`: sorts the open contracts into waves that can run in parallel, and prints where they would conflict.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::cmd::context::{self, Context, Format, print, print_data, print_json};
use crate::cmd::github;
use crate::domain::exit::Exit;
use crate::domain::finding::Severity;
use crate::git::Git;
use crate::git::claims;
use crate::plan::contracts::Document;
use crate::plan::{self, Facts, Item, conflicts, contracts, render};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read contracts from these files, and from all files below these folders (default: the open issues on GitHub).
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Treat this contract as merged. Can be given more than once.
    #[arg(long, value_name = "ID")]
    done: Vec<String>,
}

/// Runs `plan`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json, Format::Mermaid, Format::Dot])?;
    let settings = context.settings()?;
    let (items, findings) = contracts::read(&contracts_of(context, &args.paths)?);
    let items: Vec<Item> = items.into_iter().map(|(item, _)| item).collect();
    let facts = Facts {
        done: done(context, args, &items)?,
        conflicts: conflicts::between_branches(&Git::at(&context.subject), &settings.naming, &items),
    };
    let plan = plan::make(&items, &facts, &settings.hotspots, findings);
    match format {
        Format::Json => print_json(&plan)?,
        Format::Mermaid => print_data(&render::mermaid(&plan))?,
        Format::Dot => print_data(&render::dot(&plan))?,
        _ => print(&render::human(&plan))?,
    }
    let broken = plan.findings.iter().any(|f| f.severity == Severity::Error);
    Ok(if broken { Exit::Failed } else { Exit::Passed })
}

/// Returns the merged contracts: named by the user, recorded on the remote, or closed on GitHub. Queries GitHub only if a
/// dependency is missing otherwise.
fn done(context: &Context, args: &Args, items: &[Item]) -> anyhow::Result<Vec<String>> {
    let mut done = args.done.clone();
    // Without a repository nothing is recorded.
    done.extend(
        claims::listed(&Git::at(&context.subject), claims::DONE)
            .unwrap_or_default()
            .into_keys(),
    );
    let known: HashSet<&str> = items
        .iter()
        .map(|item| item.issue.as_str())
        .chain(done.iter().map(String::as_str))
        .collect();
    if items
        .iter()
        .flat_map(|item| &item.depends_on)
        .any(|id| !known.contains(id.as_str()))
    {
        done.extend(completed(context, &args.paths)?);
    }
    Ok(done)
}

/// Returns the documents that the user named, or the open issues on GitHub.
pub fn contracts_of(context: &Context, named: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    match named {
        [] => Ok(contracts::open(&github::connect(context)?)?),
        named => contracts::files(named, context::read_input),
    }
}

/// Returns the contracts that are closed as completed on GitHub. A folder contains only open contracts.
pub fn completed(context: &Context, named: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    match named {
        [] => Ok(contracts::completed(&github::connect(context)?)?),
        _ => Ok(Vec::new()),
    }
}
