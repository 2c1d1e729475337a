//! `plan`: sorts the open contracts into waves that can run in parallel, and prints where they would conflict.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use crate::cmd::context::{self, Context, Format, print, print_data, print_json};
use crate::cmd::github::{self, How};
use crate::cmd::help::{self, Help};
use crate::domain::exit::Exit;
use crate::domain::finding::Severity;
use crate::git::Git;
use crate::git::claims;
use crate::github::closing_keywords;
use crate::plan::contracts::Document;
use crate::plan::{self, Facts, Item, Taken, conflicts, contracts, render};

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &[Format::Human, Format::Json, Format::Mermaid, Format::Dot],
    codes: help::VERDICTS,
    variables: help::OF_GITHUB,
    examples: &["plan", "plan contracts --format mermaid"],
};

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
    let format = context.format(HELP.formats)?;
    let settings = context.settings()?;
    let documents = contracts_of(context, &args.paths, ", or name files: `nmoe-gates plan FILE`")?;
    let (items, findings) = contracts::read(&documents);
    let taken = taken(context, args, &documents, &items, &settings.naming.remote)?;
    let items: Vec<Item> = items.into_iter().map(|(item, _)| item).collect();
    let facts = Facts {
        taken,
        options: options(&args.paths, &args.done),
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

/// Returns the contracts in progress: by their claims on the remote, and by open pull requests on GitHub.
fn taken(
    context: &Context,
    args: &Args,
    documents: &[Document],
    items: &[(Item, usize)],
    remote: &str,
) -> anyhow::Result<BTreeMap<String, Taken>> {
    let git = Git::at(&context.subject);
    let mut taken: BTreeMap<String, Taken> = BTreeMap::new();
    if git
        .text(["config", "--get", &format!("remote.{remote}.url")])
        .is_ok()
        && let Err(error) = claims::fetch(&git, remote)
    {
        context.note(format_args!("the claims may be outdated: {error}"));
    }
    // Claims exist only in a repository.
    for id in claims::listed(&git, claims::CLAIMS)
        .unwrap_or_default()
        .into_keys()
    {
        let claim = claims::of(&git, &id)?;
        taken.entry(id).or_default().claimed_by = claim.map(|claim| claim.who);
    }
    if args.paths.is_empty() {
        let github = github::connect(context)?;
        for pull in github.open_pulls()? {
            let closes = closing_keywords::closes(&pull.body, github.site());
            let closed = |(_, n): &&(Item, usize)| documents[*n].number.is_some_and(|n| closes.contains(&n));
            for (item, _) in items.iter().filter(closed) {
                taken.entry(item.issue.clone()).or_default().pull = Some(pull.number);
            }
        }
    }
    taken.retain(|id, _| items.iter().any(|(item, _)| item.issue == *id));
    Ok(taken)
}

/// Returns the options with which `start` finds the same contracts as `plan` did.
fn options(paths: &[PathBuf], done: &[String]) -> Vec<String> {
    let paths = paths
        .iter()
        .map(|path| ["--contract".to_owned(), path.display().to_string()]);
    let done = done.iter().map(|id| ["--done".to_owned(), id.clone()]);
    paths.chain(done).flatten().collect()
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
    let dependencies = items.iter().flat_map(|item| &item.depends_on);
    let missing: Vec<&str> = dependencies
        .map(String::as_str)
        .filter(|id| !known.contains(id))
        .collect();
    if !missing.is_empty() {
        done.extend(completed(context, &args.paths, &missing)?);
    }
    Ok(done)
}

/// Returns the documents that the user named, or the open issues on GitHub. `instead` continues the help of an unknown repository.
pub fn contracts_of(context: &Context, named: &[PathBuf], instead: &str) -> anyhow::Result<Vec<Document>> {
    let how = || How {
        instead,
        ..How::default()
    };
    match named {
        [] => Ok(contracts::open(&github::connect_with(context, how())?)?),
        named => contracts::files(named, context::read_input),
    }
}

/// Returns those of the contracts that are closed as completed on GitHub. A folder contains only open contracts.
pub fn completed(context: &Context, named: &[PathBuf], wanted: &[&str]) -> anyhow::Result<Vec<String>> {
    match named {
        [] => Ok(contracts::completed(&github::connect(context)?, wanted)?),
        _ => Ok(Vec::new()),
    }
}
