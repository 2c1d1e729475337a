//! Not a subcommand: runs a command that starts other programs as a supervisor and a worker, so that no started program survives the command.

use std::fs::File;
use std::os::fd::BorrowedFd;

use anyhow::Context as _;

use crate::cmd::context::Context;
use crate::domain::exit::Exit;
use crate::gate::container::reaper;
use crate::system::process;
use crate::system::signals::Signals;
use crate::system::supervisor::{self, Records, WorkerExit};

/// What a worker starts with.
pub struct Work {
    pub signals: Signals,
    /// Takes records for the supervisor; `None` if the supervisor wants none, or does not exist.
    pub records: Option<File>,
}

/// The part of this process in the pair.
pub enum Role {
    /// This process does the work, and must handle signals itself.
    Worker(Work),
    /// This process waited for the worker, and knows how the worker ended.
    Supervisor(WorkerExit),
    /// This process is a worker whose supervisor ended before the work began.
    Orphaned,
}

/// Finds out whether this process is the supervisor or the worker. The supervisor starts the worker and waits for its end.
/// Afterwards this process handles its signals itself, and other processes cannot read its memory. A worker shares the
/// descriptor `shared` with its supervisor, and sends it `records`.
///
/// # Errors
/// Signals cannot be caught, or the memory of this process cannot be protected.
pub fn role(
    context: &Context,
    wanted: bool,
    shared: Option<BorrowedFd<'_>>,
    records: Option<&mut Records>,
) -> anyhow::Result<Role> {
    let signals = || Signals::catch().context("cannot catch signals");
    // Do this before the first program starts: a program that lives on would keep a lock that this process inherited.
    process::close_descriptors_on_exec();
    process::deny_inspection().context("cannot protect the memory of this process")?;
    if let Some(supervisor_pid) = context.supervisor_pid {
        let mut signals = signals()?;
        let is_bound = supervisor::bind_to_supervisor(&mut signals, supervisor_pid)
            .context("cannot watch the supervisor process")?;
        return Ok(if is_bound {
            let records = context.records.map(supervisor::open_records).transpose();
            Role::Worker(Work {
                signals,
                records: records.context("cannot reach the supervisor process")?,
            })
        } else {
            Role::Orphaned
        });
    }
    let caught = signals()?;
    // The script of the action waits for this process. If a runner kills the script, the run must end as cancelled.
    if let Some(parent) = std::env::var("NMOE_GATES_PARENT")
        .ok()
        .and_then(|pid| pid.parse().ok())
    {
        supervisor::end_with_parent(parent).context("cannot watch the script of the action")?;
    }
    if !wanted {
        return Ok(Role::Worker(Work {
            signals: caught,
            records: None,
        }));
    }
    let pid_argument = |pid| format!("--supervisor-pid={pid}").into();
    let records = records.map(|records| (records, |fd| format!("--records={fd}").into()));
    match supervisor::run_worker(
        caught,
        &context.args,
        pid_argument,
        shared,
        records,
        reaper::SUBCOMMAND,
    ) {
        Ok(ended) => Ok(Role::Supervisor(ended)),
        // Without /proc, for example: work without a supervisor, which could find no process below it either.
        Err(_) => Ok(Role::Worker(Work {
            signals: signals()?,
            records: None,
        })),
    }
}

/// Returns the exit of a supervisor whose worker ended with this code.
pub fn exit(code: i32) -> Exit {
    Exit::of_code(code).unwrap_or(Exit::NoVerdict)
}
