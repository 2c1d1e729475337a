//! Finds the lines that a range of commits adds, and reads the new contents of the changed files.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::RangeInclusive;
use std::process::Stdio;

use crate::git::{Git, GitError};

/// A changed file with its added lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    pub path: String,
    /// The added lines, numbered from 1 in the new file.
    pub added: Vec<RangeInclusive<u32>>,
}

impl Changed {
    /// Whether the diff adds a line from `first` to `last`.
    pub fn adds(&self, first: u32, last: u32) -> bool {
        self.added
            .iter()
            .any(|lines| *lines.start() <= last && first <= *lines.end())
    }
}

/// Returns the files to which the commits between the merge base and `head` add lines. `base` and `head` are full commit ids.
///
/// # Errors
/// git cannot be started or fails.
pub fn since_fork(git: &Git, base: &str, head: &str) -> Result<Vec<Changed>, GitError> {
    let ancestor = git.output(["merge-base", "--end-of-options", base, head])?;
    let ancestor = String::from_utf8_lossy(&ancestor.stdout).trim().to_owned();
    let from = if ancestor.is_empty() { base } else { &ancestor };
    let diff = git.bytes([
        "diff",
        "--unified=0",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--text",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        "--ignore-submodules",
        "--end-of-options",
        from,
        head,
    ])?;
    Ok(read_diff(&diff))
}

/// Parses the files and the added lines of a diff without context lines.
fn read_diff(diff: &[u8]) -> Vec<Changed> {
    let mut found: Vec<Changed> = Vec::new();
    let mut rows = diff.split(|b| *b == b'\n');
    while let Some(row) = rows.next() {
        if let Some(path) = row.strip_prefix(b"+++ ") {
            if let Some(path) = unquoted(path).strip_prefix("b/") {
                found.push(Changed {
                    path: path.to_owned(),
                    added: Vec::new(),
                });
            }
        } else if let Some(hunk) = row.strip_prefix(b"@@ -") {
            let Some(Hunk { removed, from, added }) = Hunk::read(hunk) else {
                continue;
            };
            if let (Some(file), true) = (found.last_mut(), added > 0) {
                file.added.push(from..=from + added - 1);
            }
            // Skip the lines of the hunk, because they may look like headers.
            let mut left = removed + added;
            while left > 0 {
                match rows.next() {
                    Some([b'\\', ..]) => {}
                    Some(_) => left -= 1,
                    None => break,
                }
            }
        }
    }
    found.retain(|file| !file.added.is_empty());
    found
}

struct Hunk {
    removed: u32,
    from: u32,
    added: u32,
}

impl Hunk {
    /// Parses `a,b +c,d @@ …`.
    fn read(text: &[u8]) -> Option<Hunk> {
        let text = std::str::from_utf8(text.split(|b| *b == b'@').next()?).ok()?;
        let (old, new) = text.trim().split_once(" +")?;
        let count = |side: &str| side.split_once(',').map_or(Some(1), |(_, n)| n.parse().ok());
        Some(Hunk {
            removed: count(old)?,
            from: new.split(',').next()?.parse().ok()?,
            added: count(new)?,
        })
    }
}

/// Decodes a path as git prints it: quoted and escaped if it has unusual bytes, followed by a tab if it has spaces.
fn unquoted(path: &[u8]) -> String {
    let path = path.strip_suffix(b"\r").unwrap_or(path);
    let path = path.strip_suffix(b"\t").unwrap_or(path);
    let Some(inner) = path.strip_prefix(b"\"").and_then(|p| p.strip_suffix(b"\"")) else {
        return String::from_utf8_lossy(path).into_owned();
    };
    let mut out = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        if inner[at] != b'\\' {
            out.push(inner[at]);
            at += 1;
            continue;
        }
        let octal = inner
            .get(at + 1..at + 4)
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        if let Some(byte) = octal {
            out.push(byte);
            at += 4;
        } else {
            out.push(match inner.get(at + 1) {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(other) => *other,
                None => b'\\',
            });
            at += 2;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads the new contents of changed files with one git process.
///
/// # Errors
/// git cannot be started, or its output is incomplete.
pub fn contents<'a>(
    git: &Git,
    head: &str,
    changed: impl IntoIterator<Item = &'a Changed>,
    mut see: impl FnMut(&Changed, &[u8]),
) -> Result<(), GitError> {
    let mut child = git
        .command(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (Some(mut asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Ok(());
    };
    let mut answers = BufReader::new(answers);
    for file in changed.into_iter().filter(|file| !file.path.contains('\n')) {
        writeln!(asks, "{head}:{}", file.path)?;
        asks.flush()?;
        let mut header = String::new();
        answers.read_line(&mut header)?;
        let mut words = header.split_whitespace().rev();
        let (size, kind) = (words.next().and_then(|n| n.parse::<usize>().ok()), words.next());
        let (Some(size), Some("blob")) = (size, kind) else {
            continue;
        };
        let mut text = vec![0; size + 1];
        answers.read_exact(&mut text)?;
        text.truncate(size);
        see(file, &text);
    }
    drop(asks);
    child.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_read_whatever_its_lines_say() {
        let diff = b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,0 +2,2 @@ x\n+++ b/evil\n+@@ -1 +1 @@\n@@ -9 +11 @@\n-old\n+new\n\\ No newline at end of file\ndiff --git a/g b/g\n--- a/g\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n--- a/x\n+++ \"b/\\303\\244 b\"\n@@ -0,0 +1 @@\n+y\n";
        let files = read_diff(diff);
        assert_eq!(files.len(), 2, "{files:?}");
        assert_eq!(
            (files[0].path.as_str(), files[0].added.as_slice()),
            ("a", &[2..=3, 11..=11][..])
        );
        assert_eq!(files[1].path, "ä b");
    }
}
