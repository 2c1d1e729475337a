//! Lists the worktrees of a repository.

use std::path::PathBuf;

use crate::git::{Git, GitError};

/// A worktree as git lists it.
pub struct Worktree {
    pub path: PathBuf,
    /// The branch that is checked out.
    pub branch: Option<String>,
    pub locked: bool,
}

/// Returns the worktrees, the main one first.
pub fn list(git: &Git) -> Result<Vec<Worktree>, GitError> {
    let listed = git.bytes(["worktree", "list", "--porcelain", "-z"])?;
    let worktree = |entry: &str| {
        let value = |key: &str| entry.split('\0').find_map(|line| line.strip_prefix(key));
        Some(Worktree {
            path: value("worktree ")?.into(),
            branch: value("branch refs/heads/").map(str::to_owned),
            locked: value("locked").is_some(),
        })
    };
    let text = String::from_utf8_lossy(&listed);
    Ok(text.split("\0\0").filter_map(worktree).collect())
}
