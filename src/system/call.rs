//! Calls a client program with a time limit, and returns what the program printed.
//!
//! The client is a short-lived child process. Must not run while a supervisor runs a command.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::system::process_tree;

/// The largest part of an output that is read, in bytes.
const MOST: u64 = 16 << 20;

/// What a client printed before it ended.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Why a client gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The client cannot be started or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client did not end in time and was killed.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The caller stopped the call, and the client was killed.
    #[error("stopped")]
    Stopped,
}

/// Runs a client until it ends, takes longer than `limit`, or `stop` asks to stop.
///
/// # Errors
/// The client cannot be started, or was killed.
pub fn call(
    command: &mut Command,
    limit: Duration,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Answer, CallError> {
    // Files instead of pipes: a client that prints much must not block.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?)
        .process_group(0)
        .spawn()?;
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Answer {
                status,
                stdout: text(&mut out)?,
                stderr: text(&mut err)?,
            });
        }
        let stopped = stop();
        if stopped || Instant::now() >= until {
            process_tree::signal_group(Pid::from_child(&child), Signal::KILL);
            // The client was killed, so this wait is short.
            let _ = child.wait();
            return Err(if stopped {
                CallError::Stopped
            } else {
                CallError::TimedOut(limit)
            });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn text(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
