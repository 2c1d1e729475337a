//! Reads /proc: the processes below this one, and how each of them is.
//!
//! Knows nothing of why. A process with another child under its own care must not call [`reap`].

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, kill_process,
    set_dumpable_behavior, wait, waitid,
};

/// Closes this process's memory and environment to other processes of the same user.
///
/// # Errors
/// The kernel refuses.
pub fn close_to_others() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Keeps descriptors that this process was started with from whatever it starts; standard input, output and error aside.
pub fn keep_descriptors() {
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
            reason = "a descriptor that we did not open has no owner to borrow it from"
        )]
        // SAFETY: it is borrowed for one call only; where it was closed in the meantime, the call fails and nothing happens.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        // One that is gone needs no keeping.
        let _ = rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC);
    }
}

/// Whether this process has a child at all, alive or dead. One call, no search.
pub fn has_children() -> bool {
    waitid(
        WaitId::All,
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
    )
    .is_ok()
}

/// Takes note of every child that has ended; returns them with how they did.
pub fn reap() -> Vec<(Pid, WaitStatus)> {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(child)) => ended.push(child),
            Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return ended,
        }
    }
}

/// A process, told apart from a later one with the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Clock ticks since boot.
    started: u64,
}

struct Stat {
    process: Process,
    parent: i32,
    ended: bool,
    stopped: bool,
}

/// Every process there is that this one can see.
fn all() -> Vec<Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read(PathBuf::from("/proc").join(entry.file_name()).join("stat")).ok()?;
            parse(pid, &stat)
        })
        .collect()
}

/// `pid (name) state parent …`, where the name may hold anything; the start time is field 22.
fn parse(pid: i32, stat: &[u8]) -> Option<Stat> {
    let after = memchr::memrchr(b')', stat)?;
    let rest = std::str::from_utf8(stat.get(after + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        process: Process {
            pid: Pid::from_raw(pid)?,
            started,
        },
        parent,
        ended: matches!(state, "Z" | "X" | "x"),
        stopped: matches!(state, "T" | "t"),
    })
}

/// Every living process below this one, but for those that stand in `except` and what is below them.
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
    let pid = pid.as_raw_nonzero().get();
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok();
    stat.and_then(|stat| parse(pid, &stat))
        .is_some_and(|stat| stat.stopped)
}

/// Sends a signal; a process that is gone already is fine.
pub fn signal(process: Process, signal: Signal) {
    // Whoever is gone, or not ours to signal, shows in the next look.
    let _ = kill_process(process.pid, signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_confuse_the_reader() {
        let line = b"7 (a) R 1 (b) S 42 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 0 0";
        let stat = parse(7, line).map(|s| (s.parent, s.process.started, s.ended));
        assert_eq!(stat, Some((42, 9876, false)));
    }

    #[test]
    fn this_process_is_among_all() {
        assert!(all().iter().any(|s| s.process.pid == getpid()));
    }
}
