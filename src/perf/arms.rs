//! The baseline as a checkout of its own: which commit it is, a private repository made before any code of the change ran,
//! a detached worktree outside both checkouts, and a proof that nobody touched it.
//!
//! All of it lies in one folder that is locked while it is in use: a run that was killed leaves an unlocked one, which the
//! next run removes. Nothing is written into the repositories that people work in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::domain::ids::CommitId;
use crate::domain::path_pattern::PathPattern;
use crate::git::{Git, GitError};
use crate::kernel::verify::outputs;
use crate::system::digest::sha256;
use crate::system::files;
use crate::system::random;

/// Stands in for the digest of a kernel library that is a link or worse.
pub const NOT_A_FILE: &str = "not a file";

/// Why there is no baseline to compare with.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// The revision names no commit, or one that is not below what is tested.
    #[error("baseline: {0}")]
    Bad(String),
    /// git refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The file system refused.
    #[error("the baseline's folder cannot be made or read: {0}")]
    Io(#[from] io::Error),
}

/// The full id of the commit to compare with.
///
/// No revision, or one that names the pull request's base branch, means the tested commit's first parent: the base of the
/// merge. Any other must already be known to `repo`, and be that parent or one of its ancestors, so that nothing the change
/// wrote is ever its own baseline. Nothing is fetched.
///
/// # Errors
/// There is no such commit, or it may not be compared with.
pub fn resolve(
    repo: &Git,
    subject: &Git,
    revision: Option<&str>,
    base_branch: &[String],
) -> Result<CommitId, ArmError> {
    let bad = |why: String| Err(ArmError::Bad(why));
    // From the commit itself: a shallow checkout hides its parents.
    let commit = subject.text(["cat-file", "commit", "HEAD"])?;
    let parent = commit
        .lines()
        .take_while(|l| !l.is_empty())
        .find_map(|l| l.strip_prefix("parent "));
    let Some(parent) = parent.and_then(|id| id.parse::<CommitId>().ok()) else {
        return bad("the tested commit has no parent to compare with".to_owned());
    };
    let revision = revision.map(str::trim).unwrap_or_default();
    if revision.is_empty() || base_branch.iter().any(|b| b == revision) {
        return Ok(parent);
    }
    let plain = revision
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '~' | '^'));
    if revision.starts_with('-') || !plain {
        return bad("the revision is no name of a branch, a tag or a commit".to_owned());
    }
    let Some(id) = repo.commit(revision)? else {
        return bad("the revision names no commit of the policy checkout".to_owned());
    };
    let below = subject.output(["merge-base", "--is-ancestor", "--end-of-options", &id, &parent])?;
    if !below.status.success() {
        return bad("the commit is not the base parent of what is tested, nor an ancestor of it".to_owned());
    }
    Ok(id)
}

/// The folder that holds everything of one comparison.
#[derive(Debug)]
pub struct Arms {
    root: PathBuf,
    /// Commit of the baseline.
    pub baseline_sha: CommitId,
    _lock: File,
}

impl Arms {
    /// Takes a snapshot of the baseline out of `source` into a private repository below `parent`. To be called before any
    /// code of the change runs.
    ///
    /// # Errors
    /// The folder cannot be made, or git cannot read the commit.
    pub fn prepare(parent: &Path, source: &Path, baseline_sha: CommitId) -> Result<Arms, ArmError> {
        files::private_dir(parent).map_err(io::Error::other)?;
        recover(parent);
        let root = parent.join(&random::token()?[..16]);
        files::private_dir(&root).map_err(io::Error::other)?;
        let lock = lock(&root)?;
        let arms = Arms {
            root,
            baseline_sha,
            _lock: lock,
        };
        let source = std::fs::canonicalize(source)?;
        let git = arms.git();
        std::fs::create_dir(arms.bare())?;
        inert(git.command(["init", "--quiet", "--bare", "--template="]))?;
        let mut fetch = git.command([
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-write-fetch-head",
        ]);
        fetch
            .arg("--")
            .arg(source)
            .arg(format!("{}:refs/heads/baseline", arms.baseline_sha));
        inert(fetch)?;
        Ok(arms)
    }

    fn bare(&self) -> PathBuf {
        self.root.join("git")
    }

    fn git(&self) -> Git {
        Git::at(self.bare())
    }

    /// The baseline's checkout.
    pub fn worktree(&self) -> PathBuf {
        self.root.join("baseline")
    }

    /// A folder for what one comparison needs beside its checkouts.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Checks the baseline out, after making sure that the snapshot is still what its id says.
    ///
    /// # Errors
    /// The snapshot was damaged, or git cannot check it out.
    pub fn check_out(&self) -> Result<PathBuf, ArmError> {
        let git = self.git();
        inert(git.command([
            "fsck",
            "--no-dangling",
            "--no-progress",
            "--end-of-options",
            &self.baseline_sha,
        ]))?;
        let mut add = git.command(["worktree", "add", "--quiet", "--force", "--detach"]);
        add.arg("--").arg(self.worktree()).arg(&self.baseline_sha);
        inert(add)?;
        Ok(self.worktree())
    }

    /// Whether every tracked file of the baseline's checkout is what its commit holds.
    ///
    /// # Errors
    /// git cannot tell.
    pub fn intact(&self) -> Result<bool, ArmError> {
        let tree = Git::at(self.worktree());
        let mut head = tree.command(["rev-parse", "--verify", "HEAD"]);
        let at = configured(&mut head).output().map_err(GitError::Start)?;
        if String::from_utf8_lossy(&at.stdout).trim() != self.baseline_sha.as_str() {
            return Ok(false);
        }
        // A fresh index: the one in the checkout's own folder could claim anything.
        let index = self.root.join("index");
        for (args, clean) in [
            (&["read-tree", self.baseline_sha.as_str()][..], false),
            (&["update-index", "-q", "--refresh", "--ignore-submodules"], true),
            (&["diff-files", "--quiet", "--ignore-submodules=all"], false),
        ] {
            let mut command = tree.command(args);
            command.env("GIT_INDEX_FILE", &index);
            let output = configured(&mut command).output().map_err(GitError::Start)?;
            // A refresh that finds changes says so by its exit code; the comparison after it decides.
            if !output.status.success() && !clean {
                // git says no more than that it cannot write its index.
                if is_full(&self.root) {
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

/// Runs a git command with no configuration but what this tool sets; a non-zero exit code is an error.
fn inert(mut command: std::process::Command) -> Result<(), ArmError> {
    let name = command
        .get_args()
        .filter_map(|a| a.to_str())
        .find(|a| matches!(*a, "init" | "fetch" | "fsck" | "worktree"))
        .unwrap_or("git")
        .to_owned();
    let output = configured(&mut command).output().map_err(GitError::Start)?;
    if output.status.success() {
        return Ok(());
    }
    if let Some(full) = no_room(&output.stderr) {
        return Err(full);
    }
    Err(ArmError::Git(GitError::failed(name, &output)))
}

/// git's complaint where it is that the disk is full: it says so in the system's words and in no other way.
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

/// Whether hardly anything can be written where this lies.
pub fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < 64 << 10)
}

/// Neither the user's nor the system's configuration: filters and hooks live there too.
fn configured(command: &mut std::process::Command) -> &mut std::process::Command {
    command
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
}

/// Locks a folder as in use, for as long as the file lives.
///
/// # Errors
/// The lock cannot be made or is somebody else's.
pub fn lock(folder: &Path) -> io::Result<File> {
    let lock = File::create(folder.join("lock"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)?;
    Ok(lock)
}

/// Removes what killed runs left in `parent`: every folder whose lock nobody holds.
pub fn recover(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        let stale = match File::open(path.join("lock")) {
            Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
            // Killed before it had a lock, or still before it.
            Err(_) => entry
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|t| t.elapsed().is_ok_and(|age| age.as_secs() > 60)),
        };
        if stale {
            remove(&path);
        }
    }
}

/// Removes a folder, also where a build took away its own permissions.
pub fn remove(path: &Path) {
    if std::fs::remove_dir_all(path).is_ok() {
        return;
    }
    loosen(path);
    // What still cannot be removed is found again by the next run.
    let _ = std::fs::remove_dir_all(path);
}

fn loosen(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    if !std::fs::symlink_metadata(dir).is_ok_and(|m| m.is_dir()) {
        return;
    }
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        loosen(&entry.path());
    }
}

/// Digests of the kernel libraries of a checkout, by path below it.
///
/// # Errors
/// A pattern leads out of the checkout, or a library cannot be read.
pub fn kernels(checkout: &Path, patterns: &[PathPattern]) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for path in outputs(checkout, patterns).map_err(io::Error::other)? {
        let library = checkout.join(&path);
        // A link could lead to the other checkout's library, or the image's.
        let digest = if std::fs::symlink_metadata(&library)?.is_file() {
            sha256(&std::fs::read(&library)?)
        } else {
            NOT_A_FILE.to_owned()
        };
        found.insert(path.to_string_lossy().into_owned(), digest);
    }
    Ok(found)
}
