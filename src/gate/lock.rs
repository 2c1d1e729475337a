//! Locks the results of a run, so that two runs never write to the same files.
//!
//! The lock is an `flock` on `<results>.lock`. The kernel releases it when the last process that has the file open has ended, so a
//! lock file of a killed run does not block the next run. The file is never removed. Must not depend on the contents of the results.

use std::fs::{File, TryLockError};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::gate::journal::JournalError;
use crate::system::files::{self, FileError};

/// How long to wait for a killed run to end its processes and to release the lock.
const RELEASE: Duration = Duration::from_secs(1);

/// A lock. It is released when this value is dropped and no process has inherited its descriptor.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks these results.
    ///
    /// # Errors
    /// Another run holds the lock, or the lock file cannot be used.
    pub fn take(results: &Path) -> Result<Self, JournalError> {
        let path = path(results);
        let io = |error: std::io::Error| FileError::Io {
            path: path.clone(),
            error,
        };
        files::vacant_or_regular(&path)?;
        let until = Instant::now() + RELEASE;
        loop {
            let file = files::open_or_create(&path)?;
            match file.try_lock() {
                Ok(()) => {
                    let ours = files::identity(&file.metadata().map_err(io)?);
                    // If the file was removed before the lock, another run can lock a new file, so try again.
                    if std::fs::symlink_metadata(&path).is_ok_and(|there| files::identity(&there) == ours) {
                        return Ok(Lock(file));
                    }
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(io(error).into()),
            }
            if Instant::now() >= until {
                return Err(JournalError::Busy(results.to_owned()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns the path of the lock file.
fn path(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use super::*;

    #[test]
    fn held_lock_is_busy_stale_is_not() {
        let place = tempfile::tempdir().unwrap();
        let results = place.path().join("r.json");
        let first = Lock::take(&results).unwrap();
        assert!(matches!(Lock::take(&results), Err(JournalError::Busy(_))));
        drop(first);
        assert!(path(&results).exists());
        let second = Lock::take(&results).unwrap();
        // A removed lock file is created again; the old lock is on the removed file.
        std::fs::remove_file(path(&results)).unwrap();
        Lock::take(&results).unwrap();
        drop(second);
    }
}
