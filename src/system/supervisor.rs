//! A keeper above a process that starts others: whatever becomes of either, nothing that was started stays behind.
//!
//! The program starts itself once more, in a group of its own, and that one does the work. The keeper passes signals on and waits.
//! Where the worker is killed or panics, the kernel hands what it started to the keeper, which ends it; where the keeper is killed, the kernel
//! tells the worker, which ends what it started and itself. Only both killed at once leave anything. Knows nothing of the work.

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, WaitStatus, getpid, getppid, kill_process, set_parent_process_death_signal};

use crate::system::panics;
use crate::system::process;
use crate::system::signals::{LEFT_ALONE, Signals, Stop};
use crate::system::supervise::{Descendants, Leader};

/// How long the keeper goes on against processes that keep starting others.
const SWEEP: Duration = Duration::from_secs(10);

/// What became of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// It ended by itself, with this exit code.
    Ended(i32),
    /// A panic ended it. Everything that it had started has been ended.
    Panicked,
    /// This signal ended it. Everything that it had started has been ended.
    Killed(i32),
}

/// Has the program do the work that these arguments name, below this process, and waits for its end. The worker finds out by
/// [`kept_by`] that it is one; `named` makes the argument that says so of this process's number. The worker inherits `shared`, so
/// that a lock on it lasts until both processes have ended.
///
/// # Errors
/// It cannot be started; nothing has happened then.
pub fn keep(
    mut signals: Signals,
    args: &[OsString],
    named: impl Fn(i32) -> OsString,
    shared: Option<BorrowedFd<'_>>,
) -> io::Result<Worked> {
    let program = std::env::current_exe()?;
    let descendants = Descendants::adopt()?;
    if let Some(shared) = shared {
        fcntl_setfd(shared, FdFlags::empty())?;
    }
    let started = Command::new(program)
        .arg(named(getpid().as_raw_nonzero().get()))
        .args(args)
        .process_group(0)
        .spawn();
    if let Some(shared) = shared {
        fcntl_setfd(shared, FdFlags::CLOEXEC)?;
    }
    let child = started?;
    let mut worker = Leader::of(&child);
    let status = loop {
        if let Some(status) = worker.reap() {
            break status;
        }
        {
            let mut fds: Vec<_> = signals
                .descriptors()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .into();
            fds.extend(worker.pidfd().map(|fd| PollFd::new(fd, PollFlags::IN)));
            let often = Timespec {
                tv_sec: 0,
                tv_nsec: 10_000_000,
            };
            // An interrupted wait is a short wait.
            let _ = poll(&mut fds, worker.pidfd().is_none().then_some(&often));
        }
        for stop in signals.arrived() {
            let signal = match stop {
                Stop::Interrupt => Signal::INT,
                Stop::Terminate => Signal::TERM,
            };
            // One that ended in the meantime needs no telling.
            let _ = kill_process(worker.pid, signal);
        }
    };
    Ok(worked(status, &descendants))
}

fn worked(status: WaitStatus, descendants: &Descendants) -> Worked {
    let worked = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) if code == i32::from(panics::EXIT_CODE) => Worked::Panicked,
        (Some(code), _) => return Worked::Ended(code),
        (None, signal) => Worked::Killed(signal.unwrap_or(0)),
    };
    process::reap();
    descendants.kill_all(Instant::now() + SWEEP, |_| {
        process::reap();
    });
    worked
}

/// Whether the process with this number still keeps this one; from now on its death is a signal that asks to stop at once.
/// Signals must have been caught before.
///
/// # Errors
/// The kernel refuses.
pub fn kept_by(keeper: i32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(LEFT_ALONE))?;
    Ok(getppid().map(|parent| parent.as_raw_nonzero().get()) == Some(keeper))
}
