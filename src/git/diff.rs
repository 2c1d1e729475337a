//! Reads the changed paths of a diff, with renames, modes, links and submodules. Paths are bytes and are not decoded.

use crate::git::{Git, GitError};

/// The kind of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The path does not exist on this side.
    Absent,
    File,
    Executable,
    /// A symbolic link.
    Link,
    Submodule,
}

impl Kind {
    /// Parses the mode of a tree entry.
    pub(super) fn of(mode: &str) -> Kind {
        match mode {
            "100644" => Kind::File,
            "100755" => Kind::Executable,
            "120000" => Kind::Link,
            "160000" => Kind::Submodule,
            _ => Kind::Absent,
        }
    }
}

/// One side of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The bytes of the path.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// The object id; zeros if the object is missing or the id is unknown.
    pub id: String,
}

impl Side {
    /// Returns the path as text for messages.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// One entry of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The old side; a rename or copy has a different path here.
    pub old: Side,
    pub new: Side,
    /// Whether the new path is a copy and the old path still exists.
    pub copied: bool,
}

impl Change {
    /// Whether the content is the same on both sides.
    pub fn same_content(&self) -> bool {
        self.old.id == self.new.id
    }

    /// Whether the path was renamed.
    pub fn renamed(&self) -> bool {
        self.old.path != self.new.path && !self.copied
    }
}

/// Returns the changes between two commits; with `since_fork`, between their merge base and the second commit.
pub fn between(git: &Git, base: &str, head: &str, since_fork: bool) -> Result<Vec<Change>, GitError> {
    let dots = if since_fork { "..." } else { ".." };
    raw(git, &[&format!("{base}{dots}{head}"), "--"])
}

/// Returns the staged changes, compared with a commit.
pub fn staged(git: &Git, against: &str) -> Result<Vec<Change>, GitError> {
    raw(git, &["--cached", against, "--"])
}

fn raw(git: &Git, what: &[&str]) -> Result<Vec<Change>, GitError> {
    // Set these options, so that no configuration can hide submodules or renames, or change the order.
    let fixed = [
        "diff",
        "--raw",
        "-z",
        "--no-abbrev",
        "--find-renames",
        "--ignore-submodules=none",
        "--no-ext-diff",
        "-O/dev/null",
    ];
    let bytes = git.bytes(fixed.iter().chain(what))?;
    parse(&bytes).ok_or_else(|| GitError::NotText("diff".to_owned()))
}

/// Parses the entries that `--raw -z` prints.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Change>> {
    let mut fields = bytes.split(|b| *b == 0);
    let mut changes = Vec::new();
    while let Some(head) = fields.next().filter(|f| !f.is_empty()) {
        changes.push(entry(std::str::from_utf8(head).ok()?, &mut fields)?);
    }
    Some(changes)
}

/// Parses the entry that begins with `head`; `fields` has its paths.
pub(super) fn entry<'a>(head: &str, fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Change> {
    let words: Vec<&str> = head.strip_prefix(':')?.split(' ').collect();
    let &[old_mode, new_mode, old_id, new_id, status] = words.as_slice() else {
        return None;
    };
    let path = fields.next()?.to_vec();
    let moved = status.starts_with(['R', 'C']);
    let new_path = if moved {
        fields.next()?.to_vec()
    } else {
        path.clone()
    };
    let side = |path, mode, id: &str| Side {
        path,
        kind: Kind::of(mode),
        id: id.to_owned(),
    };
    Some(Change {
        old: side(path, old_mode, old_id),
        new: side(new_path, new_mode, new_id),
        copied: status.starts_with('C'),
    })
}

/// Reads the content of a blob.
pub fn blob(git: &Git, id: &str) -> Result<Vec<u8>, GitError> {
    git.bytes(["cat-file", "blob", id])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rename_has_two_paths_of_bytes() {
        let raw = b":100644 100644 aa bb R090\0old\0n\xff w\0:000000 160000 00 cc A\0sub\0";
        let changes = parse(raw).unwrap();
        assert!(changes[0].renamed() && changes[0].new.path == b"n\xff w");
        assert_eq!(
            (changes[1].old.kind, changes[1].new.kind),
            (Kind::Absent, Kind::Submodule)
        );
        assert_eq!(parse(b":nonsense\0"), None);
        assert_eq!(parse(b""), Some(Vec::new()));
    }
}
