//! Starts a host and reads what it replies and prints, within limits.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kernel_host::{EXIT_CUT_OFF, LONGEST, Reply, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::kernel::host::outcome::{Ending, Limits, Unavailable};
use crate::kernel::host::program;
use crate::system::process_tree;
use crate::system::random;

/// Starts a host and gives it a request.
pub(super) fn spawn(
    request: &Request,
    library: Option<OwnedFd>,
    limits: &Limits,
) -> Result<(Child, HostReader), Unavailable> {
    let unavailable = |what: &str, error: io::Error| Unavailable(format!("{what}: {error}"));
    let nonce = random::token().map_err(|e| unavailable("no random numbers", e))?;
    let (mut ours, theirs) = UnixStream::pair().map_err(|e| unavailable("no socket", e))?;
    let begun = Instant::now();
    let mut child = program::start(|command| {
        command
            .stdin(
                library
                    .as_ref()
                    .and_then(|fd| fd.try_clone().ok())
                    .map_or_else(Stdio::null, Stdio::from),
            )
            .stdout(Stdio::from(OwnedFd::from(theirs.try_clone()?)))
            .stderr(Stdio::piped())
            .process_group(0);
        scrub(command);
        Ok(())
    })
    .map_err(|e| unavailable("it cannot be started", e))?;
    drop((theirs, library));
    // A host that is gone already is told apart below.
    let _ = ours.write_all(request.encode(&nonce).as_bytes());

    let reader = HostReader {
        socket: ours,
        talk: child.stderr.take(),
        nonce,
        limits: *limits,
        begun,
        pending: Vec::new(),
        heard: 0,
        printed: 0,
        replies: Vec::new(),
        stage: String::new(),
    };
    Ok((child, reader))
}

/// Leaves the host what loading CUDA needs, and nothing that is ours to keep.
fn scrub(command: &mut Command) {
    command.env_clear();
    for (name, value) in std::env::vars_os() {
        let known = name.to_str().is_some_and(|name| {
            matches!(
                name,
                "PATH" | "HOME" | "TMPDIR" | "LD_LIBRARY_PATH" | "LC_ALL" | "LANG"
            ) || name.starts_with("CUDA_")
                || name.starts_with("NVIDIA_")
        });
        if known {
            command.env(name, value);
        }
    }
}

pub(super) fn end_group(child: &Child) {
    // It has not been waited for, so its number is still its own.
    process_tree::signal_group(Pid::from_child(child), Signal::KILL);
}

/// What listens to a host.
pub(super) struct HostReader {
    pub(super) socket: UnixStream,
    pub(super) talk: Option<ChildStderr>,
    pub(super) nonce: String,
    pub(super) limits: Limits,
    pub(super) begun: Instant,
    pending: Vec<u8>,
    pub(super) heard: u64,
    printed: u64,
    pub(super) replies: Vec<Reply>,
    pub(super) stage: String,
}

impl HostReader {
    /// Listens until the host exits (`None`) or must be ended for what it did (`Some`).
    pub(super) fn listen(&mut self, child: &Child) -> Option<Ending> {
        let exit = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
        let mut last = Instant::now();
        let mut open = true;
        loop {
            let now = Instant::now();
            let silent = (last + self.limits.step).saturating_duration_since(now);
            let whole = (self.begun + self.limits.whole).saturating_duration_since(now);
            // Without pidfds (Linux before 5.3) the end of both pipes must do.
            let wait = silent.min(whole).min(if open || exit.is_some() {
                silent
            } else {
                Duration::from_millis(50)
            });
            let (socket, talk, ended) = wait_for(
                open.then_some(&self.socket),
                self.talk.as_ref(),
                exit.as_ref(),
                wait,
            );
            if talk && let Some(ending) = self.hear_talk() {
                return Some(ending);
            }
            if socket {
                match self.hear() {
                    Heard::Replies => last = Instant::now(),
                    Heard::Nothing => {}
                    Heard::Forgery => return Some(Ending::Forged),
                    Heard::Loud => return Some(Ending::Flooded),
                    Heard::End => {
                        open = false;
                        // A host that lost its socket leaves at its next word.
                        self.limits.step = self.limits.step.min(Duration::from_secs(1));
                        last = Instant::now();
                    }
                }
            }
            if ended || (exit.is_none() && !open && self.talk.is_none()) {
                // What it said last is still in the socket.
                return match self.hear() {
                    Heard::Forgery => Some(Ending::Forged),
                    Heard::Loud => Some(Ending::Flooded),
                    _ => None,
                };
            }
            let now = Instant::now();
            if now >= self.begun + self.limits.whole {
                return Some(Ending::TooLong);
            }
            if now >= last + self.limits.step {
                return Some(if open { Ending::Silent } else { Ending::CutOff });
            }
        }
    }

    /// Reads what the library printed; it is counted, not kept.
    pub(super) fn hear_talk(&mut self) -> Option<Ending> {
        let mut buffer = [0; 8192];
        match self.talk.as_mut()?.read(&mut buffer) {
            Ok(0) | Err(_) => self.talk = None,
            Ok(count) => self.printed += count as u64,
        }
        (self.printed > self.limits.output).then_some(Ending::Flooded)
    }

    /// Reads whatever the socket holds and takes the whole lines out of it.
    pub(super) fn hear(&mut self) -> Heard {
        let (mut buffer, mut heard, before) = ([0; 8192], Heard::Nothing, self.replies.len());
        if self.socket.set_nonblocking(true).is_err() {
            return Heard::End;
        }
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => {
                    heard = Heard::End;
                    break;
                }
                Ok(count) => {
                    self.heard += count as u64;
                    self.pending
                        .extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if self.take_lines().is_none() {
                        return Heard::Forgery;
                    }
                    if self.heard > self.limits.output {
                        return Heard::Loud;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    heard = Heard::End;
                    break;
                }
            }
        }
        match heard {
            Heard::Nothing if self.replies.len() > before => Heard::Replies,
            other => other,
        }
    }

    /// `None` where a line is no reply of ours.
    fn take_lines(&mut self) -> Option<()> {
        while let Some(end) = self.pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let line = std::str::from_utf8(line.get(..end)?).ok()?;
            let reply = Reply::decode(line, &self.nonce)?;
            if let Reply::Stage { name } = &reply {
                self.stage.clone_from(name);
            }
            self.replies.push(reply);
        }
        (self.pending.len() <= LONGEST).then_some(())
    }

    /// How a host that exited by itself ended.
    pub(super) fn last_words(&self, status: ExitStatus) -> Ending {
        let done = self.replies.last() == Some(&Reply::Done {});
        match (status.signal(), status.code()) {
            (Some(signal), _) => Ending::Signal(signal),
            (_, Some(0)) if done => Ending::Done,
            (_, Some(EXIT_CUT_OFF)) => Ending::CutOff,
            (_, code) => Ending::Exited(code.unwrap_or(-1)),
        }
    }
}

/// What one reading of the socket brought.
pub(super) enum Heard {
    Replies,
    Nothing,
    End,
    Forgery,
    Loud,
}

/// Waits for the socket, the pipe or the exit; says which of them can be read.
pub(super) fn wait_for(
    socket: Option<&UnixStream>,
    talk: Option<&ChildStderr>,
    exit: Option<&OwnedFd>,
    limit: Duration,
) -> (bool, bool, bool) {
    let wanted = [
        socket.map(|s| s.as_fd()),
        talk.map(|t| t.as_fd()),
        exit.map(|e| e.as_fd()),
    ];
    let mut fds: Vec<PollFd<'_>> = wanted
        .iter()
        .flatten()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    let limit = Timespec::try_from(limit + Duration::from_millis(1)).ok();
    if poll(&mut fds, limit.as_ref()).is_err() {
        return (false, false, false);
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let mut answer = |asked: bool| asked && ready.next().unwrap_or(false);
    (
        answer(wanted[0].is_some()),
        answer(wanted[1].is_some()),
        answer(wanted[2].is_some()),
    )
}
