//! A control group of its own for a command, where one may be made: ending it ends all that is in it, at once.
//!
//! Optional everywhere: on a machine that delegates none, [`Cgroup::create`] gives none and nothing else changes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

/// A control group (version 2) that this process made and removes again.
#[derive(Debug)]
pub struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// A group with this name below our own; none where that is not allowed or the kernel cannot end a group at once.
    pub fn create(name: &str) -> Option<Self> {
        let dir = own()?.join(name);
        std::fs::create_dir(&dir).ok()?;
        let group = Cgroup { dir };
        group.dir.join("cgroup.kill").exists().then_some(group)
    }

    /// Moves a process into the group; what it starts from now on is in it too.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        std::fs::write(self.dir.join("cgroup.procs"), pid.as_raw_nonzero().to_string())
    }

    /// Ends every process of the group.
    pub fn kill(&self) {
        // A group that cannot be ended is swept process by process.
        let _ = std::fs::write(self.dir.join("cgroup.kill"), "1");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Only an empty group can be removed; the dead leave it within a moment.
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

/// The directory of the group that this process is in.
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
