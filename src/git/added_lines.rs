//! Finds the lines that a change adds, by path and object id: in its final files, and in each of its commits.
//!
//! Paths are bytes. Must not look for anything in a path that git quoted.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::RangeInclusive;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::git::diff::{self, Change, Kind};
use crate::git::{Git, GitError};

/// Options of every diff: no program of the configuration, the same renames and the same order everywhere.
const FIXED: [&str; 7] = [
    "-r",
    "--no-abbrev",
    "--find-renames",
    "--ignore-submodules=none",
    "--no-ext-diff",
    "--no-textconv",
    "-O/dev/null",
];

/// A file with lines that a change adds.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    /// The bytes of the path.
    pub path: Vec<u8>,
    /// The object id of the content.
    id: String,
    /// The added lines, numbered from 1.
    added: Vec<RangeInclusive<u32>>,
}

impl Changed {
    /// Returns the path as text for messages.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// Whether the change adds a line from `first` to `last`.
    pub fn adds(&self, first: u32, last: u32) -> bool {
        self.added
            .iter()
            .any(|lines| *lines.start() <= last && first <= *lines.end())
    }
}

/// A commit, with the files to which it adds lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Commit {
    pub id: String,
    pub files: Vec<Changed>,
    /// Every path that the commit changes and that exists after it, also of a rename without new content and of a submodule.
    pub paths: Vec<Vec<u8>>,
}

/// Returns the files to which the commits between the merge base and `head` add lines. `base` and `head` are full commit ids.
///
/// # Errors
/// git cannot be started or fails.
pub fn since_fork(git: &Git, base: &str, head: &str) -> Result<Vec<Changed>, GitError> {
    let ancestor = git.output(["merge-base", "--end-of-options", base, head])?;
    let ancestor = String::from_utf8_lossy(&ancestor.stdout).trim().to_owned();
    let from = if ancestor.is_empty() { base } else { &ancestor };
    let ends = [from, head];
    let raw = git.bytes(tree_diff(&["--raw", "-z"]).chain(ends))?;
    let hunks = read_patch(&git.bytes(tree_diff(&PATCH).chain(ends))?);
    let changes = diff::parse(&raw).ok_or_else(|| GitError::NotText("diff-tree".to_owned()))?;
    Ok(changes
        .iter()
        .filter_map(|change| changed(change, &hunks))
        .collect())
}

/// Returns the commits of `base..head`, oldest first. A merge adds the lines that none of its parents has.
///
/// # Errors
/// git cannot be started or fails.
pub fn by_commit(git: &Git, base: &str, head: &str) -> Result<Vec<Commit>, GitError> {
    let range = format!("{base}..{head}");
    let commits = git.bytes([
        "rev-list",
        "--reverse",
        "--topo-order",
        "--end-of-options",
        &range,
    ])?;
    if commits.is_empty() {
        return Ok(Vec::new());
    }
    let listed = tree_diff(&["--raw", "-z", "-c", "--stdin", "--root"]);
    let raw = git.bytes_from(listed, &commits)?;
    let patches = tree_diff(&PATCH).chain(["--stdin", "--root"]);
    let hunks = read_patch(&git.bytes_from(patches, &commits)?);
    read_commits(&raw, &hunks, &mut Blobs::open(git)?)
}

/// A diff of the files that exist on both sides. Every line of a new file is an added line.
const PATCH: [&str; 5] = [
    "--patch",
    "--unified=0",
    "--full-index",
    "--text",
    "--diff-filter=MR",
];

fn tree_diff<'a>(options: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let fixed = ["diff-tree"].into_iter().chain(FIXED);
    fixed.chain(options.iter().copied())
}

/// The added lines of a content, by the object ids of the old and the new content.
type Hunks = HashMap<(String, String), Vec<RangeInclusive<u32>>>;

/// Returns the added lines of a change; `None` if it adds none.
fn changed(change: &Change, hunks: &Hunks) -> Option<Changed> {
    let has_content = !matches!(change.new.kind, Kind::Absent | Kind::Submodule);
    if !has_content || change.same_content() {
        return None;
    }
    let ids = (change.old.id.clone(), change.new.id.clone());
    // Without hunks, such as for a new file, every line counts.
    let added = hunks.get(&ids).cloned().unwrap_or_else(|| vec![1..=u32::MAX]);
    (!added.is_empty()).then(|| Changed {
        path: change.new.path.clone(),
        id: ids.1,
        added,
    })
}

/// Parses what `diff-tree --stdin -c --raw -z` prints: the id of each commit, then its changes.
fn read_commits(raw: &[u8], hunks: &Hunks, blobs: &mut Blobs) -> Result<Vec<Commit>, GitError> {
    let wrong = || GitError::NotText("diff-tree".to_owned());
    let mut fields = raw.split(|b| *b == 0).peekable();
    let mut commits: Vec<Commit> = Vec::new();
    while let Some(head) = fields.next().filter(|field| !field.is_empty()) {
        let head = std::str::from_utf8(head).map_err(|_| wrong())?;
        if !head.starts_with(':') {
            commits.push(Commit {
                id: head.to_owned(),
                files: Vec::new(),
                paths: Vec::new(),
            });
            continue;
        }
        let (path, file) = if head.starts_with("::") {
            let path = fields.next().ok_or_else(wrong)?;
            let merged = Merged::read(head).ok_or_else(wrong)?;
            let path = merged.exists().then(|| path.to_vec());
            let file = path.clone().map(|path| merged.added(path, blobs)).transpose()?;
            (path, file.flatten())
        } else {
            let change = diff::entry(head, &mut fields).ok_or_else(wrong)?;
            let file = changed(&change, hunks);
            let exists = change.new.kind != Kind::Absent;
            (exists.then_some(change.new.path), file)
        };
        let commit = commits.last_mut().ok_or_else(wrong)?;
        commit.paths.extend(path);
        commit.files.extend(file);
    }
    Ok(commits)
}

/// An entry of a merge: `::MODES IDS STATUS`, with one mode and one id per parent and then those of the result.
struct Merged<'a> {
    kind: Kind,
    parents: Vec<&'a str>,
    id: &'a str,
}

impl<'a> Merged<'a> {
    fn read(head: &'a str) -> Option<Self> {
        let parents = head.bytes().take_while(|b| *b == b':').count();
        let words: Vec<&str> = head[parents..].split(' ').collect();
        let kind = Kind::of(words.get(parents)?);
        let (id, parents) = words.get(parents + 1..2 * parents + 2)?.split_last()?;
        let parents = parents.to_vec();
        Some(Merged { kind, parents, id })
    }

    fn exists(&self) -> bool {
        self.kind != Kind::Absent
    }

    /// Returns the lines that none of the parents has.
    fn added(&self, path: Vec<u8>, blobs: &mut Blobs) -> Result<Option<Changed>, GitError> {
        if self.kind == Kind::Submodule {
            return Ok(None);
        }
        let mut file = Changed {
            path,
            id: self.id.to_owned(),
            added: vec![1..=u32::MAX],
        };
        if let Some(content) = blobs.read(self.id)? {
            let mut contents = Vec::new();
            for parent in &self.parents {
                contents.extend(blobs.read(parent)?);
            }
            let old: HashSet<&[u8]> = contents
                .iter()
                .flat_map(|text| text.split(|b| *b == b'\n'))
                .collect();
            let new = (1..).zip(content.split(|b| *b == b'\n'));
            file.added = new
                .filter(|(_, line)| !old.contains(line))
                .map(|(number, _)| number..=number)
                .collect();
        }
        Ok((!file.added.is_empty()).then_some(file))
    }
}

/// Parses the hunks of a patch without context lines.
fn read_patch(patch: &[u8]) -> Hunks {
    let mut found = Hunks::new();
    let mut ids = None;
    let mut rows = patch.split(|b| *b == b'\n');
    while let Some(row) = rows.next() {
        if let Some(index) = row.strip_prefix(b"index ") {
            ids = read_index(index);
        } else if row.starts_with(b"diff --git ") {
            ids = None;
        } else if let Some(hunk) = row.strip_prefix(b"@@ -").and_then(Hunk::read) {
            if let Some(ids) = &ids {
                let added = found.entry(ids.clone()).or_default();
                if hunk.added > 0 {
                    added.push(hunk.from..=hunk.from.saturating_add(hunk.added - 1));
                }
            }
            // Skip the lines of the hunk, because they may look like headers.
            let mut left = u64::from(hunk.removed) + u64::from(hunk.added);
            while left > 0 {
                match rows.next() {
                    Some([b'\\', ..]) => {}
                    Some(_) => left -= 1,
                    None => break,
                }
            }
        }
    }
    found
}

/// Parses `OLD..NEW MODE`.
fn read_index(text: &[u8]) -> Option<(String, String)> {
    let ids = std::str::from_utf8(text).ok()?.split(' ').next()?;
    let (old, new) = ids.split_once("..")?;
    Some((old.to_owned(), new.to_owned()))
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

/// Reads many objects with one git process.
pub struct Blobs {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Blobs {
    /// Starts the process.
    ///
    /// # Errors
    /// git cannot be started.
    pub fn open(git: &Git) -> Result<Self, GitError> {
        let mut child = git
            .command(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let asks = child.stdin.take();
        let answers = child.stdout.take();
        let answers = answers.ok_or_else(|| std::io::Error::other("no pipe"))?;
        Ok(Blobs {
            child,
            asks,
            answers: BufReader::new(answers),
        })
    }

    /// Reads the content of a file of the change; `None` if git cannot read the content.
    ///
    /// # Errors
    /// The process ended.
    pub fn content(&mut self, file: &Changed) -> Result<Option<Vec<u8>>, GitError> {
        self.read(&file.id)
    }

    fn read(&mut self, id: &str) -> Result<Option<Vec<u8>>, GitError> {
        let object = self.object(id)?;
        Ok(object.and_then(|(kind, text)| (kind == "blob").then_some(text)))
    }

    /// Reads an object of any kind as git stores it, by its id or name; `None` if git cannot read it.
    ///
    /// # Errors
    /// The process ended.
    pub fn object(&mut self, name: &str) -> Result<Option<(String, Vec<u8>)>, GitError> {
        if name.contains('\n') {
            return Ok(None);
        }
        if let Some(asks) = &mut self.asks {
            writeln!(asks, "{name}")?;
            asks.flush()?;
        }
        let mut header = String::new();
        self.answers.read_line(&mut header)?;
        let mut words = header.split_whitespace().rev();
        let (size, kind) = (words.next().and_then(|n| n.parse::<usize>().ok()), words.next());
        let (Some(size), Some(kind)) = (size, kind.map(str::to_owned)) else {
            return Ok(None);
        };
        let mut text = vec![0; size + 1];
        self.answers.read_exact(&mut text)?;
        text.truncate(size);
        Ok(Some((kind, text)))
    }
}

impl Drop for Blobs {
    fn drop(&mut self) {
        self.asks = None;
        // The process ends with its input.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_read_whatever_its_lines_say() {
        let patch = b"diff --git a/a b/a\nindex aa..bb 100644\n--- a/a\n+++ b/a\n@@ -1,0 +2,2 @@ x\n+index cc..dd\n+@@ -1 +1 @@\n@@ -9 +11 @@\n-old\n+new\n\\ No newline at end of file\ndiff --git a/m b/m\nold mode 100644\nnew mode 100755\ndiff --git a/x b/x\nindex ee..ff\n--- a/x\n+++ b/x\n@@ -1 +0,0 @@\n-gone\n";
        let hunks = read_patch(patch);
        let of = |old: &str, new: &str| hunks.get(&(old.to_owned(), new.to_owned())).cloned();
        assert_eq!(of("aa", "bb"), Some(vec![2..=3, 11..=11]));
        assert_eq!((of("ee", "ff"), hunks.len()), (Some(Vec::new()), 2));
    }
}
