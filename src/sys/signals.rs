//! Signals that ask us to stop, as something a poll loop can wait for.
//!
//! Nothing happens in the handler but a byte into a pipe: whoever owns the [`Signals`] decides what stopping means.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

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
    first: Option<Stop>,
    count: usize,
}

impl Signals {
    /// Catches INT, QUIT, TERM and HUP for the rest of the process.
    ///
    /// # Errors
    /// No pipe could be made, or a handler not be installed.
    pub fn catch() -> io::Result<Self> {
        let caught = |signals: [i32; 2]| {
            let (ours, handlers) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            for signal in signals {
                signal_hook::low_level::pipe::register(signal, handlers.try_clone()?)?;
            }
            Ok::<_, io::Error>(ours)
        };
        Ok(Signals {
            interrupt: caught([SIGINT, SIGQUIT])?,
            terminate: caught([SIGTERM, SIGHUP])?,
            first: None,
            count: 0,
        })
    }

    /// Descriptors that become readable when a signal arrives.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.interrupt.as_fd(), self.terminate.as_fd()]
    }

    /// The first signal that asked us to stop, if any has.
    pub fn stop(&mut self) -> Option<Stop> {
        for (pipe, stop) in [
            (&mut self.interrupt, Stop::Interrupt),
            (&mut self.terminate, Stop::Terminate),
        ] {
            let mut bytes = [0u8; 64];
            while let Ok(n @ 1..) = pipe.read(&mut bytes) {
                self.count += n;
                self.first.get_or_insert(stop);
            }
        }
        self.first
    }

    /// How many signals have asked us to stop; a second one means «now».
    pub fn count(&self) -> usize {
        self.count
    }
}
