//! Removes branches, worktrees and claims of merged contracts. Unmerged and uncommitted work stays.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use regex::Regex;
use serde::Serialize;

use crate::domain::ids::{BranchName, CommitId};
use crate::git::claims;
use crate::git::merge_status::{self, MergeStatus};
use crate::git::worktrees::{self, Worktree};
use crate::git::{Git, GitError};
use crate::workspace::main_worktree::MainWorktree;

/// A branch of a contract, and whether it was removed.
#[derive(Debug, Serialize)]
pub struct Row {
    pub issue: String,
    pub branch: String,
    pub worktree: Option<String>,
    pub removed: bool,
    pub why: String,
    /// Whether it stays only because it is the worktree of the current directory.
    #[serde(skip)]
    pub is_here: bool,
}

/// Why the worktree of the current directory stays.
const HERE: &str = "you are in its worktree";

/// Checks every branch of a contract, and removes the merged ones unless this is a dry run. `here` is the current directory, whose
/// worktree stays.
///
/// # Errors
/// git or the remote fails.
pub fn clean(main: &MainWorktree, here: &Path, dry_run: bool) -> anyhow::Result<Vec<Row>> {
    let _locked = main.lock()?;
    claims::fetch(&main.git, &main.naming.remote)?;
    let base = main.base()?;
    let worktrees = by_branch(&main.git)?;
    let pattern = pattern(&main.naming.branch)?;
    let mut rows = Vec::new();
    let listed = main.git.text([
        "for-each-ref",
        "--format=%(objectname) %(refname:strip=2)",
        "refs/heads",
    ])?;
    for (tip, branch) in listed.lines().filter_map(|line| line.split_once(' ')) {
        let Ok(tip) = tip.parse::<CommitId>() else {
            continue;
        };
        let Some(found) = pattern.captures(branch) else {
            continue;
        };
        let issue = found["issue"].to_owned();
        let claim = claims::of(&main.git, &issue)?;
        let start = claim.as_ref().and_then(|c| c.start.as_ref());
        let worktree = worktrees.get(branch);
        let outcome = match merge_status::of_branch(&main.git, &base, &tip, start)? {
            MergeStatus::Untouched => Err("it has no commits yet".to_owned()),
            MergeStatus::Unmerged => Err("it has unmerged work".to_owned()),
            status => match worktree.and_then(|tree| blocker(tree, here)) {
                Some(why) => Err(why),
                None => Ok(describe(&status)),
            },
        };
        let (mut removed, mut why) = match outcome {
            Ok(why) => (true, why),
            Err(why) => (false, why),
        };
        if removed && !dry_run {
            if let Err(error) = remove(&main.git, branch, &tip, worktree) {
                (removed, why) = (false, error.to_string());
            } else if let Some(claim) = &claim {
                claims::finish(&main.git, &main.naming.remote, &issue, &claim.id)?;
            }
        }
        rows.push(Row {
            issue,
            branch: branch.to_owned(),
            worktree: worktree.map(|tree| tree.path.display().to_string()),
            is_here: !removed && why == HERE,
            removed,
            why,
        });
    }
    Ok(rows)
}

fn describe(status: &MergeStatus) -> String {
    match status {
        MergeStatus::Merged => "merged".to_owned(),
        MergeStatus::Rebased => "merged by rebase".to_owned(),
        MergeStatus::Squashed(commit) => format!("squashed into {}", &commit[..commit.len().min(12)]),
        _ => "the base already contains its changes".to_owned(),
    }
}

/// Returns the pattern of branch names that the settings produce.
fn pattern(branch: &str) -> anyhow::Result<Regex> {
    let text = regex::escape(branch)
        .replacen("\\{issue\\}", "(?<issue>[A-Za-z0-9.]+(?:-[A-Za-z0-9.]+)*?)", 1)
        .replacen("\\{slug\\}", "(?<slug>[A-Za-z0-9._-]+)", 1);
    Ok(Regex::new(&format!("^{text}$"))?)
}

/// Returns the worktrees by their branch.
fn by_branch(git: &Git) -> Result<BTreeMap<String, Worktree>, GitError> {
    let all = worktrees::list(git)?.into_iter();
    Ok(all
        .filter_map(|mut tree| Some((tree.branch.take()?, tree)))
        .collect())
}

/// Returns the worktrees that exist, by their branch, without the one of this directory.
///
/// # Errors
/// git fails.
pub fn other_worktrees(git: &Git) -> anyhow::Result<HashMap<String, String>> {
    let here = git.top()?;
    let all = by_branch(git)?.into_iter();
    let others = all.filter(|(_, tree)| tree.path != here && tree.path.exists());
    Ok(others
        .map(|(branch, tree)| (branch, tree.path.display().to_string()))
        .collect())
}

/// Returns why a worktree cannot be removed.
fn blocker(tree: &Worktree, here: &Path) -> Option<String> {
    let shown = tree.path.display();
    if tree.locked {
        return Some(format!("its worktree {shown} is locked"));
    }
    if !tree.path.exists() {
        return None;
    }
    if here.starts_with(&tree.path) {
        return Some(HERE.to_owned());
    }
    let status = Git::at(&tree.path).text([
        "status",
        "--porcelain",
        "--untracked-files=all",
        "--ignore-submodules=none",
    ]);
    match status {
        Ok(text) if text.is_empty() => None,
        Ok(_) => Some(format!("its worktree {shown} has uncommitted work")),
        Err(error) => Some(format!("its worktree {shown} cannot be checked: {error}")),
    }
}

/// Removes a worktree, then its branch. git refuses a worktree with uncommitted work, and the branch must still end in `tip`.
fn remove(git: &Git, branch: &str, tip: &str, worktree: Option<&Worktree>) -> anyhow::Result<()> {
    if let Some(tree) = worktree {
        if tree.path.exists() {
            git.bytes(["worktree".as_ref(), "remove".as_ref(), tree.path.as_os_str()])?;
        } else {
            git.bytes(["worktree", "prune"])?;
        }
    }
    git.bytes(["update-ref", "-d", &BranchName::local_ref(branch), tip])?;
    // The branch may have no tracking settings.
    let _ = git.output(["config", "--remove-section", &format!("branch.{branch}")]);
    Ok(())
}
