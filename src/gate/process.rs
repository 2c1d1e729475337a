//! One shell command under full supervision: started in a group of its own, watched to an exact deadline, ended with all
//! it started, its output streamed and measured.
//!
//! Everything that runs a command of the subject goes through here: gates, both arms of a perf comparison, kernel builds.
//! While a launch runs, this process must have no other child under its own care.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::io::{self, PipeReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::gate::metrics::{Measured, Meter};
use crate::gate::output::Output;
use crate::system::cgroup::Cgroup;
use crate::system::process::Process;
use crate::system::process_tree::{self, Descendants, Leader};
use crate::system::random;
use crate::system::signals::{Signals, Stop};

/// From the first request to end until the end is made.
pub const TERMINATE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long what a gate left may take to end by itself before it counts as left behind.
const GRACE_PERIOD: Duration = Duration::from_millis(500);
/// How long the sweep goes on against processes that keep starting others.
const KILL_TIMEOUT: Duration = Duration::from_secs(3);
/// Size of the pipe and of one read.
const CHUNK: usize = 256 << 10;

/// What to run.
#[derive(Clone, Debug)]
pub struct CommandSpec<'a> {
    /// Name for people who watch.
    pub label: &'a str,
    /// Shell text for `bash -eo pipefail`.
    pub command: &'a str,
    /// Where.
    pub dir: &'a Path,
    /// All that it sees of the environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// How long it may run; none means no limit.
    pub timeout: Option<Duration>,
    /// How long it may print nothing; none means no limit.
    pub silence: Option<Duration>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal that we did not send.
    Signalled(i32),
    /// It ran past its deadline and was ended.
    TimedOut,
    /// It printed nothing for too long and was ended.
    Silent,
    /// We were asked to stop and ended it.
    Stopped(Stop),
}

/// What a command left.
#[derive(Clone, Debug)]
pub struct CommandOutcome {
    /// How it ended.
    pub termination: Termination,
    /// Wall time from its start to its own end.
    pub duration: Duration,
    /// Processes it left behind after ending by itself; all of them were ended.
    pub leaks: u32,
    /// The metrics that were taken.
    pub metrics: IndexMap<String, Measured>,
}

/// Whoever watches a command run, to tell people about it.
pub trait Watch {
    /// How often to be told; none for never.
    fn every(&self) -> Option<Duration> {
        None
    }
    /// This runs from now on, with this limit.
    fn begin(&mut self, _label: &str, _limit: Option<Duration>) {}
    /// It has ended.
    fn end(&mut self) {}
    /// So long it runs and has printed nothing.
    fn tick(&mut self, _running: Duration, _silent: Duration) {}
    /// It printed something.
    fn output(&mut self) {}
}

/// Nobody watches.
impl Watch for () {}

/// What all launches of a process share: signals, the output, and which children were there before.
pub struct Supervisor {
    /// Signals that ask us to stop.
    pub signals: Signals,
    /// Where output goes.
    pub output: Output,
    /// Whoever watches.
    pub watch: Box<dyn Watch>,
    descendants: Descendants,
    buffer: Vec<u8>,
}

/// A command that runs.
struct Running {
    leader: Leader,
    pipe: Option<PipeReader>,
    group: Option<Cgroup>,
    meter: Meter,
    started: Instant,
    last_output_at: Instant,
}

impl Supervisor {
    /// A supervisor for the rest of the process, which becomes the parent of everything that is orphaned below it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn new(signals: Signals, output: Output, watch: Box<dyn Watch>) -> io::Result<Self> {
        Ok(Supervisor {
            signals,
            output,
            watch,
            descendants: Descendants::adopt()?,
            buffer: Vec::new(),
        })
    }

    /// Excludes processes that run already from what the next launches end.
    pub fn exclude_current_children(&mut self) {
        self.descendants.exclude_current();
    }

    /// Whether we were asked to stop, and how.
    pub fn stop(&mut self) -> Option<Stop> {
        self.signals.stop()
    }

    /// Runs a command to its end and everything it started with it.
    ///
    /// # Errors
    /// It could not be started.
    pub fn run(&mut self, spec: &CommandSpec<'_>, meter: Meter) -> io::Result<CommandOutcome> {
        self.buffer.resize(CHUNK, 0);
        let mut running = start(spec, meter)?;
        self.watch.begin(spec.label, spec.timeout);
        let cut = self.wait_with_deadline(&mut running, spec);
        if cut.is_some() {
            self.terminate(&mut running);
        } else {
            self.grace_period(&mut running);
        }
        let left = self.kill_descendants(&mut running);
        self.drain(&mut running);
        self.watch.end();
        self.output.end_of_gate();
        let termination = match (cut, running.leader.status()) {
            (Some(early), _) => early,
            (None, Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Termination::Exited(code),
                (None, Some(signal)) => Termination::Signalled(signal),
                (None, None) => Termination::Signalled(0),
            },
            // It vanished without a status: whoever reaped it was not us.
            (None, None) => Termination::Signalled(0),
        };
        let ended = running.leader.ended().unwrap_or_else(Instant::now);
        Ok(CommandOutcome {
            termination,
            duration: ended - running.started,
            leaks: if cut.is_some() { 0 } else { left },
            metrics: running.meter.finish(),
        })
    }

    /// Until the command ends by itself, or must be ended.
    fn wait_with_deadline(&mut self, running: &mut Running, spec: &CommandSpec<'_>) -> Option<Termination> {
        let deadline = spec.timeout.map(|t| running.started + t);
        let mut last_tick = running.started;
        loop {
            if running.leader.reap().is_some() {
                return None;
            }
            if let Some(stop) = self.signals.stop() {
                return Some(Termination::Stopped(stop));
            }
            let now = Instant::now();
            if !self.output.ready() {
                // Nobody takes what it prints: its silence is not its own.
                running.last_output_at = now;
            }
            if deadline.is_some_and(|d| now >= d) {
                return Some(Termination::TimedOut);
            }
            let silent = spec.silence.map(|s| running.last_output_at + s);
            if silent.is_some_and(|m| now >= m) {
                return Some(Termination::Silent);
            }
            let tick = self.watch.every().map(|every| last_tick + every);
            if tick.is_some_and(|t| now >= t) {
                last_tick = now;
                self.watch
                    .tick(now - running.started, now - running.last_output_at);
                continue;
            }
            let next = [deadline, silent, tick].into_iter().flatten().min();
            self.wait(running, next.map(|n| n.saturating_duration_since(now)));
        }
    }

    /// Waits until something happens, at most this long, and takes what was printed.
    fn wait(&mut self, running: &mut Running, at_most: Option<Duration>) {
        // Once a second the dead that nobody else buries are buried.
        let limit = Duration::from_millis(if running.leader.pidfd().is_some() {
            1000
        } else {
            10
        });
        let timeout = at_most.map_or(limit, |t| t.min(limit));
        let timeout = Timespec::try_from(timeout).ok();
        let ready = self.output.ready();
        let readable = {
            let mut fds: Vec<_> = self
                .signals
                .descriptors()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .into();
            fds.push(PollFd::from_borrowed_fd(self.output.descriptor(), PollFlags::IN));
            if let (None, Some(pidfd)) = (running.leader.ended(), running.leader.pidfd()) {
                fds.push(PollFd::new(pidfd, PollFlags::IN));
            }
            let pipe = running.pipe.as_ref().filter(|_| ready);
            if let Some(pipe) = pipe {
                fds.push(PollFd::new(pipe, PollFlags::IN));
            }
            // An interrupted wait is a short wait.
            let _ = poll(&mut fds, timeout.as_ref());
            pipe.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty())
        };
        self.output.collect();
        self.signals.stop();
        if readable {
            self.read_output(running, false);
        }
    }

    /// Takes one stretch of output, if there is one and it can be passed on, or must be.
    fn read_output(&mut self, running: &mut Running, must: bool) -> bool {
        let Some(pipe) = running.pipe.as_mut().filter(|_| must || self.output.ready()) else {
            return false;
        };
        match pipe.read(&mut self.buffer) {
            Ok(0) => running.pipe = None,
            Ok(n) => {
                running.last_output_at = Instant::now();
                self.watch.output();
                running.meter.push(&self.buffer[..n]);
                self.output.push(&self.buffer[..n]);
                return true;
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => running.pipe = None,
        }
        false
    }

    /// TERM to all of it, then time to end in order; a second signal to us cuts that short.
    fn terminate(&mut self, running: &mut Running) {
        let until = Instant::now() + TERMINATE_TIMEOUT;
        let signals = self.signals.count();
        running.leader.signal_group(Signal::TERM);
        let leader = running.leader.pid;
        self.descendants.terminate(|one| one.pid != leader);
        loop {
            running.leader.reap();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.signals.count() > signals.max(1) || !self.any_left(running) {
                return;
            }
            self.wait(running, Some(left.min(Duration::from_millis(20))));
        }
    }

    /// Lets what is about to end anyway do so, such as the readers at the end of a pipe.
    fn grace_period(&mut self, running: &mut Running) {
        let until = Instant::now() + GRACE_PERIOD;
        loop {
            running.leader.reap();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.any_left(running) {
                return;
            }
            self.wait(running, Some(left.min(Duration::from_millis(5))));
        }
    }

    fn any_left(&self, running: &Running) -> bool {
        running.leader.status().is_none() || !self.descendants.living().is_empty()
    }

    /// Ends everything that is left; how many processes that were.
    fn kill_descendants(&mut self, running: &mut Running) -> u32 {
        let until = Instant::now() + KILL_TIMEOUT;
        let mut seen: HashSet<Process> = HashSet::new();
        running.leader.reap();
        while self.any_left(running) {
            let left = self.descendants.stop();
            seen.extend(left.iter().filter(|one| one.pid != running.leader.pid));
            if let Some(group) = &running.group {
                group.kill();
            }
            running.leader.signal_group(Signal::KILL);
            process_tree::kill(&left);
            if Instant::now() >= until {
                break;
            }
            self.wait(running, Some(Duration::from_millis(1)));
            running.leader.reap();
        }
        u32::try_from(seen.len()).unwrap_or(u32::MAX)
    }

    /// Takes what is still in the pipe, whether or not the reader keeps up: all that wrote to it is gone, so it is no more
    /// than a pipe holds. Somebody out of our reach may hold it open and write on; that is cut off.
    fn drain(&mut self, running: &mut Running) {
        for _ in 0..4 {
            if !self.read_output(running, true) {
                return;
            }
        }
    }
}

fn start(spec: &CommandSpec<'_>, meter: Meter) -> io::Result<Running> {
    let (pipe, writer) = io::pipe()?;
    rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK)?;
    // A smaller pipe is only slower.
    let _ = rustix::pipe::fcntl_setpipe_size(&pipe, CHUNK);
    let group = random::token()
        .ok()
        .and_then(|t| Cgroup::create(&format!("nmoe-gates-{}", &t[..12])));
    let mut command = Command::new("bash");
    command
        .args(["-eo", "pipefail", "-c", "--", spec.command])
        .env_clear()
        .envs(spec.environment)
        .current_dir(spec.dir)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let started = Instant::now();
    let child = command.spawn()?;
    drop(command);
    let leader = Leader::of(&child);
    if let Some(group) = &group {
        // What it starts before this takes effect is swept process by process.
        let _ = group.add(leader.pid);
    }
    Ok(Running {
        leader,
        pipe: Some(pipe),
        group,
        meter,
        started,
        last_output_at: started,
    })
}
