//! Records a run: appends each event to the journal, and writes the results that are computed from the events.
//!
//! A run claims its results path first. The claim removes old results, so that they are never mistaken for those of this run.
//! During a long run the results file is updated at most once per second, for readers; only the journal is authoritative.
//! A disk error does not stop the computation: the results stay available in memory, together with the error.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::domain::event::Event;
use crate::domain::ids::GateId;
use crate::domain::results::Results;
use crate::domain::verdict::Reason;
use crate::gate::journal::{self, Journal, JournalError, Seal};
use crate::gate::lock::Lock;
use crate::gate::log;
use crate::gate::output::Output;
use crate::gate::verdict::ResultsBuilder;
use crate::system::files::{self, FileError};

/// The shortest time between two updates of the results file.
const BETWEEN: Duration = Duration::from_secs(1);

/// Receives the events of a run.
pub trait Sink {
    /// The recorder has tried to record this event.
    fn event(&mut self, event: &Event);
}

/// Ignores all events.
impl Sink for () {
    fn event(&mut self, _event: &Event) {}
}

/// Locks the results path and removes the results and the journal of an earlier run; with `resume` the journal stays. Returns the
/// events of the earlier run.
///
/// # Errors
/// The path cannot be used. If another run holds the lock, nothing is removed.
pub fn claim(path: &Path, resume: bool) -> Result<(Lock, Vec<Event>), JournalError> {
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        files::private_dir(dir)?;
    }
    files::vacant_or_regular(path)?;
    let lock = Lock::take(path);
    if let Err(busy @ JournalError::Busy(_)) = lock {
        return Err(busy);
    }
    files::remove(path)?;
    let journal = journal::journal_path(path);
    files::vacant_or_regular(&journal)?;
    let earlier = journal::read(&journal).unwrap_or_default();
    if !resume {
        files::remove(&journal)?;
        log::remove_all(path);
    }
    Ok((lock?, earlier))
}

/// Records one run.
pub struct Recorder {
    path: PathBuf,
    journal: Journal,
    builder: ResultsBuilder,
    fault: Option<Reason>,
    written: Instant,
    sink: Box<dyn Sink>,
    /// Takes a seal of the journal after each event.
    seals: Option<File>,
}

impl Recorder {
    /// Starts a recorder with these events. The caller must have claimed the path.
    ///
    /// # Errors
    /// The path cannot be used.
    pub fn begin(path: &Path, events: &[Event], sink: Box<dyn Sink>) -> Result<Self, JournalError> {
        files::vacant_or_regular(path)?;
        let journal = Journal::begin(&journal::journal_path(path), events)?;
        let mut recorder = Recorder {
            path: path.to_owned(),
            journal,
            builder: ResultsBuilder::default(),
            fault: None,
            written: Instant::now(),
            sink,
            seals: None,
        };
        for event in events {
            recorder.builder.push(event);
            recorder.sink.event(event);
        }
        recorder.write(false)?;
        remove_stale_temporaries(path);
        Ok(recorder)
    }

    /// Sends a seal of the journal to this file, now and after each event.
    pub fn send_seals(&mut self, to: Option<File>) {
        self.seals = to;
        self.send_seal();
    }

    fn send_seal(&mut self) {
        if let Some(seals) = &mut self.seals {
            // A supervisor that reads no seal believes the earlier one, so that only the last events are lost.
            let _ = seals.write_all(&self.journal.seal().to_record());
        }
    }

    /// Records an event. Returns when the event is on the disk, or the write has failed.
    pub fn push(&mut self, event: &Event) {
        self.builder.push(event);
        if let Err(error) = self.journal.append(event) {
            self.fail(files::is_full(&error));
        }
        self.send_seal();
        let last = matches!(event, Event::RunEnded { .. });
        if (last || self.written.elapsed() >= BETWEEN)
            && let Err(error) = self.write(last)
        {
            self.fail(error.is_full());
        }
        self.sink.event(event);
    }

    /// Writes the log of a gate. The verdict does not depend on it, so an error is only printed.
    pub fn keep_log(&self, gate: &GateId, output: &mut Output) {
        let kept = output.take_log();
        if let Err(error) = log::write(&self.path, gate, &kept) {
            output.line(format_args!("cannot keep the log of the gate: {error}"));
        }
    }

    /// Whether no other process changed the journal; a change is reverted. `None` if a disk error prevents the check.
    pub fn intact(&mut self) -> Option<bool> {
        if self.fault.is_some() {
            return None;
        }
        match self.journal.intact() {
            Ok(intact) => Some(intact),
            Err(error) => {
                self.fail(error.is_full());
                None
            }
        }
    }

    /// Returns the first write error, if there was one.
    pub fn fault(&self) -> Option<Reason> {
        self.fault
    }

    /// Returns the current results.
    pub fn results(&self) -> Option<Results> {
        self.builder.results()
    }

    fn fail(&mut self, full: bool) {
        self.fault
            .get_or_insert(if full { Reason::DiskFull } else { Reason::Internal });
    }

    fn write(&mut self, lasting: bool) -> Result<(), FileError> {
        self.written = Instant::now();
        let Some(results) = self.builder.results() else {
            return Ok(());
        };
        files::replace(&self.path, text(&results).as_bytes(), lasting)
    }
}

/// Identifies a journal file, to detect that a later run has replaced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark((u64, u64));

/// Returns the identity of the current journal; `None` if the journal is missing.
pub fn mark(results: &Path) -> Option<Mark> {
    let there = std::fs::symlink_metadata(journal::journal_path(results)).ok()?;
    Some(Mark(files::identity(&there)))
}

/// Computes the results from the journal of a run that was killed, writes and returns them. Believes the journal up to the last
/// seal that the run has sent.
///
/// # Errors
/// The journal cannot be read, was changed or contains no run, or the results cannot be written.
pub fn recover(path: &Path, seal: Option<Seal>) -> Result<Results, JournalError> {
    let mut builder = ResultsBuilder::default();
    for event in journal::read_sealed(&journal::journal_path(path), seal)? {
        builder.push(&event);
    }
    let results = builder
        .results()
        .ok_or_else(|| JournalError::Empty(path.to_owned()))?;
    files::replace(path, text(&results).as_bytes(), true)?;
    remove_stale_temporaries(path);
    Ok(results)
}

/// Removes incomplete files of a run that was killed while it replaced the results or the journal.
fn remove_stale_temporaries(path: &Path) {
    files::remove_stale_temporaries(path);
    files::remove_stale_temporaries(&journal::journal_path(path));
}

/// Formats results for a file and for standard output.
pub fn text(results: &Results) -> String {
    // Results are plain data, so writing them to memory does not fail.
    let mut text = serde_json::to_string_pretty(results).unwrap_or_default();
    text.push('\n');
    text
}
