//! Scans what a range of commits adds: the added lines, in their new files, and the messages of the commits.

use leakscan::scan::Options;
use leakscan::scan_text::scan_text;

use crate::git::Git;
use crate::git::GitError;
use crate::git::added_lines;
use crate::leaks::finding;
use crate::leaks::finding::LeakFinding;

/// Scans everything that `base..head` adds. Both are full commit ids.
///
/// # Errors
/// git cannot be run or fails.
pub fn scan_diff(git: &Git, base: &str, head: &str, options: &Options) -> Result<Vec<LeakFinding>, GitError> {
    let mut found = Vec::new();
    let changed = added_lines::since_fork(git, base, head)?;
    added_lines::contents(git, head, &changed, |changed, text| {
        let is_added = |found: &LeakFinding| {
            let region = found.finding.region;
            region.is_none_or(|region| changed.adds(region.line, region.end_line))
        };
        let findings = finding::of_file(&changed.path, scan_text(&changed.path, text, options));
        found.extend(findings.into_iter().filter(is_added));
    })?;
    found.extend(scan_messages(git, base, head, options)?);
    Ok(found)
}

fn scan_messages(git: &Git, base: &str, head: &str, options: &Options) -> Result<Vec<LeakFinding>, GitError> {
    let log = git.bytes([
        "log",
        "-z",
        "--format=%h%n%B",
        "--end-of-options",
        &format!("{base}..{head}"),
    ])?;
    let mut found = Vec::new();
    for commit in log.split(|b| *b == 0).filter(|commit| !commit.is_empty()) {
        let (id, message) = commit.split_at(memchr::memchr(b'\n', commit).unwrap_or(commit.len()));
        let name = format!("message of commit {}", String::from_utf8_lossy(id));
        let message = message.strip_prefix(b"\n").unwrap_or(message);
        found.extend(finding::of_file(&name, scan_text("", message, options)));
    }
    Ok(found)
}
