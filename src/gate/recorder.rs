//! Keeps the record of a run: every event into the journal, and the results, computed from it, replaced whole at the end.
//!
//! A run claims its place first, which removes the results of an earlier run: however the run ends, they are never taken for its own.
//! A long run's results are replaced in between too, at most once a second, for whoever looks; the journal is what counts.
//! A disk that fails does not stop the computation: the results are still known, and the fault with them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::domain::event::Event;
use crate::domain::results::Results;
use crate::domain::verdict::Reason;
use crate::gate::journal::{self, Journal, JournalError};
use crate::gate::lock::Lock;
use crate::gate::verdict::ResultsBuilder;
use crate::system::files::{self, FileError};

/// Shortest time between two results of a run that goes on.
const BETWEEN: Duration = Duration::from_secs(1);

/// Who hears of events as they happen.
pub trait Sink {
    /// This has happened and is recorded.
    fn event(&mut self, event: &Event);
}

/// Nobody listens.
impl Sink for () {
    fn event(&mut self, _event: &Event) {}
}

/// Locks the place of a run's record and removes the results of an earlier run; with `resume` the earlier journal stays.
///
/// # Errors
/// The place cannot be used. Where another run uses it, nothing is removed.
pub fn claim(path: &Path, resume: bool) -> Result<Lock, JournalError> {
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        files::private_dir(dir)?;
    }
    files::vacant_or_regular(path)?;
    let lock = Lock::take(path);
    if matches!(lock, Err(JournalError::Busy(_))) {
        return lock;
    }
    files::remove(path)?;
    let journal = journal::journal_path(path);
    files::vacant_or_regular(&journal)?;
    if !resume {
        files::remove(&journal)?;
    }
    lock
}

/// The record of one run.
pub struct Recorder {
    path: PathBuf,
    journal: Journal,
    builder: ResultsBuilder,
    fault: Option<Reason>,
    written: Instant,
    sink: Box<dyn Sink>,
}

impl Recorder {
    /// Begins the record of a run with these events, in a place that the run has claimed.
    ///
    /// # Errors
    /// The place cannot be used.
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
        };
        for event in events {
            recorder.builder.push(event);
            recorder.sink.event(event);
        }
        recorder.write(false)?;
        remove_stale_temporaries(path);
        Ok(recorder)
    }

    /// Records that something happened. Returns when it is on the disk, or the fault is known.
    pub fn push(&mut self, event: &Event) {
        self.builder.push(event);
        if let Err(error) = self.journal.append(event) {
            self.fail(files::is_full(&error));
        }
        let last = matches!(event, Event::RunEnded { .. });
        if (last || self.written.elapsed() >= BETWEEN)
            && let Err(error) = self.write(last)
        {
            self.fail(error.is_full());
        }
        self.sink.event(event);
    }

    /// Whether nobody but us has written to the journal; what was touched is put right. None where the disk lets nobody tell.
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

    /// What keeps the record from being written, if anything does.
    pub fn fault(&self) -> Option<Reason> {
        self.fault
    }

    /// The results as they stand.
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

/// Which journal stands beside some results, told apart from a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark((u64, u64));

/// The journal that stands there now; none where there is none.
pub fn mark(results: &Path) -> Option<Mark> {
    let there = std::fs::symlink_metadata(journal::journal_path(results)).ok()?;
    Some(Mark(files::identity(&there)))
}

/// Brings results up to a journal that nobody writes any more; returns them.
///
/// # Errors
/// One of the two cannot be read or written.
pub fn recover(path: &Path) -> Result<Results, JournalError> {
    let mut builder = ResultsBuilder::default();
    for event in journal::read(&journal::journal_path(path))? {
        builder.push(&event);
    }
    let results = builder
        .results()
        .ok_or_else(|| JournalError::Empty(path.to_owned()))?;
    files::replace(path, text(&results).as_bytes(), true)?;
    remove_stale_temporaries(path);
    Ok(results)
}

/// Removes the half-made files of a run that was killed while it replaced results or journal.
fn remove_stale_temporaries(path: &Path) {
    files::remove_stale_temporaries(path);
    files::remove_stale_temporaries(&journal::journal_path(path));
}

/// Results as they are written to a file and printed.
pub fn text(results: &Results) -> String {
    // Results are plain data: writing them to memory does not fail.
    let mut text = serde_json::to_string_pretty(results).unwrap_or_default();
    text.push('\n');
    text
}
