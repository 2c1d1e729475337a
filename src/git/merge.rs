//! Merges two commits in memory, without a checkout and without changes to refs.

use std::collections::BTreeSet;

use crate::domain::ids::CommitId;
use crate::git::{Git, GitError};

/// The result of a trial merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The merged tree; files in conflict contain conflict markers.
    pub tree: CommitId,
    /// The paths in conflict; empty for a clean merge.
    pub conflicts: Vec<String>,
}

/// Merges two commits in memory.
pub fn trial(git: &Git, ours: &str, theirs: &str) -> Result<Trial, GitError> {
    let args = [
        "merge-tree",
        "--write-tree",
        "--name-only",
        "--no-messages",
        "-z",
        ours,
        theirs,
    ];
    let output = git.output(args)?;
    let code = output.status.code().unwrap_or(-1);
    if code != 0 && code != 1 {
        return Err(GitError::Failed {
            command: "merge-tree".to_owned(),
            code,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text.split('\0').filter(|part| !part.is_empty());
    let tree = parts.next().unwrap_or_default().trim().parse();
    Ok(Trial {
        tree: tree.map_err(|_| GitError::NotAnId("merge-tree".to_owned()))?,
        conflicts: parts.map(str::to_owned).collect(),
    })
}

/// Returns the paths that differ between the merge base of two commits and the second commit. A rename counts as two paths.
pub fn changed(git: &Git, base: &str, head: &str) -> Result<BTreeSet<String>, GitError> {
    let range = format!("{base}...{head}");
    let listed = git.name_texts(["diff", "--name-only", "--no-renames", "-z", &range, "--"])?;
    Ok(listed.into_iter().collect())
}

/// Makes the merge commit of two commits, without a ref; `None` if they conflict. Author, dates and message are fixed, so that the
/// same parents always give the same id. Returns the commit and its tree.
///
/// # Errors
/// git cannot be started or fails, or a commit is missing.
pub fn commit(git: &Git, base: &CommitId, head: &CommitId) -> Result<Option<(CommitId, CommitId)>, GitError> {
    let trial = trial(git, base, head)?;
    if !trial.conflicts.is_empty() {
        return Ok(None);
    }
    let message = format!("Merge {head} into {base}");
    let settings = ["-c", "i18n.commitEncoding=UTF-8"];
    let made = [
        "commit-tree",
        "--no-gpg-sign",
        "-m",
        &message,
        "-p",
        base,
        "-p",
        head,
        &trial.tree,
    ];
    let mut command = git.as_tool().command(settings.into_iter().chain(made));
    for date in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        command.env(date, "946684800 +0000");
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(GitError::failed("commit-tree", &output));
    }
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let id = CommitId::try_from(id).map_err(|_| GitError::NotAnId("commit-tree".to_owned()))?;
    Ok(Some((id, trial.tree)))
}
