//! Defines the library and the limits of a kernel host, and the ways in which it can exit. Must not start or read a host.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// Time and output limits for the kernel host.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum time between two replies. A self-check sends no reply while it runs.
    pub step: Duration,
    /// Maximum run time of the host.
    pub whole: Duration,
    /// Maximum number of bytes of the library output, and of all replies.
    pub output: u64,
    /// Maximum number of bytes of host memory that the host occupies; processes that it starts do not count.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            step: Duration::from_secs(60),
            whole: Duration::from_secs(600),
            output: 1 << 20,
            memory: 16 << 30,
        }
    }
}

/// A library for the host.
#[derive(Debug)]
pub struct HostLibrary {
    /// The file, which becomes the standard input of the host.
    pub file: OwnedFd,
    /// Folders where the loader searches libraries that this one needs, before all others.
    pub search: Vec<PathBuf>,
    /// The only GPU that the host sees; all that this process sees if `None`.
    pub gpu: Option<String>,
}

/// How a host exited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostExit {
    /// The host completed the request, or reported why it could not.
    Done,
    /// A signal killed the host, for example SIGSEGV or SIGABRT.
    Signal(i32),
    /// The host exited before it had completed the request, possibly with code 0.
    Exited(i32),
    /// The host sent no reply in time and was killed.
    Silent,
    /// The host was stopped, for example by SIGSTOP, and was killed.
    Stopped,
    /// The host ran too long and was killed.
    TooLong,
    /// The host printed too much and was killed.
    Flooded,
    /// The host occupied too much memory and was killed.
    TooMuchMemory,
    /// The socket received an invalid line, and the host was killed.
    Forged,
    /// Code in the host closed its socket.
    CutOff,
}

impl HostExit {
    /// Describes what happened.
    pub fn message(&self) -> String {
        match self {
            HostExit::Done => "it completed the request".to_owned(),
            HostExit::Signal(number) => format!("signal {number} ({}) killed it", signal_name(*number)),
            HostExit::Exited(code) => format!("it ended early with exit code {code}"),
            HostExit::Silent => "it sent no reply in time and was killed".to_owned(),
            HostExit::Stopped => "it was stopped (SIGSTOP) and was killed".to_owned(),
            HostExit::TooLong => "it ran too long and was killed".to_owned(),
            HostExit::Flooded => "it printed too much and was killed".to_owned(),
            HostExit::TooMuchMemory => "it used more memory than its limit and was killed".to_owned(),
            HostExit::Forged => "it sent an invalid reply and was killed".to_owned(),
            HostExit::CutOff => "it closed the descriptors of the kernel host".to_owned(),
        }
    }

    /// Returns the stable name.
    pub fn as_str(&self) -> &'static str {
        match self {
            HostExit::Done => "done",
            HostExit::Signal(_) => "signal",
            HostExit::Exited(_) => "exited",
            HostExit::Silent => "silent",
            HostExit::Stopped => "stopped",
            HostExit::TooLong => "too_long",
            HostExit::Flooded => "flooded",
            HostExit::TooMuchMemory => "too_much_memory",
            HostExit::Forged => "forged",
            HostExit::CutOff => "cut_off",
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

/// The host cannot be started on this machine, so the library remains unchecked.
#[derive(Debug, thiserror::Error)]
#[error("the kernel host cannot run here: {0}")]
pub struct Unavailable(pub(super) String);

impl Unavailable {
    /// Wraps the error that prevents the start.
    pub fn because(error: io::Error) -> Self {
        Unavailable(error.to_string())
    }
}
