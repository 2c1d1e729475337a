//! Describes a command, and starts it in its process group, namespace or container with a pipe for its output.
//!
//! Must not wait for the command; [`crate::gate::process`] does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::gate::container::Start;
use crate::gate::container::running::Running as Container;
use crate::gate::isolation;
use crate::gate::metrics::Meter;
use crate::gate::printing::Printing;
use crate::system::cgroup::Cgroup;
use crate::system::pid_namespace::{Namespace, Program, Server};
use crate::system::process_tree::Leader;

/// The size of the pipe and of one read.
pub const CHUNK: usize = 256 << 10;

/// A command to run.
#[derive(Clone, Debug)]
pub struct CommandSpec<'a> {
    /// The name in progress messages.
    pub label: &'a str,
    /// The script for `bash -eo pipefail`.
    pub command: &'a str,
    /// The working directory.
    pub dir: &'a Path,
    /// The complete environment of the command.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// The longest run time; `None` means no limit.
    pub timeout: Option<Duration>,
    /// The longest time without output; `None` means no limit.
    pub silence: Option<Duration>,
    /// The container to run the command in. The container has its own directory and environment.
    pub container: Option<&'a Start>,
}

/// A running command.
pub struct Running<'a> {
    /// The command, or the client that started its container.
    pub leader: Leader,
    pub container: Option<Container<'a>>,
    pub namespace: Option<Namespace>,
    pub pipe: Option<PipeReader>,
    pub group: Option<Cgroup>,
    pub meter: Meter,
    pub printing: Option<Printing>,
    pub started: Instant,
    pub last_output_at: Instant,
}

impl<'a> Running<'a> {
    /// Reads the reports of a container. The time of its command begins when the command starts.
    pub fn read_reports(&mut self) {
        if self.container.as_mut().is_some_and(Container::read) {
            self.started = Instant::now();
            self.last_output_at = self.started;
        }
    }

    /// Starts a command. A command outside of a container runs in a namespace if there is a server for one.
    ///
    /// # Errors
    /// The command could not be started.
    pub fn start(spec: &CommandSpec<'a>, meter: Meter, server: Option<&Server>) -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK)?;
        // Ignore an error: a smaller pipe is only slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, CHUNK);
        let group = if spec.container.is_none() {
            isolation::new_group()
        } else {
            None
        };
        let (mut namespace, mut container) = (None, None);
        let (leader, started);
        if let (None, Some(server)) = (spec.container, server) {
            let program = Program {
                words: &isolation::words(spec.command),
                dir: spec.dir,
                environment: spec.environment,
            };
            let (entry, connection) = server.run(&program, writer.as_fd(), group.as_ref())?;
            (leader, started, namespace) = (entry, Instant::now(), Some(connection));
            drop(writer);
        } else {
            let mut command = match spec.container {
                Some(start) => {
                    let mut client = start.engine.command();
                    container = Some(Container::connect(start, &mut client)?);
                    client.stdout(writer);
                    client
                }
                None => {
                    let mut command = isolation::shell(spec.command, writer)?;
                    command.env_clear().envs(spec.environment).current_dir(spec.dir);
                    command
                }
            };
            started = Instant::now();
            leader = Leader::of(&command.process_group(0).spawn()?);
            drop(command);
            if let Some(group) = &group {
                // Processes that start before this call are outside the group; `kill_descendants` finds them one by one.
                let _ = group.add(leader.pid);
            }
        }
        Ok(Running {
            leader,
            container,
            namespace,
            pipe: Some(pipe),
            group,
            meter,
            printing: None,
            started,
            last_output_at: started,
        })
    }
}
