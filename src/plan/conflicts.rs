//! Finds the contracts whose branches conflict with each other, by trial merges.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::settings::Naming;
use crate::git::revisions::base_refs;
use crate::git::{Git, merge};
use crate::plan::{Conflict, Item};

/// Returns the pairs of contracts whose branches conflict. Without a repository, there are none.
pub fn between_branches(git: &Git, naming: &Naming, items: &[Item]) -> Vec<Conflict> {
    let Ok(listed) = git.text([
        "for-each-ref",
        "--format=%(refname)",
        "refs/heads",
        "refs/remotes",
    ]) else {
        return Vec::new();
    };
    let refs: BTreeSet<&str> = listed.lines().collect();
    let is_here = |name: &String| refs.contains(name.as_str());
    // A contract's own branch is the newest here, and the base branch on the remote.
    let find = |name: &str| base_refs(&naming.remote, name).into_iter().rfind(is_here);
    let Some(base) = base_refs(&naming.remote, &naming.base).into_iter().find(is_here) else {
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
    // Only branches that change a common path can conflict, so merge only those pairs.
    let mut by_path: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (n, (_, branch)) in branches.iter().enumerate() {
        for path in merge::changed(git, &base, branch).unwrap_or_default() {
            by_path.entry(path).or_default().push(n);
        }
    }
    let mut pairs = BTreeSet::new();
    for (path, who) in &by_path {
        // One branch may have a file where the other has a directory.
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
