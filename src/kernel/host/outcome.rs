//! Defines how long a host may take, and every way in which it can end.

use std::io;
use std::time::Duration;

/// Time and output limits for the kernel host.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest silence between two replies; a self-check reports nothing while it runs.
    pub step: Duration,
    /// Longest life altogether.
    pub whole: Duration,
    /// Most bytes that the library may print, and most that the replies may take.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            step: Duration::from_secs(60),
            whole: Duration::from_secs(600),
            output: 1 << 20,
        }
    }
}

/// How a host ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did all it was asked to, or said why not.
    Done,
    /// A signal ended it, such as SIGSEGV or SIGABRT.
    Signal(i32),
    /// It exited by itself, half-way; with code 0 as well.
    Exited(i32),
    /// It said nothing for too long, and was killed.
    Silent,
    /// It was stopped, as by SIGSTOP, and was killed.
    Stopped,
    /// It lived too long, and was killed.
    TooLong,
    /// It printed too much, and was killed.
    Flooded,
    /// Something that is no reply came over the socket; it was killed.
    Forged,
    /// Its socket was closed from within.
    CutOff,
}

impl Ending {
    /// What happened, in a few words.
    pub fn says(&self) -> String {
        match self {
            Ending::Done => "it ended in good order".to_owned(),
            Ending::Signal(number) => format!("it was ended by signal {number} ({})", signal_name(*number)),
            Ending::Exited(code) => format!("it left with exit code {code} before it was done"),
            Ending::Silent => "it said nothing for too long and was killed".to_owned(),
            Ending::Stopped => "it was stopped (SIGSTOP) and was killed".to_owned(),
            Ending::TooLong => "it took too long and was killed".to_owned(),
            Ending::Flooded => "it printed too much and was killed".to_owned(),
            Ending::Forged => "it sent something that is no reply, and was killed".to_owned(),
            Ending::CutOff => "it closed the descriptors of the kernel host".to_owned(),
        }
    }

    /// A stable word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::Signal(_) => "signal",
            Ending::Exited(_) => "exited",
            Ending::Silent => "silent",
            Ending::Stopped => "stopped",
            Ending::TooLong => "too_long",
            Ending::Flooded => "flooded",
            Ending::Forged => "forged",
            Ending::CutOff => "cut_off",
        }
    }
}

fn signal_name(number: i32) -> &'static str {
    match number {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => "see `kill -l`",
    }
}

/// The host could not be started here, so nothing is known of the library.
#[derive(Debug, thiserror::Error)]
#[error("the kernel host cannot run here: {0}")]
pub struct Unavailable(pub(super) String);

impl Unavailable {
    /// For this reason.
    pub fn because(error: io::Error) -> Self {
        Unavailable(error.to_string())
    }
}
