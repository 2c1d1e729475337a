//! Runs a kernel host: starts it, sends one request, reads the replies within limits, and reports how it exited.
//!
//! A crash of the host is a value here ([`HostExit`]), not an error of this program. Must not depend on the request.

mod outcome;
mod program;
mod reader;
mod session;

use std::time::{Duration, Instant};

use kernel_host::{Reply, Request};
use rustix::process::Pid;

use crate::kernel::host::reader::{end_group, spawn};
use crate::system::process;
use crate::system::process_tree::{self, Descendants};

pub use outcome::{HostExit, HostLibrary, Limits, Unavailable};
pub use program::SIZE;
pub use session::HostSession;

/// The result of one request.
#[derive(Clone, Debug)]
pub struct HostRun {
    /// Every reply, in order.
    pub replies: Vec<Reply>,
    /// How the host exited.
    pub exit: HostExit,
    /// The last stage that the host reported; empty before the first.
    pub stage: String,
    /// Number of processes that the host left running and that were killed.
    pub leftovers: u32,
    /// Wall time.
    pub took: Duration,
}

/// Starts a host, sends a request, and reads the replies until the host exits.
pub fn run_host(
    request: &Request,
    library: Option<HostLibrary>,
    limits: &Limits,
) -> Result<HostRun, Unavailable> {
    // If the kernel does not give orphans to this process, it cannot find them.
    let descendants = Descendants::adopt_until_dropped().ok();
    let (mut child, mut reader) = spawn(request, library, limits)?;
    let early = reader.listen(&child);
    let was_stopped = process::is_stopped(Pid::from_child(&child));
    end_group(&child);
    let status = child
        .wait()
        .map_err(|e| Unavailable(format!("cannot wait for it: {e}")))?;
    let leftovers = descendants.map_or(0, |descendants| {
        descendants.kill_all(
            Instant::now() + process_tree::KILL_TIMEOUT,
            process_tree::reap_only,
        )
    });
    let exit = match early {
        Some(HostExit::Silent | HostExit::TooLong) if was_stopped => HostExit::Stopped,
        Some(exit) => exit,
        None => reader.exit_of(status),
    };
    if reader.replies.is_empty() && matches!(exit, HostExit::Exited(126 | 127)) {
        return Err(Unavailable(
            "it does not start because its loader or libc is missing".to_owned(),
        ));
    }
    Ok(HostRun {
        took: reader.begun.elapsed(),
        replies: reader.replies,
        exit,
        stage: reader.stage,
        leftovers: u32::try_from(leftovers).unwrap_or(u32::MAX),
    })
}
