//! Finds the commits that a command line or the settings name: a revision, the base branch, the merge base of two commits.

use crate::domain::ids::{BranchName, CommitId};
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

/// Returns the refs of a base branch, the best first: that of the remote, then the local one.
pub fn base_refs(remote: &str, branch: &str) -> [String; 2] {
    [
        BranchName::remote_ref(remote, branch),
        BranchName::local_ref(branch),
    ]
}

/// Returns the commit of the base branch of the settings: of the remote if it has the branch, otherwise of the local branch.
///
/// # Errors
/// As for [`base_of`].
pub fn base(git: &Git, naming: &Naming) -> Result<CommitId, GitError> {
    base_of(git, &naming.remote, &naming.base)
}

/// Returns the commit of a base branch: of the remote if it has the branch, otherwise of the local branch.
///
/// # Errors
/// Neither exists, or git cannot be started.
pub fn base_of(git: &Git, remote: &str, branch: &str) -> Result<CommitId, GitError> {
    for name in base_refs(remote, branch) {
        if let Some(id) = git.commit(&name)? {
            return Ok(id);
        }
    }
    Err(GitError::NoBase(branch.to_owned()))
}

/// Returns the commit of a base branch of the remote, as of the last fetch.
///
/// # Errors
/// The remote has no such branch, or git cannot be started.
pub fn remote_base(git: &Git, remote: &str, branch: &str) -> Result<CommitId, GitError> {
    let tip = git.commit(&BranchName::remote_ref(remote, branch))?;
    tip.ok_or_else(|| GitError::NoRemoteBase(remote.to_owned(), branch.to_owned()))
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
