//! The files that decide what the workflows of a repository do: which of them a change touches, and what it makes worse.
//!
//! The merge queue and `lint pr` ask here. Must not write anything.

use crate::document::Source;
use crate::domain::finding::Finding;
use crate::domain::ids::CommitId;
use crate::domain::paths::WORKFLOWS;
use crate::git::{Git, GitError, diff, revisions};
use crate::lint::workflows;

/// What decides what jobs do: GitHub takes these files from the commit of a pull request or of a merge group.
const DECIDING: [&str; 6] = [
    WORKFLOWS,
    ".github/actions",
    "action.yml",
    "action.yaml",
    "scripts/action",
    "scripts/get",
];

/// Returns the entries of `DECIDING` in which two commits differ.
///
/// # Errors
/// git fails.
pub fn changed(git: &Git, base: &CommitId, head: &CommitId) -> Result<Vec<&'static str>, GitError> {
    let options = [
        "diff-tree",
        "-r",
        "--no-renames",
        "--name-only",
        "-z",
        base,
        head,
        "--",
    ];
    let names = git.names(options.into_iter().chain(DECIDING))?;
    let is_below = |name: &[u8], path: &str| {
        let rest = name.strip_prefix(path.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    let mut found: Vec<&str> = names
        .iter()
        .filter_map(|name| DECIDING.into_iter().find(|path| is_below(name, path)))
        .collect();
    found.dedup();
    Ok(found)
}

/// Returns what the rules for workflows find in a change and not in its base, with the workflows of the change.
///
/// # Errors
/// git fails.
pub fn new_findings(
    git: &Git,
    base: &CommitId,
    head: &CommitId,
) -> Result<(Vec<Source>, Vec<Finding>), GitError> {
    let fork = revisions::merge_base(git, base, head)?;
    if changed(git, &fork, head)?.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let (sources, findings) = of_commit(git, head)?;
    let (_, known) = of_commit(git, &fork)?;
    let same = |known: &Finding, finding: &Finding| {
        known.code.id == finding.code.id && known.path == finding.path && known.message == finding.message
    };
    let is_new = |finding: &Finding| !known.iter().any(|known| same(known, finding));
    Ok((sources, findings.into_iter().filter(is_new).collect()))
}

/// Returns the id and the name of a file that `git ls-tree` lists.
fn blob(entry: &str) -> Option<(&str, &str)> {
    let (kind, name) = entry.split_once('\t')?;
    Some((kind.split_once(" blob ")?.1, name))
}

/// Checks the workflows of a commit.
fn of_commit(git: &Git, commit: &CommitId) -> Result<(Vec<Source>, Vec<Finding>), GitError> {
    let is_workflow = |name: &str| name.ends_with(".yml") || name.ends_with(".yaml");
    let listed = git.bytes(["ls-tree", "-z", "--full-tree", commit, &format!("{WORKFLOWS}/")])?;
    let mut sources = Vec::new();
    for entry in String::from_utf8_lossy(&listed).split('\0') {
        if let Some((id, name)) = blob(entry).filter(|(_, name)| is_workflow(name)) {
            sources.push(source(git, id, name)?);
        }
    }
    let actions = workflows::actions(&sources, |name| {
        let listed = git.bytes(["ls-tree", "-z", "--full-tree", commit, "--", name])?;
        let listed = String::from_utf8_lossy(&listed);
        blob(&listed).map(|(id, _)| diff::blob(git, id)).transpose()
    })?;
    let findings = workflows::lint_all(&sources, &actions, &[]);
    Ok((sources, findings))
}

fn source(git: &Git, id: &str, name: &str) -> Result<Source, GitError> {
    let text = diff::blob(git, id)?;
    Ok(Source::new(Some(name.to_owned()), String::from_utf8_lossy(&text)))
}
