//! Runs commands in their own PID namespaces with a private `/proc`: a command sees no process outside, and no process of a command
//! survives the first process of its namespace.
//!
//! Four processes take part. The caller starts this program once more as the [`Server`], which holds nothing but what each request
//! brings, and runs no command itself. For each command the server forks the *entry*, as a child of the caller. The entry creates the
//! namespace and forks the *init*, process 1 of the namespace, which starts the command and reaps orphans. Only the server is a new
//! program: to start one costs more than all the rest. The caller holds one end of a socket, and entry and init write `Message`s to the
//! other end. The init ends, and with it the whole namespace, when the caller closes the socket. Must not depend on gates.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString, c_int, c_long};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, getegid, geteuid, set_dumpable_behavior, setpgid,
    waitpid,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::system::cgroup::Cgroup;
use crate::system::kernel_timers;
use crate::system::process::{self, THIS_PROGRAM};
use crate::system::process_tree::Leader;
use crate::system::syscall::syscall;

/// The unlisted subcommand of the server.
pub const SERVER: &str = "pid-namespace-server";
/// How often the init looks for the end of the last process after the command has ended.
const INTERVAL: Duration = Duration::from_millis(2);

/// A command that runs in a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The program and its arguments; empty only tests whether the namespace works.
    pub words: &'a [&'a str],
    pub dir: &'a Path,
    /// The complete environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
}

impl Program<'_> {
    /// Returns the request to the entry: its length, and then each field with a zero byte at its end.
    fn request(&self) -> io::Result<Vec<u8>> {
        let count = self.words.len().to_string();
        let variables = self
            .environment
            .iter()
            .flat_map(|(name, value)| [name.as_os_str(), value]);
        let fields = [self.dir.as_os_str(), OsStr::new(&count)].into_iter();
        let fields = fields.chain(self.words.iter().map(OsStr::new)).chain(variables);
        let mut request = vec![0; 8];
        for field in fields {
            if memchr::memchr(0, field.as_bytes()).is_some() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a zero byte in the command",
                ));
            }
            request.extend_from_slice(field.as_bytes());
            request.push(0);
        }
        let length = request.len() as u64 - 8;
        request[..8].copy_from_slice(&length.to_le_bytes());
        Ok(request)
    }
}

/// Reads a request as a command without streams, and its name; `None` if there is no program.
fn read_request(caller: &mut impl io::Read) -> io::Result<Option<(Command, OsString)>> {
    let mut length = [0; 8];
    caller.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut request = Vec::new();
    if caller.take(length).read_to_end(&mut request)? as u64 != length {
        // A caller that was killed while it wrote: the rest of the script would be missing.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut fields = request
        .split(|byte| *byte == 0)
        .map(|field| OsString::from_vec(field.to_vec()));
    let mut next = || fields.next().ok_or(io::ErrorKind::UnexpectedEof);
    let dir = next()?;
    let count: usize = next()?.to_str().and_then(|count| count.parse().ok()).unwrap_or(0);
    if count == 0 {
        return Ok(None);
    }
    let name = next()?;
    let mut command = Command::new(&name);
    for _ in 1..count {
        command.arg(next()?);
    }
    command.env_clear().current_dir(dir);
    while let (Ok(name), Ok(value)) = (next(), next()) {
        command.env(name, value);
    }
    Ok(Some((command, name)))
}

/// The process that forks an entry for each command. It ends when this value is dropped.
#[derive(Debug)]
pub struct Server {
    socket: Option<UnixStream>,
    child: Child,
}

impl Server {
    /// Starts the server.
    ///
    /// # Errors
    /// The kernel gives no socket, or refuses to start the program.
    pub fn start() -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = Command::new(THIS_PROGRAM)
            .arg(SERVER)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Server {
            socket: Some(socket),
            child,
        })
    }

    /// Returns the process id of the server.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Runs a command in a new namespace, with its output to this descriptor, and in a control group if there is one. The leader is the
    /// entry, a child of this process that leads its own process group.
    ///
    /// # Errors
    /// The server is gone, or the kernel gives no socket.
    pub fn run(
        &self,
        program: &Program<'_>,
        output: BorrowedFd<'_>,
        group: Option<&Cgroup>,
    ) -> io::Result<(Leader, Namespace)> {
        let request = program.request()?;
        let (mut socket, theirs) = UnixStream::pair()?;
        let mut server = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let folder = group.and_then(|group| group.open().ok());
        let mut descriptors = vec![theirs.as_fd(), output];
        descriptors.extend(folder.as_ref().map(File::as_fd));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        sendmsg(server, &[IoSlice::new(b"+")], &mut ancillary, SendFlags::NOSIGNAL)?;
        drop(theirs);
        let mut reply = [0; 5];
        server.read_exact(&mut reply)?;
        let [pid @ .., is_in_group] = reply;
        let pid = Pid::from_raw(i32::from_le_bytes(pid)).ok_or_else(|| io::Error::other("cannot fork"))?;
        let leader = Leader::of_pid(pid);
        // The entry waits for the request, so it cannot have ended.
        setpgid(Some(pid), Some(pid))?;
        if let Some(group) = group.filter(|_| is_in_group == 0) {
            // The caller of this function also finds processes outside the group.
            let _ = group.add(pid);
        }
        socket.write_all(&request)?;
        socket.set_nonblocking(true)?;
        let namespace = Namespace {
            socket,
            line: String::new(),
            init: None,
            ended: None,
            failure: None,
        };
        Ok((leader, namespace))
    }

    /// Whether the machine allows such a namespace. Creates one and ends it.
    pub fn works(&self) -> bool {
        let created = || -> io::Result<bool> {
            let nothing = Program {
                words: &[],
                dir: Path::new("/"),
                environment: &BTreeMap::new(),
            };
            let null = File::open("/dev/null")?;
            let (leader, mut namespace) = self.run(&nothing, null.as_fd(), None)?;
            let ended = waitpid(Some(leader.pid), WaitOptions::empty())?;
            let is_success = ended.and_then(|(_, status)| status.exit_status()) == Some(0);
            Ok(is_success && namespace.ended()? == Some(Ok(0)))
        };
        created().unwrap_or(false)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.socket = None;
        // Another part of this process may have reaped the server.
        let _ = self.child.wait();
    }
}

/// Forks an entry for each request, until the caller closes the socket. No standard stream of this process may be that socket.
///
/// # Errors
/// The socket cannot be used.
pub fn serve(caller: OwnedFd) -> io::Result<()> {
    process::deny_inspection()?;
    process::close_descriptors_on_exec();
    // Its caller waits for each answer.
    kernel_timers::continue_when_stopped()?;
    let mut caller = UnixStream::from(caller);
    while let Some((socket, output, group)) = receive(&caller)? {
        // To start in a group is much faster than to move to it, because the kernel then waits for all processors.
        let in_group = group.and_then(|group| fork_into(&group).ok());
        let is_in_group = u8::from(in_group.is_some());
        let pid = match in_group.map_or_else(|| fork(CLONE_PARENT), Ok) {
            Ok(None) => {
                drop(caller);
                let entered = enter(UnixStream::from(socket), output);
                std::process::exit(c_int::from(entered.is_err()));
            }
            Ok(Some(pid)) => pid.as_raw_nonzero().get(),
            Err(_) => 0,
        };
        let [a, b, c, d] = pid.to_le_bytes();
        caller.write_all(&[a, b, c, d, is_in_group])?;
    }
    Ok(())
}

/// Receives the socket and the output of a command, and the folder of its control group; `None` at the end.
fn receive(caller: &UnixStream) -> io::Result<Option<(OwnedFd, OwnedFd, Option<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        match recvmsg(
            caller,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    let mut descriptors = rights.flatten();
    match (descriptors.next(), descriptors.next()) {
        (Some(socket), Some(output)) => Ok(Some((socket, output, descriptors.next()))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The flag of `clone` that makes the new process a sibling of this one.
const CLONE_PARENT: c_long = 0x8000;
/// The number of the system call `clone`.
#[cfg(target_arch = "x86_64")]
const CLONE: c_long = 56;
#[cfg(not(target_arch = "x86_64"))]
const CLONE: c_long = 220;

/// Forks this process. Returns the new process, or `None` in the new process.
fn fork(flags: c_long) -> io::Result<Option<Pid>> {
    let flags = flags | c_long::from(Signal::CHILD.as_raw());
    let zero: c_long = 0;
    #[expect(
        unsafe_code,
        reason = "the standard library cannot fork without starting a program"
    )]
    // SAFETY: this process has one thread, so the new process may do everything. Without a stack and addresses the call copies the
    // process as `fork` does.
    let pid = unsafe { syscall(CLONE, flags, zero, zero, zero, zero) };
    forked(pid)
}

/// The number of the system call `clone3`, on every processor.
const CLONE3: c_long = 435;
/// The flag of `clone3` that makes the new process start in a control group.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// The number of fields of the argument of `clone3`; the first one has the flags, and the last one the control group.
const FIELDS: usize = 11;

/// Forks a sibling of this process that starts in a control group.
fn fork_into(group: &OwnedFd) -> io::Result<Option<Pid>> {
    let mut fields = [0_u64; FIELDS];
    // A sibling has the exit signal of this process, so the field for it must be zero.
    fields[0] = CLONE_INTO_CGROUP | CLONE_PARENT.cast_unsigned();
    fields[FIELDS - 1] = u64::try_from(group.as_raw_fd()).map_err(io::Error::other)?;
    #[expect(
        unsafe_code,
        reason = "the standard library cannot fork without starting a program"
    )]
    // SAFETY: as in `fork`. The fields are valid during the call.
    let pid = unsafe { syscall(CLONE3, fields.as_ptr(), size_of_val(&fields)) };
    forked(pid)
}

fn forked(pid: c_long) -> io::Result<Option<Pid>> {
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?))
}

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

/// Creates the namespace and runs the init in it, until the command has ended. The caller also learns why that is impossible.
fn enter(mut caller: UnixStream, output: OwnedFd) -> io::Result<()> {
    let entered = enter_and_report(&mut caller, output);
    if let Err(error) = &entered {
        // Without a reader there is no one to tell.
        let _ = writeln!(caller, "cannot create a PID namespace: {error}");
    }
    entered
}

fn enter_and_report(caller: &mut UnixStream, output: OwnedFd) -> io::Result<()> {
    // Its caller waits for it, and a fork inherits no timer.
    kernel_timers::continue_when_stopped()?;
    let program = read_request(caller)?;
    let is_root = geteuid().is_root();
    // The maps are only writable as long as this process can be inspected. It holds only what the command gets.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    unshare(is_root)?;
    process::deny_inspection()?;
    // Mounts of this process stay in its own mount namespace.
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let (mut pipe, entry) = io::pipe()?;
    let Some(pid) = fork(0)? else {
        drop(pipe);
        kernel_timers::continue_when_stopped()?;
        private_proc(is_root)?;
        init(program, caller, entry.into(), output)?;
        std::process::exit(0);
    };
    drop((entry, output, program));
    let message = Message::Init(pid.as_raw_nonzero().get());
    caller.write_all(message.line().as_bytes())?;
    // The init writes one byte when the command has ended: whether other processes are left.
    let mut left = [0u8; 1];
    let _ = pipe.read_exact(&mut left);
    if left[0] != b'+' {
        // Nothing is left, so the init ends now. The caller then finds no process when this one has ended.
        waitpid(Some(pid), WaitOptions::empty())?;
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

/// Mounts the `/proc` of this namespace.
fn private_proc(is_root: bool) -> io::Result<()> {
    if is_root {
        // Root could unmount the new one, and must not find the old one below. In a user namespace the kernel prevents that.
        let _ = unmount(c"/proc", UnmountFlags::DETACH);
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount(c"proc", c"/proc", c"proc", flags, None)?)
}

/// Runs the command as process 1 of its namespace, until no process is left or the caller is gone. Tells the entry when the command
/// has ended.
fn init(
    program: Option<(Command, OsString)>,
    caller: &mut UnixStream,
    entry: OwnedFd,
    output: OwnedFd,
) -> io::Result<()> {
    let mut entry = File::from(entry);
    let Some((mut command, name)) = program else {
        return caller.write_all(Message::Exit(0).line().as_bytes());
    };
    let started = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn();
    // Only the command holds its output.
    drop(command);
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            return writeln!(caller, "cannot start {}: {error}", name.to_string_lossy());
        }
    };
    let leader = Leader::of(&child);
    let mut has_ended = false;
    loop {
        let (ended, are_left) = process::reap();
        for (pid, status) in ended {
            if pid == leader.pid {
                has_ended = true;
                caller.write_all(end_of(status).line().as_bytes())?;
                // The entry may be gone: a stop request ends it first.
                let _ = entry.write_all(if are_left { b"+" } else { b"-" });
            }
        }
        if !are_left || is_gone(caller, &leader, has_ended) {
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

    #[test]
    fn cut_request_starts_nothing() -> io::Result<()> {
        let environment = [("NAME".into(), "value".into())].into();
        let program = Program {
            words: &["bash", "-c", "make clean && make"],
            dir: Path::new("/"),
            environment: &environment,
        };
        let request = program.request()?;
        let (command, name) = read_request(&mut request.as_slice())?.ok_or(io::ErrorKind::InvalidData)?;
        assert_eq!(
            (name.as_os_str(), command.get_args().count()),
            (OsStr::new("bash"), 2)
        );
        assert_eq!(command.get_envs().count(), 1);
        for length in 0..request.len() {
            let cut = read_request(&mut &request[..length]).map(|read| read.is_some());
            assert_eq!(
                cut.map_err(|error| error.kind()),
                Err(io::ErrorKind::UnexpectedEof),
                "{length}"
            );
        }
        Ok(())
    }
}
