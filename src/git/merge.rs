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
    let listed = git.bytes(["diff", "--name-only", "--no-renames", "-z", &range, "--"])?;
    Ok(String::from_utf8_lossy(&listed)
        .split_terminator('\0')
        .map(str::to_owned)
        .collect())
}
