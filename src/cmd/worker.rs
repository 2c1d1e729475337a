//! Not a subcommand: how a command that starts others' programs is kept, so that none of them outlives it whatever happens.

use std::os::fd::BorrowedFd;

use anyhow::Context as _;

use crate::cmd::context::Context;
use crate::domain::exit::Exit;
use crate::system::process;
use crate::system::signals::Signals;
use crate::system::supervisor::{self, WorkerExit};

/// Who this process is.
pub enum Role {
    /// The one that works; signals are its own to answer.
    Worker(Signals),
    /// The one that waited for the worker's end.
    Supervisor(WorkerExit),
    /// A worker whose keeper was gone before it began.
    Orphaned,
}

/// Finds out which of the two this process is, and keeps the worker if it is the keeper. From here on a signal is ours to answer,
/// and our memory nobody else's to read. A worker shares the descriptor `shared` with its keeper.
///
/// # Errors
/// Signals cannot be caught, or the process not be closed to others.
pub fn role(context: &Context, wanted: bool, shared: Option<BorrowedFd<'_>>) -> anyhow::Result<Role> {
    let signals = || Signals::catch().context("cannot catch signals");
    // Before the first program is started: one that lives on would hold a lock that this process was given.
    process::close_descriptors_on_exec();
    process::deny_inspection().context("cannot protect the memory of this process")?;
    if let Some(keeper) = context.supervisor_pid {
        let signals = signals()?;
        let kept = supervisor::bind_to_supervisor(keeper).context("cannot watch the supervisor process")?;
        return Ok(if kept {
            Role::Worker(signals)
        } else {
            Role::Orphaned
        });
    }
    if wanted
        && let Ok(worked) = supervisor::run_worker(
            signals()?,
            &context.args,
            |pid| format!("--supervisor-pid={pid}").into(),
            shared,
        )
    {
        return Ok(Role::Supervisor(worked));
    }
    // Without /proc, say: the work goes on unkept, as nothing below it could be found either.
    Ok(Role::Worker(signals()?))
}

/// How a keeper ends after a worker that ended by itself.
pub fn exit(code: i32) -> Exit {
    Exit::of_code(code).unwrap_or(Exit::NoJudgement)
}
