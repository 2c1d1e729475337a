//! Finds the contract that `start` stores for a worktree. The file is in the git directory, so that no commit contains it.

use std::path::PathBuf;

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
