//! Finds evil merges: merge commits that change more than the conflicting hunks. New work belongs in separate commits.

use crate::git::merge;
use crate::git::{Git, GitError};

/// A merge commit that changes more than the conflicting hunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvilMerge {
    pub commit: String,
    /// Paths with changes that do not resolve a conflict.
    pub paths: Vec<String>,
}

/// Returns the evil merges between two commits.
pub fn between(git: &Git, from: &str, to: &str) -> Result<Vec<EvilMerge>, GitError> {
    let range = format!("{from}..{to}");
    let merges = git.text([
        "rev-list",
        "--min-parents=2",
        "--max-parents=2",
        "--parents",
        &range,
    ])?;
    let mut found = Vec::new();
    for line in merges.lines() {
        let ids: Vec<&str> = line.split(' ').collect();
        let &[commit, ours, theirs] = ids.as_slice() else {
            continue;
        };
        let paths = beyond(git, commit, ours, theirs)?;
        if !paths.is_empty() {
            found.push(EvilMerge {
                commit: commit.to_owned(),
                paths,
            });
        }
    }
    Ok(found)
}

fn beyond(git: &Git, commit: &str, ours: &str, theirs: &str) -> Result<Vec<String>, GitError> {
    let trial = merge::trial(git, ours, theirs)?;
    let listed = git.name_texts([
        "diff",
        "--name-only",
        "--no-renames",
        "-z",
        &trial.tree,
        commit,
        "--",
    ])?;
    let mut paths = Vec::new();
    for path in listed {
        let settled = trial.conflicts.contains(&path) && {
            let at = |tree: &str| git.bytes(["cat-file", "blob", &format!("{tree}:{path}")]);
            match (at(&trial.tree), at(commit)) {
                (Ok(marked), Ok(done)) => only_hunks_differ(&marked, &done),
                // One side deleted the file: either side is a valid resolution.
                _ => true,
            }
        };
        if !settled {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Whether `done` differs from the file with conflict markers only inside the conflicting hunks.
fn only_hunks_differ(marked: &[u8], done: &[u8]) -> bool {
    let mut agreed: Vec<Vec<u8>> = vec![Vec::new()];
    let mut inside = false;
    for line in marked.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"<<<<<<< ") {
            inside = true;
            agreed.push(Vec::new());
        } else if inside && line.starts_with(b">>>>>>> ") {
            inside = false;
        } else if !inside && let Some(last) = agreed.last_mut() {
            last.extend_from_slice(line);
        }
    }
    if agreed.len() == 1 {
        // No markers: a conflict of modes or of binary files, resolved by a choice.
        return true;
    }
    let (first, rest) = (&agreed[0], &agreed[1..]);
    let Some(mut left) = done.strip_prefix(first.as_slice()) else {
        return false;
    };
    for (n, part) in rest.iter().enumerate() {
        if n + 1 == rest.len() {
            return left.ends_with(part);
        }
        if part.is_empty() {
            continue;
        }
        match memchr::memmem::find(left, part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_conflicted_hunks_may_differ() {
        let marked = b"a\n<<<<<<< x\n1\n=======\n2\n>>>>>>> y\nb\n<<<<<<< x\n3\n=======\n>>>>>>> y\nc\n";
        assert!(only_hunks_differ(marked, b"a\n1\n2\nb\nc\n"));
        assert!(only_hunks_differ(marked, b"a\nb\nanything\nc\n"));
        assert!(!only_hunks_differ(marked, b"A\n1\nb\nc\n"));
        assert!(!only_hunks_differ(marked, b"a\n1\nb\nc\nd\n"));
        assert!(!only_hunks_differ(marked, b"a\n1\nc\n"));
    }
}
