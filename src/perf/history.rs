//! What was measured, by commit: an append-only list in a git ref, and the cumulative budget that it is held against.
//!
//! The ref holds one file of JSON lines and only ever moves from the tip it was read at, so concurrent writers lose nothing:
//! whoever comes second reads again and appends to what the first one wrote.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use crate::domain::ids::CommitId;
use crate::domain::noise::metric_name;
use crate::domain::registry::Direction;
use crate::domain::results::Results;
use crate::domain::verdict::Verdict;
use crate::git::{Git, GitError};
use crate::perf::stats;

/// The ref that holds the history.
pub const REF: &str = "refs/nmoe-gates/perf";

/// The file in it.
const FILE: &str = "records.jsonl";

/// How often a writer who came second tries again.
const TRIES: u32 = 50;

/// The median of one metric at one commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When the run began, RFC 3339 in UTC.
    pub at: String,
    /// The commit.
    pub commit: String,
    /// The gate that was launched.
    pub gate: String,
    /// The metric, without `_p50`.
    pub metric: String,
    /// Class of machine.
    pub machine: String,
    /// Which way the metric is better.
    #[serde(default)]
    pub direction: Direction,
    /// Median of the launches' medians, in the metric's unit.
    pub median: f64,
    /// Pairs it comes from.
    pub pairs: usize,
}

/// Why the history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// git refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A line of the history is no entry.
    #[error("line {line} of {REF} is no entry: {why}")]
    Broken {
        /// Counting from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Others were always faster.
    #[error("{REF} moved at each of {TRIES} attempts to append to it")]
    Contended,
}

/// The entries that passing comparisons of a run give: each arm's median at its commit.
pub fn of_results(results: &Results) -> Vec<Entry> {
    let at = results.started_at.clone().unwrap_or_default();
    let mut entries = Vec::new();
    for result in results.results.values().filter(|r| r.status == Verdict::Pass) {
        let Some(perf) = &result.perf else { continue };
        let arms = [
            (perf.baseline_sha.as_ref(), perf.baseline),
            (results.evidence.commit(), perf.result),
        ];
        for (commit, median) in arms {
            let (Some(commit), Some(median)) = (commit, median) else {
                continue;
            };
            entries.push(Entry {
                at: at.clone(),
                commit: commit.to_string(),
                gate: perf.compare_gate.clone(),
                metric: metric_name(&perf.metric).to_owned(),
                machine: results
                    .evidence
                    .target
                    .clone()
                    .unwrap_or_else(|| "cpu".to_owned()),
                direction: perf.direction,
                median,
                pairs: perf.pairs.len(),
            });
        }
    }
    entries
}

/// Every entry, oldest first; none where there is no history.
///
/// # Errors
/// git refuses, or the history is broken.
pub fn read(git: &Git) -> Result<Vec<Entry>, HistoryError> {
    let Some(tip) = git.commit(REF)? else {
        return Ok(Vec::new());
    };
    let text = git.text(["cat-file", "blob", &format!("{tip}:{FILE}")])?;
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|e| HistoryError::Broken {
                line: i + 1,
                why: e.to_string(),
            })
        })
        .collect()
}

/// Appends what is not there yet, here or on a remote, and returns how many entries were new.
///
/// # Errors
/// git refuses, or others were always faster.
pub fn append(git: &Git, entries: &[Entry], remote: Option<&str>) -> Result<usize, HistoryError> {
    for attempt in 0..TRIES {
        let local = git.commit(REF)?;
        let tip = match remote {
            Some(remote) => fetch(git, remote)?,
            None => local.clone(),
        };
        let mut text = contents(git, tip.as_deref())?;
        let before = text.len();
        // What was written here and never pushed goes along.
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
                // Whoever moved it meanwhile pushes what is there, too.
                update(git, &next, local.as_deref())?;
            }
            return Ok(new);
        }
        std::thread::sleep(std::time::Duration::from_millis(u64::from(attempt % 7) * 5));
    }
    Err(HistoryError::Contended)
}

/// The text of the history at a commit; empty where there is none.
fn contents(git: &Git, tip: Option<&str>) -> Result<String, HistoryError> {
    match tip {
        Some(tip) => Ok(git.text(["cat-file", "blob", &format!("{tip}:{FILE}")])? + "\n"),
        None => Ok(String::new()),
    }
}

/// Appends the lines that are not there yet; how many those were.
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

/// The tip of the remote's history, whose objects are here afterwards.
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

/// Moves the remote's ref from the tip that was read; whether it did.
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
    // Somebody else's push may hold the lock and not have ended yet.
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

/// Moves the ref, if it still is where it was read; whether it did.
fn update(git: &Git, next: &str, tip: Option<&str>) -> Result<bool, HistoryError> {
    if Some(next) == tip {
        return Ok(true);
    }
    let old = tip.unwrap_or("0000000000000000000000000000000000000000");
    Ok(git.output(["update-ref", REF, next, old])?.status.success())
}

/// Writes a commit that holds this text.
fn commit(git: &Git, text: &str, parent: Option<&str>) -> Result<CommitId, HistoryError> {
    let blob = fed(git, &["hash-object", "-w", "--stdin"], text)?;
    let tree = fed(git, &["mktree"], &format!("100644 blob {blob}\t{FILE}\n"))?;
    let mut args = vec!["commit-tree", &tree];
    if let Some(parent) = parent {
        args.extend(["-p", parent]);
    }
    let id = fed(git, &args, "Record what was measured\n")?;
    Ok(id
        .try_into()
        .map_err(|_| GitError::NotAnId("commit-tree".to_owned()))?)
}

/// Runs git with this on its standard input and returns what it printed.
fn fed(git: &Git, args: &[&str], input: &str) -> Result<String, HistoryError> {
    let mut child = git
        .command(args)
        .env("GIT_AUTHOR_NAME", "nmoe-gates")
        .env("GIT_AUTHOR_EMAIL", "nmoe-gates@invalid")
        .env("GIT_COMMITTER_NAME", "nmoe-gates")
        .env("GIT_COMMITTER_EMAIL", "nmoe-gates@invalid")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(GitError::Start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A git that has died says so by its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(GitError::Start)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(HistoryError::Git(GitError::Failed {
            command: args.first().copied().unwrap_or_default().to_owned(),
            code: output.status.code().unwrap_or(-1),
            message: said.lines().next().unwrap_or("no message").to_owned(),
        }));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How far the newest commit of a series is from the epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// The gate that was launched.
    pub gate: String,
    /// The metric.
    pub metric: String,
    /// Class of machine.
    pub machine: String,
    /// The newest commit that was measured.
    pub newest: String,
    /// Its median against the epoch's, percent; `None` where the epoch was not measured on this machine.
    pub delta_pct: Option<f64>,
    /// Whether that is within the cumulative budget; `None` where it cannot be told.
    pub within: Option<bool>,
}

/// The commits of the history that an abbreviated id may mean.
pub fn matching<'a>(entries: &'a [Entry], prefix: &str) -> BTreeSet<&'a str> {
    entries
        .iter()
        .map(|e| e.commit.as_str())
        .filter(|commit| !prefix.is_empty() && commit.starts_with(prefix))
        .collect()
}

/// Holds every series against the epoch: many small losses that each passed their own budget add up here.
pub fn trends(entries: &[Entry], epoch: &str, budget_pct: f64) -> Vec<Trend> {
    let mut trends: Vec<Trend> = Vec::new();
    for newest in entries.iter().rev() {
        let same =
            |e: &&Entry| e.gate == newest.gate && e.metric == newest.metric && e.machine == newest.machine;
        if trends
            .iter()
            .any(|t| t.gate == newest.gate && t.metric == newest.metric && t.machine == newest.machine)
        {
            continue;
        }
        let at = |commit: &str| {
            let medians: Vec<f64> = entries
                .iter()
                .filter(same)
                .filter(|e| !commit.is_empty() && e.commit.starts_with(commit))
                .map(|e| e.median)
                .collect();
            stats::median(&medians).filter(|m| *m > 0.0)
        };
        let delta_pct = at(epoch)
            .zip(at(&newest.commit))
            .map(|(then, now)| (now / then - 1.0) * 100.0)
            .filter(|d| d.is_finite());
        let within = delta_pct
            .filter(|_| budget_pct.is_finite())
            .map(|delta| match newest.direction {
                Direction::Higher => delta >= budget_pct,
                Direction::Lower => delta <= -budget_pct,
            });
        trends.push(Trend {
            gate: newest.gate.clone(),
            metric: newest.metric.clone(),
            machine: newest.machine.clone(),
            newest: newest.commit.clone(),
            delta_pct,
            within,
        });
    }
    trends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(commit: &str, median: f64, direction: Direction) -> Entry {
        Entry {
            at: String::new(),
            commit: commit.to_string(),
            gate: "g".to_owned(),
            metric: "node_tps".to_owned(),
            machine: "cpu".to_owned(),
            direction,
            median,
            pairs: 3,
        }
    }

    #[test]
    fn small_losses_add_up() {
        let mut entries = vec![entry("a", 100.0, Direction::Higher)];
        for (commit, median) in [("b", 97.0), ("c", 94.09)] {
            entries.push(entry(commit, median, Direction::Higher));
        }
        let trend = &trends(&entries, "a", -5.0)[0];
        assert!((trend.delta_pct.unwrap() + 5.91).abs() < 1e-9);
        assert_eq!(trend.within, Some(false));
        assert_eq!(trends(&entries[..2], "a", -5.0)[0].within, Some(true));
        assert_eq!(trends(&entries, "", -5.0)[0].within, None);
        assert_eq!(trends(&entries, "x", -5.0)[0].within, None);
        let slower = [
            entry("a", 10.0, Direction::Lower),
            entry("b", 10.6, Direction::Lower),
        ];
        assert_eq!(trends(&slower, "a", -5.0)[0].within, Some(false));
    }
}
