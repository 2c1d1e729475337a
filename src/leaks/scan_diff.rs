//! Scans what a range of commits adds: the lines of its final files and of each commit, file names, messages, identities, other headers
//! of the commits, and the name of the branch or the tag.
//!
//! Reads the commits as they are stored. Replacements, grafts and the cut of a shallow clone exist only in one repository, and could
//! hide a commit there that a push publishes.

use std::collections::HashSet;

use leakscan::scan::{self, Options};
use leakscan::scan_text::{scan_text, wide_text};

use crate::domain::ids::{Sha256, short};
use crate::git::added_lines::{self, Blobs, Changed};
use crate::git::codes::unread_file;
use crate::git::{Git, GitError};
use crate::leaks::finding::{self, Found, LeakFinding};
use crate::leaks::private_terms::MARKER;

/// A range of commits.
#[derive(Clone, Copy)]
pub struct Range<'a> {
    pub git: &'a Git,
    /// The full id of a commit; the range adds what `head` has and this commit does not have.
    pub base: &'a str,
    /// The full id of the last commit.
    pub head: &'a str,
    /// The name of the branch, if it is known.
    pub branch: Option<&'a str>,
}

/// How to scan.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Accept the suppressions of the texts.
    pub open: &'a Options,
    /// Accept none, to find what only suppressions of the change hide.
    pub strict: &'a Options,
}

/// The leaks of a range.
#[derive(Default)]
pub struct RangeLeaks {
    /// The leaks that no suppression of a text hides.
    pub found: Vec<LeakFinding>,
    /// The leaks that only suppressions of the change itself hide. They are proposals: a person must accept them.
    pub proposed: Vec<LeakFinding>,
}

/// Scans everything that a range adds.
///
/// # Errors
/// git cannot be run or fails.
pub fn scan_diff(range: Range, rules: Rules) -> Result<RangeLeaks, GitError> {
    let Range {
        git,
        base,
        head,
        branch,
    } = range;
    let git = &git.with_whole_history();
    let mut scan = Scan {
        rules,
        found: Found::default(),
        proposed: Found::default(),
        known: HashSet::new(),
        names: HashSet::new(),
        blobs: Blobs::open(git)?,
    };
    let commits = added_lines::by_commit(git, base, head).map_err(|error| {
        let is_shallow = git.text(["rev-parse", "--is-shallow-repository"]);
        match (&error, is_shallow.as_deref()) {
            (GitError::Failed { .. }, Ok("true")) => GitError::Shallow,
            _ => error,
        }
    })?;
    for file in added_lines::since_fork(git, base, head)? {
        scan.file(&file, None)?;
    }
    for commit in commits {
        for path in &commit.paths {
            scan.path(path, &commit.id);
        }
        for file in &commit.files {
            scan.file(file, Some(&commit.id))?;
        }
    }
    if let Some(branch) = branch {
        scan.name("the branch name", branch.as_bytes(), "Rename the branch.");
        scan.tags(branch)?;
    }
    scan.log(git, base, head)?;
    Ok(RangeLeaks {
        found: scan.found.finish(),
        proposed: scan
            .proposed
            .finish()
            .into_iter()
            .map(LeakFinding::as_proposal)
            .collect(),
    })
}

struct Scan<'a> {
    rules: Rules<'a>,
    found: Found,
    proposed: Found,
    /// The leaks so far, with the text of their lines. The same leak in a later commit is not another one.
    known: HashSet<Sha256>,
    /// The file names, unread files and identities so far, each after a word for its kind.
    names: HashSet<Vec<u8>>,
    blobs: Blobs,
}

impl Scan<'_> {
    /// Scans the added lines of a file: of a final file, or of a commit.
    fn file(&mut self, file: &Changed, commit: Option<&str>) -> Result<(), GitError> {
        let path = self.shown(file);
        let Some(text) = self.blobs.content(file)? else {
            if commit.is_none() || self.names.insert([b"unread ".as_slice(), &file.path].concat()) {
                self.found.extend([LeakFinding::new(unread_file(&path))]);
            }
            return Ok(());
        };
        // Suppressions and lines are those of the decoded text.
        let text = wide_text(&text).map_or(text, String::into_bytes);
        let role = String::from_utf8_lossy(&file.path);
        let scan = |options| finding::of_file(&path, scan_text(&role, &text, options));
        let is_added = |leak: &LeakFinding| {
            let region = leak.finding.region;
            region.is_none_or(|region| file.adds(region.line, region.end_line))
        };
        let has_marker = memchr::memmem::find(&text, MARKER.as_bytes()).is_some();
        let all = scan(self.rules.strict);
        let open = if has_marker {
            scan(self.rules.open)
        } else {
            all.clone()
        };
        let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
        let hidden = |leak: &LeakFinding| !open.iter().any(|seen| seen.finding == leak.finding);
        // A leak on an added line is not accepted, even if the suppression was there before for another one.
        let proposed: Vec<LeakFinding> = all
            .iter()
            .filter(|leak| has_marker && is_added(leak) && hidden(leak))
            .cloned()
            .collect();
        let open: Vec<LeakFinding> = open.into_iter().filter(is_added).collect();
        match commit {
            None => {
                self.known.extend(all.iter().map(|leak| identify(leak, &lines)));
                self.found.extend(open);
                self.proposed.extend(proposed);
            }
            Some(id) => {
                for (leaks, into) in [(open, &mut self.found), (proposed, &mut self.proposed)] {
                    let leaks = leaks.into_iter();
                    let new = leaks.filter(|leak| self.known.insert(identify(leak, &lines)));
                    into.extend(new.map(|leak| leak.in_commit(short(id))));
                }
            }
        }
        Ok(())
    }

    /// Returns the path of a file for findings, without the leaks that the path itself contains.
    fn shown(&self, file: &Changed) -> String {
        let path = file.shown();
        let mut shown = path.clone();
        for leak in scan::scan(&path, self.rules.strict).iter().rev() {
            shown.replace_range(leak.shown_span(path.as_bytes()), "[redacted]");
        }
        shown
    }

    /// Scans the path of a file, a link or a submodule.
    fn path(&mut self, path: &[u8], commit: &str) {
        if self.names.insert([b"path ".as_slice(), path].concat()) {
            let name = format!("a file name in commit {}", short(commit));
            self.name(&name, path, finding::HISTORY);
        }
    }

    /// Scans a name that has no lines.
    fn name(&mut self, name: &str, text: &[u8], help: &str) {
        let leaks = scan::scan(text, self.rules.strict);
        let found = leaks.iter().map(|leak| finding::of_name(name, leak.kind, help));
        self.found.extend(found);
    }

    /// Scans the messages of the commits, and who wrote them.
    fn log(&mut self, git: &Git, base: &str, head: &str) -> Result<(), GitError> {
        let range = format!("{base}..{head}");
        let format = "--format=%H%n%an <%ae>%n%cn <%ce>%n%B";
        let log = git.names(["log", "-z", "--no-mailmap", format, "--end-of-options", &range])?;
        for commit in log {
            let mut rows = commit.splitn(4, |b| *b == b'\n');
            let id = String::from_utf8_lossy(rows.next().unwrap_or_default()).into_owned();
            for role in ["author", "committer"] {
                let identity = rows.next().unwrap_or_default();
                if self.names.insert([b"identity ".as_slice(), identity].concat())
                    && let Some(kind) = scan::scan_identity(identity, self.rules.strict)
                {
                    let name = format!("{role} of commit {}", short(&id));
                    let help = "Set user.name and user.email of git, and rewrite the commits.";
                    self.found.extend([finding::of_name(&name, kind, help)]);
                }
            }
            let message = rows.next().unwrap_or_default();
            let name = format!("message of commit {}", short(&id));
            let scan = |options| finding::of_file(&name, scan_text("", message, options));
            let open = scan(self.rules.open);
            if memchr::memmem::find(message, MARKER.as_bytes()).is_some() {
                // A message of a commit is always of the change.
                let hidden = scan(self.rules.strict)
                    .into_iter()
                    .filter(|leak| !open.iter().any(|seen| seen.finding == leak.finding));
                self.proposed.extend(hidden);
            }
            self.found.extend(open);
            self.stored(&id, message)?;
        }
        Ok(())
    }

    /// Scans what the log does not show of a commit: its other headers, and its message if the stored one differs.
    fn stored(&mut self, id: &str, shown: &[u8]) -> Result<(), GitError> {
        let Some((_, commit)) = self.blobs.object(id)? else {
            return Ok(());
        };
        let (headers, message) = split_object(&commit);
        let id = short(id);
        self.name(
            &format!("headers of commit {id}"),
            &other_headers(headers),
            finding::HISTORY,
        );
        if message.trim_ascii_end() != shown.trim_ascii_end() {
            self.name(
                &format!("stored message of commit {id}"),
                message,
                finding::HISTORY,
            );
        }
        Ok(())
    }

    /// Scans the annotated tags that a name stands for.
    fn tags(&mut self, name: &str) -> Result<(), GitError> {
        let mut next = format!("refs/tags/{}", name.strip_prefix("refs/tags/").unwrap_or(name));
        for _ in 0..TAGS {
            let Some((_, tag)) = self.blobs.object(&next)?.filter(|(kind, _)| kind == "tag") else {
                break;
            };
            let help = "Delete the tag and create it again.";
            let (headers, message) = split_object(&tag);
            let line = |name: &[u8]| {
                headers
                    .split(|b| *b == b'\n')
                    .find_map(|line| line.strip_prefix(name))
            };
            if let Some(tagger) = line(b"tagger ")
                && let Some(kind) = scan::scan_identity(without_time(tagger), self.rules.strict)
            {
                self.found
                    .extend([finding::of_name("the tagger of the tag", kind, help)]);
            }
            self.name("headers of the tag", &other_headers(headers), help);
            self.name("message of the tag", message, help);
            next = String::from_utf8_lossy(line(b"object ").unwrap_or_default()).into_owned();
        }
        Ok(())
    }
}

/// How many tags of tags are read.
const TAGS: usize = 16;

/// Splits a commit or a tag into its headers and its message.
fn split_object(object: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::find(object, b"\n\n") {
        Some(end) => (&object[..end], &object[end + 2..]),
        None => (object, b""),
    }
}

/// Returns the name and the address of an identity header, without its time.
fn without_time(identity: &[u8]) -> &[u8] {
    memchr::memrchr(b'>', identity).map_or(identity, |end| &identity[..=end])
}

/// Returns the headers without what other checks read: object ids, and the name and the address of the first identity of each kind.
fn other_headers(headers: &[u8]) -> Vec<u8> {
    let mut identities = vec![&b"author "[..], b"committer ", b"tagger "];
    let rows = headers.split(|b| *b == b'\n').filter_map(|row| {
        if let Some(at) = identities.iter().position(|name| row.starts_with(name)) {
            identities.remove(at);
            return after_address(row);
        }
        let mut words = row.splitn(2, |b| *b == b' ');
        let name = words.next().unwrap_or_default();
        let is_id = words
            .next()
            .is_some_and(|id| id.len() >= 40 && id.iter().all(u8::is_ascii_hexdigit));
        (!(is_id && matches!(name, b"tree" | b"parent" | b"object"))).then_some(row)
    });
    rows.collect::<Vec<_>>().join(&b'\n')
}

/// Returns what follows the first address of an identity header, unless that is only a time. git shows none of this text.
fn after_address(row: &[u8]) -> Option<&[u8]> {
    let start = memchr::memchr(b'<', row).unwrap_or(0);
    let end = memchr::memchr(b'>', &row[start..]).map_or(start, |end| start + end + 1);
    let rest = row[end..].trim_ascii();
    let is_time = rest.len() <= TIME && rest.iter().all(|b| matches!(b, b'0'..=b'9' | b' ' | b'+' | b'-'));
    (!is_time).then_some(rest)
}

/// The longest time of an identity header: the seconds since 1970 and the time zone.
const TIME: usize = 26;

/// Identifies a leak by its kind and the text of its lines.
fn identify(leak: &LeakFinding, lines: &[&[u8]]) -> Sha256 {
    let mut text = leak.finding.code.id.as_bytes().to_vec();
    match leak.finding.region {
        Some(region) => {
            let at = |line: u32| usize::try_from(line).unwrap_or(usize::MAX).min(lines.len());
            for line in &lines[at(region.line.saturating_sub(1))..at(region.end_line)] {
                text.push(b'\n');
                text.extend_from_slice(line);
            }
        }
        None => text.extend_from_slice(leak.finding.message.as_bytes()),
    }
    Sha256::of(&text)
}
