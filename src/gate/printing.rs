//! Records when the samples of a command arrived, to compare the printed throughput with the time that passed.
//!
//! Must not read a clock.

use std::time::Duration;

/// When the samples of a command arrived, from the start of the command.
#[derive(Clone, Copy, Debug)]
pub struct Printing {
    pub first: Duration,
    pub last: Duration,
    /// The number of samples that arrived at once with the first one.
    pub before: u64,
}

impl Printing {
    /// Notes that there are `count` samples now.
    pub fn note(printing: &mut Option<Printing>, now: Duration, count: u64) {
        let printing = printing.get_or_insert(Printing {
            first: now,
            last: now,
            before: count,
        });
        printing.last = now;
    }
}
