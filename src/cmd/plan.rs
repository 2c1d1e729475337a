//! `plan`: sorts the open contracts into waves that can run in parallel, and prints where they would conflict.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use anyhow::bail;

use crate::cmd::context::{self, Context, Format, print, print_data, print_json};
use crate::cmd::github::{self, How};
use crate::cmd::help::{self, Help};
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, Severity};
use crate::git::Git;
use crate::git::claims;
use crate::github::batch::Batch;
use crate::github::closing_keywords;
use crate::plan::contracts::Document;
use crate::plan::{self, Facts, Item, Taken, conflicts, contracts, render};
use crate::pull::blocker::CONTRACT_UNTRUSTED;
use crate::pull::contract::Issue;
use crate::pull::standing::{self, Writers};

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
    let (items, mut findings) = contracts::read(&documents);
    let warnings = untrusted(context, &documents, items.iter().map(|(_, n)| *n))?;
    let of_warning = |n: &usize| warnings.contains_key(n);
    let untrusted = items.iter().filter(|(_, n)| of_warning(n));
    let untrusted = untrusted.map(|(item, _)| item.issue.clone()).collect();
    findings.extend(warnings.into_values());
    let taken = taken(context, args, &documents, &items, &settings.naming.remote)?;
    let items: Vec<Item> = items.into_iter().map(|(item, _)| item).collect();
    if items.is_empty() && findings.is_empty() && !args.paths.is_empty() {
        bail!(
            "cannot plan {}: no contract was found\nhelp: nmoe-gates plan",
            shown(&args.paths)
        );
    }
    let facts = Facts {
        taken,
        untrusted,
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

/// The named paths, for a message.
fn shown(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
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

/// The most contracts of outsiders about which GitHub is asked. Each needs up to three requests, and everybody can open issues.
const MOST_OUTSIDERS: usize = 10;

/// Warns of documents whose contracts do not count, because an outsider wrote them, without an adoption by a person with write access.
pub fn untrusted(
    context: &Context,
    documents: &[Document],
    wanted: impl Iterator<Item = usize>,
) -> anyhow::Result<BTreeMap<usize, Finding>> {
    let authors = context.settings()?.contracts.authors;
    let is_outsider = |n: &usize| {
        let outsider = documents[*n].outsider.as_ref();
        outsider.is_some_and(|login| !authors.iter().any(|author| author == login))
    };
    let of_outsiders: Vec<usize> = wanted.filter(is_outsider).collect();
    let mut warnings = BTreeMap::new();
    if of_outsiders.is_empty() {
        return Ok(warnings);
    }
    let github = github::connect(context)?;
    let batch = Batch::default();
    let writers = Writers::new(&github, &batch);
    for (asked, n) in of_outsiders.into_iter().enumerate() {
        let Document { name, number, .. } = &documents[n];
        let warning = match number.filter(|_| asked < MOST_OUTSIDERS) {
            Some(number) => {
                let issue = Issue::read(&github, number)?;
                standing::warning(&writers, &issue, &authors)?
            }
            None => {
                let message =
                    format!("the contract in {name} is of an outsider, and too many are for a look at each");
                Some(Finding::new(&CONTRACT_UNTRUSTED, message).severity(Severity::Warning))
            }
        };
        warnings.extend(warning.map(|warning| (n, warning)));
    }
    Ok(warnings)
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
