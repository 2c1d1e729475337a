//! Reads the evidence that is known before a run: commits, tree and tool version.

use std::path::Path;

use crate::domain::evidence::Evidence;
use crate::domain::ids::CommitId;
use crate::git::{Git, GitError};

/// Reads the commits of a subject. The first parent of a merge is the base, the second the head; a plain commit is the head.
/// Without a repository or a commit, every id is `None`.
///
/// # Errors
/// git cannot be started, or refuses a folder of another user.
pub fn of_subject(subject: &Path) -> Result<Evidence, GitError> {
    let git = Git::at(subject);
    let mut evidence = Evidence {
        tool: Some(env!("CARGO_PKG_VERSION").to_owned()),
        ..Evidence::default()
    };
    let Ok(text) = started(git.text(["log", "-1", "--no-show-signature", "--format=%H%n%T%n%P"]))? else {
        return Ok(evidence);
    };
    let id = |text: &str| text.parse::<CommitId>().ok();
    let mut lines = text.lines();
    let commit = lines.next().and_then(id);
    evidence.tree = lines.next().and_then(id);
    let parents = lines.next().unwrap_or_default();
    match *parents.split(' ').collect::<Vec<_>>() {
        [base, head] => {
            evidence.base = id(base);
            evidence.head = id(head);
            evidence.merge = commit;
        }
        _ => evidence.head = commit,
    }
    evidence.dirty = started(git.is_dirty())?.unwrap_or(true);
    Ok(evidence)
}

/// Separates the two kinds of error: git cannot be started or refuses the folder (outer), or git reports an error (inner).
fn started<T>(said: Result<T, GitError>) -> Result<Result<T, GitError>, GitError> {
    match said {
        Err(error @ (GitError::Start(_) | GitError::Ownership(..))) => Err(error),
        other => Ok(other),
    }
}
