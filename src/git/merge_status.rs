//! Whether a branch's work is in the base already: by history, commit by commit, or squashed into one.
//!
//! Says «merged» only where nothing would be lost with the branch.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::Stdio;

use crate::domain::ids::CommitId;
use crate::git::merge;
use crate::git::{Git, GitError};

/// What became of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeStatus {
    /// It has no work of its own yet.
    Untouched,
    /// Its commits are in the base.
    Merged,
    /// Its commits are in the base one by one, under other ids.
    Rebased,
    /// Its whole change is in the base as one commit.
    Squashed(String),
    /// The base holds all that it changes.
    Contained,
    /// It has work that the base lacks.
    Unmerged,
}

impl MergeStatus {
    /// Whether the branch can go without losing anything.
    pub fn is_merged(&self) -> bool {
        !matches!(self, MergeStatus::Untouched | MergeStatus::Unmerged)
    }
}

/// What became of the branch that ends in `tip`; `start` is the commit it was started from, where that is known.
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
        // Without knowing where it started, a tip on the base's own line may as well be a branch that nobody has touched.
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
        // Commits that change nothing in the end may still be somebody's work.
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
        // A patch does not tell one binary content from another.
        return Ok(MergeStatus::Unmerged);
    }
    let since = patches(git, &fork, base, &paths)?;
    let whole = git.bytes(["diff"].iter().chain(&PATCH).chain(&[fork.as_str(), tip, "--"]))?;
    if let Some((id, _)) = patch_ids(git, whole)?.first()
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

/// A merge has no patch of its own, and may hold work all the same.
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

/// The patch ids of the commits between two that touch these paths (all where there are none), with their ids.
fn patches(git: &Git, from: &str, to: &str, paths: &[String]) -> Result<Vec<(String, String)>, GitError> {
    let range = format!("{from}..{to}");
    let mut args: Vec<&str> = vec!["log", "--no-merges", "--full-diff", "--format=commit %H"];
    args.extend(PATCH);
    args.extend([range.as_str(), "--"]);
    args.extend(paths.iter().map(String::as_str));
    patch_ids(git, git.bytes(args)?)
}

/// The patch ids of patches with their commits; white space counts, or a re-indented program would pass for the same.
fn patch_ids(git: &Git, patches: Vec<u8>) -> Result<Vec<(String, String)>, GitError> {
    let mut child = git
        .command(["patch-id", "--verbatim"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let feeder = child.stdin.take().map(|mut pipe| {
        std::thread::spawn(move || {
            // An early end shows in the exit code.
            let _ = pipe.write_all(&patches);
        })
    });
    let output = child.wait_with_output()?;
    if let Some(feeder) = feeder {
        let _ = feeder.join();
    }
    if !output.status.success() {
        return Err(GitError::Failed {
            command: "patch-id".to_owned(),
            code: output.status.code().unwrap_or(-1),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let mut seen = HashSet::new();
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(id, commit)| (id.to_owned(), commit.to_owned()))
        .filter(|pair| seen.insert(pair.clone()))
        .collect())
}
