//! Processes that a host leaves behind, even by `setsid` and a double fork: they become ours, and are ended.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, child_subreaper, getpid, kill_process, set_child_subreaper, waitpid,
};

/// How long to wait for killed processes to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Adoption of orphans, from before a host starts until after it ended.
pub struct Orphans {
    before: BTreeSet<i32>,
    was_subreaper: bool,
}

impl Orphans {
    /// Makes this process the one that orphans below it fall to. Where the kernel refuses, there is nothing to adopt.
    pub fn adopt() -> Self {
        let was_subreaper = child_subreaper().ok().flatten().is_some();
        let _ = set_child_subreaper(Some(getpid()));
        Orphans {
            before: children(),
            was_subreaper,
        }
    }

    /// Ends and reaps every child that was not there before; returns how many there were. The host itself has been waited for.
    pub fn end(self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        let mut ended = BTreeSet::new();
        loop {
            let left: Vec<i32> = children().difference(&self.before).copied().collect();
            if left.is_empty() || Instant::now() >= deadline {
                break;
            }
            for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                // Either may fail because it is gone already.
                let _ = kill_process(pid, Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
            ended.extend(left);
            std::thread::yield_now();
        }
        if !self.was_subreaper {
            let _ = set_child_subreaper(None);
        }
        u32::try_from(ended.len()).unwrap_or(u32::MAX)
    }
}

/// The children of this process, as /proc has them; none where it is missing.
fn children() -> BTreeSet<i32> {
    let us = getpid().as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeSet::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|(_, parent)| parent == us))
        .collect()
}

/// The state letter of a process.
pub fn state(pid: u32) -> Option<char> {
    stat(i32::try_from(pid).ok()?).map(|(state, _)| state)
}

/// State and parent of a process. Its name stands in parentheses before them and may hold anything.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
