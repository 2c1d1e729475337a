//! The pipes of a running container: the task goes in, the reports come out.
//!
//! The client's standard error carries the reports and the messages of the engine. Must not wait.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::gate::container::Start;
use crate::gate::container::client::{EngineError, Kind};
use crate::gate::container::protocol::{self, Report};
use crate::gate::container::reaper::Reaper;

/// The most bytes of a task: the largest pipe of a user who is not root.
const PIPE: usize = 1 << 20;
/// The most bytes of engine messages that are kept.
const KEPT: usize = 4 << 10;

/// A container that was started.
pub struct Running<'a> {
    start: &'a Start,
    /// Open as long as the command may run. The first process ends the command when this is closed.
    stdin: Option<PipeWriter>,
    /// When the first process was last told that this process lives.
    pulse: Instant,
    reaper: Option<Reaper>,
    reports: Option<PipeReader>,
    /// The incomplete last line.
    line: Vec<u8>,
    /// What the engine said.
    messages: String,
    has_started: bool,
    last: Option<Report>,
}

impl<'a> Running<'a> {
    /// Connects the client to this process, writes the task, and starts the reaper of the container.
    ///
    /// # Errors
    /// A pipe or the reaper cannot be created, or the task is too long for the pipe.
    pub fn connect(start: &'a Start, client: &mut Command) -> io::Result<Self> {
        let (reports, errors) = io::pipe()?;
        rustix::fs::fcntl_setfl(&reports, rustix::fs::OFlags::NONBLOCK)?;
        let (input, mut stdin) = io::pipe()?;
        // Ignore an error: a usual task fits into a usual pipe, and a longer one fails below.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE);
        rustix::fs::fcntl_setfl(&stdin, rustix::fs::OFlags::NONBLOCK)?;
        let mut task = serde_json::to_vec(&start.task)?;
        task.push(b'\n');
        stdin.write_all(&task)?;
        client.args(&start.arguments).stdin(input).stderr(errors);
        Ok(Running {
            start,
            stdin: Some(stdin),
            pulse: Instant::now(),
            reaper: Reaper::start(&start.program, &start.engine, &start.name)?,
            reports: Some(reports),
            line: Vec::new(),
            messages: String::new(),
            has_started: false,
            last: None,
        })
    }

    /// Returns a descriptor that becomes readable when a report arrives.
    pub fn descriptor(&self) -> Option<&PipeReader> {
        self.reports.as_ref()
    }

    /// Returns the process that removes the container if this process is killed.
    pub fn reaper(&self) -> Option<Pid> {
        self.reaper.as_ref().map(Reaper::pid)
    }

    /// Whether the command runs, or has run.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// Asks the first process to end the command. A signal to the client is not enough: not every client passes it on.
    pub fn stop(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            // A client that has ended reads nothing.
            let _ = stdin.write_all(protocol::STOP);
        }
    }

    /// Returns how long the command ran, once the first process has reported its end.
    pub fn ran(&self) -> Option<Duration> {
        match self.last.as_ref()? {
            Report::Ended { duration_ms, .. } => Some(Duration::from_millis(*duration_ms)),
            Report::Started | Report::Failed { .. } => Some(Duration::ZERO),
        }
    }

    /// Returns the report about the end of the command.
    pub fn last(&self) -> Option<&Report> {
        self.last.as_ref()
    }

    /// Reads the available reports, and tells the first process that this process lives. Returns whether the command has started
    /// since the last call. Call this at least once per second.
    pub fn read(&mut self) -> bool {
        if let Some(stdin) = self
            .stdin
            .as_mut()
            .filter(|_| self.pulse.elapsed() >= protocol::PULSE)
        {
            // A client that reads nothing has its earlier pulses in the pipe.
            let _ = stdin.write_all(&[protocol::ALIVE]);
            self.pulse = Instant::now();
        }
        let before = self.has_started;
        let mut buffer = [0u8; 4096];
        while let Some(pipe) = &mut self.reports {
            match pipe.read(&mut buffer) {
                Ok(0) => self.reports = None,
                Ok(n) => buffer[..n].iter().for_each(|byte| self.byte(*byte)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.reports = None,
            }
        }
        let is_new = self.has_started && !before;
        if let Some(reaper) = self.reaper.as_mut().filter(|_| is_new) {
            reaper.created();
        }
        is_new
    }

    fn byte(&mut self, byte: u8) {
        if byte != b'\n' {
            if self.line.len() < KEPT {
                self.line.push(byte);
            }
            return;
        }
        let line = std::mem::take(&mut self.line);
        match protocol::report(&self.start.task.token, &line) {
            Some(Report::Started) => self.has_started = true,
            Some(report) => self.last = Some(report),
            None if self.messages.len() < KEPT => {
                self.messages.push_str(&String::from_utf8_lossy(&line));
                self.messages.push('\n');
            }
            None => {}
        }
    }

    /// Lets the engine end the container of a client that did not end in time. Call this while nothing reaps children.
    pub fn kill(&self) {
        // An error is reported by the removal that follows.
        let _ = self.start.engine.remove(&self.start.name);
    }

    /// Ends and removes the container. Call this after the client has ended.
    ///
    /// # Errors
    /// The engine did not remove the container.
    pub fn remove(&mut self, was_stopped: bool) -> Result<(), EngineError> {
        // A container whose first process has reported its end is gone, and the client removes it.
        let is_gone = matches!(self.last, Some(Report::Ended { .. })) && !was_stopped;
        let found = if is_gone && self.start.engine.kind == Kind::Docker {
            true
        } else {
            self.start.engine.remove(&self.start.name)?
        };
        match self.reaper.take() {
            // The client was stopped while it started, so the engine may create the container after this. The reaper waits for it.
            Some(reaper) if was_stopped && !self.has_started && !found => drop(reaper),
            Some(reaper) => reaper.dismiss(),
            None => {}
        }
        Ok(())
    }

    /// Returns why the command did not run.
    pub fn failure(&self) -> String {
        let engine = self.start.engine.kind.as_str();
        match &self.last {
            Some(Report::Failed { cause }) => cause.clone(),
            _ if self.messages.trim().is_empty() => {
                format!("{engine} ended without a report of the container")
            }
            _ => format!("{engine} said: {}", self.messages.trim()),
        }
    }
}
