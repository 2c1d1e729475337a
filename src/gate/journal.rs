//! The record of a run: one event a line, on the disk before anything else happens, readable however it was cut off.
//!
//! It lies beside the results as `<results>.journal`. A new run replaces the old journal whole; a second run on the same
//! results is refused while the first one writes.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::model::event::Event;
use crate::sys::files::{self, FileError};
use crate::sys::random;

/// Longest journal that is read.
const CAP: u64 = 256 << 20;

/// What is wrong with a journal's place.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file or its folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another run writes there now.
    #[error("another run is writing {0}; wait for its end or name other --results")]
    Busy(PathBuf),
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    written: Vec<u8>,
}

/// Where the journal of these results is.
pub fn beside(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(".journal");
    PathBuf::from(name)
}

/// The events of a journal, up to the first line that is torn or no event.
pub fn parse(bytes: &[u8]) -> Vec<Event> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .map_while(|line| serde_json::from_slice(line.strip_suffix(b"\n")?).ok())
        .collect()
}

/// Reads a journal; none where there is none.
///
/// # Errors
/// Something else than a regular file stands there, or it cannot be read.
pub fn read(path: &Path) -> Result<Vec<Event>, JournalError> {
    match files::read_regular(path, CAP) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(FileError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

impl Journal {
    /// Begins a journal with these events, in place of one that is there. Returns when they are on the disk.
    ///
    /// # Errors
    /// Another run writes there, something hostile stands there, or the disk cannot be written.
    pub fn begin(path: &Path, events: &[Event]) -> Result<Self, JournalError> {
        files::vacant_or_regular(path)?;
        if let Ok(old) = files::open_regular(path)
            && flock(&old, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            return Err(JournalError::Busy(path.to_owned()));
        }
        let mut journal = Journal::replacing(path, lines(events))?;
        journal.path = path.to_owned();
        Ok(journal)
    }

    /// Puts a new file with these bytes in the place of whatever is there, locked.
    fn replacing(path: &Path, written: Vec<u8>) -> Result<Self, JournalError> {
        let io = |error: io::Error| FileError::Io {
            path: path.to_owned(),
            error,
        };
        let token = random::token().map_err(io)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", &token[..12]));
        let beside = PathBuf::from(beside);
        let mut file = files::create_private(&beside)?;
        let placed = flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(&written))
            .and_then(|()| file.sync_data())
            .and_then(|()| std::fs::rename(&beside, path));
        if let Err(error) = placed {
            // The half-made file is of no use to anybody.
            let _ = std::fs::remove_file(&beside);
            return Err(io(error).into());
        }
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            files::sync_dir(dir);
        }
        Ok(Journal {
            path: path.to_owned(),
            file,
            written,
        })
    }

    /// Appends an event. Returns when it is on the disk.
    ///
    /// # Errors
    /// The disk is full or cannot be written.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        let line = lines(std::slice::from_ref(event));
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.written.extend_from_slice(&line);
        Ok(())
    }

    /// Whether the file is still what we wrote and nothing else; where not, it is put right.
    ///
    /// # Errors
    /// It cannot be put right.
    pub fn intact(&mut self) -> Result<bool, JournalError> {
        let same_file = || {
            let ours = files::identity(&self.file.metadata().ok()?);
            let there = files::open_regular(&self.path).ok()?;
            (files::identity(&there.metadata().ok()?) == ours).then_some(())
        };
        if same_file().is_some()
            && files::read_regular(&self.path, self.written.len() as u64).is_ok_and(|b| b == self.written)
        {
            return Ok(true);
        }
        if std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.is_dir()) {
            std::fs::remove_dir_all(&self.path).map_err(|error| FileError::Io {
                path: self.path.clone(),
                error,
            })?;
        }
        *self = Journal::replacing(&self.path, std::mem::take(&mut self.written))?;
        Ok(false)
    }
}

fn lines(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        // Events are plain data: writing them to memory does not fail.
        let _ = serde_json::to_writer(&mut bytes, event);
        bytes.push(b'\n');
    }
    bytes
}
