//! Turns stop signals into descriptors that a poll loop can wait for.
//!
//! A handler only writes one byte into a pipe; the owner of [`Signals`] decides what to stop. Must not depend on gates.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGXFSZ};

use crate::system::process;

/// The signal that a worker gets when its supervisor dies: stop at once, without a grace period.
pub const SUPERVISOR_DIED: Signal = Signal::USR1;

/// How often a worker looks whether its supervisor is stopped.
const INTERVAL: Duration = Duration::from_millis(500);

/// The kind of stop request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT, or SIGQUIT.
    Interrupt,
    /// SIGTERM, or SIGHUP.
    Terminate,
}

/// The stop signals of this process, caught since [`Signals::catch`].
#[derive(Debug)]
pub struct Signals {
    interrupt: UnixStream,
    terminate: UnixStream,
    supervisor_died: UnixStream,
    was_stopped: Arc<AtomicBool>,
    supervisor: Option<Pid>,
    looked: Instant,
    first: Option<Stop>,
    count: usize,
}

impl Signals {
    /// Catches INT, QUIT, TERM, HUP, TSTP, CONT, XFSZ and [`SUPERVISOR_DIED`] until the process ends.
    ///
    /// # Errors
    /// A pipe cannot be created, or a handler cannot be installed.
    pub fn catch() -> io::Result<Self> {
        let caught = |signals: &[i32]| {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            for &signal in signals {
                signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
            }
            Ok::<_, io::Error>(reader)
        };
        // A write beyond the file size limit must return an error instead of killing the process. The signal is caught and
        // not ignored, because gates would inherit an ignored signal.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        // A run has deadlines and measures times, so a terminal cannot suspend it.
        signal_hook::flag::register(SIGTSTP, Arc::default())?;
        let was_stopped = Arc::new(AtomicBool::new(false));
        // Only this signal continues a stopped process, and its handler runs before anything else of the process.
        signal_hook::flag::register(SIGCONT, Arc::clone(&was_stopped))?;
        Ok(Signals {
            interrupt: caught(&[SIGINT, SIGQUIT])?,
            terminate: caught(&[SIGTERM, SIGHUP])?,
            supervisor_died: caught(&[SIGUSR1])?,
            was_stopped,
            supervisor: None,
            looked: Instant::now(),
            first: None,
            count: 0,
        })
    }

    /// Watches the supervisor of this process from now on.
    pub fn watch(&mut self, supervisor: i32) {
        self.supervisor = Pid::from_raw(supervisor);
    }

    /// Continues a stopped supervisor, and remembers that it was stopped. Looks at most once per interval.
    pub fn look(&mut self) {
        if self.looked.elapsed() >= INTERVAL {
            self.look_now();
        }
    }

    fn look_now(&mut self) {
        self.looked = Instant::now();
        if let Some(supervisor) = self.supervisor.filter(|pid| process::is_stopped(*pid)) {
            self.was_stopped.store(true, Ordering::Relaxed);
            // The kernel continues the supervisor if this call fails.
            let _ = kill_process(supervisor, Signal::CONT);
        }
    }

    /// Whether another process has stopped this one or its supervisor since the last call.
    pub fn was_stopped(&mut self) -> bool {
        self.look_now();
        self.was_stopped.swap(false, Ordering::Relaxed)
    }

    /// Returns the descriptors that become readable when a signal arrives.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [
            self.interrupt.as_fd(),
            self.terminate.as_fd(),
            self.supervisor_died.as_fd(),
        ]
    }

    /// Returns the first stop request, if one has arrived.
    pub fn stop(&mut self) -> Option<Stop> {
        self.arrived();
        self.first
    }

    /// Returns the stop requests since the last call.
    pub fn arrived(&mut self) -> Vec<Stop> {
        let mut arrived = Vec::new();
        for (pipe, stop, weight) in [
            (&mut self.interrupt, Stop::Interrupt, 1),
            (&mut self.terminate, Stop::Terminate, 1),
            // A dead supervisor cannot send a second signal, so this one counts twice.
            (&mut self.supervisor_died, Stop::Terminate, 2),
        ] {
            let mut bytes = [0u8; 64];
            while let Ok(n @ 1..) = pipe.read(&mut bytes) {
                self.count += n * weight;
                self.first.get_or_insert(stop);
                arrived.extend(std::iter::repeat_n(stop, n));
            }
        }
        arrived
    }

    /// Returns how many stop requests have arrived. The second one means: stop at once.
    pub fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn short_stop_is_seen_at_once() {
        // The stop and the handler concern the whole process.
        if std::env::var_os("NMOE_TEST_PROCESS").is_none() {
            let name = "system::signals::tests::short_stop_is_seen_at_once";
            let mut again = Command::new(std::env::current_exe().unwrap());
            again
                .args(["--exact", name, "--nocapture"])
                .env("NMOE_TEST_PROCESS", "1");
            let out = again.output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            return;
        }
        let mut signals = Signals::catch().unwrap();
        assert!(!signals.was_stopped());
        for _ in 0..100 {
            let stop = format!("kill -STOP {0}; kill -CONT {0}", std::process::id());
            // Nothing else watches this process.
            Command::new("sh").args(["-c", &stop]).status().unwrap();
            assert!(signals.was_stopped());
            assert!(!signals.was_stopped());
        }
    }
}
