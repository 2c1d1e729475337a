//! Stores the contract of a worktree, and the number of its issue. The files are in the git directory, so that no commit contains them.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::git::{Git, GitError};

/// Returns where the contract of this worktree belongs.
///
/// # Errors
/// This is not a git worktree.
pub fn path(git: &Git) -> Result<PathBuf, GitError> {
    git.text([
        "rev-parse",
        "--path-format=absolute",
        "--git-path",
        "nmoe-gates/contract.md",
    ])
    .map(PathBuf::from)
}

/// Returns the stored contract of this worktree, if there is one.
pub fn find(git: &Git) -> Option<PathBuf> {
    path(git).ok().filter(|path| path.is_file())
}

/// Returns the number of the issue that the stored contract was read from.
pub fn issue(git: &Git) -> Option<u64> {
    let text = std::fs::read_to_string(path(git).ok()?.with_file_name("issue")).ok()?;
    text.trim().parse().ok()
}

/// Stores a contract for this worktree.
///
/// # Errors
/// This is not a git worktree, or the files cannot be written.
pub fn store(git: &Git, issue: Option<u64>, text: &str) -> anyhow::Result<()> {
    let path = path(git)?;
    let write = |path: &PathBuf, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    if let Some(issue) = issue {
        write(&path.with_file_name("issue"), &issue.to_string())?;
    }
    write(&path, text)
}

/// Replaces the stored contract if it was read from this issue.
///
/// # Errors
/// The file cannot be written.
pub fn refresh(git: &Git, number: u64, text: &str) -> anyhow::Result<()> {
    match issue(git) {
        Some(stored) if stored == number => store(git, None, text),
        _ => Ok(()),
    }
}

/// Returns the issue of the stored contract, with the day when it was stored; `None` if its issue is unknown.
pub fn age(git: &Git) -> Option<(u64, String)> {
    let number = issue(git)?;
    let changed = find(git)?.metadata().ok()?.modified().ok()?;
    let at = jiff::Timestamp::try_from(changed).ok()?;
    Some((number, at.strftime("%Y-%m-%d").to_string()))
}
