//! Runs the work in a child process under a supervisor, so that no process of the run survives the run.
//!
//! The program starts itself again in a new process group: the worker. The supervisor forwards signals and waits.
//! If the worker is killed or panics, the kernel gives its children to the supervisor, which kills them.
//! A worker that another process stops is continued, and killed if that does not help; the worker does the same for a stopped
//! supervisor. If both are stopped, a timer of the kernel continues the supervisor. Either way the run knows it and does not pass.
//! If the supervisor is killed, the kernel signals the worker, which kills its children and exits.
//! Processes can survive only if both are killed at the same time. Must not depend on what the worker does.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, WaitStatus, getpid, getppid, kill_process, set_parent_process_death_signal};

use crate::system::kernel_timers::{Continuation, Deadline};
use crate::system::panics;
use crate::system::process::{self, THIS_PROGRAM};
use crate::system::process_tree::{self, Descendants, Leader};
use crate::system::signals::{SUPERVISOR_DIED, Signals, Stop};

/// How long the reapers of the worker may take to end by themselves.
const KEEPER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the supervisor tries to kill processes that start new processes: longer than for a command, because nothing does it
/// after the supervisor.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the supervisor looks whether the worker is stopped.
const INTERVAL: Duration = Duration::from_millis(500);
/// How many times in a row the supervisor continues a stopped worker before it kills the worker.
const PATIENCE: u32 = 6;

/// How long the supervisor may make no progress at all; then the kernel kills it. Only a process that stops it again and again, or a
/// machine that does not run it, achieves that.
const STALLED: Duration = Duration::from_secs(300);

/// The size of a record.
pub const RECORD: usize = 40;

/// What the worker sends to its supervisor while it works. The supervisor keeps the last complete record, also if the worker is
/// killed.
#[derive(Debug)]
pub struct Records {
    reader: PipeReader,
    writer: PipeWriter,
    partial: Vec<u8>,
    last: Option<[u8; RECORD]>,
}

impl Records {
    /// Creates the pipe of the records.
    ///
    /// # Errors
    /// The kernel gives no pipe.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        for end in [reader.as_fd(), writer.as_fd()] {
            // A full pipe must not stop the worker.
            rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK)?;
        }
        Ok(Records {
            reader,
            writer,
            partial: Vec::new(),
            last: None,
        })
    }

    /// Returns the last record that the worker sent.
    pub fn last(&self) -> Option<[u8; RECORD]> {
        self.last
    }

    fn read(&mut self) {
        let mut bytes = [0u8; 100 * RECORD];
        while let Ok(n @ 1..) = self.reader.read(&mut bytes) {
            self.partial.extend_from_slice(&bytes[..n]);
        }
        let complete = self.partial.len() / RECORD * RECORD;
        if let Some((_, last)) = self.partial[..complete].split_last_chunk::<RECORD>() {
            self.last = Some(*last);
        }
        self.partial.drain(..complete);
    }
}

/// Opens the worker's end of the pipe, which it inherited with this number.
///
/// # Errors
/// The descriptor is not open.
pub fn open_records(descriptor: i32) -> io::Result<File> {
    let path = format!("/proc/self/fd/{descriptor}");
    let pipe = File::options().write(true).open(path)?;
    rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
    Ok(pipe)
}

/// How the worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerExit {
    /// The worker exited with this code.
    Exited(i32),
    /// The worker panicked. The supervisor has killed its descendants.
    Panicked,
    /// This signal killed the worker. The supervisor has killed its descendants.
    Killed(i32),
    /// Another process stopped the worker, which did not take it into account. Its descendants have ended, and a pass does not count.
    Stopped,
}

/// Starts this program again as a worker with these arguments, and waits until the worker ends.
///
/// `records_argument` turns the number of the descriptor for [`open_records`] into an extra argument.
/// `pid_argument` turns the process id of the supervisor into an extra argument; the worker passes that id to
/// [`bind_to_supervisor`]. The worker inherits `shared`, so that a lock on it lasts until both processes have ended.
/// If the worker is killed, its children with the subcommand `reaper` may first clean up what the supervisor cannot kill.
///
/// # Errors
/// The worker cannot be started.
pub fn run_worker(
    mut signals: Signals,
    args: &[OsString],
    pid_argument: impl Fn(i32) -> OsString,
    shared: Option<BorrowedFd<'_>>,
    mut records: Option<(&mut Records, impl Fn(i32) -> OsString)>,
    reaper: &str,
) -> io::Result<WorkerExit> {
    let descendants = Descendants::adopt()?;
    let continuation = Continuation::new()?;
    // Any change of the worker ends the wait in the loop below, so that the supervisor sees a stop that ends soon.
    signal_hook::flag::register(signal_hook::consts::SIGCHLD, Arc::default())?;
    let stalled = Deadline::new(STALLED)?;
    let set_inherited = |records: &Option<(&mut Records, _)>, flags| -> io::Result<()> {
        let writer = records.as_ref().map(|(records, _)| records.writer.as_fd());
        for descriptor in [shared, writer].into_iter().flatten() {
            fcntl_setfd(descriptor, flags)?;
        }
        Ok(())
    };
    set_inherited(&records, FdFlags::empty())?;
    let extra = records
        .as_ref()
        .map(|(records, argument)| argument(records.writer.as_raw_fd()));
    let started = Command::new(THIS_PROGRAM)
        .arg(pid_argument(getpid().as_raw_nonzero().get()))
        .args(extra)
        .args(args)
        .process_group(0)
        .spawn();
    set_inherited(&records, FdFlags::CLOEXEC)?;
    let child = started?;
    // Not earlier: a process that starts no worker does the work itself, and takes this signal for the end of a stop. The kernel
    // has accepted the timer, so this call cannot fail.
    let _ = continuation.start();
    let mut worker = Leader::of(&child);
    let mut looked = Instant::now();
    let mut stopped = 0;
    let mut was_stopped = false;
    let status = loop {
        stalled.postpone();
        if let Some(status) = worker.reap() {
            break status;
        }
        {
            let mut fds: Vec<_> = signals
                .descriptors()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .into();
            fds.extend(worker.pidfd().map(|fd| PollFd::new(fd, PollFlags::IN)));
            if let Some((records, _)) = &records {
                fds.push(PollFd::new(&records.reader, PollFlags::IN));
            }
            let interval = if worker.pidfd().is_none() {
                Duration::from_millis(10)
            } else {
                INTERVAL
            };
            // A signal can interrupt the wait; the loop then checks everything again.
            let _ = poll(&mut fds, Timespec::try_from(interval).ok().as_ref());
        }
        if let Some((records, _)) = &mut records {
            records.read();
        }
        was_stopped |= process::was_stopped(worker.pid);
        if looked.elapsed() >= INTERVAL {
            looked = Instant::now();
            stopped = if process::is_stopped(worker.pid) {
                stopped + 1
            } else {
                0
            };
            match stopped {
                0 => {}
                // A stopped worker enforces no deadline.
                1..=PATIENCE => process_tree::signal_group(worker.pid, Signal::CONT),
                _ => process_tree::signal_group(worker.pid, Signal::KILL),
            }
        }
        for stop in signals.arrived() {
            let signal = match stop {
                Stop::Interrupt => Signal::INT,
                Stop::Terminate => Signal::TERM,
            };
            // The worker may have ended; then the signal fails, which is fine.
            let _ = kill_process(worker.pid, signal);
        }
    };
    // The rest takes less time than this limit.
    stalled.postpone();
    let mut exit = worker_exit(status, &descendants, reaper);
    let is_ours = stopped > PATIENCE && matches!(exit, WorkerExit::Killed(_));
    if is_ours || was_stopped && exit == WorkerExit::Exited(0) {
        exit = WorkerExit::Stopped;
    }
    if let Some((records, _)) = &mut records {
        records.read();
    }
    Ok(exit)
}

fn worker_exit(status: WaitStatus, descendants: &Descendants, reaper: &str) -> WorkerExit {
    let exit = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) if code == i32::from(panics::EXIT_CODE) => WorkerExit::Panicked,
        (Some(code), _) => return WorkerExit::Exited(code),
        (None, signal) => WorkerExit::Killed(signal.unwrap_or(0)),
    };
    process::reap();
    let until = Instant::now() + KEEPER_TIMEOUT;
    while Instant::now() < until && descendants.living().iter().any(|one| one.runs_subcommand(reaper)) {
        std::thread::sleep(Duration::from_millis(20));
        process::reap();
    }
    descendants.kill_all(Instant::now() + KILL_TIMEOUT, |_| {
        process::reap();
    });
    exit
}

/// Asks the kernel to send SIGTERM to this process when its parent dies, and sends it now if the parent is dead already.
///
/// Call this only after [`Signals::catch`].
///
/// # Errors
/// The kernel rejects the request.
pub fn end_with_parent(parent: i32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        kill_process(getpid(), Signal::TERM)?;
    }
    Ok(())
}

/// Watches the supervisor, and asks the kernel to send [`SUPERVISOR_DIED`] when it dies. Returns whether the supervisor is alive now.
///
/// # Errors
/// The kernel rejects the request.
pub fn bind_to_supervisor(signals: &mut Signals, supervisor: i32) -> io::Result<bool> {
    signals.watch(supervisor);
    set_parent_process_death_signal(Some(SUPERVISOR_DIED))?;
    Ok(getppid().map(|parent| parent.as_raw_nonzero().get()) == Some(supervisor))
}
