//! Starts a host and reads its replies and its output within limits. Must not decide what a reply means for a library.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kernel_host::{EXIT_CUT_OFF, MAX_LINE, Reply, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::kernel::host::outcome::{HostExit, HostLibrary, Limits, Unavailable};
use crate::kernel::host::program;
use crate::system::process_tree;
use crate::system::random;

/// The longest time between two readings of the memory of a host.
const MEMORY_INTERVAL: Duration = Duration::from_millis(200);

/// Starts a host and sends it a request.
pub(super) fn spawn(
    request: &Request,
    library: Option<HostLibrary>,
    limits: &Limits,
) -> Result<(Child, HostReader), Unavailable> {
    let unavailable = |what: &str, error: io::Error| Unavailable(format!("{what}: {error}"));
    let nonce = random::token().map_err(|e| unavailable("no random numbers", e))?;
    let (mut parent, child_end) = UnixStream::pair().map_err(|e| unavailable("no socket", e))?;
    let begun = Instant::now();
    let mut child = program::start(|command| {
        command
            .stdin(
                library
                    .as_ref()
                    .and_then(|library| library.file.try_clone().ok())
                    .map_or_else(Stdio::null, Stdio::from),
            )
            .stdout(Stdio::from(OwnedFd::from(child_end.try_clone()?)))
            .stderr(Stdio::piped())
            .process_group(0);
        let search = library.as_ref().map_or(&[][..], |library| &library.search);
        keep_cuda_environment(command, search)?;
        if let Some(gpu) = library.as_ref().and_then(|library| library.gpu.as_ref()) {
            command.env("CUDA_VISIBLE_DEVICES", gpu);
        }
        Ok(())
    })
    .map_err(|e| unavailable("it cannot be started", e))?;
    drop((child_end, library));
    // If the host has already exited, the reader notices this.
    let _ = parent.write_all(request.encode(&nonce).as_bytes());

    let reader = HostReader {
        socket: parent,
        output: child.stderr.take(),
        nonce,
        limits: *limits,
        begun,
        pending: Vec::new(),
        bytes_read: 0,
        printed: 0,
        replies: Vec::new(),
        stage: String::new(),
    };
    Ok((child, reader))
}

/// Removes all environment variables from the command except those that CUDA needs. The loader searches the folders in `search`
/// first.
fn keep_cuda_environment(command: &mut Command, search: &[PathBuf]) -> io::Result<()> {
    command.env_clear();
    let mut folders = search.to_vec();
    for (name, value) in std::env::vars_os() {
        let known = name.to_str().is_some_and(|name| {
            matches!(name, "PATH" | "HOME" | "TMPDIR" | "LC_ALL" | "LANG")
                || name.starts_with("CUDA_")
                || name.starts_with("NVIDIA_")
        });
        if name == "LD_LIBRARY_PATH" && !value.is_empty() {
            folders.extend(std::env::split_paths(&value));
        } else if known {
            command.env(name, value);
        }
    }
    if !folders.is_empty() {
        command.env(
            "LD_LIBRARY_PATH",
            std::env::join_paths(folders).map_err(io::Error::other)?,
        );
    }
    Ok(())
}

/// Returns the number of bytes of memory that a process occupies.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

pub(super) fn end_group(child: &Child) {
    // The child is not reaped yet, so no other process can have its id.
    process_tree::signal_group(Pid::from_child(child), Signal::KILL);
}

/// Reads the socket and the output of a host.
pub(super) struct HostReader {
    pub(super) socket: UnixStream,
    pub(super) output: Option<ChildStderr>,
    pub(super) nonce: String,
    pub(super) limits: Limits,
    pub(super) begun: Instant,
    pending: Vec<u8>,
    pub(super) bytes_read: u64,
    printed: u64,
    pub(super) replies: Vec<Reply>,
    pub(super) stage: String,
}

impl HostReader {
    /// Reads until the host exits (`None`) or breaks a rule and must be killed (`Some`).
    pub(super) fn listen(&mut self, child: &Child) -> Option<HostExit> {
        let exit = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
        let mut last = Instant::now();
        let mut open = true;
        loop {
            let now = Instant::now();
            let silent = (last + self.limits.step).saturating_duration_since(now);
            let whole = (self.begun + self.limits.whole).saturating_duration_since(now);
            let wait_for_memory = silent.min(MEMORY_INTERVAL);
            // Without pidfds (Linux before 5.3), the end of both pipes means that the host has exited.
            let wait = wait_for_memory.min(whole).min(if open || exit.is_some() {
                silent
            } else {
                Duration::from_millis(50)
            });
            let (socket, output, ended) = wait_for(
                open.then_some(&self.socket),
                self.output.as_ref(),
                exit.as_ref(),
                wait,
            );
            if output && let Some(exit) = self.read_output() {
                return Some(exit);
            }
            if socket {
                match self.read_replies() {
                    ReadResult::Replies => last = Instant::now(),
                    ReadResult::Nothing => {}
                    ReadResult::Invalid => return Some(HostExit::Forged),
                    ReadResult::TooLong => return Some(HostExit::Flooded),
                    ReadResult::Closed => {
                        open = false;
                        // A host that lost its socket exits at its next reply.
                        self.limits.step = self.limits.step.min(Duration::from_secs(1));
                        last = Instant::now();
                    }
                }
            }
            if ended || (exit.is_none() && !open && self.output.is_none()) {
                // The socket may still contain the last replies.
                return match self.read_replies() {
                    ReadResult::Invalid => Some(HostExit::Forged),
                    ReadResult::TooLong => Some(HostExit::Flooded),
                    _ => None,
                };
            }
            if resident(child.id()).is_some_and(|bytes| bytes > self.limits.memory) {
                return Some(HostExit::TooMuchMemory);
            }
            let now = Instant::now();
            if now >= self.begun + self.limits.whole {
                return Some(HostExit::TooLong);
            }
            if now >= last + self.limits.step {
                return Some(if open { HostExit::Silent } else { HostExit::CutOff });
            }
        }
    }

    /// Reads and counts the output of the library, and discards the bytes.
    pub(super) fn read_output(&mut self) -> Option<HostExit> {
        let mut buffer = [0; 8192];
        match self.output.as_mut()?.read(&mut buffer) {
            Ok(0) | Err(_) => self.output = None,
            Ok(count) => self.printed += count as u64,
        }
        (self.printed > self.limits.output).then_some(HostExit::Flooded)
    }

    /// Reads all bytes from the socket and parses the complete lines.
    pub(super) fn read_replies(&mut self) -> ReadResult {
        let (mut buffer, mut result, before) = ([0; 8192], ReadResult::Nothing, self.replies.len());
        if self.socket.set_nonblocking(true).is_err() {
            return ReadResult::Closed;
        }
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => {
                    result = ReadResult::Closed;
                    break;
                }
                Ok(count) => {
                    self.bytes_read += count as u64;
                    self.pending
                        .extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if self.take_lines().is_none() {
                        return ReadResult::Invalid;
                    }
                    if self.bytes_read > self.limits.output {
                        return ReadResult::TooLong;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    result = ReadResult::Closed;
                    break;
                }
            }
        }
        match result {
            ReadResult::Nothing if self.replies.len() > before => ReadResult::Replies,
            other => other,
        }
    }

    /// Parses the complete lines. Returns `None` if a line is not a valid reply.
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
        (self.pending.len() <= MAX_LINE).then_some(())
    }

    /// Returns the exit of a host that was not killed by this program.
    pub(super) fn exit_of(&self, status: ExitStatus) -> HostExit {
        let done = self.replies.last() == Some(&Reply::Done {});
        match (status.signal(), status.code()) {
            (Some(signal), _) => HostExit::Signal(signal),
            (_, Some(0)) if done => HostExit::Done,
            (_, Some(EXIT_CUT_OFF)) => HostExit::CutOff,
            (_, code) => HostExit::Exited(code.unwrap_or(-1)),
        }
    }
}

/// The result of reading the socket.
pub(super) enum ReadResult {
    Replies,
    Nothing,
    Closed,
    Invalid,
    TooLong,
}

/// Waits for the socket, the output pipe or the exit. Returns which of them are readable.
pub(super) fn wait_for(
    socket: Option<&UnixStream>,
    output: Option<&ChildStderr>,
    exit: Option<&OwnedFd>,
    limit: Duration,
) -> (bool, bool, bool) {
    let wanted = [
        socket.map(|s| s.as_fd()),
        output.map(|t| t.as_fd()),
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
    let mut is_ready = |wanted: bool| wanted && ready.next().unwrap_or(false);
    (
        is_ready(wanted[0].is_some()),
        is_ready(wanted[1].is_some()),
        is_ready(wanted[2].is_some()),
    )
}
