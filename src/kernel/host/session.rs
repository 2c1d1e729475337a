//! Keeps a host running for several requests.
//!
//! Use a session only for libraries of the driver, not for libraries under test: a session adopts no orphans and kills
//! only the process group of the host. Must not depend on the requests.

use std::io::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

use kernel_host::{Reply, Request};

use crate::kernel::host::outcome::{Limits, Unavailable};
use crate::kernel::host::reader::{HostReader, ReadResult, end_group, spawn, wait_for};

/// A running host. Dropping the value kills the host.
pub struct HostSession {
    child: Child,
    reader: HostReader,
}

impl HostSession {
    /// Starts a host with its first request. Call [`HostSession::listen`] to read the replies.
    ///
    /// # Errors
    /// The host cannot be started.
    pub fn start(request: &Request, limits: &Limits) -> Result<Self, Unavailable> {
        let (child, reader) = spawn(request, None, limits)?;
        Ok(HostSession { child, reader })
    }

    /// Reads the replies before `last`.
    ///
    /// Returns `None` if the host exits, sends an invalid reply, exceeds its output limit or sends no reply in time. The
    /// session is unusable then.
    pub fn listen(&mut self, last: &Reply) -> Option<Vec<Reply>> {
        let until = Instant::now() + self.reader.limits.step;
        self.reader.bytes_read = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return None;
            }
            let (socket, output, _) =
                wait_for(Some(&self.reader.socket), self.reader.output.as_ref(), None, left);
            if output && self.reader.read_output().is_some() {
                return None;
            }
            if socket
                && !matches!(
                    self.reader.read_replies(),
                    ReadResult::Replies | ReadResult::Nothing
                )
            {
                return None;
            }
            if let Some(at) = self.reader.replies.iter().position(|reply| reply == last) {
                let replies = self.reader.replies.drain(..=at).take(at).collect();
                return Some(replies);
            }
        }
    }

    /// Sends a request and reads the replies before `last`.
    pub fn ask(&mut self, request: &Request, last: &Reply) -> Option<Vec<Reply>> {
        let line = request.encode(&self.reader.nonce);
        // Writing fails if the host has exited. It cannot block, because a request is small.
        self.reader.socket.write_all(line.as_bytes()).ok()?;
        self.listen(last)
    }
}

impl Drop for HostSession {
    fn drop(&mut self) {
        // Another reaper may have collected this child, so its PID may have been reused.
        if matches!(self.child.try_wait(), Ok(None)) {
            end_group(&self.child);
            let _ = self.child.wait();
        }
    }
}
