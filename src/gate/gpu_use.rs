//! Counts the GPUs of this machine that a gate uses, while the command of the gate runs.
//!
//! A separate thread asks NVML, so that the supervisor is never delayed. Must not decide what the number means.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::gate::process::Supervisor;
use crate::kernel::health::{self, HealthMonitor};

/// The time between two readings.
const BETWEEN: Duration = Duration::from_millis(250);

/// Counts GPUs with a compute process until [`GpuUse::finish`].
pub struct GpuUse {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Option<usize>>,
}

impl GpuUse {
    /// Starts to count; `None` if NVML does not answer. Must be called before the command of the gate starts.
    pub fn start(supervisor: &mut Supervisor) -> Option<Self> {
        let mut monitor = HealthMonitor::start(&health::LIMITS)?;
        supervisor.exclude_current_children();
        let ended = Arc::new(AtomicBool::new(false));
        let is_ended = Arc::clone(&ended);
        let count = move || {
            let mut busy = BTreeSet::new();
            while !is_ended.load(Ordering::Acquire) {
                let reading = monitor.read()?;
                let used = reading.gpus().iter().filter(|gpu| gpu.processes > 0);
                busy.extend(used.map(|gpu| gpu.index));
                std::thread::park_timeout(BETWEEN);
            }
            Some(busy.len())
        };
        let thread = std::thread::Builder::new()
            .name("gpus".to_owned())
            .spawn(count)
            .ok()?;
        Some(GpuUse { ended, thread })
    }

    /// Returns the number of GPUs that had a process; `None` if NVML stopped answering.
    pub fn finish(self) -> Option<u32> {
        self.ended.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let count = self.thread.join().ok().flatten()?;
        u32::try_from(count).ok()
    }
}
