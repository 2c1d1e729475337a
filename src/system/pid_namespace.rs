//! Runs a command in its own PID namespace with a private `/proc`: the command sees no process outside, and no process of the
//! command survives the first process of the namespace.
//!
//! Three processes take part. The caller starts this program as the *entry*, which creates the namespace and starts this
//! program again as the *init*, process 1 of the namespace. The init starts the command and reaps orphans. The caller holds one
//! end of a socket, and both others write `Message`s to the other end. The init ends, and with it the whole namespace, when
//! the caller closes the socket. Must not depend on gates.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{Pid, WaitOptions, WaitStatus, getegid, geteuid, wait};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::system::process;
use crate::system::process_tree::Leader;

/// The unlisted subcommand that creates the namespace.
pub const ENTRY: &str = "pid-namespace-entry";
/// The unlisted subcommand of process 1.
pub const INIT: &str = "pid-namespace-init";
/// The program file of this process, also after the file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// How often the init looks for the end of the last process after the command has ended.
const INTERVAL: Duration = Duration::from_millis(2);

/// What the caller learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// The process id of the init, as the caller sees it.
    Init(i32),
    /// The command exited with this code.
    Exit(i32),
    /// This signal ended the command.
    Signal(i32),
}

impl Message {
    fn line(self) -> String {
        match self {
            Message::Init(pid) => format!("init {pid}\n"),
            Message::Exit(code) => format!("exit {code}\n"),
            Message::Signal(signal) => format!("signal {signal}\n"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (word, number) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        match word {
            "init" => Some(Message::Init(number)),
            "exit" => Some(Message::Exit(number)),
            "signal" => Some(Message::Signal(number)),
            _ => None,
        }
    }
}

/// The caller's end of the socket.
#[derive(Debug)]
pub struct Namespace {
    socket: UnixStream,
    /// The bytes of an incomplete line.
    line: String,
    init: Option<Pid>,
    ended: Option<Result<i32, i32>>,
    /// Why the command was not started.
    failure: Option<String>,
}

impl Namespace {
    /// Returns a command that runs this program with these arguments in a new namespace. The caller sets directory, environment
    /// and standard error; standard output of the program is its standard error.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn command<S: AsRef<OsStr>>(program: &[S]) -> io::Result<(Command, Namespace)> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let mut command = Command::new(THIS_PROGRAM);
        command
            .arg(ENTRY)
            .args(program)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null());
        let namespace = Namespace {
            socket,
            line: String::new(),
            init: None,
            ended: None,
            failure: None,
        };
        Ok((command, namespace))
    }

    fn read(&mut self) {
        let mut bytes = [0u8; 1024];
        while let Ok(n @ 1..) = self.socket.read(&mut bytes) {
            self.line.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        while let Some((line, rest)) = self.line.split_once('\n') {
            match Message::parse(line) {
                Some(Message::Init(pid)) => self.init = Pid::from_raw(pid),
                Some(Message::Exit(code)) => self.ended = Some(Ok(code)),
                Some(Message::Signal(signal)) => self.ended = Some(Err(signal)),
                None => self.failure = Some(line.to_owned()),
            }
            self.line = rest.to_owned();
        }
    }

    /// Returns the process id of the init, which does not belong to the command.
    pub fn init(&mut self) -> Option<Pid> {
        self.read();
        self.init
    }

    /// Returns the exit code of the command, or the signal that ended it; `None` if the init did not report an end.
    ///
    /// # Errors
    /// The command was not started.
    pub fn ended(&mut self) -> io::Result<Option<Result<i32, i32>>> {
        self.read();
        match self.failure.take() {
            Some(failure) => Err(io::Error::other(failure)),
            None => Ok(self.ended),
        }
    }
}

/// Whether this process can create such a namespace. Creates one and ends it.
pub fn is_available() -> bool {
    let created = || -> io::Result<bool> {
        let (mut command, mut namespace) = Namespace::command::<&str>(&[])?;
        let mut child = command.env_clear().stderr(Stdio::null()).spawn()?;
        drop(command);
        let exit = child.wait()?;
        Ok(exit.success() && namespace.ended()? == Some(Ok(0)))
    };
    created().unwrap_or(false)
}

/// Creates the namespace and runs the init in it, until the command has ended. Without a command only tests whether that works.
///
/// # Errors
/// The machine does not allow the namespace. The caller is told too.
pub fn enter(program: &[OsString], caller: OwnedFd) -> io::Result<()> {
    let mut caller = UnixStream::from(caller);
    let entered = enter_and_report(program, &mut caller);
    if let Err(error) = &entered {
        // Without a reader there is no one to tell.
        let _ = writeln!(caller, "cannot create a PID namespace: {error}");
    }
    entered
}

fn enter_and_report(program: &[OsString], caller: &mut UnixStream) -> io::Result<()> {
    let is_root = geteuid().is_root();
    unshare(is_root)?;
    // The maps are only writable as long as this process can be inspected.
    process::deny_inspection()?;
    // Mounts of this process stay in its own mount namespace.
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let mut init = Command::new(THIS_PROGRAM);
    init.arg(INIT)
        .args(program)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped());
    #[expect(
        unsafe_code,
        reason = "only the first process of the namespace can mount its /proc, and only before it starts a program"
    )]
    // SAFETY: the function makes system calls only, and does not allocate.
    unsafe {
        init.pre_exec(move || private_proc(is_root))
    };
    let mut init = init.spawn()?;
    let pid = i32::try_from(init.id()).map_err(io::Error::other)?;
    caller.write_all(Message::Init(pid).line().as_bytes())?;
    // The init writes one byte when the command has ended: whether other processes are left.
    let mut left = [0u8; 1];
    if let Some(mut pipe) = init.stdout.take() {
        let _ = pipe.read_exact(&mut left);
    }
    if left[0] != b'+' {
        // Nothing is left, so the init ends now. The caller then finds no process when this one has ended.
        init.wait()?;
    }
    Ok(())
}

/// Enters new namespaces for mounts and for the processes of later children. Who is not root also needs a user namespace.
fn unshare(is_root: bool) -> io::Result<()> {
    let mut flags = UnshareFlags::NEWPID | UnshareFlags::NEWNS;
    if !is_root {
        flags |= UnshareFlags::NEWUSER;
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let mut tries = 0;
    loop {
        #[expect(unsafe_code, reason = "other flags than these would be unsafe")]
        // SAFETY: the flags do not change the table of descriptors.
        match unsafe { unshare_unsafe(flags) } {
            Ok(()) => break,
            // The kernel refuses a user namespace until a thread that has ended is gone.
            Err(Errno::INVAL) if tries < 20 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !is_root {
        // Every process keeps its user and group. The kernel accepts a map of groups only after `deny`.
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    Ok(())
}

/// Mounts the `/proc` of this namespace. Makes system calls only, because the process was forked a moment ago.
fn private_proc(is_root: bool) -> io::Result<()> {
    if is_root {
        // Root could unmount the new one, and must not find the old one below. In a user namespace the kernel prevents that.
        let _ = unmount(c"/proc", UnmountFlags::DETACH);
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount(c"proc", c"/proc", c"proc", flags, None)?)
}

/// The standard streams of process 1.
pub struct Streams {
    /// The socket to the caller.
    pub caller: OwnedFd,
    /// Tells the entry that the command has ended.
    pub entry: OwnedFd,
    /// Takes the output of the command.
    pub output: OwnedFd,
}

/// Runs the command as process 1 of its namespace, until no process is left or the caller is gone.
///
/// # Errors
/// The socket cannot be used.
pub fn init(program: &[OsString], streams: Streams) -> io::Result<()> {
    process::deny_inspection()?;
    process::close_descriptors_on_exec();
    let mut caller = UnixStream::from(streams.caller);
    let mut entry = File::from(streams.entry);
    let Some((name, arguments)) = program.split_first() else {
        return caller.write_all(Message::Exit(0).line().as_bytes());
    };
    let started = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(streams.output.try_clone()?)
        .stderr(streams.output)
        .process_group(0)
        .spawn();
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            return writeln!(caller, "cannot start {}: {error}", name.to_string_lossy());
        }
    };
    let leader = Leader::of(&child);
    let mut has_ended = false;
    loop {
        let (ended, are_left) = reap();
        for (pid, status) in ended {
            if pid == leader.pid {
                has_ended = true;
                caller.write_all(end_of(status).line().as_bytes())?;
                // The entry may be gone: a stop request ends it first.
                let _ = entry.write_all(if are_left { b"+" } else { b"-" });
            }
        }
        if !are_left || is_gone(&caller, &leader, has_ended) {
            return Ok(());
        }
    }
}

fn end_of(status: WaitStatus) -> Message {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Message::Exit(code),
        (None, signal) => Message::Signal(signal.unwrap_or(0)),
    }
}

/// Reaps every child that has ended. Also returns whether children are left.
fn reap() -> (Vec<(Pid, WaitStatus)>, bool) {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(child)) => ended.push(child),
            Ok(None) => return (ended, true),
            Err(Errno::INTR) => {}
            Err(_) => return (ended, false),
        }
    }
}

/// Waits for an event, at most one second. Returns whether the caller is gone.
fn is_gone(caller: &UnixStream, leader: &Leader, has_ended: bool) -> bool {
    let at_most = if has_ended {
        INTERVAL
    } else {
        Duration::from_secs(1)
    };
    let mut fds = vec![PollFd::new(caller, PollFlags::IN)];
    if !has_ended {
        fds.extend(leader.pidfd().map(|fd| PollFd::new(fd, PollFlags::IN)));
    }
    let timeout = Timespec::try_from(at_most).ok();
    // An interrupted wait only returns early.
    let _ = poll(&mut fds, timeout.as_ref());
    // The caller never writes, so a readable socket has been closed.
    fds.first().is_some_and(|fd| !fd.revents().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back() {
        for message in [Message::Init(7), Message::Exit(3), Message::Signal(9)] {
            assert_eq!(Message::parse(message.line().trim_end()), Some(message));
        }
        assert_eq!(Message::parse("cannot start bash: no such file"), None);
    }
}
