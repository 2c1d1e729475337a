//! Finds out how this machine can isolate the commands of gates, and starts their shell at that level.
//!
//! Must not wait for commands.

use std::io::{self, PipeWriter};
use std::process::{Command, Stdio};

use crate::domain::evidence::Isolation;
use crate::system::cgroup::Cgroup;
use crate::system::pid_namespace::{self, Namespace};
use crate::system::random;

/// Returns the strongest level that this machine allows outside of containers.
pub fn level() -> Isolation {
    if pid_namespace::is_available() {
        Isolation::PidNamespace
    } else if new_group().is_some() {
        Isolation::Cgroup
    } else {
        Isolation::ProcessTree
    }
}

/// Creates a control group for one command, if this machine allows that.
pub fn new_group() -> Option<Cgroup> {
    let token = random::token().ok()?;
    Cgroup::create(&format!("nmoe-gates-{}", &token[..12]))
}

/// Returns the command that runs a script at this level, with its output to this pipe.
///
/// # Errors
/// The kernel gives no descriptor.
pub fn shell(script: &str, level: Isolation, output: PipeWriter) -> io::Result<(Command, Option<Namespace>)> {
    let words = ["bash", "-eo", "pipefail", "-c", "--", script];
    if level == Isolation::PidNamespace {
        let (mut command, namespace) = Namespace::command(&words)?;
        command.stderr(output);
        return Ok((command, Some(namespace)));
    }
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    Ok((command, None))
}
