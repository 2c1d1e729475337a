//! Turns stop signals into descriptors that a poll loop can wait for.
//!
//! A handler only writes one byte into a pipe; the owner of [`Signals`] decides what to stop. Must not depend on gates.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGXFSZ};

/// The signal that a worker gets when its supervisor dies: stop at once, without a grace period.
pub const SUPERVISOR_DIED: Signal = Signal::USR1;

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
    first: Option<Stop>,
    count: usize,
}

impl Signals {
    /// Catches INT, QUIT, TERM, HUP, XFSZ and [`SUPERVISOR_DIED`] until the process ends.
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
        Ok(Signals {
            interrupt: caught(&[SIGINT, SIGQUIT])?,
            terminate: caught(&[SIGTERM, SIGHUP])?,
            supervisor_died: caught(&[SIGUSR1])?,
            first: None,
            count: 0,
        })
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
