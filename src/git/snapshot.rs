//! Makes a commit of what is staged, or of all uncommitted work. Objects go to a scratch directory, and no index or ref changes.
//!
//! Must not decide what the commit is for.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;

use tempfile::TempDir;

use crate::domain::ids::CommitId;
use crate::git::{Git, GitError};

/// From this size on, the content of a new file is left out of a commit of all work.
const LARGE: u64 = 1 << 20;

/// A commit that only this value knows.
pub struct Snapshot {
    /// The repository with the objects of the snapshot.
    pub git: Git,
    /// HEAD; before the first commit, a commit without files.
    pub parent: CommitId,
    pub commit: CommitId,
    _scratch: TempDir,
}

/// Makes a commit of the index.
///
/// # Errors
/// git fails, or no temporary directory can be created.
pub fn of_index(git: &Git) -> Result<Snapshot, GitError> {
    make(git, |_, _| Ok(()))
}

/// Makes a commit of all uncommitted work: staged, changed and new files, without ignored ones. A large new file is empty in it,
/// because git would have to copy it.
///
/// # Errors
/// git fails, or no temporary directory can be created.
pub fn of_work(git: &Git) -> Result<Snapshot, GitError> {
    let git = Git {
        dir: git.top()?,
        ..git.clone()
    };
    make(&git, |scratch, index| {
        let known = scratch.text(["rev-parse", "--path-format=absolute", "--git-path", "index"])?;
        // Without an index nothing is staged, and git creates the copy. git finds a change of the same size and second by the
        // time of the index, so the copy keeps that time.
        if std::fs::copy(&known, index).is_ok()
            && let Ok(written) = std::fs::metadata(&known).and_then(|file| file.modified())
        {
            let _ = File::options()
                .write(true)
                .open(index)
                .and_then(|copy| copy.set_modified(written));
        }
        let own = scratch.with_index(index);
        let new = own.names(["ls-files", "--others", "--exclude-standard", "-z"])?;
        let (large, small): (Vec<Vec<u8>>, Vec<Vec<u8>>) = new.into_iter().partition(|path| {
            let file = own.dir().join(OsStr::from_bytes(path)).symlink_metadata();
            file.is_ok_and(|meta| meta.is_file() && meta.len() > LARGE)
        });
        own.bytes(["add", "--update"])?;
        let feed = |args: &[&str], text: Vec<u8>| match text.is_empty() {
            true => Ok(()),
            false => own.bytes_from(args, &text).map(drop),
        };
        let literal = |path: &Vec<u8>| [b":(literal)", path.as_slice()].concat();
        let names: Vec<Vec<u8>> = small.iter().map(literal).collect();
        feed(
            &["add", "--pathspec-from-file=-", "--pathspec-file-nul"],
            names.join(&0),
        )?;
        let empty = own.id(["hash-object", "-w", "/dev/null"])?;
        let entry = |path: &Vec<u8>| [format!("100644 {empty}\t").as_bytes(), path].concat();
        let entries: Vec<Vec<u8>> = large.iter().map(entry).collect();
        feed(&["update-index", "-z", "--add", "--index-info"], entries.join(&0))
    })
}

fn make(git: &Git, fill: impl FnOnce(&Git, &OsStr) -> Result<(), GitError>) -> Result<Snapshot, GitError> {
    let scratch = TempDir::with_prefix("nmoe-gates-")?;
    let mut own = git.with_scratch_objects(scratch.path())?;
    let index = scratch.path().join("index");
    fill(&own, index.as_os_str())?;
    if index.exists() {
        own = own.with_index(index);
    }
    let tree = own.id(["write-tree"])?;
    let parent = match own.commit("HEAD")? {
        Some(head) => head,
        None => commit(&own, &own.empty_tree()?, None)?,
    };
    Ok(Snapshot {
        commit: commit(&own, &tree, Some(&parent))?,
        parent,
        git: own,
        _scratch: scratch,
    })
}

fn commit(git: &Git, tree: &CommitId, parent: Option<&CommitId>) -> Result<CommitId, GitError> {
    let mut args = vec![
        "commit-tree",
        "--no-gpg-sign",
        "-m",
        "Uncommitted work",
        tree.as_str(),
    ];
    if let Some(parent) = parent {
        args.extend(["-p", parent.as_str()]);
    }
    git.as_tool().id(args)
}
