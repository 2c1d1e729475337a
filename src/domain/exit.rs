//! Defines the exit codes of the program. `explain exit-codes` prints them.

use std::process::ExitCode;

use crate::system::panics;

/// The result of a command, as a script sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Passed, or clean.
    Passed,
    /// A gate failed, or there is a finding of severity error.
    Failed,
    /// The command line or a file could not be used.
    Unusable,
    /// No verdict was possible: refused preflight, pending, inconclusive, invalid, an unreachable API.
    NoJudgement,
    /// The program has a bug and panicked.
    Defect,
    /// Cancelled by SIGINT.
    Interrupted,
    /// Cancelled by SIGTERM.
    Terminated,
}

/// Marks an error after which no verdict is possible (exit code 3), although the input was usable.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoVerdict(pub String);

impl Exit {
    /// All results with number and meaning, in the order of the numbers.
    pub const TABLE: [(Exit, u8, &'static str); 7] = [
        (Exit::Passed, 0, "passed, or clean"),
        (Exit::Failed, 1, "a gate failed, or a finding of severity error"),
        (Exit::Unusable, 2, "the command line or a file could not be used"),
        (
            Exit::NoJudgement,
            3,
            "no judgement was possible: preflight refused, pending, inconclusive, invalid, the API unreachable",
        ),
        (
            Exit::Defect,
            panics::EXIT_CODE,
            "a defect of this program; standard error has its location, and a run keeps what was recorded",
        ),
        (Exit::Interrupted, 130, "cancelled by SIGINT"),
        (Exit::Terminated, 143, "cancelled by SIGTERM"),
    ];

    /// Returns the result with this number.
    pub fn of_code(code: i32) -> Option<Self> {
        let row = Exit::TABLE.iter().find(|row| i32::from(row.1) == code);
        row.map(|row| row.0)
    }

    /// Returns the exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Exit::Passed => 0,
            Exit::Failed => 1,
            Exit::Unusable => 2,
            Exit::NoJudgement => 3,
            Exit::Defect => panics::EXIT_CODE,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
