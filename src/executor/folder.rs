//! Reads and writes the folder of a job, which `run` shares with every rank: what to run, the barrier, and the reports.
//!
//! `run` removes the key of the job before it opens the barrier. What is written later is authenticated with this key, so that
//! code which runs behind the barrier cannot open it otherwise or write the report of a rank. Must not decide what a report means.

use std::cell::Cell;
use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::evidence::Evidence;
use crate::domain::ids::GateId;
use crate::domain::registry::Registry;
use crate::domain::results::Results;
use crate::system::digest;
use crate::system::files::{self, FileError};
use crate::system::process::THIS_PROGRAM;
use crate::system::random;

/// How long the other ranks may take to reach the barrier after the first one.
pub const BARRIER: Duration = Duration::from_secs(120);
/// The largest file of the folder, in bytes.
const CAP: u64 = 8 << 20;
/// The most bytes of a key.
const KEY: u64 = 64;

/// Why the folder of a job cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not what `run` or a rank writes.
    #[error("{0} is not a file of a job: {1}")]
    Form(PathBuf, String),
    /// The key is missing: the barrier was opened before.
    #[error("the job has started before: its key is gone")]
    Started,
    /// The kernel returns no random bytes.
    #[error("cannot make a key: {0}")]
    Random(#[from] std::io::Error),
}

/// What a job runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The gate.
    pub gate: GateId,
    /// The number of nodes. Each node runs one rank.
    pub nodes: u32,
    /// A registry with this gate only. In this registry, the gate has no executor.
    pub registry: Registry,
    /// The commits and digests that every rank must report.
    pub evidence: Evidence,
    /// The policy checkout.
    pub policy: PathBuf,
    /// The checkout under test.
    pub subject: PathBuf,
}

/// What a rank writes before the barrier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    pub rank: u32,
    /// The name of the node.
    pub node: String,
    /// The address of the node for the other ranks.
    pub host: String,
    /// A port that was free on the node.
    pub port: u16,
    /// All names of nodes that the rank knows, to be redacted.
    pub names: Vec<String>,
    /// What the rank found in its checkout and on its machine.
    pub evidence: Evidence,
}

/// What `run` writes to open the barrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The address of rank 0.
    pub host: String,
    pub port: u16,
    /// The nonce of the kernel build.
    pub nonce: Option<String>,
    /// The names that all ranks know.
    pub names: Vec<String>,
}

/// What a rank writes at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub rank: u32,
    /// The name of the node.
    pub node: String,
    /// The results of the gate on this node.
    pub results: Results,
}

/// The secret of one job.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// Makes a random key, as 64 hex digits.
    fn random() -> std::io::Result<Self> {
        let text = random::token()? + &random::token()?;
        Ok(Key(text.into_bytes()))
    }

    /// Returns the HMAC-SHA-256 of a text as hex digits.
    pub fn authenticate(&self, text: &[u8]) -> String {
        digest::keyed(&self.0, text)
    }

    /// Returns a name for a node that does not tell which node it is. It is the same for the same node of a job.
    pub fn salted(&self, node: &str) -> String {
        let mut id = self.authenticate(node.as_bytes());
        id.truncate(12);
        id
    }
}

/// The folder of a job.
#[derive(Clone, Debug)]
pub struct JobFolder {
    path: PathBuf,
    /// The user of the ranks, if it is another one.
    owner: Cell<Option<u32>>,
}

impl JobFolder {
    /// Returns the folder with all jobs of these results.
    pub fn of_results(results: &Path) -> PathBuf {
        let mut name = results.as_os_str().to_owned();
        name.push(".jobs");
        PathBuf::from(name)
    }

    fn at(path: &Path) -> Self {
        JobFolder {
            path: path.to_owned(),
            owner: Cell::new(None),
        }
    }

    /// Gives the folder, and what `run` writes into it later, to the user of the ranks. No code of the change runs in the job yet.
    ///
    /// # Errors
    /// `run` is another user and has not the right.
    pub fn give_to(&self, user: u32) -> Result<(), FolderError> {
        self.owner.set(Some(user));
        for name in ["", "key", "job", "program"] {
            self.own(&self.file(name))?;
        }
        Ok(())
    }

    fn own(&self, file: &Path) -> Result<(), FolderError> {
        match self.owner.get() {
            Some(user) => Ok(lchown(file, Some(user), None).map_err(FileError::io(file))?),
            None => Ok(()),
        }
    }

    /// Creates a folder with the key and the description of a job.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn create(path: &Path, spec: &JobSpec) -> Result<(Self, Key), FolderError> {
        files::private_dir(path)?;
        let folder = JobFolder::at(path);
        let key = Key::random()?;
        files::replace(&folder.file("key"), &key.0, false)?;
        folder.write("job", spec)?;
        Ok((folder, key))
    }

    /// Copies this program into the folder and returns the path. The ranks run the copy, because a gate of the same user can
    /// replace the installed file.
    ///
    /// # Errors
    /// The program cannot be read, or the file cannot be written.
    pub fn copy_program(&self) -> Result<PathBuf, FolderError> {
        let path = self.file("program");
        let source = Path::new(THIS_PROGRAM);
        let mut from = File::open(source).map_err(FileError::io(source))?;
        let mut to = files::create_private(&path)?;
        std::io::copy(&mut from, &mut to).map_err(FileError::io(&path))?;
        to.set_permissions(Permissions::from_mode(0o700))
            .map_err(FileError::io(&path))?;
        Ok(path)
    }

    /// Opens the folder of a job that has not started.
    ///
    /// # Errors
    /// The folder cannot be read, or the barrier was opened before.
    pub fn open(path: &Path) -> Result<(Self, Key, JobSpec), FolderError> {
        let folder = JobFolder::at(path);
        let spec = folder.require("job")?;
        let key = match files::read_regular(&folder.file("key"), KEY) {
            Ok(bytes) => Key(bytes),
            Err(FileError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(FolderError::Started);
            }
            Err(error) => return Err(error.into()),
        };
        Ok((folder, key, spec))
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the path of the results of a rank.
    pub fn results(&self, rank: u32) -> PathBuf {
        self.file(&format!("rank-{rank}.json"))
    }

    /// Says that a rank can start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_ready(&self, ready: &Ready) -> Result<(), FolderError> {
        self.write(&format!("ready-{}", ready.rank), ready)
    }

    /// Returns what a rank wrote before the barrier.
    pub fn ready(&self, rank: u32) -> Option<Ready> {
        let ready: Ready = self.read(&format!("ready-{rank}"))?;
        (ready.rank == rank).then_some(ready)
    }

    /// Removes the key, and then opens the barrier.
    ///
    /// # Errors
    /// The key cannot be removed, or the file cannot be written.
    pub fn open_barrier(&self, start: &Start, key: &Key) -> Result<(), FolderError> {
        self.remove_key()?;
        self.write_proven("start", start, key)
    }

    /// Removes the key, so that no other rank can join.
    ///
    /// # Errors
    /// The key cannot be removed.
    pub fn remove_key(&self) -> Result<(), FolderError> {
        Ok(files::remove(&self.file("key"))?)
    }

    /// Returns what `run` wrote when it opened the barrier.
    pub fn start(&self, key: &Key) -> Option<Start> {
        self.read_proven("start", key)
    }

    /// Says that rank 0 has built the kernel libraries.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_built(&self) -> Result<(), FolderError> {
        self.write("built", &true)
    }

    /// Whether rank 0 has built the kernel libraries.
    pub fn is_built(&self) -> bool {
        self.read("built").unwrap_or_default()
    }

    /// Writes the report of a rank with its code.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_report(&self, report: &Report, key: &Key) -> Result<(), FolderError> {
        self.write_proven(&format!("report-{}", report.rank), report, key)
    }

    /// Returns the report of a rank; `None` without a report that the rank itself wrote.
    pub fn report(&self, rank: u32, key: &Key) -> Option<Report> {
        let report: Report = self.read_proven(&format!("report-{rank}"), key)?;
        (report.rank == rank).then_some(report)
    }

    /// Writes a value with its code. The code also covers the name of the file.
    fn write_proven(&self, name: &str, value: &impl Serialize, key: &Key) -> Result<(), FolderError> {
        let text = serde_json::to_vec(value).unwrap_or_default();
        let code = key.authenticate(&[name.as_bytes(), b"\n", &text].concat());
        let bytes = [code.as_bytes(), b"\n", &text].concat();
        files::replace(&self.file(name), &bytes, true)?;
        self.own(&self.file(name))
    }

    fn read_proven<T: DeserializeOwned>(&self, name: &str, key: &Key) -> Option<T> {
        let bytes = files::read_regular(&self.file(name), CAP).ok()?;
        let (code, text) = bytes.split_at_checked(64)?;
        let text = text.strip_prefix(b"\n")?;
        let wanted = key.authenticate(&[name.as_bytes(), b"\n", text].concat());
        if code != wanted.as_bytes() {
            return None;
        }
        serde_json::from_slice(text).ok()
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), FolderError> {
        // The values are plain data, so writing them to memory does not fail.
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        Ok(files::replace(&self.file(name), &bytes, false)?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.require(name).ok()
    }

    fn require<T: DeserializeOwned>(&self, name: &str) -> Result<T, FolderError> {
        let path = self.file(name);
        let bytes = files::read_regular(&path, CAP)?;
        serde_json::from_slice(&bytes).map_err(|error| FolderError::Form(path, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rank: u32) -> Report {
        Report {
            rank,
            node: "n1".to_owned(),
            results: crate::executor::join::tests::results(rank),
        }
    }

    #[test]
    fn report_of_another_key_does_not_count() {
        let place = tempfile::tempdir().unwrap();
        let spec = crate::executor::join::tests::spec(2);
        let (folder, key) = JobFolder::create(&place.path().join("job"), &spec).unwrap();
        let (same, read, described) = JobFolder::open(folder.path()).unwrap();
        assert_eq!((described, &read.0), (spec, &key.0));
        same.write_report(&report(1), &read).unwrap();
        assert_eq!(folder.report(1, &key), Some(report(1)));
        // A copy for another rank, and a report by another key.
        std::fs::copy(folder.file("report-1"), folder.file("report-0")).unwrap();
        assert_eq!(folder.report(0, &key), None);
        same.write_report(&report(0), &Key::random().unwrap()).unwrap();
        assert_eq!(folder.report(0, &key), None);
    }

    #[test]
    fn nobody_joins_behind_the_barrier() {
        let place = tempfile::tempdir().unwrap();
        let spec = crate::executor::join::tests::spec(1);
        let (folder, key) = JobFolder::create(&place.path().join("job"), &spec).unwrap();
        assert_eq!(folder.start(&key), None);
        let start = Start {
            host: "n1".to_owned(),
            port: 7,
            nonce: None,
            names: vec!["n1".to_owned()],
        };
        folder.open_barrier(&start, &key).unwrap();
        assert_eq!(folder.start(&key), Some(start));
        // Code behind the barrier opens it again, with fewer names.
        folder
            .write(
                "start",
                &serde_json::json!({ "host": "n1", "port": 7, "nonce": null, "names": [] }),
            )
            .unwrap();
        assert_eq!(folder.start(&key), None);
        assert!(matches!(
            JobFolder::open(folder.path()),
            Err(FolderError::Started)
        ));
    }
}
