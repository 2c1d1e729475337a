//! A host that stays and answers more than one question. For libraries that watch the machine, not for those that are on trial:
//! nothing is adopted or ended but the host itself.

use std::io::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

use kernel_host::{Reply, Request};

use crate::kernel::host::{Ear, Heard, Limits, Unavailable, end_group, spawn, wait_for};

/// The host, until it is dropped.
pub struct Standing {
    child: Child,
    ear: Ear,
}

impl Standing {
    /// Starts it with its first request; the answer to that is still to be listened to.
    ///
    /// # Errors
    /// It cannot be started here.
    pub fn start(request: &Request, limits: &Limits) -> Result<Self, Unavailable> {
        let (child, ear) = spawn(request, None, limits)?;
        Ok(Standing { child, ear })
    }

    /// Every reply up to `last`, exclusive; none where it ends, forges, floods or keeps silent for longer than its limit
    /// first, and then it will not be of use again.
    pub fn listen(&mut self, last: &Reply) -> Option<Vec<Reply>> {
        let until = Instant::now() + self.ear.limits.step;
        self.ear.heard = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return None;
            }
            let (socket, talk, _) = wait_for(Some(&self.ear.socket), self.ear.talk.as_ref(), None, left);
            if talk && self.ear.hear_talk().is_some() {
                return None;
            }
            if socket && !matches!(self.ear.hear(), Heard::Replies | Heard::Nothing) {
                return None;
            }
            if let Some(at) = self.ear.replies.iter().position(|reply| reply == last) {
                let told = self.ear.replies.drain(..=at).take(at).collect();
                return Some(told);
            }
        }
    }

    /// Asks, and listens up to `last`.
    pub fn ask(&mut self, request: &Request, last: &Reply) -> Option<Vec<Reply>> {
        let line = request.encode(&self.ear.nonce);
        // A host that is gone is noticed at once, and one that does not read would have to be sent megabytes to block us.
        self.ear.socket.write_all(line.as_bytes()).ok()?;
        self.listen(last)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        // Whoever reaps every child of this process may have taken it already; then its number may be another's.
        if matches!(self.child.try_wait(), Ok(None)) {
            end_group(&self.child);
            let _ = self.child.wait();
        }
    }
}
