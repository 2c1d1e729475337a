//! `plan`: sorts the open contracts into waves that can run in parallel, and prints where they would conflict.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use crate::cmd::context::{Context, Format, print, print_data, print_json};
use crate::cmd::contracts;
use crate::domain::exit::Exit;
use crate::domain::finding::Severity;
use crate::domain::settings::Naming;
use crate::git::Git;
use crate::git::claims;
use crate::git::merge;
use crate::plan::{self, Conflict, Facts, Item, show};

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
    let documents = contracts::gather(context, &args.paths)?;
    let (items, findings) = contracts::read(&documents);
    let items: Vec<Item> = items.into_iter().map(|(item, _)| item).collect();
    let facts = Facts {
        done: done(context, args, &items)?,
        conflicts: conflicts(&Git::at(&context.subject), &settings.naming, &items),
    };
    let plan = plan::make(&items, &facts, &settings.hotspots, findings);
    match format {
        Format::Json => print_json(&plan)?,
        Format::Mermaid => print_data(&show::mermaid(&plan))?,
        Format::Dot => print_data(&show::dot(&plan))?,
        _ => print(&show::human(&plan))?,
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
        done.extend(contracts::merged(context, &args.paths)?);
    }
    Ok(done)
}

/// Returns the contracts whose branches conflict now. Returns nothing without a repository, because a folder of contracts
/// needs none.
fn conflicts(git: &Git, naming: &Naming, items: &[Item]) -> Vec<Conflict> {
    let Ok(listed) = git.text([
        "for-each-ref",
        "--format=%(refname)",
        "refs/heads",
        "refs/remotes",
    ]) else {
        return Vec::new();
    };
    let refs: BTreeSet<&str> = listed.lines().collect();
    let remote = |name: &str| format!("refs/remotes/{}/{name}", naming.remote);
    let find = |name: &str| {
        [format!("refs/heads/{name}"), remote(name)]
            .into_iter()
            .find(|full| refs.contains(full.as_str()))
    };
    let Some(base) = [remote(&naming.base), format!("refs/heads/{}", naming.base)]
        .into_iter()
        .find(|full| refs.contains(full.as_str()))
    else {
        return Vec::new();
    };
    let branches: Vec<(&str, String)> = items
        .iter()
        .filter_map(|item| {
            Some((
                item.issue.as_str(),
                find(&naming.branch_of(&item.issue, &item.slug))?,
            ))
        })
        .collect();
    // Only branches that changed a common path can conflict, so try only those pairs.
    let mut by_path: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (n, (_, branch)) in branches.iter().enumerate() {
        for path in merge::changed(git, &base, branch).unwrap_or_default() {
            by_path.entry(path).or_default().push(n);
        }
    }
    let mut pairs = BTreeSet::new();
    for (path, who) in &by_path {
        // One branch can create a file where the other has a directory.
        let above = path
            .match_indices('/')
            .filter_map(|(at, _)| by_path.get(&path[..at]));
        let others: Vec<usize> = above.flatten().chain(who).copied().collect();
        for a in who {
            pairs.extend(others.iter().filter(|b| *b != a).map(|b| (*a.min(b), *a.max(b))));
        }
    }
    let mut found: Vec<Conflict> = pairs
        .into_iter()
        .filter_map(|(a, b)| {
            let paths = merge::trial(git, &branches[a].1, &branches[b].1).ok()?.conflicts;
            (!paths.is_empty()).then(|| Conflict {
                between: [branches[a].0.to_owned(), branches[b].0.to_owned()],
                paths,
            })
        })
        .collect();
    found.sort();
    found
}
