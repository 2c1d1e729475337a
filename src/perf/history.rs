//! Stores comparisons in a git ref, append-only.
//!
//! The ref holds one file of JSON lines. A writer moves the ref only if it still points to the commit that was read. So
//! concurrent writers lose no entry: the second writer reads again and appends.

use serde_json::Value;

use crate::domain::ids::CommitId;
use crate::git::{Git, GitError};
use crate::perf::comparisons::{Comparison, VERSION};

/// The ref that holds the history.
pub const REF: &str = "refs/nmoe-gates/perf";

/// The file in it.
const FILE: &str = "records.jsonl";

/// Number of attempts of a writer whose ref was moved by another writer.
const TRIES: u32 = 50;

/// Why the history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A line of the history is not an entry.
    #[error("line {line} of {REF} is not an entry: {why}")]
    Broken {
        /// Counting from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Another writer moved the ref in every attempt.
    #[error("{REF} moved at each of {TRIES} attempts to append to it")]
    Contended,
}

/// Returns all comparisons, in the order in which they were recorded. Entries of another version are ignored.
///
/// # Errors
/// git fails, or a line is not an entry.
pub fn read(git: &Git) -> Result<Vec<Comparison>, HistoryError> {
    let Some(tip) = git.commit(REF)? else {
        return Ok(Vec::new());
    };
    let text = git.text(["cat-file", "blob", &format!("{tip}:{FILE}")])?;
    let mut comparisons = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let broken = |e: serde_json::Error| HistoryError::Broken {
            line: i + 1,
            why: e.to_string(),
        };
        let entry: Value = serde_json::from_str(line).map_err(broken)?;
        if entry.get("version").and_then(Value::as_u64) == Some(u64::from(VERSION)) {
            comparisons.push(serde_json::from_value(entry).map_err(broken)?);
        }
    }
    Ok(comparisons)
}

/// Appends the entries that are missing, locally or on a remote, and returns their number.
///
/// # Errors
/// git fails, or another writer moved the ref in every attempt.
pub fn append(git: &Git, entries: &[Comparison], remote: Option<&str>) -> Result<usize, HistoryError> {
    for attempt in 0..TRIES {
        let local = git.commit(REF)?;
        let tip = match remote {
            Some(remote) => fetch(git, remote)?,
            None => local.clone(),
        };
        let mut text = contents(git, tip.as_deref())?;
        let before = text.len();
        // Also push local entries that were not pushed before.
        let unpushed = if tip == local {
            String::new()
        } else {
            contents(git, local.as_deref())?
        };
        add(&mut text, unpushed.lines());
        let mut lines = Vec::new();
        for entry in entries {
            lines.push(serde_json::to_string(entry).map_err(|e| HistoryError::Broken {
                line: 0,
                why: e.to_string(),
            })?);
        }
        let new = add(&mut text, lines.iter().map(String::as_str));
        let next = match &tip {
            Some(tip) if text.len() == before => tip.clone(),
            None if text.is_empty() => return Ok(0),
            _ => commit(git, &text, tip.as_deref())?,
        };
        let moved = match remote {
            Some(remote) => push(git, remote, &next, tip.as_deref())?,
            None => update(git, &next, tip.as_deref())?,
        };
        if moved {
            if remote.is_some() {
                // The process that moved the ref pushes these entries too.
                update(git, &next, local.as_deref())?;
            }
            return Ok(new);
        }
        std::thread::sleep(std::time::Duration::from_millis(u64::from(attempt % 7) * 5));
    }
    Err(HistoryError::Contended)
}

/// Returns the text of the history at a commit, or an empty text.
fn contents(git: &Git, tip: Option<&str>) -> Result<String, HistoryError> {
    match tip {
        Some(tip) => Ok(git.text(["cat-file", "blob", &format!("{tip}:{FILE}")])? + "\n"),
        None => Ok(String::new()),
    }
}

/// Appends the missing lines and returns their number.
fn add<'a>(text: &mut String, lines: impl Iterator<Item = &'a str>) -> usize {
    let mut new = 0;
    for line in lines.filter(|l| !l.is_empty()) {
        if !text.lines().any(|known| known == line) {
            text.push_str(line);
            text.push('\n');
            new += 1;
        }
    }
    new
}

/// Fetches the remote's history and returns its tip.
fn fetch(git: &Git, remote: &str) -> Result<Option<CommitId>, HistoryError> {
    let there = git.text(["ls-remote", "--end-of-options", remote, REF])?;
    let Some(tip) = there.split_whitespace().next() else {
        return Ok(None);
    };
    git.bytes([
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        "--end-of-options",
        remote,
        REF,
    ])?;
    Ok(tip.parse().ok())
}

/// Moves the remote's ref from the tip that was read. Returns whether the ref moved.
fn push(git: &Git, remote: &str, next: &str, tip: Option<&str>) -> Result<bool, HistoryError> {
    let lease = format!("--force-with-lease={REF}:{}", tip.unwrap_or_default());
    let pushed = git.output([
        "push",
        "--quiet",
        &lease,
        "--end-of-options",
        remote,
        &format!("{next}:{REF}"),
    ])?;
    if pushed.status.success() {
        return Ok(true);
    }
    let now = git.text(["ls-remote", "--end-of-options", remote, REF])?;
    if now.split_whitespace().next() != tip {
        return Ok(false);
    }
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    // Another push may still hold the lock.
    if said.contains("lock") {
        return Ok(false);
    }
    Err(HistoryError::Git(GitError::Failed {
        command: "push".to_owned(),
        code: pushed.status.code().unwrap_or(-1),
        message: said
            .lines()
            .find(|l| !l.trim().is_empty())
            .unwrap_or("no message")
            .to_owned(),
    }))
}

/// Moves the ref if it still points to the commit that was read. Returns whether the ref moved.
fn update(git: &Git, next: &str, tip: Option<&str>) -> Result<bool, HistoryError> {
    if Some(next) == tip {
        return Ok(true);
    }
    // An empty old id means that the ref must not exist.
    let old = tip.unwrap_or_default();
    Ok(git.output(["update-ref", REF, next, old])?.status.success())
}

/// Writes a commit with this text.
fn commit(git: &Git, text: &str, parent: Option<&str>) -> Result<CommitId, HistoryError> {
    let git = git.as_tool();
    let blob = git.id_from(["hash-object", "-w", "--stdin"], text)?;
    let tree = git.id_from(["mktree"], &format!("100644 blob {blob}\t{FILE}\n"))?;
    let mut args = vec!["commit-tree", "-m", "Record what was measured", &tree];
    if let Some(parent) = parent {
        args.extend(["-p", parent]);
    }
    Ok(git.id(args)?)
}
