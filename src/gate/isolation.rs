//! Finds out how this machine can isolate the commands of gates, and starts their shell at that level.
//!
//! Must not wait for commands.

use std::io::{self, PipeWriter};
use std::process::{Command, Stdio};

use crate::domain::evidence::Isolation;
use crate::system::cgroup::Cgroup;
use crate::system::pid_namespace::Server;
use crate::system::random;

/// Returns the strongest level that this machine allows outside of containers, and the server for a level that needs one.
pub fn level() -> (Isolation, Option<Server>) {
    let server = Server::start().ok().filter(Server::works);
    let level = if server.is_some() {
        Isolation::PidNamespace
    } else if new_group().is_some() {
        Isolation::Cgroup
    } else {
        Isolation::ProcessTree
    };
    (level, server)
}

/// Creates a control group for one command, if this machine allows that.
pub fn new_group() -> Option<Cgroup> {
    let token = random::token().ok()?;
    Cgroup::create(&format!("nmoe-gates-{}", &token[..12]))
}

/// Returns the words that run a script.
pub fn words(script: &str) -> [&str; 6] {
    ["bash", "-eo", "pipefail", "-c", "--", script]
}

/// Returns the command that runs a script without a namespace, with its output to this pipe.
///
/// # Errors
/// The kernel gives no descriptor.
pub fn shell(script: &str, output: PipeWriter) -> io::Result<Command> {
    let [program, arguments @ ..] = words(script);
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    Ok(command)
}
