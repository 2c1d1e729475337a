//! Lists, reaps and signals processes, with the data in /proc.
//!
//! [`reap`] reaps every child, so do not call it in a process that waits for another child elsewhere.
//! Must not depend on gates.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, kill_process,
    set_dumpable_behavior, wait, waitid,
};

/// The program file of this process, also after another file has its name.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Denies other processes of the same user access to the memory and environment of this process.
///
/// # Errors
/// The kernel rejects the setting.
pub fn deny_inspection() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Marks all inherited descriptors as close-on-exec, except standard input, output and error.
pub fn close_descriptors_on_exec() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        #[expect(
            unsafe_code,
            reason = "a descriptor that this program did not open has no owner to borrow it from"
        )]
        // SAFETY: the descriptor is borrowed for one call only. If another thread closed it, the call fails without effect.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        // A closed descriptor needs no flag, so ignore the error.
        let _ = rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC);
    }
}

/// Whether this process has any child, alive or zombie. Needs one system call and does not read /proc.
pub fn has_children() -> bool {
    waitid(
        WaitId::All,
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
    )
    .is_ok()
}

/// Whether every listed child of this process is among these. Reads only the lists of children; `false` if the kernel keeps none.
/// The kernel may omit children that another thread hands over or reaps at this moment.
pub fn has_only(known: &HashSet<Process>) -> bool {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return false;
    };
    let is_known = |pid: &str| {
        let pid = pid.parse().ok();
        pid.and_then(stat)
            .is_some_and(|stat| known.contains(&stat.process))
    };
    !known.is_empty()
        && threads.flatten().all(|thread| {
            let listed = std::fs::read_to_string(thread.path().join("children"));
            listed.is_ok_and(|listed| listed.split_ascii_whitespace().all(is_known))
        })
}

/// Reaps every child that has ended, and returns each with its status. Also returns whether children are left.
pub fn reap() -> (Vec<(Pid, WaitStatus)>, bool) {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(child)) => ended.push(child),
            Ok(None) => return (ended, true),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return (ended, false),
        }
    }
}

/// A process. The start time distinguishes it from a later process with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// The process id.
    pub pid: Pid,
    /// The start time in clock ticks since boot.
    started: u64,
}

impl Process {
    /// Whether this process is this program with a subcommand. A command of the subject can pretend to be one.
    pub fn runs_subcommand(&self, name: &str) -> bool {
        let folder = PathBuf::from(format!("/proc/{}", self.pid.as_raw_nonzero()));
        let arguments = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        arguments.split(|b| *b == 0).nth(1) == Some(name.as_bytes())
            && std::fs::read_link(folder.join("exe")).ok() == std::fs::read_link(THIS_PROGRAM).ok()
    }
}

struct Stat {
    process: Process,
    parent: i32,
    ended: bool,
    stopped: bool,
}

/// Lists every process that this one can see.
fn all() -> Vec<Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            stat(pid)
        })
        .collect()
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &text)
}

/// Parses `pid (name) state parent …`. The name may contain any byte; field 20 is the number of threads, field 22 the start time.
fn parse(pid: i32, stat: &[u8]) -> Option<Stat> {
    let after = memchr::memrchr(b')', stat)?;
    let rest = std::str::from_utf8(stat.get(after + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let threads: u64 = fields.nth(15)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(Stat {
        process: Process {
            pid: Pid::from_raw(pid)?,
            started,
        },
        parent,
        // The state is that of the first thread. A process whose first thread has exited runs on in its other threads.
        ended: matches!(state, "Z" | "X" | "x") && threads <= 1,
        stopped: matches!(state, "T" | "t"),
    })
}

/// Lists the living descendants of this process. Skips the processes in `except` and their descendants.
pub fn descendants(except: &HashSet<Process>) -> Vec<Process> {
    let mut below: HashMap<i32, Vec<Stat>> = HashMap::new();
    for stat in all() {
        below.entry(stat.parent).or_default().push(stat);
    }
    let mut found = Vec::new();
    let mut queue = vec![getpid().as_raw_nonzero().get()];
    while let Some(parent) = queue.pop() {
        for stat in below.remove(&parent).into_iter().flatten() {
            if except.contains(&stat.process) {
                continue;
            }
            queue.push(stat.process.pid.as_raw_nonzero().get());
            if !stat.ended {
                found.push(stat.process);
            }
        }
    }
    found
}

/// Whether a process is stopped, as by SIGSTOP.
pub fn is_stopped(pid: Pid) -> bool {
    stat(pid.as_raw_nonzero().get()).is_some_and(|stat| stat.stopped)
}

/// Whether a child was stopped or continued since the last call. Does not reap it.
pub fn was_stopped(child: Pid) -> bool {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
    waitid(WaitId::Pid(child), options).is_ok_and(|change| change.is_some())
}

/// Sends a signal. A process that has ended is not an error.
pub fn signal(process: Process, signal: Signal) {
    // Callers list the processes again and see there which ones are still alive.
    let _ = kill_process(process.pid, signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parentheses_in_a_name_do_not_break_parsing() {
        let line = b"7 (a) R 1 (b) S 42 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 0 0";
        let stat = parse(7, line).map(|s| (s.parent, s.process.started, s.ended));
        assert_eq!(stat, Some((42, 9876, false)));
    }

    #[test]
    fn zombie_leader_with_threads_is_alive() {
        let line = |threads| format!("7 (a) Z 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 {threads} 0 9876 0 0");
        let ended = |threads| parse(7, line(threads).as_bytes()).map(|stat| stat.ended);
        assert_eq!((ended(1), ended(2)), (Some(true), Some(false)));
    }

    #[test]
    fn this_process_is_among_all() {
        assert!(all().iter().any(|s| s.process.pid == getpid()));
    }
}
