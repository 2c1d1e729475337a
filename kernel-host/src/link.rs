//! The line to `nmoe-gates`, kept where a library does not stumble over it.

use std::error::Error as _;
use std::ffi::c_int;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use kernel_host::{EXIT_CUT_OFF, LONGEST, Reply, Request};

const F_DUPFD_CLOEXEC: c_int = 1030;

/// Descriptors from here on are ours.
const HIGH: c_int = 300;

#[expect(unsafe_code, reason = "three calls that std does not offer")]
unsafe extern "C" {
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn _exit(code: c_int) -> !;
}

/// Leaves at once: no destructors, no exit handlers.
#[expect(
    unsafe_code,
    reason = "std offers no way to leave without running exit handlers"
)]
pub fn leave(code: i32) -> ! {
    // SAFETY: it takes any number and does not come back.
    unsafe { _exit(code) }
}

/// A copy of a descriptor, high up and closed on exec.
#[expect(unsafe_code, reason = "std cannot choose a descriptor's number")]
fn high(fd: RawFd) -> OwnedFd {
    // SAFETY: fcntl checks the descriptor itself; what it returns is new and ours alone.
    unsafe {
        let copy = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
        if copy < 0 {
            leave(EXIT_CUT_OFF);
        }
        OwnedFd::from_raw_fd(copy)
    }
}

/// Puts a descriptor in the place of another.
#[expect(unsafe_code, reason = "std cannot replace a standard stream")]
fn replace(from: RawFd, to: RawFd) {
    // SAFETY: dup2 checks both; the standard streams are not owned by any Rust value.
    if unsafe { dup2(from, to) } < 0 {
        leave(EXIT_CUT_OFF);
    }
}

/// The socket, the library, and the nonce that every reply begins with.
pub struct Link {
    socket: UnixStream,
    library: OwnedFd,
    nonce: String,
}

impl Link {
    /// Takes the socket and the library away from the standard streams, and points those at the pipe and at nothing.
    pub fn open() -> Self {
        let socket = UnixStream::from(high(1));
        let library = high(0);
        replace(2, 1);
        // Without /dev the library may keep the descriptor; it is sealed.
        if let Ok(nothing) = File::open("/dev/null") {
            replace(nothing.as_raw_fd(), 0);
        }
        Link {
            socket,
            library,
            nonce: String::new(),
        }
    }

    /// The one request; its nonce is kept for the replies.
    pub fn request(&mut self) -> Option<Request> {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LONGEST && self.socket.read(&mut byte).ok()? == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        let line = String::from_utf8(line).ok()?;
        self.nonce = line.split('\t').next()?.to_owned();
        Request::decode(&line, &self.nonce)
    }

    /// The next request, waited for so long: `None` where none came, and then there may be one later.
    ///
    /// Where the socket is closed, or something else comes over it, the host leaves.
    pub fn next(&mut self, wait: Duration) -> Option<Request> {
        if self.socket.set_read_timeout(Some(wait)).is_err() {
            leave(EXIT_CUT_OFF);
        }
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LONGEST {
            match self.socket.read(&mut byte) {
                Ok(1) if byte == *b"\n" => break,
                Ok(1) => line.extend(byte),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock && line.is_empty() => return None,
                _ => leave(0),
            }
        }
        let line = String::from_utf8(line).unwrap_or_default();
        let request = Request::decode(&line, &self.nonce);
        if request.is_none() {
            leave(EXIT_CUT_OFF);
        }
        request
    }

    /// Sends a reply. Where the socket is gone there is nobody to work for.
    pub fn say(&mut self, reply: &Reply) {
        if self
            .socket
            .write_all(reply.encode(&self.nonce).as_bytes())
            .is_err()
        {
            leave(EXIT_CUT_OFF);
        }
    }

    /// Says what comes next, before it may be the end.
    pub fn stage(&mut self, name: &str) {
        self.say(&Reply::Stage {
            name: name.to_owned(),
        });
    }

    /// Says that a library or a symbol could not be had, in the loader's own words.
    pub fn refuse_loader(&mut self, what: &str, error: &libloading::Error) -> ! {
        let detail = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        self.refuse(what, 0, &detail)
    }

    /// Says what could not be done, and ends in good order.
    pub fn refuse(&mut self, what: &str, code: i32, detail: &str) -> ! {
        let detail = detail.chars().take(2000).collect();
        self.say(&Reply::Refused {
            what: what.to_owned(),
            code,
            detail,
        });
        self.say(&Reply::Done {});
        leave(0);
    }

    /// The library's descriptor.
    pub fn library(&self) -> RawFd {
        self.library.as_raw_fd()
    }
}
