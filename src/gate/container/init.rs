//! Runs as the first process of a gate's container: starts the command, ends it on request, and reports how it ended.
//!
//! The container has the same rules as a gate without one: the same grace periods, and the same count of leaked processes.
//! The command cannot change a report: this process is not dumpable, so the command cannot open its descriptors.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::gate::container::protocol::{self, Report, Task};
use crate::system::process;
use crate::system::process_tree::{Descendants, GRACE_PERIOD, KILL_TIMEOUT, Leader, TERMINATE_TIMEOUT};
use crate::system::signals::Signals;

/// The largest task, in bytes.
const LARGEST_TASK: usize = 4 << 20;

/// The standard streams of the container.
pub struct Streams {
    /// Brings the task, and then signs of life and the request to stop. Its end means that the supervisor outside is gone.
    pub input: OwnedFd,
    /// Takes the output of the command.
    pub output: OwnedFd,
    /// Takes the reports.
    pub reports: OwnedFd,
}

/// Reads the task, runs it, and writes the reports. `image` are the names of the variables that the engine brings.
///
/// # Errors
/// The task is missing, or the reports cannot be written.
pub fn run(streams: Streams, image: &[OsString]) -> io::Result<()> {
    process::deny_inspection()?;
    process::close_descriptors_on_exec();
    let signals = Signals::catch()?;
    let mut input = File::from(streams.input);
    let mut reports = File::from(streams.reports);
    let task: Task = serde_json::from_slice(&first_line(&mut input)?)?;
    let mut report = |report| reports.write_all(protocol::line(&task.token, report).as_bytes());
    let descendants = Descendants::adopt()?;
    let started = Instant::now();
    let leader = match start(&task, image, &streams.output) {
        Ok(leader) => leader,
        Err(error) => {
            let cause = format!(
                "cannot start bash in {} of the container: {error}",
                task.directory
            );
            return report(Report::Failed { cause });
        }
    };
    // Without a reader the supervisor outside is gone. The command runs already, so it must be ended.
    let is_alone = report(Report::Started).is_err();
    let supervisor = Supervisor {
        input,
        seen: Instant::now(),
        patience: Duration::from_secs(task.lost_after_s),
        is_gone: is_alone,
    };
    report(supervise(leader, &descendants, signals, supervisor, started))
}

fn start(task: &Task, image: &[OsString], output: &OwnedFd) -> io::Result<Leader> {
    let mut command = Command::new("bash");
    command.args(["-eo", "pipefail", "-c", "--", &task.command]);
    match &task.defaults {
        Some(defaults) => {
            let is_absent =
                |(name, _): &(&String, &String)| image.iter().all(|known| *known != name.as_str());
            command.envs(defaults.iter().filter(is_absent));
        }
        None => {
            command.env_clear();
        }
    }
    let child = command
        .envs(&task.environment)
        .current_dir(&task.directory)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .process_group(0)
        .spawn()?;
    Ok(Leader::of(&child))
}

/// Waits for the end of the command or for a request to stop, and then ends everything that is left.
fn supervise(
    mut leader: Leader,
    descendants: &Descendants,
    mut signals: Signals,
    mut supervisor: Supervisor,
    started: Instant,
) -> Report {
    let mut stopped = supervisor.is_gone;
    while leader.reap().is_none() && !stopped {
        wait(&leader, &signals, &mut supervisor, Duration::from_secs(1));
        stopped = supervisor.is_gone || signals.stop().is_some();
    }
    if stopped {
        leader.signal_group(Signal::TERM);
        let pid = leader.pid;
        descendants.terminate(|one| one.pid != pid);
    }
    let patience = if stopped { TERMINATE_TIMEOUT } else { GRACE_PERIOD };
    let until = Instant::now() + patience;
    while !descendants.living().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
        leader.reap();
    }
    // The command itself is not a leak.
    let command = usize::from(leader.reap().is_none());
    let killed = descendants.kill_all(Instant::now() + KILL_TIMEOUT, |_| {});
    let status = leader.reap();
    let ended = leader.ended().unwrap_or_else(Instant::now);
    Report::Ended {
        exit: status.and_then(|s| s.exit_status()),
        signal: status.and_then(|s| s.terminating_signal()),
        leaks: u32::try_from(killed.saturating_sub(command)).unwrap_or(u32::MAX),
        duration_ms: u64::try_from((ended - started).as_millis()).unwrap_or(u64::MAX),
        stopped,
    }
}

/// Waits for an event, at most this long, and reads what the supervisor outside says.
fn wait(leader: &Leader, signals: &Signals, supervisor: &mut Supervisor, at_most: Duration) {
    let mut fds: Vec<_> = signals
        .descriptors()
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .into();
    fds.extend(leader.pidfd().map(|fd| PollFd::new(fd, PollFlags::IN)));
    fds.push(PollFd::new(&supervisor.input, PollFlags::IN));
    let timeout = Timespec::try_from(at_most).ok();
    // An interrupted wait only returns early.
    let _ = poll(&mut fds, timeout.as_ref());
    let is_readable = fds.last().is_some_and(|fd| !fd.revents().is_empty());
    supervisor.listen(is_readable);
}

/// The supervisor outside.
struct Supervisor {
    input: File,
    /// When it last gave a sign of life.
    seen: Instant,
    patience: Duration,
    /// Whether it asked to end the command, or is gone.
    is_gone: bool,
}

impl Supervisor {
    /// Reads signs of life and the request to stop.
    fn listen(&mut self, is_readable: bool) {
        let mut buffer = [0u8; 64];
        let read = is_readable.then(|| self.input.read(&mut buffer));
        match read {
            Some(Ok(n)) if n > 0 && buffer[..n].iter().all(|byte| *byte == protocol::ALIVE) => {
                self.seen = Instant::now();
            }
            Some(_) => self.is_gone = true,
            None => self.is_gone = self.seen.elapsed() > self.patience,
        }
    }
}

/// Reads up to the first line break, and nothing after it.
fn first_line(input: &mut File) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0u8; 1];
    loop {
        if input.read(&mut byte)? == 0 || line.len() > LARGEST_TASK {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if byte == *b"\n" {
            return Ok(line);
        }
        line.push(byte[0]);
    }
}
