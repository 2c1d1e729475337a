//! Records the kernel libraries that the processes of a gate map, from `/proc/PID/maps`.
//!
//! A process that ends between two readings is not seen, and neither is a process in a container. Must not decide which
//! libraries are proven.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::domain::ids::Sha256;
use crate::domain::path_pattern::PathPattern;
use crate::kernel::snapshot::Snapshot;
use crate::system::process::Process;

/// The time until the first reading. Each later reading waits twice as long as the one before, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// The kernel libraries that processes have mapped so far.
#[derive(Debug)]
pub struct MappedLibraries {
    subject: PathBuf,
    patterns: Vec<PathPattern>,
    /// File names of the proven libraries. A file with such a name is a kernel library wherever it is.
    names: HashSet<OsString>,
    /// Path and digest; `None` if the file was deleted or cannot be read.
    seen: BTreeMap<PathBuf, Option<Sha256>>,
    next: Instant,
    wait: Duration,
}

impl MappedLibraries {
    /// Starts the record. `proven` are the paths of the proven libraries in the subject.
    pub fn new<'a>(
        subject: &Path,
        patterns: &[PathPattern],
        proven: impl Iterator<Item = &'a String>,
    ) -> Self {
        let names = proven.filter_map(|path| Path::new(path).file_name().map(OsStr::to_owned));
        MappedLibraries {
            subject: subject.canonicalize().unwrap_or_else(|_| subject.to_owned()),
            patterns: patterns.to_vec(),
            names: names.collect(),
            seen: BTreeMap::new(),
            next: Instant::now() + SHORTEST,
            wait: SHORTEST,
        }
    }

    /// When the next reading is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Reads the maps of these processes.
    pub fn read(&mut self, processes: &[Process]) {
        self.wait = LONGEST.min(self.wait * 2);
        self.next = Instant::now() + self.wait;
        for process in processes {
            let folder = PathBuf::from(format!("/proc/{}", process.pid.as_raw_nonzero()));
            // The process may have ended, or forbid to be inspected.
            let maps = std::fs::read(folder.join("maps")).unwrap_or_default();
            let mut last: &[u8] = &[];
            for path in maps.split(|byte| *byte == b'\n').filter_map(path_of) {
                if path != last {
                    self.add(&folder, path);
                }
                last = path;
            }
        }
    }

    fn add(&mut self, folder: &Path, path: &[u8]) {
        let (path, deleted) = match path.strip_suffix(b" (deleted)") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let path = Path::new(OsStr::from_bytes(path));
        let named = path.file_name().is_some_and(|name| self.names.contains(name));
        if !named && !self.is_in_subject(path) {
            return;
        }
        if deleted {
            self.seen.insert(path.to_owned(), None);
        } else if !self.seen.contains_key(path) {
            // The process may have another root directory.
            let relative = path.strip_prefix("/").unwrap_or(path);
            let file = Snapshot::take(&folder.join("root").join(relative)).or_else(|_| Snapshot::take(path));
            let digest = file.ok().map(|file| Sha256::of(file.bytes()));
            self.seen.insert(path.to_owned(), digest);
        }
    }

    /// Whether the patterns of the registry select a file of the subject.
    fn is_in_subject(&self, path: &Path) -> bool {
        path.strip_prefix(&self.subject).is_ok_and(|relative| {
            let bytes = relative.as_os_str().as_bytes();
            self.patterns.iter().any(|pattern| pattern.selects_library(bytes))
        })
    }

    /// Returns what was mapped: the path in the subject, or the complete path of a file outside, and the digest.
    pub fn finish(self) -> Vec<(PathBuf, Option<Sha256>)> {
        let relative = |path: &Path| path.strip_prefix(&self.subject).map(Path::to_owned);
        self.seen
            .iter()
            .map(|(path, digest)| (relative(path).unwrap_or_else(|_| path.clone()), digest.clone()))
            .collect()
    }
}

/// Returns the path of a line of `/proc/PID/maps`: address, permissions, offset, device, inode, path.
fn path_of(line: &[u8]) -> Option<&[u8]> {
    let at = memchr::memchr(b'/', line)?;
    Some(&line[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_maps_are_found() {
        let line = b"7f0c-7f1c r-xp 00000000 103:02 7 /a b/rdep.so (deleted)";
        assert_eq!(path_of(line), Some(&b"/a b/rdep.so (deleted)"[..]));
        assert_eq!(path_of(b"7ffc-7ffd rw-p 00000000 00:00 0 [stack]"), None);
    }
}
