//! Checks whether the work of a branch is already in the base: merged, rebased, or squashed into one commit.
//!
//! Must report a branch as merged only if deleting the branch loses no work.

use std::collections::HashSet;

use crate::domain::ids::CommitId;
use crate::git::merge;
use crate::git::{Git, GitError};

/// The merge status of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeStatus {
    /// The branch has no commits yet.
    Untouched,
    /// The base contains the commits.
    Merged,
    /// The base contains every commit under another id.
    Rebased,
    /// The base contains the complete change as this one commit.
    Squashed(String),
    /// The base already contains all changes, in no matching commit.
    Contained,
    /// The branch has work that is not in the base.
    Unmerged,
}

impl MergeStatus {
    /// Whether the branch can be deleted without losing work.
    pub fn is_merged(&self) -> bool {
        !matches!(self, MergeStatus::Untouched | MergeStatus::Unmerged)
    }
}

/// Returns the status of the branch that ends in `tip`; `start` is the commit where the branch started, if known.
pub fn of_branch(
    git: &Git,
    base: &CommitId,
    tip: &CommitId,
    start: Option<&CommitId>,
) -> Result<MergeStatus, GitError> {
    if start == Some(tip) {
        return Ok(MergeStatus::Untouched);
    }
    let Ok(fork) = git.text(["merge-base", base, tip]) else {
        return Ok(MergeStatus::Unmerged);
    };
    if *tip == fork {
        // Without a known start, a tip on the first-parent line of the base may be a new branch without commits.
        let mainline = start.is_none() && {
            let line = git.text(["rev-list", "--first-parent", base, &format!("^{tip}^@")])?;
            line.lines().any(|id| *tip == id)
        };
        return Ok(if mainline {
            MergeStatus::Untouched
        } else {
            MergeStatus::Merged
        });
    }
    let tree = |commit: &str| git.text(["rev-parse", "--verify", &format!("{commit}^{{tree}}")]);
    if tree(&fork)? == tree(tip)? {
        // The commits cancel each other out, but they may still be needed.
        return Ok(MergeStatus::Unmerged);
    }
    let trial = merge::trial(git, base, tip)?;
    if trial.conflicts.is_empty() && trial.tree == tree(base)? {
        return Ok(MergeStatus::Contained);
    }
    let paths: Vec<String> = merge::changed(git, &fork, tip)?
        .into_iter()
        .map(|path| format!(":(top,literal){path}"))
        .collect();
    if has_binaries(git, &fork, tip)? {
        // Patch ids do not distinguish binary contents.
        return Ok(MergeStatus::Unmerged);
    }
    let since = patches(git, &fork, base, &paths)?;
    let whole = git.bytes(["diff"].iter().chain(&PATCH).chain(&[fork.as_str(), tip, "--"]))?;
    if let Some((id, _)) = patch_ids(git, &whole)?.first()
        && let Some((_, commit)) = since.iter().find(|(other, _)| other == id)
    {
        return Ok(MergeStatus::Squashed(commit.clone()));
    }
    let known: HashSet<&str> = since.iter().map(|(id, _)| id.as_str()).collect();
    let own = patches(git, &fork, tip, &[])?;
    let whole_line = !has_merges(git, &fork, tip)? && own.len() == count(git, &fork, tip)?;
    let rebased = whole_line && own.iter().all(|(id, _)| known.contains(id.as_str()));
    Ok(if rebased {
        MergeStatus::Rebased
    } else {
        MergeStatus::Unmerged
    })
}

fn has_binaries(git: &Git, fork: &str, tip: &str) -> Result<bool, GitError> {
    let range = format!("{fork}..{tip}");
    let counts = git.text(["log", "--format=", "--numstat", "--no-renames", &range, "--"])?;
    Ok(counts.lines().any(|line| line.starts_with("-\t-\t")))
}

fn count(git: &Git, fork: &str, tip: &str) -> Result<usize, GitError> {
    let text = git.text(["rev-list", "--count", &format!("{fork}..{tip}")])?;
    Ok(text.parse().unwrap_or(usize::MAX))
}

/// A merge commit has no patch id, but may contain work.
fn has_merges(git: &Git, fork: &str, tip: &str) -> Result<bool, GitError> {
    let range = format!("{fork}..{tip}");
    Ok(!git
        .text(["rev-list", "--merges", "--max-count=1", &range])?
        .is_empty())
}

const PATCH: [&str; 5] = [
    "-p",
    "--full-index",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
];

/// Returns patch ids and commit ids of the commits in a range that change these paths; without paths, of all commits.
fn patches(git: &Git, from: &str, to: &str, paths: &[String]) -> Result<Vec<(String, String)>, GitError> {
    let range = format!("{from}..{to}");
    let mut args: Vec<&str> = vec!["log", "--no-merges", "--full-diff", "--format=commit %H"];
    args.extend(PATCH);
    args.extend([range.as_str(), "--"]);
    args.extend(paths.iter().map(String::as_str));
    patch_ids(git, &git.bytes(args)?)
}

/// Computes the patch ids of patches, with their commit ids. White space counts, because indentation can change a program.
fn patch_ids(git: &Git, patches: &[u8]) -> Result<Vec<(String, String)>, GitError> {
    let ids = git.bytes_from(["patch-id", "--verbatim"], patches)?;
    let mut seen = HashSet::new();
    Ok(String::from_utf8_lossy(&ids)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(id, commit)| (id.to_owned(), commit.to_owned()))
        .filter(|pair| seen.insert(pair.clone()))
        .collect())
}
