//! Scans what a range of commits adds: the added lines, in their new files, and the messages of the commits.

use leakscan::scan::Options;
use leakscan::scan_text::scan_text;

use crate::git::Git;
use crate::git::GitError;
use crate::git::added_lines;
use crate::leaks::finding;
use crate::leaks::finding::LeakFinding;
use crate::leaks::private_terms::MARKER;

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

/// Returns the leaks that only suppressions of the change itself hide. They are proposals: a person must accept them. `options`
/// accept suppressions, `strict` do not.
///
/// # Errors
/// git cannot be run or fails.
pub fn scan_proposed(
    git: &Git,
    base: &str,
    head: &str,
    options: &Options,
    strict: &Options,
) -> Result<Vec<LeakFinding>, GitError> {
    let mut found = Vec::new();
    let changed = added_lines::since_fork(git, base, head)?;
    added_lines::contents(git, head, &changed, |changed, text| {
        if memchr::memmem::find(text, MARKER.as_bytes()).is_none() {
            return;
        }
        let scan = |options| finding::of_file(&changed.path, scan_text(&changed.path, text, options));
        let open = scan(options);
        let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
        let is_proposal = |line: u32| {
            let content = usize::try_from(line)
                .ok()
                .and_then(|line| lines.get(line.checked_sub(1)?));
            changed.adds(line, line)
                && content.is_some_and(|line| memchr::memmem::find(line, MARKER.as_bytes()).is_some())
        };
        // A suppression is for its own line or for the next one.
        found.extend(scan(strict).into_iter().filter(|leak| {
            let line = leak.finding.region.map_or(1, |region| region.line);
            !open.iter().any(|seen| seen.finding == leak.finding)
                && (is_proposal(line) || is_proposal(line.saturating_sub(1)))
        }));
    })?;
    // A message of a commit is always of the change.
    let open = scan_messages(git, base, head, options)?;
    let all = scan_messages(git, base, head, strict)?;
    found.extend(
        all.into_iter()
            .filter(|leak| !open.iter().any(|seen| seen.finding == leak.finding)),
    );
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
