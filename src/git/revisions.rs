//! Finds the commits that a command line or the settings name: a revision, the base branch, the merge base of two commits.

use crate::domain::ids::CommitId;
use crate::domain::settings::Naming;
use crate::git::{Git, GitError};

/// Returns the commit of a revision that the user named.
///
/// # Errors
/// The commit does not exist, or git cannot be started.
pub fn known(git: &Git, revision: &str) -> Result<CommitId, GitError> {
    git.commit(revision)?
        .ok_or_else(|| GitError::NoCommit(revision.to_owned()))
}

/// Returns the commit of the base branch: of the remote if it has the branch, otherwise of the local branch.
///
/// # Errors
/// Neither exists, or git cannot be started.
pub fn base(git: &Git, naming: &Naming) -> Result<CommitId, GitError> {
    let remote = format!("refs/remotes/{}/{}", naming.remote, naming.base);
    for name in [&remote, &format!("refs/heads/{}", naming.base)] {
        if let Some(id) = git.commit(name)? {
            return Ok(id);
        }
    }
    Err(GitError::NoBase(naming.base.clone()))
}

/// Whether a commit is an ancestor of another one, or equal to it. A commit that is not here is not.
pub fn contains(git: &Git, tip: &CommitId, commit: &CommitId) -> bool {
    let asked = git.output(["merge-base", "--is-ancestor", "--end-of-options", commit, tip]);
    asked.is_ok_and(|answer| answer.status.success())
}

/// Returns the merge base of two commits.
///
/// # Errors
/// They have no common history, as far as it was fetched.
pub fn merge_base(git: &Git, base: &str, head: &str) -> Result<CommitId, GitError> {
    git.id(["merge-base", base, head])
        .map_err(|_| GitError::Unrelated(base.to_owned(), head.to_owned()))
}
