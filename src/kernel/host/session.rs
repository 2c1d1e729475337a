//! A host session that answers several requests. For libraries that watch the machine, not for those under test: no
//! orphan is adopted, and only the host itself is killed.

use std::io::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

use kernel_host::{Reply, Request};

use crate::kernel::host::outcome::{Limits, Unavailable};
use crate::kernel::host::reader::{Heard, HostReader, end_group, spawn, wait_for};

/// The host, until it is dropped.
pub struct HostSession {
    child: Child,
    reader: HostReader,
}

impl HostSession {
    /// Starts it with its first request; the answer to that is still to be listened to.
    ///
    /// # Errors
    /// It cannot be started here.
    pub fn start(request: &Request, limits: &Limits) -> Result<Self, Unavailable> {
        let (child, reader) = spawn(request, None, limits)?;
        Ok(HostSession { child, reader })
    }

    /// Every reply up to `last`, exclusive; none where it ends, forges, floods or keeps silent for longer than its limit
    /// first, and then it will not be of use again.
    pub fn listen(&mut self, last: &Reply) -> Option<Vec<Reply>> {
        let until = Instant::now() + self.reader.limits.step;
        self.reader.heard = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return None;
            }
            let (socket, talk, _) =
                wait_for(Some(&self.reader.socket), self.reader.talk.as_ref(), None, left);
            if talk && self.reader.hear_talk().is_some() {
                return None;
            }
            if socket && !matches!(self.reader.hear(), Heard::Replies | Heard::Nothing) {
                return None;
            }
            if let Some(at) = self.reader.replies.iter().position(|reply| reply == last) {
                let told = self.reader.replies.drain(..=at).take(at).collect();
                return Some(told);
            }
        }
    }

    /// Asks, and listens up to `last`.
    pub fn ask(&mut self, request: &Request, last: &Reply) -> Option<Vec<Reply>> {
        let line = request.encode(&self.reader.nonce);
        // A host that is gone is noticed at once, and one that does not read would have to be sent megabytes to block us.
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
