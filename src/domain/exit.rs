//! Defines the exit codes of the program. `explain exit-codes` prints them.

use std::process::ExitCode;

use crate::system::panics;

/// The result of a command, as a script sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Passed, or clean.
    Passed = 0,
    /// A gate failed, or there is a finding of severity error.
    Failed = 1,
    /// The command line or a file could not be used.
    Unusable = 2,
    /// No verdict was possible: refused preflight, pending, inconclusive, invalid, an unreachable API.
    NoVerdict = 3,
    /// The program has a bug and panicked.
    ParseError = panics::EXIT_CODE,
    /// Cancelled by SIGINT.
    Interrupted = 130,
    /// Cancelled by SIGTERM.
    Terminated = 143,
}

/// Marks an error after which no verdict is possible (exit code 3), although the input was usable.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoVerdict(pub String);

impl Exit {
    /// All results with their meaning, in the order of their numbers.
    pub const TABLE: [(Exit, &'static str); 7] = [
        (Exit::Passed, "passed, or clean"),
        (Exit::Failed, "a gate failed, or a finding of severity error"),
        (Exit::Unusable, "the command line or a file could not be used"),
        (
            Exit::NoVerdict,
            "no verdict: refused, pending, inconclusive, invalid, or GitHub unreachable",
        ),
        (
            Exit::ParseError,
            "a defect of this program; standard error has its location",
        ),
        (Exit::Interrupted, "cancelled by SIGINT"),
        (Exit::Terminated, "cancelled by SIGTERM"),
    ];

    /// Returns the result with this number.
    pub fn of_code(code: i32) -> Option<Self> {
        let mut all = Exit::TABLE.iter().map(|(exit, _)| *exit);
        all.find(|exit| i32::from(exit.code()) == code)
    }

    /// Returns the exit code of the process.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
