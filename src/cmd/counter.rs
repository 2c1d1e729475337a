//! Shows how far a long command is, as one temporary line on a terminal. A log gets nothing.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use crate::cmd::context::Context;

/// A temporary line on standard error, which the end of this value removes.
pub struct Counter {
    shows: bool,
}

impl Counter {
    pub fn new(context: &Context) -> Self {
        Counter {
            shows: context.verbosity >= 0 && std::io::stderr().is_terminal(),
        }
    }

    /// Replaces the line. The text must be of this program.
    pub fn show(&self, text: impl Display) {
        if self.shows {
            // Standard error may be closed. The progress is not important then.
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.show("");
    }
}
