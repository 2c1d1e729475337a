//! Creates a control group for a command, so that one write kills every process in the group.
//!
//! Control groups are optional: where the machine delegates none, [`Cgroup::create`] returns `None` and the caller kills
//! process by process. Must not depend on gates.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// A control group (version 2) that this process created. Dropping the value removes the group.
#[derive(Debug)]
pub struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// Creates a group with this name below the group of this process.
    ///
    /// Returns `None` if this process may not create the group, or if the kernel has no `cgroup.kill`.
    pub fn create(name: &str) -> Option<Self> {
        let dir = OWN.as_ref()?.join(name);
        std::fs::create_dir(&dir).ok()?;
        let group = Cgroup { dir };
        group.dir.join("cgroup.kill").exists().then_some(group)
    }

    /// Moves a process into the group. Processes that it starts later are in the group too.
    ///
    /// # Errors
    /// The kernel rejects the move.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        std::fs::write(self.dir.join("cgroup.procs"), pid.as_raw_nonzero().to_string())
    }

    /// Opens the folder of the group, to start a process in it.
    ///
    /// # Errors
    /// The folder is gone.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.dir)
    }

    /// Lists the processes in the group.
    pub fn processes(&self) -> Vec<Pid> {
        let listed = std::fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        listed
            .lines()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect()
    }

    /// Kills every process in the group.
    pub fn kill(&self) {
        // If this fails, the caller still kills the processes one by one.
        let _ = std::fs::write(self.dir.join("cgroup.kill"), "1");
    }

    /// Kills every process in the group until the kernel says that it is empty, or the deadline has passed.
    pub fn kill_all(&self, until: Instant) {
        let mut pause = Duration::from_micros(20);
        loop {
            self.kill();
            // A group that cannot be read is gone.
            let events = std::fs::read_to_string(self.dir.join("cgroup.events")).unwrap_or_default();
            if !events.lines().any(|line| line == "populated 1") || Instant::now() >= until {
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The kernel removes only an empty group, and killed processes need a moment to leave it.
        let mut pause = Duration::from_micros(20);
        while pause < Duration::from_millis(100) {
            match std::fs::remove_dir(&self.dir) {
                Err(e) if e.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(pause),
                _ => return,
            }
            pause *= 2;
        }
    }
}

/// The directory of the group that contained this process when the first group was created. Every gate needs it, and a machine with
/// many containers has thousands of mounts.
static OWN: LazyLock<Option<PathBuf>> = LazyLock::new(own);

/// Returns the directory of the group that contains this process.
fn own() -> Option<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|l| l.strip_prefix("0::"))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (root, point) = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        right.starts_with("cgroup2 ").then_some((root, point))
    })?;
    let below = Path::new(path).strip_prefix(root).ok()?;
    let dir = Path::new(point).join(below);
    dir.is_dir().then_some(dir)
}
