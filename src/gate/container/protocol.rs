//! The messages between the supervisor of a gate and its first process in the container.
//!
//! The supervisor writes one [`Task`] to the standard input of the container and keeps that input open. After the task, each
//! [`ALIVE`] says that the supervisor lives, and [`STOP`], the end of the input, or a long time without [`ALIVE`] asks to end the
//! command. The first process writes [`Report`]s to its standard error, one JSON line each.
//! Both are the same program. Must not start processes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The label of every container that this program starts.
pub const LABEL: &str = "nmoe-gates.gate";
/// The path of this program in a container.
pub const PROGRAM: &str = "/nmoe-gates-init";
/// The unlisted subcommand that runs the first process.
pub const SUBCOMMAND: &str = "container-init";
/// Asks the first process to end the command. Podman passes a line on and does not pass on the end of the input.
pub const STOP: &[u8] = b"stop\n";
/// Says that the supervisor lives: an empty line. A daemon that is killed ends neither its containers nor their input.
pub const ALIVE: u8 = b'\n';
/// How often the supervisor says that it lives.
pub const PULSE: Duration = Duration::from_secs(5);
/// How many seconds without [`ALIVE`] mean that the supervisor is gone.
pub const LOST_AFTER_S: u64 = 120;
/// Where the caches of kernels that are compiled at run time are in a container.
pub const JIT_CACHES: &str = "/nmoe-gates-jit";
/// Where the checkout under test is in a container.
pub const SUBJECT: &str = "/workspace";

/// What the first process must run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    /// Marks the reports. The command cannot read it.
    pub token: String,
    /// The script for `bash -eo pipefail`.
    pub command: String,
    /// The working directory.
    pub directory: String,
    /// The variables of the command. Values that are not UTF-8 cannot be passed.
    pub environment: BTreeMap<String, String>,
    /// Variables for which the image has priority; present if the engine, and not this task, brings the variables of the image.
    pub defaults: Option<BTreeMap<String, String>>,
    /// How many seconds without [`ALIVE`] mean that the supervisor is gone.
    pub lost_after_s: u64,
}

/// What the first process tells.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The command runs now.
    Started,
    /// The command and all processes that it left have ended.
    Ended {
        /// The exit code of the command.
        exit: Option<i32>,
        /// The signal that ended the command.
        signal: Option<i32>,
        /// The number of processes that were still running after the command.
        leaks: u32,
        /// The run time of the command in milliseconds.
        duration_ms: u64,
        /// Whether the container was asked to stop.
        stopped: bool,
    },
    /// The command could not be started.
    Failed {
        /// The reason.
        cause: String,
    },
}

/// A line of the report stream.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    token: String,
    report: Report,
}

/// Formats a report as one line.
pub fn line(token: &str, report: Report) -> String {
    let line = Line {
        token: token.to_owned(),
        report,
    };
    // A report is plain data, so writing it to memory does not fail.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// Returns the report in a line. Lines of the engine, and lines with another token, are not reports.
pub fn report(token: &str, line: &[u8]) -> Option<Report> {
    let line: Line = serde_json::from_slice(line).ok()?;
    (line.token == token).then_some(line.report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reports_with_the_token_are_read() {
        let text = line("t", Report::Started);
        assert_eq!(report("t", text.trim_end().as_bytes()), Some(Report::Started));
        assert_eq!(report("other", text.trim_end().as_bytes()), None);
        assert_eq!(report("t", b"WARNING: no swap limit"), None);
    }
}
