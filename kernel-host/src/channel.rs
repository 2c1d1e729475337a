//! The channel to `nmoe-gates`: moves the socket to a high descriptor, where a library does not disturb it.
//!
//! Must not depend on what the requests ask for.

use std::error::Error as _;
use std::ffi::c_int;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use kernel_host::{EXIT_CUT_OFF, MAX_LINE, Reply, Request};

const F_DUPFD_CLOEXEC: c_int = 1030;
const SIGBUS: c_int = 7;
const SIGSEGV: c_int = 11;
const SIG_DFL: usize = 0;

/// First descriptor number for the socket and the library.
const FIRST_DESCRIPTOR: c_int = 300;

#[expect(unsafe_code, reason = "the standard library does not offer these calls")]
unsafe extern "C" {
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn _exit(code: c_int) -> !;
}

/// Makes SIGSEGV and SIGBUS end this process again. The standard library handles both to report a stack overflow, and ignores the
/// first one that was raised for another reason.
#[expect(unsafe_code, reason = "the standard library cannot reset a signal handler")]
pub fn reset_fault_signals() {
    // SAFETY: the default action is valid for every signal.
    unsafe {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
    }
}

/// Exits at once, without destructors or exit handlers.
#[expect(
    unsafe_code,
    reason = "the standard library cannot exit without running exit handlers"
)]
pub fn exit_now(code: i32) -> ! {
    // SAFETY: the call accepts any number and does not return.
    unsafe { _exit(code) }
}

/// Duplicates a descriptor to a high number with close-on-exec.
#[expect(
    unsafe_code,
    reason = "the standard library cannot choose a descriptor number"
)]
fn duplicate_high(fd: RawFd) -> OwnedFd {
    // SAFETY: fcntl checks the descriptor and returns a new one that nothing else owns.
    unsafe {
        let copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
        if copy < 0 {
            exit_now(EXIT_CUT_OFF);
        }
        OwnedFd::from_raw_fd(copy)
    }
}

/// Replaces descriptor `to` with a duplicate of `from`.
#[expect(unsafe_code, reason = "the standard library cannot replace a standard stream")]
fn replace(from: RawFd, to: RawFd) {
    // SAFETY: dup2 checks both descriptors, and no Rust value owns the standard streams.
    if unsafe { dup2(from, to) } < 0 {
        exit_now(EXIT_CUT_OFF);
    }
}

/// The socket to the parent, the library descriptor, and the nonce of all replies.
pub struct Channel {
    socket: UnixStream,
    library: OwnedFd,
    nonce: String,
}

impl Channel {
    /// Moves the socket and the library to high descriptors. Then standard output is the pipe, and standard input is `/dev/null`.
    pub fn open() -> Self {
        let socket = UnixStream::from(duplicate_high(1));
        let library = duplicate_high(0);
        replace(2, 1);
        // Without /dev, standard input stays the library; it is sealed, so this is safe.
        if let Ok(null) = File::open("/dev/null") {
            replace(null.as_raw_fd(), 0);
        }
        Channel {
            socket,
            library,
            nonce: String::new(),
        }
    }

    /// Reads the first request and keeps its nonce for the replies.
    pub fn request(&mut self) -> Option<Request> {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < MAX_LINE && self.socket.read(&mut byte).ok()? == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        let line = String::from_utf8(line).ok()?;
        self.nonce = line.split('\t').next()?.to_owned();
        Request::decode(&line, &self.nonce)
    }

    /// Waits for the next request. Returns `None` after the timeout; the caller may call again.
    ///
    /// Exits the process if the socket is closed or receives anything else.
    pub fn next(&mut self, timeout: Duration) -> Option<Request> {
        if self.socket.set_read_timeout(Some(timeout)).is_err() {
            exit_now(EXIT_CUT_OFF);
        }
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < MAX_LINE {
            match self.socket.read(&mut byte) {
                Ok(1) if byte == *b"\n" => break,
                Ok(1) => line.extend(byte),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && line.is_empty() => return None,
                _ => exit_now(0),
            }
        }
        let line = String::from_utf8(line).unwrap_or_default();
        let request = Request::decode(&line, &self.nonce);
        if request.is_none() {
            exit_now(EXIT_CUT_OFF);
        }
        request
    }

    /// Sends a reply. Exits the process if the socket is closed, because nothing reads the replies then.
    pub fn send(&mut self, reply: &Reply) {
        if self
            .socket
            .write_all(reply.encode(&self.nonce).as_bytes())
            .is_err()
        {
            exit_now(EXIT_CUT_OFF);
        }
    }

    /// Reports the next step before foreign code can crash in it.
    pub fn stage(&mut self, name: &str) {
        self.send(&Reply::Stage {
            name: name.to_owned(),
        });
    }

    /// Reports the loader's message about a missing library or symbol, and exits.
    pub fn refuse_loader(&mut self, what: &str, error: &libloading::Error) -> ! {
        let detail = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        self.refuse(what, 0, &detail)
    }

    /// Reports the step that failed, and exits with code 0.
    pub fn refuse(&mut self, what: &str, code: i32, detail: &str) -> ! {
        let detail = detail.chars().take(2000).collect();
        self.send(&Reply::Refused {
            what: what.to_owned(),
            code,
            detail,
        });
        self.send(&Reply::Done {});
        exit_now(0);
    }

    /// Returns the descriptor of the library.
    pub fn library(&self) -> RawFd {
        self.library.as_raw_fd()
    }
}
