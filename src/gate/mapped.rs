//! Records the kernel libraries that the processes of a gate map, from `/proc/PID/maps`.
//!
//! A library is recorded by its name or place, and by its device code if it was made during the run or is in the checkout: a copy
//! in `/tmp`, a deleted file, a file in memory. An installed library that the run did not make, such as that of PyTorch, is not.
//! A process that ends between two readings is not seen, and neither is a process in a container, nor device code that a
//! program loads from its own memory. Must not decide which libraries are proven.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cuda_inspect::cubin;
use cuda_inspect::fatbin;
use memchr::memmem;
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::domain::ids::Sha256;
use crate::domain::path_pattern::PathPattern;
use crate::kernel::snapshot::Snapshot;
use crate::system::files;
use crate::system::process::{Process, THIS_PROGRAM};

/// The time until the first reading. Each later reading waits twice as long as the one before, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// The most bytes of a mapping without a file that are searched for device code. A longer mapping is not proven.
const MOST_MAPPED: u64 = 256 << 20;
/// The bytes of one read of a mapping.
const CHUNK: usize = 1 << 20;
/// The smallest page: behind the end of its file, a mapping has pages that cannot be read.
const PAGE: u64 = 4096;
/// The bytes of a read that are searched again with the next one: all patterns are as long as this one.
const OVERLAP: usize = fatbin::MAGIC.len() - 1;

/// Where temporary files are, in addition to the folder of the run.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// What the folder of a Python environment has.
const ENVIRONMENT: [&str; 2] = ["pyvenv.cfg", "conda-meta"];

/// Device, inode, and for a file with code the time of its last change in seconds and nanoseconds.
type Version = (u64, u64, Option<(i64, i64)>);

/// The kernel libraries that processes have mapped so far.
#[derive(Debug)]
pub struct MappedLibraries {
    subject: PathBuf,
    patterns: Vec<PathPattern>,
    /// File names of the proven libraries. A file with such a name is a kernel library wherever it is.
    names: HashSet<OsString>,
    /// Folder of kernels that are compiled at run time, which are inspected later.
    caches: Option<PathBuf>,
    /// Folders for temporary files: nothing is installed there, except in a Python environment.
    temporary: Vec<PathBuf>,
    /// Seconds since the epoch at which the run started.
    start: i64,
    /// Device and inode of this program, which starts a gate and contains the marks of device code.
    program: Option<(u64, u64)>,
    /// Path and digest; `None` if the file was deleted or cannot be read.
    seen: BTreeSet<(PathBuf, Option<Sha256>)>,
    /// The mappings of deleted files that were searched: process, address range, and file.
    searched: HashSet<(Process, Vec<u8>, Vec<u8>)>,
    /// The files that were looked at. Another file can get the same path later.
    looked_at: HashSet<(PathBuf, Option<Version>)>,
    next: Instant,
    wait: Duration,
}

impl MappedLibraries {
    /// Starts the record. `proven` are the paths of the proven libraries in the subject, `caches` is the folder of kernels that are
    /// compiled at run time, and `start` is the start of the run: an earlier gate of the run may have made libraries.
    pub fn new<'a>(
        subject: &Path,
        patterns: &[PathPattern],
        proven: impl Iterator<Item = &'a String>,
        caches: Option<&Path>,
        start: SystemTime,
    ) -> Self {
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        let caches = caches.and_then(|folder| folder.canonicalize().ok());
        // The caches are in the temporary folder of the run.
        let own = caches.as_deref().and_then(Path::parent).map(Path::to_owned);
        let others = TEMPORARY
            .iter()
            .filter_map(|folder| Path::new(folder).canonicalize().ok());
        let names = proven.filter_map(|path| Path::new(path).file_name().map(OsStr::to_owned));
        MappedLibraries {
            subject: subject.canonicalize().unwrap_or_else(|_| subject.to_owned()),
            patterns: patterns.to_vec(),
            names: names.collect(),
            temporary: others.chain(own).collect(),
            caches,
            start: i64::try_from(start.as_secs()).unwrap_or(i64::MAX),
            program: std::fs::metadata(THIS_PROGRAM)
                .ok()
                .map(|meta| files::identity(&meta)),
            seen: BTreeSet::new(),
            searched: HashSet::new(),
            looked_at: HashSet::new(),
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
            let mappings: Vec<_> = maps
                .split(|byte| *byte == b'\n')
                .filter_map(Mapping::parse)
                .collect();
            let code: HashSet<_> = mappings
                .iter()
                .filter(|one| one.is_executable)
                .map(|one| one.file)
                .collect();
            let mut last = None;
            for mapping in &mappings {
                let is_code = code.contains(mapping.file);
                if mapping.is_deleted {
                    self.add_deleted(*process, &folder, mapping, is_code);
                } else if last != Some((mapping.file, mapping.path)) {
                    self.add(&folder, mapping.path, is_code);
                }
                last = Some((mapping.file, mapping.path));
            }
        }
    }

    /// Looks at a file that was deleted or never had a path: only its mappings remain.
    fn add_deleted(&mut self, process: Process, folder: &Path, mapping: &Mapping<'_>, is_code: bool) {
        let path = mapping.path;
        if !self.is_kernel_library(path) {
            // Other memory can be large and sparse, and reading a page of shared memory allocates the page.
            if !is_code {
                return;
            }
            let searched = (process, mapping.range.to_owned(), mapping.file.to_owned());
            if !self.searched.insert(searched) || !may_have_device_code(folder, mapping.range) {
                return;
            }
        }
        self.seen.insert((path.to_owned(), None));
    }

    fn add(&mut self, folder: &Path, path: &Path, is_code: bool) {
        // The process may have another root directory.
        let root = folder.join("root");
        let outside = below(&root, path);
        let meta = std::fs::metadata(&outside).or_else(|_| std::fs::metadata(path));
        let meta = meta.ok();
        let is_program = |meta: &Metadata| self.program == Some(files::identity(meta));
        if meta.as_ref().is_some_and(is_program) {
            return;
        }
        // Data can change all the time, so do not read them after each change.
        let changed = |meta: &Metadata| is_code.then(|| (meta.ctime(), meta.ctime_nsec()));
        let version = meta.as_ref().map(|meta| (meta.dev(), meta.ino(), changed(meta)));
        // The file of a process that has ended, in another root directory.
        let is_lost = version.is_none() && self.seen.iter().any(|(seen, _)| seen == path);
        if is_lost || !self.looked_at.insert((path.to_owned(), version)) {
            return;
        }
        let is_unproven = || {
            self.is_suspect(path, &root, meta.as_ref())
                && Snapshot::take(&outside).is_ok_and(|file| has_device_code(file.bytes()))
        };
        if self.is_kernel_library(path) || is_unproven() {
            let file = Snapshot::take(&outside).or_else(|_| Snapshot::take(path));
            let digest = file.ok().map(|file| Sha256::of(file.bytes()));
            self.seen.insert((path.to_owned(), digest));
        }
    }

    /// Whether a file has the name or the place of a kernel library.
    fn is_kernel_library(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.names.contains(name)) || self.is_in_subject(path)
    }

    /// Whether a file is not an installed one: it is in the checkout, changed since the run began, or is a file of this user in a
    /// temporary folder. Caches are inspected later.
    fn is_suspect(&self, path: &Path, root: &Path, meta: Option<&Metadata>) -> bool {
        if self
            .caches
            .as_ref()
            .is_some_and(|folder| path.starts_with(folder))
        {
            return false;
        }
        let is_suspect = |meta: &Metadata| {
            meta.ctime() >= self.start
                || meta.uid() == geteuid().as_raw() && self.is_in_temporary_folder(path, root)
        };
        path.starts_with(&self.subject) || meta.is_some_and(is_suspect)
    }

    /// Whether a file is in a temporary folder, or in one that every user may write to. A Python environment that existed before the
    /// run can be there too, for example on the local disk of a node, and its wheels are installed.
    fn is_in_temporary_folder(&self, path: &Path, root: &Path) -> bool {
        let metadata = |path: &Path| std::fs::metadata(below(root, path));
        let is_open = |folder: &Path| metadata(folder).is_ok_and(|meta| meta.mode() & 0o002 != 0);
        let is_environment = |folder: &Path| {
            let marks = ENVIRONMENT.iter().map(|mark| metadata(&folder.join(mark)));
            marks.flatten().any(|meta| meta.ctime() < self.start)
        };
        (self.temporary.iter().any(|folder| path.starts_with(folder)) || path.parent().is_some_and(is_open))
            && !path.ancestors().skip(1).any(is_environment)
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

/// Returns a path below the root directory of a process.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What the kernel appends to the path of a file that no longer exists.
const DELETED: &[u8] = b" (deleted)";

/// Whether these bytes have a container of device code, or machine code of a GPU.
fn has_device_code(bytes: &[u8]) -> bool {
    let heads = cubin::HEADS.iter().map(|head| head.as_slice());
    let mut patterns = heads.chain([fatbin::MAGIC.as_slice()]);
    patterns.any(|pattern| memmem::find(bytes, pattern).is_some())
}

/// Whether the memory of a mapping has device code, or cannot be searched completely. `folder` is that of the process in /proc.
fn may_have_device_code(folder: &Path, range: &[u8]) -> bool {
    let range = || {
        let (start, end) = std::str::from_utf8(range).ok()?.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        Some((address(start)?, address(end)?))
    };
    let Some((start, end)) = range() else {
        return false;
    };
    let memory = match File::open(folder.join("mem")) {
        Ok(memory) => memory,
        // A process that has ended maps nothing.
        Err(error) => {
            let ended = [Errno::NOENT, Errno::SRCH].map(Errno::raw_os_error);
            return error.raw_os_error().is_none_or(|code| !ended.contains(&code));
        }
    };
    let mut bytes = vec![0; OVERLAP + CHUNK];
    let (mut at, mut kept) = (start, 0);
    while at < end {
        if at - start >= MOST_MAPPED {
            return true;
        }
        let wanted = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
        match memory.read_at(&mut bytes[kept..kept + wanted], at) {
            Ok(0) => return false,
            Ok(read) => {
                let filled = kept + read;
                if has_device_code(&bytes[..filled]) {
                    return true;
                }
                kept = filled.min(OVERLAP);
                bytes.copy_within(filled - kept..filled, 0);
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                kept = 0;
                at = (at / PAGE + 1) * PAGE;
            }
        }
    }
    false
}

/// A line of `/proc/PID/maps`: address range, permissions, offset, device, inode, path.
struct Mapping<'a> {
    range: &'a [u8],
    is_executable: bool,
    /// Device and inode.
    file: &'a [u8],
    path: &'a Path,
    /// Whether the path no longer exists.
    is_deleted: bool,
}

impl<'a> Mapping<'a> {
    /// Parses a line; `None` if the mapping has no path.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (fields, path) = line.split_at(memchr::memchr(b'/', line)?);
        let mut parts = fields.trim_ascii_end().splitn(4, |byte| *byte == b' ');
        let remaining = path.strip_suffix(DELETED);
        Some(Mapping {
            range: parts.next()?,
            is_executable: parts.next()?.contains(&b'x'),
            file: parts.nth(1)?,
            path: Path::new(OsStr::from_bytes(remaining.unwrap_or(path))),
            is_deleted: remaining.is_some(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_parsed() {
        let line = b"7f0c-7f1c r-xp 00000000 103:02 7      /a b/rdep.so (deleted)";
        let mapping = Mapping::parse(line).unwrap();
        assert_eq!(
            (mapping.range, mapping.file),
            (&b"7f0c-7f1c"[..], &b"103:02 7"[..])
        );
        assert_eq!(mapping.path, Path::new("/a b/rdep.so"));
        assert!(mapping.is_executable && mapping.is_deleted);
        let data = Mapping::parse(b"7f0c-7f1c rw-s 00000000 00:01 9 /memfd:x").unwrap();
        assert!(!data.is_executable && !data.is_deleted);
        assert!(Mapping::parse(b"7ffc-7ffd rw-p 00000000 00:00 0 [stack]").is_none());
    }
}
