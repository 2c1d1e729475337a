//! Runs one shell command under supervision: in its own process group, with an exact deadline, and with streamed and
//! measured output. When the command ends, the supervisor also kills all processes that the command left.
//!
//! Every command of the subject must run through this module: gates, perf measurements and kernel builds.
//! While a command runs, this process must not have another child that it wants to keep: the supervisor would kill it.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};

use crate::domain::evidence::Isolation;
use crate::gate::container::protocol::Report;
use crate::gate::container::running::Running as Container;
use crate::gate::isolation;
use crate::gate::mapped::MappedLibraries;
use crate::gate::metrics::{Measured, Meter};
use crate::gate::output::Output;
use crate::gate::printing::Printing;
use crate::gate::running::{CHUNK, CommandSpec, Running};
use crate::system::pid_namespace::{Namespace, Server};
use crate::system::process::Process;
use crate::system::process_tree::{self, Descendants, GRACE_PERIOD, KILL_TIMEOUT, TERMINATE_TIMEOUT};
use crate::system::signals::{Signals, Stop};

/// How long a container may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How much longer than the command a client may take to end; then the engine is asked to end the container.
const CONTAINER_GRACE_PERIOD: Duration = Duration::from_secs(3);
/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// The command exited with this code.
    Exited(i32),
    /// A signal that the supervisor did not send.
    Signalled(i32),
    /// The supervisor stopped the command at its deadline.
    TimedOut,
    /// The supervisor stopped the command because it printed nothing for too long.
    Silent,
    /// The supervisor stopped the command because of a stop request.
    Stopped(Stop),
}

/// The outcome of a command.
#[derive(Clone, Debug)]
pub struct CommandOutcome {
    pub termination: Termination,
    /// Wall time from the start to the end of the command itself.
    pub duration: Duration,
    /// The number of processes that were still running after the command exited; the supervisor killed them.
    pub leaks: u32,
    pub metrics: IndexMap<String, Measured>,
    /// When the samples arrived; `None` if there were none.
    pub printing: Option<Printing>,
}

/// Receives the progress of a running command.
pub trait Watch {
    /// The interval of [`Watch::tick`]; `None` disables it.
    fn every(&self) -> Option<Duration> {
        None
    }
    /// The command starts now, with this time limit.
    fn begin(&mut self, _label: &str, _limit: Option<Duration>) {}
    /// The command has ended.
    fn end(&mut self) {}
    /// The command has been running, and has printed nothing, for these times.
    fn tick(&mut self, _running: Duration, _silent: Duration) {}
    /// The command printed something.
    fn output(&mut self) {}
}

/// Ignores all progress.
impl Watch for () {}

/// Runs commands. Holds what all commands of this process share: signals, the output, and the earlier children.
pub struct Supervisor {
    /// Signals that request a stop.
    pub signals: Signals,
    /// Where the output of commands goes.
    pub output: Output,
    pub watch: Box<dyn Watch>,
    /// Records the kernel libraries that the next command maps; `None` records nothing.
    pub mapped: Option<MappedLibraries>,
    descendants: Descendants,
    isolation: Isolation,
    /// Starts commands in PID namespaces; `None` if this machine does not allow that.
    server: Option<Server>,
    buffer: Vec<u8>,
}

impl Supervisor {
    /// Creates a supervisor and makes this process adopt all orphans below it, until this process ends.
    ///
    /// # Errors
    /// The kernel refuses to make this process a subreaper.
    pub fn new(signals: Signals, output: Output, watch: Box<dyn Watch>) -> io::Result<Self> {
        let mut descendants = Descendants::adopt()?;
        let (isolation, server) = isolation::level();
        if let Some(server) = &server {
            descendants.exclude(server.pid());
        }
        Ok(Supervisor {
            signals,
            output,
            watch,
            mapped: None,
            descendants,
            isolation,
            server,
            buffer: Vec::new(),
        })
    }

    /// Returns how commands outside of containers are isolated.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Excludes processes that are already running: the next commands do not kill them.
    pub fn exclude_current_children(&mut self) {
        self.descendants.exclude_current();
    }

    /// Returns the stop request, if there is one.
    pub fn stop(&mut self) -> Option<Stop> {
        self.signals.stop()
    }

    /// Runs a command until it and all processes that it started have ended.
    ///
    /// # Errors
    /// The command could not be started.
    pub fn run(&mut self, spec: &CommandSpec<'_>, meter: Meter) -> io::Result<CommandOutcome> {
        self.buffer.resize(CHUNK, 0);
        let mut running = Running::start(spec, meter, self.server.as_ref())?;
        if let Some(reaper) = running.container.as_ref().and_then(Container::reaper) {
            self.descendants.exclude(reaper);
        }
        self.watch.begin(spec.label, spec.timeout);
        let cut = self.wait_with_deadline(&mut running, spec);
        if cut.is_some() {
            self.terminate(&mut running);
        } else {
            self.grace_period(&mut running);
        }
        if let Some(container) = running.container.as_ref().filter(|_| self.any_left(&running)) {
            container.kill();
        }
        let left = self.kill_descendants(&mut running);
        self.drain(&mut running);
        self.watch.end();
        self.output.end_of_gate();
        if let Some(container) = running.container.take() {
            return self.outcome_of_container(container, running, cut);
        }
        let ended_inside = running.namespace.as_mut().map(Namespace::ended).transpose();
        let termination = match (cut, ended_inside?.flatten(), running.leader.status()) {
            (Some(early), ..) => early,
            (None, Some(Ok(code)), _) => Termination::Exited(code),
            (None, Some(Err(signal)), _) => Termination::Signalled(signal),
            // The process that entered the namespace exits with 0 only after a report.
            (None, None, Some(status)) if running.namespace.is_some() => {
                Termination::Signalled(status.terminating_signal().unwrap_or(0))
            }
            (None, None, Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Termination::Exited(code),
                (None, Some(signal)) => Termination::Signalled(signal),
                (None, None) => Termination::Signalled(0),
            },
            // Another part of this process reaped the command, so its status is unknown.
            (None, None, None) => Termination::Signalled(0),
        };
        let ended = running.leader.ended().unwrap_or_else(Instant::now);
        Ok(CommandOutcome {
            termination,
            duration: ended - running.started,
            leaks: if cut.is_some() { 0 } else { left },
            metrics: running.meter.finish(),
            printing: running.printing,
        })
    }

    /// Removes a container whose client has ended, and returns the outcome that its first process reported.
    fn outcome_of_container(
        &mut self,
        mut container: Container<'_>,
        running: Running<'_>,
        cut: Option<Termination>,
    ) -> io::Result<CommandOutcome> {
        container.read();
        if let Err(error) = container.remove(cut.is_some()) {
            self.output.line(format_args!("container: {error}"));
        }
        let mut outcome = CommandOutcome {
            termination: Termination::Signalled(0),
            duration: container.ran().unwrap_or_else(|| running.started.elapsed()),
            leaks: 0,
            metrics: running.meter.finish(),
            printing: running.printing,
        };
        match (cut, container.last()) {
            (Some(early @ Termination::Stopped(_)), _) => outcome.termination = early,
            (Some(early), _) if container.has_started() => outcome.termination = early,
            // The supervisor did not ask for it: the engine or the machine shuts down, or the gate signalled the first process.
            (None, Some(Report::Ended { stopped: true, .. })) => {
                return Err(io::Error::other(
                    "the container was stopped from outside of this run",
                ));
            }
            (
                None,
                Some(Report::Ended {
                    exit, signal, leaks, ..
                }),
            ) => {
                outcome.termination = match (exit, signal) {
                    (Some(code), _) => Termination::Exited(*code),
                    (None, signal) => Termination::Signalled(signal.unwrap_or(0)),
                };
                outcome.leaks = *leaks;
            }
            (None, _) => return Err(io::Error::other(container.failure())),
            (Some(_), _) => {
                let limit = START_TIMEOUT.as_secs();
                return Err(io::Error::other(format!("did not start within {limit} s")));
            }
        }
        Ok(outcome)
    }

    /// Waits until the command ends. Returns the reason if the supervisor must stop it earlier.
    fn wait_with_deadline(
        &mut self,
        running: &mut Running<'_>,
        spec: &CommandSpec<'_>,
    ) -> Option<Termination> {
        let mut last_tick = running.started;
        loop {
            running.read_reports();
            self.signals.look();
            if let Some(ran) = running.container.as_ref().and_then(Container::ran) {
                // The client may take longer than its container, so its end does not count.
                return spec
                    .timeout
                    .is_some_and(|t| ran > t)
                    .then_some(Termination::TimedOut);
            }
            // The time of a command in a container begins when the container runs.
            let starts = running.container.as_ref().is_some_and(|c| !c.has_started());
            let timeout = if starts { Some(START_TIMEOUT) } else { spec.timeout };
            let deadline = timeout.map(|t| running.started + t);
            if running.leader.reap().is_some() {
                // A process that stops this one would otherwise gain time for the command.
                let ended = running.leader.ended();
                return ended
                    .zip(deadline)
                    .is_some_and(|(ended, deadline)| ended > deadline)
                    .then_some(Termination::TimedOut);
            }
            if let Some(stop) = self.signals.stop() {
                return Some(Termination::Stopped(stop));
            }
            let now = Instant::now();
            if let Some(mapped) = self.mapped.as_mut().filter(|mapped| now >= mapped.next()) {
                mapped.read(&self.descendants.living());
            }
            if !self.output.ready() {
                // The output pipe is blocked, so do not count this as silence.
                running.last_output_at = now;
            }
            if deadline.is_some_and(|d| now >= d) {
                return Some(Termination::TimedOut);
            }
            let silent = spec
                .silence
                .filter(|_| !starts)
                .map(|s| running.last_output_at + s);
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
            let reading = self.mapped.as_ref().map(MappedLibraries::next);
            let next = [deadline, silent, tick, reading].into_iter().flatten().min();
            self.wait(running, next.map(|n| n.saturating_duration_since(now)));
        }
    }

    /// Waits for an event, at most this long, and reads the available output.
    fn wait(&mut self, running: &mut Running<'_>, at_most: Option<Duration>) {
        // Without another event, let the caller reap zombie children at least once per second.
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
            let reports = running.container.as_ref().and_then(Container::descriptor);
            fds.extend(reports.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            let pipe = running.pipe.as_ref().filter(|_| ready);
            if let Some(pipe) = pipe {
                fds.push(PollFd::new(pipe, PollFlags::IN));
            }
            // An interrupted wait only returns early.
            let _ = poll(&mut fds, timeout.as_ref());
            pipe.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty())
        };
        self.output.collect();
        self.signals.stop();
        running.read_reports();
        if readable {
            self.read_output(running, false);
        }
    }

    /// Reads one chunk of output, if there is one. Without `must`, reads only if the output stream accepts more.
    fn read_output(&mut self, running: &mut Running<'_>, must: bool) -> bool {
        let Some(pipe) = running.pipe.as_mut().filter(|_| must || self.output.ready()) else {
            return false;
        };
        match pipe.read(&mut self.buffer) {
            Ok(0) => running.pipe = None,
            Ok(n) => {
                running.last_output_at = Instant::now();
                self.watch.output();
                let known = running.meter.sample_count();
                running.meter.push(&self.buffer[..n]);
                let count = running.meter.sample_count();
                if count > known {
                    Printing::note(&mut running.printing, running.started.elapsed(), count);
                }
                self.output.push(&self.buffer[..n]);
                return true;
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => running.pipe = None,
        }
        false
    }

    /// Sends SIGTERM to the command and its processes, and waits for them. A second stop signal ends the wait.
    fn terminate(&mut self, running: &mut Running<'_>) {
        let mut until = Instant::now() + TERMINATE_TIMEOUT;
        let signals = self.signals.count();
        if let Some(container) = &mut running.container {
            container.stop();
            until += CONTAINER_GRACE_PERIOD;
        }
        running.leader.signal_group(Signal::TERM);
        if running.container.is_none() {
            let leader = running.leader.pid;
            self.descendants.terminate(|one| one.pid != leader);
        }
        loop {
            running.leader.reap();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.signals.count() > signals.max(1) || !self.any_left(running) {
                return;
            }
            self.wait(running, Some(left.min(Duration::from_millis(20))));
        }
    }

    /// Gives remaining processes, such as the readers at the end of a pipe, a short time to end.
    fn grace_period(&mut self, running: &mut Running<'_>) {
        let mut until = Instant::now() + GRACE_PERIOD;
        if running.container.is_some() {
            until += CONTAINER_GRACE_PERIOD;
        }
        loop {
            running.leader.reap();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.any_left(running) {
                return;
            }
            self.wait(running, Some(left.min(Duration::from_millis(5))));
        }
    }

    fn any_left(&self, running: &Running<'_>) -> bool {
        if running.leader.status().is_none() {
            return true;
        }
        // What a list of the kernel omits still ends with its namespace.
        let is_empty = running.namespace.is_some() && self.descendants.lists_none();
        !is_empty && !self.descendants.living().is_empty()
    }

    /// Kills all remaining processes. Returns their number, without the command itself.
    fn kill_descendants(&mut self, running: &mut Running<'_>) -> u32 {
        let until = Instant::now() + KILL_TIMEOUT;
        let mut seen: HashSet<Process> = HashSet::new();
        running.leader.reap();
        let ours = [
            Some(running.leader.pid),
            running.namespace.as_mut().and_then(Namespace::init),
        ];
        while self.any_left(running) {
            let left = self.descendants.stop();
            seen.extend(left.iter().filter(|one| !ours.contains(&Some(one.pid))));
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
        let mut hidden = 0;
        if let Some(group) = &running.group {
            // The group also has a process that /proc does not show.
            let is_counted = |pid: &Pid| ours.contains(&Some(*pid)) || seen.iter().any(|one| one.pid == *pid);
            hidden = group.processes().iter().filter(|pid| !is_counted(pid)).count();
            group.kill_all(until);
        }
        u32::try_from(seen.len() + hidden).unwrap_or(u32::MAX)
    }

    /// Reads the rest of the pipe, even if the output stream is blocked. All known writers have ended, so the rest is at most
    /// one pipe buffer. The number of reads is limited, because an unknown process may still write to the pipe.
    fn drain(&mut self, running: &mut Running<'_>) {
        for _ in 0..4 {
            if !self.read_output(running, true) {
                return;
            }
        }
    }
}
