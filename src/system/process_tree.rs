//! Finds and kills all descendants of this process.
//!
//! Three callers share this module: the supervisor of a run, the runner of a gate command and the parent of the kernel host.
//! The callers decide when to kill and what an exit means. Must not depend on gates or on the kernel host.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, child_subreaper, getpid, kill_process_group,
    pidfd_open, set_child_subreaper, waitpid,
};

use crate::system::process::{self, Process};

/// How long a command may take to end after SIGTERM; then it is killed.
pub const TERMINATE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long remaining processes may take to end after the command; later they count as leaked.
pub const GRACE_PERIOD: Duration = Duration::from_millis(500);
/// How long to kill processes that keep starting others.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(3);

/// The processes that start below this one from now on. This process adopts orphans, so that no descendant gets lost.
#[derive(Debug)]
pub struct Descendants {
    before: HashSet<Process>,
    /// Whether dropping this value ends the adoption of orphans.
    release: bool,
}

impl Descendants {
    /// Adopts orphans from now on, and excludes the descendants that already run.
    ///
    /// # Errors
    /// The kernel rejects the setting.
    pub fn adopt() -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        let mut descendants = Descendants {
            before: HashSet::new(),
            release: false,
        };
        descendants.exclude_current();
        Ok(descendants)
    }

    /// Adopts orphans until the value is dropped. If this process adopted orphans before, it continues to do so.
    ///
    /// # Errors
    /// The kernel rejects the setting.
    pub fn adopt_until_dropped() -> io::Result<Self> {
        let release = child_subreaper().ok().flatten().is_none();
        let mut descendants = Descendants::adopt()?;
        descendants.release = release;
        Ok(descendants)
    }

    /// Excludes the current descendants, because another part of the program supervises them.
    pub fn exclude_current(&mut self) {
        self.before = if process::has_children() {
            process::descendants(&HashSet::new()).into_iter().collect()
        } else {
            HashSet::new()
        };
    }

    /// Excludes one more process and its descendants.
    pub fn exclude(&mut self, pid: Pid) {
        self.before
            .extend(self.living().into_iter().filter(|one| one.pid == pid));
    }

    /// Lists the living descendants that are not excluded.
    pub fn living(&self) -> Vec<Process> {
        if process::has_children() {
            process::descendants(&self.before)
        } else {
            Vec::new()
        }
    }

    /// Whether the kernel lists no child that is not excluded. Much faster than [`Descendants::living`], but the list may omit children
    /// that another thread hands over or reaps at this moment. So only for a command whose processes end with something else, such as
    /// its PID namespace.
    pub fn lists_none(&self) -> bool {
        process::has_only(&self.before)
    }

    /// Sends TERM to the descendants that `asked` selects, and CONT to all, because a stopped process cannot exit.
    pub fn terminate(&self, asked: impl Fn(&Process) -> bool) {
        for one in self.living() {
            if asked(&one) {
                process::signal(one, Signal::TERM);
            }
            process::signal(one, Signal::CONT);
        }
    }

    /// Sends STOP to all descendants, so that none starts a new process before the kill. Returns them.
    pub fn stop(&self) -> Vec<Process> {
        let living = self.living();
        living.iter().for_each(|one| process::signal(*one, Signal::STOP));
        living
    }

    /// Kills all descendants, also new ones, until none is left or the deadline has passed.
    ///
    /// Calls `reap` after each round with all processes killed so far. Returns the number of killed processes.
    pub fn kill_all(&self, until: Instant, reap: impl Fn(&HashSet<Process>)) -> usize {
        let mut killed = HashSet::new();
        loop {
            let left = self.stop();
            let is_last = left.is_empty() || Instant::now() >= until;
            kill(&left);
            killed.extend(left);
            if !is_last {
                std::thread::sleep(Duration::from_millis(1));
            }
            reap(&killed);
            if is_last {
                return killed.len();
            }
        }
    }
}

/// Sends KILL to these processes.
pub fn kill(processes: &[Process]) {
    processes
        .iter()
        .for_each(|one| process::signal(*one, Signal::KILL));
}

/// Reaps those of these processes that are children of this one. Does not reap other children.
pub fn reap_only(processes: &HashSet<Process>) {
    for one in processes {
        // A process that is not a child, or is still alive, returns an error; the next round tries again.
        let _ = waitpid(Some(one.pid), WaitOptions::NOHANG);
    }
}

impl Drop for Descendants {
    fn drop(&mut self) {
        if self.release {
            // The kernel accepted the setting before, so this call cannot fail.
            let _ = set_child_subreaper(None);
        }
    }
}

/// A child process that leads its own process group.
#[derive(Debug)]
pub struct Leader {
    /// The process id.
    pub pid: Pid,
    pidfd: Option<OwnedFd>,
    status: Option<WaitStatus>,
    ended: Option<Instant>,
}

impl Leader {
    /// Wraps a child that was just started.
    pub fn of(child: &Child) -> Self {
        Leader::of_pid(Pid::from_child(child))
    }

    /// Wraps a child that has not been reaped.
    pub fn of_pid(pid: Pid) -> Self {
        Leader {
            pid,
            // Linux supports pidfds since 5.3. Without one, the callers poll at short intervals.
            pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
            status: None,
            ended: None,
        }
    }

    /// Returns a descriptor that becomes readable when the leader ends.
    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }

    /// Reaps every ended child of this process. Returns the status of the leader once it has ended.
    pub fn reap(&mut self) -> Option<WaitStatus> {
        for (pid, status) in process::reap().0 {
            if pid == self.pid {
                self.status = Some(status);
                self.ended = Some(Instant::now());
            }
        }
        self.status
    }

    /// Returns the exit status, if [`Leader::reap`] has seen it.
    pub fn status(&self) -> Option<WaitStatus> {
        self.status
    }

    /// Returns when [`Leader::reap`] saw that the leader had ended.
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// Signals the group, unless the leader was reaped: another process may have its id then.
    pub fn signal_group(&self, signal: Signal) {
        if self.status.is_none() {
            signal_group(self.pid, signal);
        }
    }
}

/// Signals the group of a leader that is not reaped yet.
pub fn signal_group(leader: Pid, signal: Signal) {
    // The call fails if the group is empty, which is fine.
    let _ = kill_process_group(leader, signal);
}
