//! Supervises what this process starts: which processes are its own, and how all of them end.
//!
//! The one core of the three supervisors: the keeper of a run, the launcher of a gate and the parent of the kernel host.
//! Each of them decides when something ends and what that means; this module ends it. Knows nothing of gates or hosts.

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

/// Everything that is started below this process from now on. Orphans fall to this process, so none gets out of sight.
#[derive(Debug)]
pub struct Descendants {
    before: HashSet<Process>,
    /// Whether dropping this ends the adoption of orphans.
    release: bool,
}

impl Descendants {
    /// Adopts orphans from now on, and excludes what runs below this process already.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn adopt() -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        let mut descendants = Descendants {
            before: HashSet::new(),
            release: false,
        };
        descendants.exclude_current();
        Ok(descendants)
    }

    /// The same until it is dropped, unless this process adopted orphans before.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn adopt_until_dropped() -> io::Result<Self> {
        let release = child_subreaper().ok().flatten().is_none();
        let mut descendants = Descendants::adopt()?;
        descendants.release = release;
        Ok(descendants)
    }

    /// Excludes what runs below this process now: another part of the program supervises it.
    pub fn exclude_current(&mut self) {
        self.before = if process::has_children() {
            process::descendants(&HashSet::new()).into_iter().collect()
        } else {
            HashSet::new()
        };
    }

    /// Those that live.
    pub fn living(&self) -> Vec<Process> {
        if process::has_children() {
            process::descendants(&self.before)
        } else {
            Vec::new()
        }
    }

    /// Asks those to end that `asked` names, and continues all that are stopped so that they can.
    pub fn terminate(&self, asked: impl Fn(&Process) -> bool) {
        for one in self.living() {
            if asked(&one) {
                process::signal(one, Signal::TERM);
            }
            process::signal(one, Signal::CONT);
        }
    }

    /// Stops all, so that none starts another before it is killed; returns them.
    pub fn stop(&self) -> Vec<Process> {
        let living = self.living();
        living.iter().for_each(|one| process::signal(*one, Signal::STOP));
        living
    }

    /// Kills all until none is left or the time is up; those that are started or orphaned meanwhile too. `reap` gets all
    /// that were killed so far, after each round and at the end. Returns how many there were.
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

/// Kills these processes.
pub fn kill(processes: &[Process]) {
    processes
        .iter()
        .for_each(|one| process::signal(*one, Signal::KILL));
}

/// Takes note of the end of these processes where they are children of this one; other children are left alone.
pub fn reap_only(processes: &HashSet<Process>) {
    for one in processes {
        // One that is not ours, or not dead yet, shows in the next look.
        let _ = waitpid(Some(one.pid), WaitOptions::NOHANG);
    }
}

impl Drop for Descendants {
    fn drop(&mut self) {
        if self.release {
            // The kernel granted it, so it takes it back too.
            let _ = set_child_subreaper(None);
        }
    }
}

/// A process that this one started as the leader of a group of its own.
#[derive(Debug)]
pub struct Leader {
    /// Its number.
    pub pid: Pid,
    pidfd: Option<OwnedFd>,
    status: Option<WaitStatus>,
    ended: Option<Instant>,
}

impl Leader {
    /// The leader that was just started.
    pub fn of(child: &Child) -> Self {
        let pid = Pid::from_child(child);
        Leader {
            pid,
            // Linux has pidfds from 5.3 on; without one the callers look often.
            pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
            status: None,
            ended: None,
        }
    }

    /// A descriptor that becomes readable when it ends.
    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }

    /// Reaps every child of this process that has ended, this one among them.
    pub fn reap(&mut self) -> Option<WaitStatus> {
        for (pid, status) in process::reap() {
            if pid == self.pid {
                self.status = Some(status);
                self.ended = Some(Instant::now());
            }
        }
        self.status
    }

    /// How it ended, as far as [`Leader::reap`] has seen.
    pub fn status(&self) -> Option<WaitStatus> {
        self.status
    }

    /// When [`Leader::reap`] saw that it had ended.
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// Signals its group, while the number is certainly its own.
    pub fn signal_group(&self, signal: Signal) {
        if self.status.is_none() {
            signal_group(self.pid, signal);
        }
    }
}

/// Signals the group of a leader that has not been reaped.
pub fn signal_group(leader: Pid, signal: Signal) {
    // An empty group is what we want.
    let _ = kill_process_group(leader, signal);
}
