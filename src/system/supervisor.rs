//! Runs the work in a child process under a supervisor, so that no process of the run survives the run.
//!
//! The program starts itself again in a new process group: the worker. The supervisor forwards signals and waits.
//! If the worker is killed or panics, the kernel gives its children to the supervisor, which kills them.
//! If the supervisor is killed, the kernel signals the worker, which kills its children and exits.
//! Processes can survive only if both are killed at the same time. Must not depend on what the worker does.

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
use crate::system::process_tree::{Descendants, Leader};
use crate::system::signals::{SUPERVISOR_DIED, Signals, Stop};

/// How long the keepers of the worker may take to end by themselves.
const KEEPER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the supervisor tries to kill processes that start new processes.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How the worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerExit {
    /// The worker exited with this code.
    Exited(i32),
    /// The worker panicked. The supervisor has killed its descendants.
    Panicked,
    /// This signal killed the worker. The supervisor has killed its descendants.
    Killed(i32),
}

/// Starts this program again as a worker with these arguments, and waits until the worker ends.
///
/// `pid_argument` turns the process id of the supervisor into an extra argument; the worker passes that id to
/// [`bind_to_supervisor`]. The worker inherits `shared`, so that a lock on it lasts until both processes have ended.
/// If the worker is killed, its children with the subcommand `keeper` may first clean up what the supervisor cannot kill.
///
/// # Errors
/// The worker cannot be started.
pub fn run_worker(
    mut signals: Signals,
    args: &[OsString],
    pid_argument: impl Fn(i32) -> OsString,
    shared: Option<BorrowedFd<'_>>,
    keeper: &str,
) -> io::Result<WorkerExit> {
    let program = std::env::current_exe()?;
    let descendants = Descendants::adopt()?;
    if let Some(shared) = shared {
        fcntl_setfd(shared, FdFlags::empty())?;
    }
    let started = Command::new(program)
        .arg(pid_argument(getpid().as_raw_nonzero().get()))
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
            let interval = Timespec {
                tv_sec: 0,
                tv_nsec: 10_000_000,
            };
            // A signal can interrupt the wait; the loop then checks everything again.
            let _ = poll(&mut fds, worker.pidfd().is_none().then_some(&interval));
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
    Ok(worker_exit(status, &descendants, keeper))
}

fn worker_exit(status: WaitStatus, descendants: &Descendants, keeper: &str) -> WorkerExit {
    let exit = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) if code == i32::from(panics::EXIT_CODE) => WorkerExit::Panicked,
        (Some(code), _) => return WorkerExit::Exited(code),
        (None, signal) => WorkerExit::Killed(signal.unwrap_or(0)),
    };
    process::reap();
    let until = Instant::now() + KEEPER_TIMEOUT;
    while Instant::now() < until && descendants.living().iter().any(|one| one.runs_subcommand(keeper)) {
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

/// Asks the kernel to send [`SUPERVISOR_DIED`] when the supervisor dies. Returns whether the supervisor is alive now.
///
/// Call this only after [`Signals::catch`].
///
/// # Errors
/// The kernel rejects the request.
pub fn bind_to_supervisor(supervisor: i32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(SUPERVISOR_DIED))?;
    Ok(getppid().map(|parent| parent.as_raw_nonzero().get()) == Some(supervisor))
}
