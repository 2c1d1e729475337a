//! Creates a separate checkout of the baseline: finds its commit, copies it into a private repository before any code of the
//! change runs, checks it out as a detached worktree, and verifies at the end that no file changed.
//!
//! One locked folder holds everything. A killed run leaves an unlocked folder, which the next run removes. Must not write into
//! the repositories that people work in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cuda_inspect::cubin::Usage;
use rustix::io::Errno;

use crate::domain::ids::{CommitId, Revision};
use crate::domain::path_pattern::PathPattern;
use crate::git::{Git, GitError};
use crate::kernel::verify::outputs;
use crate::perf::baseline::{Sealed, remove};
use crate::system::digest::{is_hex, sha256};
use crate::system::files::{self, FileError};
use crate::system::random;

/// Replaces the digest of a kernel library that is not a regular file, such as a link.
pub const NOT_A_FILE: &str = "not a file";

/// Why no baseline is available.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// The revision is not a commit, or not an ancestor of the tested commit.
    #[error("baseline: {0}")]
    Bad(String),
    /// git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The file system failed.
    #[error("cannot create or read the folder of the baseline: {0}")]
    Io(#[from] io::Error),
}

/// Returns the full id of the baseline's commit.
///
/// No revision, or the name of the pull request's base branch, means the first parent of the tested commit: the base of the
/// merge. Any other revision must exist in `repo`, and must be that parent or one of its ancestors. So the change never
/// chooses its own commits as the baseline. Nothing is fetched.
///
/// # Errors
/// The commit does not exist, or is not allowed as a baseline.
pub fn resolve(
    repo: &Git,
    subject: &Git,
    revision: Option<&Revision>,
    base_branch: &[String],
) -> Result<CommitId, ArmError> {
    let bad = |why: String| Err(ArmError::Bad(why));
    // Read the parent from the commit object, because a shallow checkout hides the parents.
    let commit = subject.text(["cat-file", "commit", "HEAD"])?;
    let parent = commit
        .lines()
        .take_while(|l| !l.is_empty())
        .find_map(|l| l.strip_prefix("parent "));
    let Some(parent) = parent.and_then(|id| id.parse::<CommitId>().ok()) else {
        return bad("the tested commit has no parent to compare with".to_owned());
    };
    let Some(revision) = revision.filter(|named| base_branch.iter().all(|base| **named != *base)) else {
        return Ok(parent);
    };
    let Some(id) = repo.commit(revision)? else {
        return bad("the revision is not a commit of the policy checkout".to_owned());
    };
    let below = subject.output(["merge-base", "--is-ancestor", "--end-of-options", &id, &parent])?;
    if !below.status.success() {
        return bad(
            "the commit is neither the base parent of the tested commit nor an ancestor of it".to_owned(),
        );
    }
    Ok(id)
}

/// The folder that holds all files of one comparison.
#[derive(Debug)]
pub struct Arms {
    root: PathBuf,
    /// Commit of the baseline.
    pub baseline_sha: CommitId,
    /// The built baseline, and what its kernels use if they were proven.
    pub sealed: RefCell<Option<(Sealed, Option<Vec<Usage>>)>>,
    _lock: File,
}

impl Arms {
    /// Copies the baseline from `source` into a private repository below `parent`, which must be outside of these checkouts.
    /// Must be called before any code of the change runs.
    ///
    /// # Errors
    /// The folder cannot be created or is inside a checkout, or git cannot read the commit.
    pub fn prepare(
        parent: &Path,
        source: &Path,
        checkouts: [&PathBuf; 2],
        baseline_sha: CommitId,
    ) -> Result<Arms, ArmError> {
        files::private_dir(parent).map_err(io::Error::from)?;
        let parent = parent.canonicalize()?;
        for checkout in checkouts {
            if checkout.canonicalize().is_ok_and(|c| parent.starts_with(c)) {
                return Err(ArmError::Bad(
                    "the baseline would be inside a checkout; set XDG_STATE_HOME to a folder outside of it"
                        .to_owned(),
                ));
            }
        }
        recover(&parent);
        let root = parent.join(&random::token()?[..16]);
        files::private_dir(&root).map_err(io::Error::from)?;
        let lock = lock(&root)?;
        let arms = Arms {
            root,
            baseline_sha,
            sealed: RefCell::new(None),
            _lock: lock,
        };
        let source = std::fs::canonicalize(source)?;
        std::fs::create_dir(arms.bare())?;
        arms.git(["init", "--quiet", "--bare", "--template="])?;
        let refspec = format!("{}:refs/heads/baseline", arms.baseline_sha);
        let options = ["--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head"];
        let fetch = ["fetch"].iter().chain(&options).chain(&["--"]);
        arms.git(
            fetch
                .map(OsStr::new)
                .chain([source.as_os_str(), refspec.as_ref()]),
        )?;
        Ok(arms)
    }

    fn bare(&self) -> PathBuf {
        self.root.join("git")
    }

    /// Runs git in the private repository, isolated. A non-zero exit code is an error.
    fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<(), ArmError> {
        let args: Vec<S> = args.into_iter().collect();
        let output = Git::at(self.bare()).isolated().output(&args)?;
        if output.status.success() {
            return Ok(());
        }
        if let Some(full) = no_room(&output.stderr) {
            return Err(full);
        }
        let name = args.first().map(|name| name.as_ref().to_string_lossy());
        Err(GitError::failed(name.unwrap_or_default(), &output).into())
    }

    /// The folder with everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The baseline's checkout, and the place of each copy.
    pub fn worktree(&self) -> PathBuf {
        self.root.join("baseline")
    }

    /// Returns a folder for other files of the comparison.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Checks the baseline out. First verifies that the copied objects match the commit id.
    ///
    /// # Errors
    /// The copy is damaged, or git cannot check it out.
    pub fn check_out(&self) -> Result<PathBuf, ArmError> {
        self.git([
            "fsck",
            "--no-dangling",
            "--no-progress",
            "--end-of-options",
            &self.baseline_sha,
        ])?;
        let worktree = self.worktree();
        let add = ["worktree", "add", "--quiet", "--force", "--detach", "--"];
        self.git(
            add.map(OsStr::new)
                .into_iter()
                .chain([worktree.as_os_str(), self.baseline_sha.as_ref()]),
        )?;
        Ok(worktree)
    }

    /// Returns whether every tracked file of the baseline's checkout is equal to its commit.
    ///
    /// # Errors
    /// git cannot be run, or the disk is full.
    pub fn intact(&self) -> Result<bool, ArmError> {
        let tree = Git::at(self.worktree()).isolated();
        if tree.commit("HEAD")?.as_ref() != Some(&self.baseline_sha) {
            return Ok(false);
        }
        // Use a new index: code that ran in the checkout may have changed the existing one.
        let tree = tree.with_index(self.root.join("index"));
        for (args, clean) in [
            (&["read-tree", self.baseline_sha.as_str()][..], false),
            (&["update-index", "-q", "--refresh", "--ignore-submodules"], true),
            (
                &[
                    "diff-files",
                    "--quiet",
                    "--no-ext-diff",
                    "--no-textconv",
                    "--ignore-submodules=all",
                ],
                false,
            ),
        ] {
            let output = tree.output(args)?;
            // A refresh that finds changes exits with 1; `diff-files` then decides.
            if !output.status.success() && !clean {
                // On a full disk git only reports that it cannot write its index.
                if files::is_disk_full(&self.root) {
                    return Err(io::Error::from(Errno::NOSPC).into());
                }
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Drop for Arms {
    fn drop(&mut self) {
        remove(&self.root);
    }
}

/// Returns an error if git's message says that the disk is full. git uses the message of the operating system.
fn no_room(said: &[u8]) -> Option<ArmError> {
    let said = String::from_utf8_lossy(said);
    [Errno::NOSPC, Errno::DQUOT]
        .into_iter()
        .map(io::Error::from)
        .find(|error| {
            let words = error.to_string();
            said.contains(words.split(" (").next().unwrap_or(&words))
        })
        .map(ArmError::Io)
}

/// Locks a folder until the returned file is dropped.
///
/// # Errors
/// The lock file cannot be created, or another process holds the lock.
pub fn lock(folder: &Path) -> io::Result<File> {
    let lock = files::open_or_create(&folder.join("lock"))?;
    lock.try_lock()?;
    Ok(lock)
}

/// Returns whether a path is a folder of this user, and not a link.
pub fn is_own_folder(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    path.symlink_metadata()
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == own)
}

/// Removes the folders of killed runs in `parent`: each folder whose lock is free. Leaves every folder that this program did not
/// make, or that belongs to another user.
pub fn recover(parent: &Path) {
    if !is_own_folder(parent) {
        return;
    }
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let is_named = is_hex(name.as_encoded_bytes(), &[16]);
        if !is_named || !is_own_folder(&path) {
            continue;
        }
        match files::open_regular(&path.join("lock")) {
            Ok(lock) if lock.try_lock().is_ok() => remove(&path),
            Ok(_) => {}
            // The run was killed before it took the lock, or has not taken it yet. Its folder is empty; no other is removed.
            Err(_) => {
                let is_old = |meta: std::fs::Metadata| meta.modified().is_ok_and(|at| is_older(at, 60));
                if entry.metadata().is_ok_and(is_old) {
                    let _ = std::fs::remove_dir(&path);
                }
            }
        }
    }
}

fn is_older(at: SystemTime, seconds: u64) -> bool {
    at.elapsed().is_ok_and(|age| age.as_secs() > seconds)
}

/// Returns the digests of the kernel libraries of a checkout by relative path.
///
/// # Errors
/// A pattern leads out of the checkout, or a library cannot be read.
pub fn kernels(checkout: &Path, patterns: &[PathPattern]) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for path in outputs(checkout, patterns).map_err(io::Error::other)? {
        let library = checkout.join(&path);
        // A link could point to the library of the other checkout, or of the image.
        let digest = match files::read_regular(&library, u64::MAX - 1) {
            Ok(bytes) => sha256(&bytes),
            Err(FileError::WrongKind { .. }) => NOT_A_FILE.to_owned(),
            Err(error) => return Err(error.into()),
        };
        found.insert(path.to_string_lossy().into_owned(), digest);
    }
    Ok(found)
}
