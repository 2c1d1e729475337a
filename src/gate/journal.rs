//! Writes and reads the journal of a run: one event per line. Each event is on the disk before the run continues, and the
//! journal stays readable if the run is killed.
//!
//! The path is `<results>.journal`. A new run replaces the old journal. The caller holds the lock of the results
//! ([`crate::gate::lock`]), so that only one run writes to the journal.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::domain::event::Event;
use crate::system::files::{self, FileError};
use crate::system::supervisor::RECORD;

/// The largest journal that is read.
const CAP: u64 = 256 << 20;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file or its directory cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another run holds the lock.
    #[error(
        "cannot write {0}: another run is writing it\nhelp: wait until that run has ended, or name another file with --results"
    )]
    Busy(PathBuf),
    /// The journal is missing, or contains no run.
    #[error("no journal found for {0}")]
    Empty(PathBuf),
    /// Another process changed the journal.
    #[error("{0} is not the journal that this run wrote")]
    Changed(PathBuf),
}

impl JournalError {
    /// Whether the disk is full or not writable.
    pub fn is_full(&self) -> bool {
        matches!(self, JournalError::File(error) if error.is_full())
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    written: Vec<u8>,
    /// The running digest of `written`.
    digest: Sha256,
    /// Lines that could not be written yet.
    pending: Vec<u8>,
}

/// The length and the SHA-256 of a journal. The worker sends it to the supervisor after each event, so that a journal which
/// another process has written does not count as the journal of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    length: u64,
    digest: [u8; 32],
}

impl Seal {
    /// Returns the seal as a record for the supervisor.
    pub fn to_record(self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        record[..8].copy_from_slice(&self.length.to_le_bytes());
        record[8..].copy_from_slice(&self.digest);
        record
    }

    /// Returns the seal in a record.
    pub fn of_record(record: [u8; RECORD]) -> Self {
        let (mut length, mut digest) = ([0; 8], [0; 32]);
        length.copy_from_slice(&record[..8]);
        digest.copy_from_slice(&record[8..]);
        Seal {
            length: u64::from_le_bytes(length),
            digest,
        }
    }

    /// Returns the part of a journal that the seal covers; `None` if that part is not what the worker wrote.
    fn covered(self, journal: &[u8]) -> Option<&[u8]> {
        let covered = journal.get(..usize::try_from(self.length).ok()?)?;
        (<[u8; 32]>::from(Sha256::digest(covered)) == self.digest).then_some(covered)
    }
}

/// Reads the journal of a run that was killed, up to the seal, and removes what follows.
///
/// # Errors
/// The journal cannot be read or written, or differs from what the worker wrote.
pub fn read_sealed(path: &Path, seal: Option<Seal>) -> Result<Vec<Event>, JournalError> {
    let bytes = files::read_regular(path, CAP)?;
    let covered = seal
        .and_then(|seal| seal.covered(&bytes))
        .ok_or_else(|| JournalError::Changed(path.to_owned()))?;
    if covered.len() < bytes.len() {
        files::replace(path, covered, true)?;
    }
    Ok(parse(covered))
}

/// Returns the path of the journal of these results.
pub fn journal_path(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(".journal");
    PathBuf::from(name)
}

/// Parses the events of a journal, up to the first line that is incomplete or not an event.
pub fn parse(bytes: &[u8]) -> Vec<Event> {
    bytes
        .split_inclusive(|b| *b == b'\n')
        .map_while(|line| serde_json::from_slice(line.strip_suffix(b"\n")?).ok())
        .collect()
}

/// Reads a journal; returns no events if the journal is missing.
///
/// # Errors
/// The path is not a regular file, or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Event>, JournalError> {
    match files::read_regular(path, CAP) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(FileError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

impl Journal {
    /// Creates a journal with these events and replaces an old one. Returns when the events are on the disk.
    ///
    /// # Errors
    /// The path is not a regular file, or the disk is not writable.
    pub fn begin(path: &Path, events: &[Event]) -> Result<Self, JournalError> {
        files::vacant_or_regular(path)?;
        Journal::replacing(path, lines(events))
    }

    /// Writes these bytes to a new file and moves it to `path`.
    fn replacing(path: &Path, written: Vec<u8>) -> Result<Self, JournalError> {
        let io = |error: io::Error| FileError::Io {
            path: path.to_owned(),
            error,
        };
        let temporary = files::temporary_sibling(path)?;
        let mut file = files::create_private(&temporary)?;
        let placed = file
            .write_all(&written)
            .and_then(|()| file.sync_data())
            .and_then(|()| std::fs::rename(&temporary, path));
        if let Err(error) = placed {
            // Remove the incomplete file.
            let _ = std::fs::remove_file(&temporary);
            return Err(io(error).into());
        }
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            files::sync_dir(dir);
        }
        Ok(Journal {
            path: path.to_owned(),
            file,
            digest: Sha256::new_with_prefix(&written),
            written,
            pending: Vec::new(),
        })
    }

    /// Appends an event and returns when it is on the disk. An event that cannot be written is kept, and written before the next.
    ///
    /// # Errors
    /// The disk is full or not writable.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        self.pending
            .extend_from_slice(&lines(std::slice::from_ref(event)));
        if let Err(error) = self.file.write_all(&self.pending) {
            // Readers stop at a partial line, so truncate it. If truncation fails, later appends will fail too.
            let known = self.written.len() as u64;
            let _ = self
                .file
                .set_len(known)
                .and_then(|()| self.file.seek(SeekFrom::Start(known)));
            return Err(error);
        }
        // The bytes were written; `sync_data` below decides whether they are durable.
        self.digest.update(&self.pending);
        self.written.append(&mut self.pending);
        self.file.sync_data()
    }

    /// Returns what the journal contains now, in a form that another process can check.
    pub fn seal(&self) -> Seal {
        Seal {
            length: self.written.len() as u64,
            digest: self.digest.clone().finalize().into(),
        }
    }

    fn is_as_written(&self) -> Result<bool, FileError> {
        let io = |error| FileError::Io {
            path: self.path.clone(),
            error,
        };
        let there = files::open_regular(&self.path)?.metadata().map_err(io)?;
        let ours = self.file.metadata().map_err(io)?;
        Ok(files::identity(&there) == files::identity(&ours)
            && files::read_regular(&self.path, self.written.len() as u64)? == self.written)
    }

    /// Checks that the file contains exactly what was written, and restores it if not. Returns whether it was unchanged.
    ///
    /// # Errors
    /// The file cannot be read or restored.
    pub fn intact(&mut self) -> Result<bool, JournalError> {
        match self.is_as_written() {
            Ok(true) => return Ok(true),
            Err(error) if error.is_machine_fault() => return Err(error.into()),
            Ok(false) | Err(_) => {}
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
        // Events are plain data, so writing them to memory does not fail.
        let _ = serde_json::to_writer(&mut bytes, event);
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::evidence::Evidence;
    use crate::domain::ids::GateId;
    use crate::domain::results::GateResult;
    use crate::domain::verdict::{Overall, Reason, Verdict};
    use crate::gate::verdict::ResultsBuilder;

    fn started(gates: &[&str]) -> Event {
        Event::RunStarted {
            schema: 1,
            at: "2026-01-01T00:00:00Z".to_owned(),
            bundle: None,
            gate_ids: gates.iter().map(|g| g.parse().unwrap()).collect(),
            uncovered: Vec::new(),
            evidence: Box::new(Evidence::default()),
        }
    }

    fn verdicts() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Pass),
            Just(Verdict::Fail),
            Just(Verdict::Invalid),
            Just(Verdict::Pending),
            Just(Verdict::Cancelled),
        ]
    }

    fn event() -> impl Strategy<Value = Event> {
        let gate = prop_oneof![Just("a"), Just("b"), Just("stranger")]
            .prop_map(|id: &str| id.parse::<GateId>().unwrap());
        prop_oneof![
            Just(started(&["a", "b"])),
            gate.clone().prop_map(|gate| Event::GateStarted {
                gate,
                at: String::new()
            }),
            (gate, verdicts()).prop_map(|(gate, verdict)| Event::GateEnded {
                gate,
                result: Box::new(GateResult::new(verdict, None)),
            }),
            Just(Event::RunRefused {
                reason: Reason::BadRegistry
            }),
            Just(Event::RunEnded {
                at: String::new(),
                duration_s: 1.0
            }),
        ]
    }

    fn fold(events: &[Event]) -> Option<crate::domain::results::Results> {
        let mut fold = ResultsBuilder::default();
        events.iter().for_each(|e| fold.push(e));
        fold.results()
    }

    proptest! {
        #[test]
        fn a_journal_cut_anywhere_is_a_prefix(events in prop::collection::vec(event(), 0..12), cut in any::<prop::sample::Index>()) {
            let bytes = lines(&events);
            let at = cut.index(bytes.len() + 1);
            let read = parse(&bytes[..at]);
            prop_assert_eq!(&events[..read.len()], read.as_slice());
            let whole = memchr::memchr_iter(b'\n', &bytes[..at]).count();
            prop_assert_eq!(read.len(), whole);
            // Lines after a partial line are ignored.
            let mut torn = bytes[..at].to_vec();
            torn.extend_from_slice(b"{\"event\"\n");
            torn.extend_from_slice(&lines(&[Event::RunRefused { reason: Reason::Internal }]));
            prop_assert!(parse(&torn).len() <= events.len());
        }

        #[test]
        fn results_are_green_only_if_every_gate_passed(events in prop::collection::vec(event(), 0..20)) {
            let Some(results) = fold(&events) else { return Ok(()) };
            prop_assert_eq!(results.results.keys().collect::<Vec<_>>(), results.gate_ids.iter().collect::<Vec<_>>());
            prop_assert_eq!(results.overall, results.evaluate());
            let last = events.iter().rposition(|e| matches!(e, Event::RunStarted { .. })).unwrap();
            let ended = |id: &str| events[last..].iter().rev().find_map(|e| match e {
                Event::GateStarted { gate, .. } if gate == id => Some(false),
                Event::GateEnded { gate, result } if gate == id => Some(result.status == Verdict::Pass),
                _ => None,
            });
            if results.overall == Overall::Pass {
                prop_assert_eq!((ended("a"), ended("b")), (Some(true), Some(true)));
            }
        }
    }

    #[test]
    fn refused_line_is_written_before_next() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("r.journal");
        let mut journal = Journal::begin(&path, &[started(&["a"])]).unwrap();
        let writable = std::mem::replace(&mut journal.file, File::open(&path).unwrap());
        let refused = |reason| Event::RunRefused { reason };
        journal.append(&refused(Reason::Internal)).unwrap_err();
        journal.file = writable;
        journal.append(&refused(Reason::DiskFull)).unwrap();
        let expected = [
            started(&["a"]),
            refused(Reason::Internal),
            refused(Reason::DiskFull),
        ];
        assert_eq!(read(&path).unwrap(), expected);
        assert!(journal.intact().unwrap());
    }

    #[test]
    fn a_forged_journal_is_put_right() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("r.journal");
        let mut journal = Journal::begin(&path, &[started(&["a"])]).unwrap();
        assert!(journal.intact().unwrap());
        std::fs::write(&path, "forged").unwrap();
        assert!(!journal.intact().unwrap());
        journal
            .append(&Event::RunRefused {
                reason: Reason::Internal,
            })
            .unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
    }
}
