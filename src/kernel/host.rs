//! The parent's side of the kernel host: start it, give it one request, listen within limits, and tell apart every way
//! in which it can end. What a library does to the host is a value here, never an accident of ours.

mod outcome;
mod program;
mod reader;
mod session;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use kernel_host::{Reply, Request};
use rustix::process::Pid;

use crate::kernel::host::reader::{end_group, spawn};
use crate::system::process;
use crate::system::process_tree::{self, Descendants};

pub use outcome::{Ending, Limits, Unavailable};
pub use program::SIZE;
pub use session::HostSession;

/// How long to wait for killed processes to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// All that came of one request.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Every reply, in order.
    pub replies: Vec<Reply>,
    /// How it ended.
    pub ending: Ending,
    /// The last stage it announced; empty before the first.
    pub stage: String,
    /// Processes that it left behind and that were ended.
    pub leftovers: u32,
    /// Wall time.
    pub took: Duration,
}

/// Starts a host, gives it a request, and listens to the end. `library` becomes its standard input.
pub fn converse(
    request: &Request,
    library: Option<OwnedFd>,
    limits: &Limits,
) -> Result<Conversation, Unavailable> {
    // Where the kernel refuses to hand orphans to this process, there are none to end.
    let descendants = Descendants::adopt_until_dropped().ok();
    let (mut child, mut reader) = spawn(request, library, limits)?;
    let early = reader.listen(&child);
    let was_stopped = process::is_stopped(Pid::from_child(&child));
    end_group(&child);
    let status = child
        .wait()
        .map_err(|e| Unavailable(format!("it cannot be waited for: {e}")))?;
    let leftovers = descendants.map_or(0, |descendants| {
        descendants.kill_all(Instant::now() + PATIENCE, process_tree::reap_only)
    });
    let ending = match early {
        Some(Ending::Silent | Ending::TooLong) if was_stopped => Ending::Stopped,
        Some(ending) => ending,
        None => reader.last_words(status),
    };
    if reader.replies.is_empty() && matches!(ending, Ending::Exited(126 | 127)) {
        return Err(Unavailable(
            "it does not start; its loader or libc is missing".to_owned(),
        ));
    }
    Ok(Conversation {
        took: reader.begun.elapsed(),
        replies: reader.replies,
        ending,
        stage: reader.stage,
        leftovers: u32::try_from(leftovers).unwrap_or(u32::MAX),
    })
}
