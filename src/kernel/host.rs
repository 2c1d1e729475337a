//! The parent's side of the kernel host: start it, give it one request, listen within limits, and tell apart every way
//! in which it can end. What a library does to the host is a value here, never an accident of ours.

mod program;
mod standing;

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kernel_host::{EXIT_CUT_OFF, LONGEST, Reply, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::sys::process;
use crate::sys::random;
use crate::sys::supervise::{self, Descendants};

pub use program::SIZE;
pub use standing::Standing;

/// How long to wait for killed processes to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Time and output limits for the kernel host.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest silence between two replies; a self-check reports nothing while it runs.
    pub step: Duration,
    /// Longest life altogether.
    pub whole: Duration,
    /// Most bytes that the library may print, and most that the replies may take.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            step: Duration::from_secs(60),
            whole: Duration::from_secs(600),
            output: 1 << 20,
        }
    }
}

/// How a host ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did all it was asked to, or said why not.
    Done,
    /// A signal ended it, such as SIGSEGV or SIGABRT.
    Signal(i32),
    /// It exited by itself, half-way; with code 0 as well.
    Exited(i32),
    /// It said nothing for too long, and was killed.
    Silent,
    /// It was stopped, as by SIGSTOP, and was killed.
    Stopped,
    /// It lived too long, and was killed.
    TooLong,
    /// It printed too much, and was killed.
    Flooded,
    /// Something that is no reply came over the socket; it was killed.
    Forged,
    /// Its socket was closed from within.
    CutOff,
}

impl Ending {
    /// What happened, in a few words.
    pub fn says(&self) -> String {
        match self {
            Ending::Done => "it ended in good order".to_owned(),
            Ending::Signal(number) => format!("it was ended by signal {number} ({})", signal_name(*number)),
            Ending::Exited(code) => format!("it left with exit code {code} before it was done"),
            Ending::Silent => "it said nothing for too long and was killed".to_owned(),
            Ending::Stopped => "it was stopped (SIGSTOP) and was killed".to_owned(),
            Ending::TooLong => "it took too long and was killed".to_owned(),
            Ending::Flooded => "it printed too much and was killed".to_owned(),
            Ending::Forged => "it sent something that is no reply, and was killed".to_owned(),
            Ending::CutOff => "it closed the descriptors of the kernel host".to_owned(),
        }
    }

    /// A stable word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::Signal(_) => "signal",
            Ending::Exited(_) => "exited",
            Ending::Silent => "silent",
            Ending::Stopped => "stopped",
            Ending::TooLong => "too_long",
            Ending::Flooded => "flooded",
            Ending::Forged => "forged",
            Ending::CutOff => "cut_off",
        }
    }
}

fn signal_name(number: i32) -> &'static str {
    match number {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => "see `kill -l`",
    }
}

/// All that came of one request.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Every reply, in order.
    pub replies: Vec<Reply>,
    /// How it ended.
    pub ending: Ending,
    /// The last stage it announced; empty before the first.
    pub stage: String,
    /// Processes that it left behind and that were ended.
    pub leftovers: u32,
    /// Wall time.
    pub took: Duration,
}

/// The host could not be started here, so nothing is known of the library.
#[derive(Debug, thiserror::Error)]
#[error("the kernel host cannot run here: {0}")]
pub struct Unavailable(String);

impl Unavailable {
    /// For this reason.
    pub fn because(error: io::Error) -> Self {
        Unavailable(error.to_string())
    }
}

/// Starts a host, gives it a request, and listens to the end. `library` becomes its standard input.
pub fn converse(
    request: &Request,
    library: Option<OwnedFd>,
    limits: &Limits,
) -> Result<Conversation, Unavailable> {
    // Where the kernel refuses to hand orphans to this process, there are none to end.
    let descendants = Descendants::adopt_until_dropped().ok();
    let (mut child, mut ear) = spawn(request, library, limits)?;
    let early = ear.listen(&child);
    let was_stopped = process::is_stopped(Pid::from_child(&child));
    end_group(&child);
    let status = child
        .wait()
        .map_err(|e| Unavailable(format!("it cannot be waited for: {e}")))?;
    let leftovers = descendants.map_or(0, |descendants| {
        descendants.kill_all(Instant::now() + PATIENCE, supervise::reap_only)
    });
    let ending = match early {
        Some(Ending::Silent | Ending::TooLong) if was_stopped => Ending::Stopped,
        Some(ending) => ending,
        None => ear.last_words(status),
    };
    if ear.replies.is_empty() && matches!(ending, Ending::Exited(126 | 127)) {
        return Err(Unavailable(
            "it does not start; its loader or libc is missing".to_owned(),
        ));
    }
    Ok(Conversation {
        took: ear.begun.elapsed(),
        replies: ear.replies,
        ending,
        stage: ear.stage,
        leftovers: u32::try_from(leftovers).unwrap_or(u32::MAX),
    })
}

/// Starts a host and gives it a request.
fn spawn(request: &Request, library: Option<OwnedFd>, limits: &Limits) -> Result<(Child, Ear), Unavailable> {
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

    let ear = Ear {
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
    Ok((child, ear))
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

fn end_group(child: &Child) {
    // It has not been waited for, so its number is still its own.
    supervise::signal_group(Pid::from_child(child), Signal::KILL);
}

/// What listens to a host.
struct Ear {
    socket: UnixStream,
    talk: Option<ChildStderr>,
    nonce: String,
    limits: Limits,
    begun: Instant,
    pending: Vec<u8>,
    heard: u64,
    printed: u64,
    replies: Vec<Reply>,
    stage: String,
}

impl Ear {
    /// Listens until the host exits (`None`) or must be ended for what it did (`Some`).
    fn listen(&mut self, child: &Child) -> Option<Ending> {
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
    fn hear_talk(&mut self) -> Option<Ending> {
        let mut buffer = [0; 8192];
        match self.talk.as_mut()?.read(&mut buffer) {
            Ok(0) | Err(_) => self.talk = None,
            Ok(count) => self.printed += count as u64,
        }
        (self.printed > self.limits.output).then_some(Ending::Flooded)
    }

    /// Reads whatever the socket holds and takes the whole lines out of it.
    fn hear(&mut self) -> Heard {
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
    fn last_words(&self, status: ExitStatus) -> Ending {
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
enum Heard {
    Replies,
    Nothing,
    End,
    Forgery,
    Loud,
}

/// Waits for the socket, the pipe or the exit; says which of them can be read.
fn wait_for(
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
