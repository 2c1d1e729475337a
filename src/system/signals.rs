//! Signals that ask us to stop, as something a poll loop can wait for.
//!
//! Nothing happens in the handler but a byte into a pipe: whoever owns the [`Signals`] decides what stopping means.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGXFSZ};

/// What a worker hears when its keeper is gone: stop, and take no time over it.
pub const LEFT_ALONE: Signal = Signal::USR1;

/// Which way we were asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT, or SIGQUIT.
    Interrupt,
    /// SIGTERM, or SIGHUP.
    Terminate,
}

/// The signals of this process, caught from [`Signals::catch`] on.
#[derive(Debug)]
pub struct Signals {
    interrupt: UnixStream,
    terminate: UnixStream,
    alone: UnixStream,
    first: Option<Stop>,
    count: usize,
}

impl Signals {
    /// Catches INT, QUIT, TERM, HUP, XFSZ and [`LEFT_ALONE`] for the rest of the process.
    ///
    /// # Errors
    /// No pipe could be made, or a handler not be installed.
    pub fn catch() -> io::Result<Self> {
        let caught = |signals: &[i32]| {
            let (ours, handlers) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            for &signal in signals {
                signal_hook::low_level::pipe::register(signal, handlers.try_clone()?)?;
            }
            Ok::<_, io::Error>(ours)
        };
        // Past a limit of file size a write is to fail, not to kill. Caught and not ignored, so that no gate inherits it.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        Ok(Signals {
            interrupt: caught(&[SIGINT, SIGQUIT])?,
            terminate: caught(&[SIGTERM, SIGHUP])?,
            alone: caught(&[SIGUSR1])?,
            first: None,
            count: 0,
        })
    }

    /// Descriptors that become readable when a signal arrives.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.interrupt.as_fd(), self.terminate.as_fd(), self.alone.as_fd()]
    }

    /// The first signal that asked us to stop, if any has.
    pub fn stop(&mut self) -> Option<Stop> {
        self.arrived();
        self.first
    }

    /// The signals that arrived since the last look.
    pub fn arrived(&mut self) -> Vec<Stop> {
        let mut arrived = Vec::new();
        for (pipe, stop, weight) in [
            (&mut self.interrupt, Stop::Interrupt, 1),
            (&mut self.terminate, Stop::Terminate, 1),
            // Nobody is there to ask twice.
            (&mut self.alone, Stop::Terminate, 2),
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

    /// How many signals have asked us to stop; a second one means «now».
    pub fn count(&self) -> usize {
        self.count
    }
}
