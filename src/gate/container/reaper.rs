//! Removes the container of a gate if the supervisor of the gate was killed.
//!
//! For each container the supervisor starts this program again as a reaper, and holds a pipe to it. If the pipe ends without a
//! farewell, the supervisor is dead. A reaper has its own process group, so that a signal to the run does not reach it.
//! The end of the container's standard input is not enough: conmon of Podman keeps that input open.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::gate::container::client::{Engine, Kind};
use crate::system::kernel_timers;

/// The unlisted subcommand that runs the reaper.
pub const SUBCOMMAND: &str = "container-reaper";
/// How long the reaper waits for a client that was still creating the container, or for an engine that refuses the removal.
const CREATION: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(250);
/// The container was created, so a missing one is gone.
const CREATED: &[u8] = b"created ";
/// The supervisor has removed the container itself.
const FAREWELL: &[u8] = b"removed";

/// A reaper that waits.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
    pipe: ChildStdin,
}

impl Reaper {
    /// Starts a reaper for the container with this name. `None` if the container ends with its client.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(program: &Path, engine: &Engine, name: &str) -> io::Result<Option<Self>> {
        if engine.kind == Kind::Apptainer {
            return Ok(None);
        }
        let mut child = Command::new(program)
            .args([SUBCOMMAND, engine.kind.as_str(), name])
            .env_clear()
            .envs(engine.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Some(Reaper { child, pipe }))
    }

    /// Returns the process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Tells the reaper that the container exists.
    pub fn created(&mut self) {
        // An error means that the reaper has ended.
        let _ = self.pipe.write_all(CREATED);
    }

    /// Ends a reaper whose container is gone.
    pub fn dismiss(mut self) {
        // An error means that the reaper has ended.
        let _ = self.pipe.write_all(FAREWELL);
        drop(self.pipe);
        let _ = self.child.wait();
    }
}

/// Waits for the end of `input`, and then removes the container unless the farewell came.
///
/// # Errors
/// `words` are not the kind of an engine and a name, or the input cannot be read.
pub fn run(
    words: &[OsString],
    environment: Vec<(OsString, OsString)>,
    mut input: impl Read,
) -> io::Result<()> {
    let [kind, name] = words else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let kind = Kind::ALL
        .into_iter()
        .find(|known| known.as_str() == kind.as_os_str());
    let (Some(kind), Some(name)) = (kind, name.to_str()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // The supervisor of the gate waits for the end of this process.
    kernel_timers::continue_when_stopped()?;
    let mut said = Vec::new();
    input.read_to_end(&mut said)?;
    if said.ends_with(FAREWELL) {
        return Ok(());
    }
    let is_created = said.starts_with(CREATED);
    let engine = Engine { kind, environment };
    let until = Instant::now() + CREATION;
    while !engine.remove(name).is_ok_and(|found| found || is_created) && Instant::now() < until {
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
