//! Finds and ends the containers that a gate leaves behind.
//!
//! A container of a daemon does not descend from the gate, so the supervisor cannot see it. The list of the engine before the gate
//! is compared with the list after it. A new container counts as the gate's own only if the gate names an engine, because other
//! programs may start containers at the same time. The containers of an engine without a daemon are descendants of the gate.
//! Must not start processes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::gate::container::protocol::LABEL;
use crate::gate::output::Output;
use crate::github::workflow_run;
use crate::system::files;

/// The longest answer of an engine, in bytes.
const LARGEST_ANSWER: u64 = 16 << 20;
/// The largest script that is searched for the name of an engine.
const LARGEST_SCRIPT: u64 = 256 << 10;
/// The longest wait for an engine. Ending a container can take some seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where engines listen without a setting.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];

/// A container as an engine lists it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    state: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// The containers of the engines that a gate can reach, before the gate.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The containers by socket.
    sockets: Vec<(PathBuf, BTreeSet<String>)>,
    /// Whether a new container belongs to the gate.
    is_owner: bool,
}

impl Snapshot {
    /// Lists the containers of the engines that this command can reach.
    pub fn take(
        command: &str,
        environment: &BTreeMap<OsString, OsString>,
        subject: &Path,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let names_engine = mentions_engine(command)
            || ["DOCKER_HOST", "CONTAINER_HOST"]
                .iter()
                .any(|name| environment.contains_key(OsStr::new(name)))
            || scripts(command, subject).any(|text| mentions_engine(&text));
        // A job of Actions has its runner, and so the engine of the runner, to itself.
        let is_owner = names_engine || workflow_run::in_actions(&variable);
        let sockets = sockets(command, &variable)
            .into_iter()
            .filter_map(|socket| {
                let ids = list(&socket)?.into_iter().map(|one| one.id).collect();
                Some((socket, ids))
            })
            .collect();
        Snapshot { sockets, is_owner }
    }

    /// Ends the containers that the gate left. Returns how many of them were still running.
    pub fn end_new(&self, output: &mut Output) -> u32 {
        let mut left = 0;
        for (socket, before) in &self.sockets {
            let new = list(socket).unwrap_or_default();
            // Containers of another run of this program end with that run.
            let is_new = |one: &&Listed| {
                let is_other_run = one
                    .labels
                    .as_ref()
                    .is_some_and(|labels| labels.contains_key(LABEL));
                !before.contains(&one.id) && !is_other_run
            };
            for container in new.iter().filter(is_new) {
                let id = &container.id[..container.id.len().min(12)];
                if !self.is_owner {
                    output.line(format_args!(
                        "container: {id} appeared during the gate, which names no engine; if the gate started it: docker rm --force {id}"
                    ));
                    continue;
                }
                let is_running = matches!(container.state.as_str(), "running" | "paused" | "restarting");
                left += u32::from(is_running);
                let target = format!("/containers/{}?force=true&v=true", container.id);
                if request(socket, "DELETE", &target).is_none()
                    && list(socket).is_none_or(|now| now.iter().any(|one| one.id == container.id))
                {
                    output.line(format_args!(
                        "container: {id} of the gate could not be ended: docker rm --force {id}"
                    ));
                }
            }
        }
        left
    }
}

/// Whether a command or script names a container engine or the socket of one.
pub fn mentions_engine(text: &str) -> bool {
    const NAMES: [&str; 7] = [
        "docker",
        "podman",
        "nerdctl",
        "ctr",
        "crictl",
        "DOCKER_HOST",
        "CONTAINER_HOST",
    ];
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|word| NAMES.contains(&word))
}

/// Returns the text of each small file of the checkout that a command names.
fn scripts(command: &str, subject: &Path) -> impl Iterator<Item = String> {
    command
        .split_whitespace()
        .map(|word| {
            word.trim_matches(['"', '\'', ';', '(', ')'])
                .trim_start_matches("./")
        })
        .filter(move |word| files::contains(subject, word))
        .filter_map(move |word| files::read_regular(&subject.join(word), LARGEST_SCRIPT).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the sockets of engines that a command can reach: the usual ones, those of variables, and those in the command.
fn sockets(command: &str, variable: &impl Fn(&str) -> Option<OsString>) -> BTreeSet<PathBuf> {
    let mut found: BTreeSet<PathBuf> = SOCKETS.iter().map(PathBuf::from).collect();
    if let Some(folder) = variable("XDG_RUNTIME_DIR").map(PathBuf::from) {
        found.extend(["docker.sock", "podman/podman.sock"].map(|name| folder.join(name)));
    }
    let settings = ["DOCKER_HOST", "CONTAINER_HOST"].into_iter().filter_map(variable);
    let texts: Vec<String> = settings
        .map(|value| value.to_string_lossy().into_owned())
        .chain([command.to_owned()])
        .collect();
    for text in &texts {
        let after = text
            .match_indices("unix://")
            .map(|(at, found)| &text[at + found.len()..]);
        found.extend(after.map(|rest| {
            let end = rest.find(|c: char| c.is_whitespace() || "\"';&|)".contains(c));
            PathBuf::from(&rest[..end.unwrap_or(rest.len())])
        }));
    }
    found
        .into_iter()
        // The usual names link to each other.
        .filter_map(|path| path.canonicalize().ok())
        .collect()
}

fn list(socket: &Path) -> Option<Vec<Listed>> {
    serde_json::from_slice(&request(socket, "GET", "/containers/json?all=true")?).ok()
}

/// Sends one request to the engine. Returns the body of a good answer.
fn request(socket: &Path, method: &str, target: &str) -> Option<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // HTTP/1.0: the engine closes the connection at the end and does not send the body in chunks.
    write!(stream, "{method} {target} HTTP/1.0\r\nHost: engine\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer).ok()?;
    let head = memchr::memmem::find(&answer, b"\r\n\r\n")?;
    let is_good = answer.get(9).is_some_and(|digit| *digit == b'2') && answer.starts_with(b"HTTP/1.");
    is_good.then(|| answer.split_off(head + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_name_an_engine_are_found() {
        for text in [
            "docker run -d x",
            "curl --unix-socket /var/run/docker.sock http://x/",
            "exec podman ps",
            "DOCKER_HOST=x make",
        ] {
            assert!(mentions_engine(text), "{text}");
        }
        for text in [
            "make dockerfile",
            "python -m nmoe.docked",
            "cat docker_notes",
            "true",
        ] {
            assert!(!mentions_engine(text), "{text}");
        }
    }

    #[test]
    fn only_existing_sockets_are_asked() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("e.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let command = format!(
            "docker -H unix://{} ps; docker -H unix:///no/such ps",
            socket.display()
        );
        let found = sockets(&command, &|_| None);
        assert!(found.contains(&socket.canonicalize().unwrap()), "{found:?}");
        assert!(!found.iter().any(|path| path.ends_with("no/such")));
    }
}
