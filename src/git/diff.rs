//! What a diff changes, path by path: renames with both ends, modes, links, submodules; names are bytes and stay what they are.

use crate::git::{Git, GitError};

/// What a mode says a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the side where the path does not exist.
    Absent,
    /// A file.
    File,
    /// A file that can be run.
    Executable,
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Submodule,
}

impl Kind {
    fn of(mode: &str) -> Kind {
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
    /// The path, as git has it.
    pub path: Vec<u8>,
    /// What is there.
    pub kind: Kind,
    /// Its object id; zeros where there is none or it is not known.
    pub id: String,
}

impl Side {
    /// The path for people.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// One entry of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Before; the other end of a rename or copy has another path.
    pub old: Side,
    /// After.
    pub new: Side,
    /// Whether it is a copy: its source stays as it is.
    pub copied: bool,
}

impl Change {
    /// Whether the content is the same on both sides.
    pub fn same_content(&self) -> bool {
        self.old.id == self.new.id
    }

    /// Whether it moved.
    pub fn renamed(&self) -> bool {
        self.old.path != self.new.path && !self.copied
    }
}

/// What there is between two commits, or between their merge base and the second with `since_fork`.
pub fn between(git: &Git, base: &str, head: &str, since_fork: bool) -> Result<Vec<Change>, GitError> {
    let dots = if since_fork { "..." } else { ".." };
    raw(git, &[&format!("{base}{dots}{head}"), "--"])
}

/// What is staged, against a commit.
pub fn staged(git: &Git, against: &str) -> Result<Vec<Change>, GitError> {
    raw(git, &["--cached", against, "--"])
}

fn raw(git: &Git, what: &[&str]) -> Result<Vec<Change>, GitError> {
    // Spelled out, so that no configuration hides a submodule, a rename or an order.
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

fn parse(bytes: &[u8]) -> Option<Vec<Change>> {
    let mut fields = bytes.split(|b| *b == 0);
    let mut changes = Vec::new();
    while let Some(head) = fields.next().filter(|f| !f.is_empty()) {
        let head = std::str::from_utf8(head).ok()?.strip_prefix(':')?;
        let words: Vec<&str> = head.split(' ').collect();
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
        changes.push(Change {
            old: side(path, old_mode, old_id),
            new: side(new_path, new_mode, new_id),
            copied: status.starts_with('C'),
        });
    }
    Some(changes)
}

/// The content of a blob.
pub fn blob(git: &Git, id: &str) -> Result<Vec<u8>, GitError> {
    git.bytes(["cat-file", "blob", id])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_has_two_ends_and_names_are_bytes() {
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
