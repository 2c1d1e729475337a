//! What a range of commits adds: the lines of its diff, as they stand in the new files, and the commits' messages.

use super::detect::Options;
use super::document;
use super::document::Placed;
use crate::git::Git;
use crate::git::GitError;
use crate::git::added;

/// Looks through everything that `base..head` adds. Both are full ids of commits.
///
/// # Errors
/// git cannot be run or refuses.
pub fn search(git: &Git, base: &str, head: &str, options: &Options) -> Result<Vec<Placed>, GitError> {
    let mut placed = Vec::new();
    let changed = added::since_fork(git, base, head)?;
    added::contents(git, head, &changed, |changed, text| {
        let inside = |placed: &Placed| {
            placed
                .finding
                .region
                .is_none_or(|region| changed.adds(region.line, region.end_line))
        };
        placed.extend(
            document::look(&changed.path, text, options)
                .into_iter()
                .filter(inside),
        );
    })?;
    placed.extend(messages(git, base, head, options)?);
    Ok(placed)
}

/// The commits' messages.
fn messages(git: &Git, base: &str, head: &str, options: &Options) -> Result<Vec<Placed>, GitError> {
    let log = git.bytes([
        "log",
        "-z",
        "--format=%h%n%B",
        "--end-of-options",
        &format!("{base}..{head}"),
    ])?;
    let mut placed = Vec::new();
    for commit in log.split(|b| *b == 0).filter(|commit| !commit.is_empty()) {
        let (id, message) = commit.split_at(memchr::memchr(b'\n', commit).unwrap_or(commit.len()));
        let name = format!("message of commit {}", String::from_utf8_lossy(id));
        placed.extend(document::look(
            &name,
            message.strip_prefix(b"\n").unwrap_or(message),
            options,
        ));
    }
    Ok(placed)
}
