//! Checks the health of the GPUs during a measurement: one reading before it, one after it, and every Xid in between.
//!
//! Translates health issues into the reasons that results use. Evaluates no samples.

use crate::domain::results::Interference;
use crate::gate::process::Supervisor;
use crate::kernel::health::{self, GpuIssue, HealthMonitor, Kind, Reading};

/// Monitors the GPUs for the duration of a comparison.
pub struct Watch {
    monitor: Option<HealthMonitor>,
    before: Option<Reading>,
    blind: bool,
}

impl Watch {
    /// Starts the monitor if the measurements use GPUs. Must be called between measurements, so that the monitor's processes do
    /// not count as theirs.
    pub fn over(gpus: u32, supervisor: &mut Supervisor) -> Self {
        let monitor = (gpus > 0)
            .then(|| HealthMonitor::start(&health::LIMITS))
            .flatten();
        supervisor.exclude_current_children();
        Watch {
            blind: gpus > 0 && monitor.is_none(),
            monitor,
            before: None,
        }
    }

    /// Takes the reading before a measurement.
    pub fn before(&mut self) {
        self.before = self.look();
    }

    /// Takes the reading after all processes of the measurement have ended. Returns what disturbed it, worst first.
    pub fn after(&mut self) -> Vec<(Interference, String)> {
        let (Some(before), Some(after)) = (self.before.take(), self.look()) else {
            return Vec::new();
        };
        let mut issues = after.issues_since(&before);
        // A foreign process at the start may have ended before the second reading.
        issues.extend(
            before
                .issues()
                .into_iter()
                .filter(|issue| issue.kind == Kind::Foreign),
        );
        issues.sort_by_key(|issue| issue.kind);
        issues.iter().map(told).collect()
    }

    /// Returns whether the health of the GPUs could not be read.
    pub fn blind(&self) -> bool {
        self.blind
    }

    fn look(&mut self) -> Option<Reading> {
        let reading = self.monitor.as_mut()?.read();
        if reading.is_none() {
            self.monitor = None;
            self.blind = true;
        }
        reading
    }
}

fn told(issue: &GpuIssue) -> (Interference, String) {
    let interference = match issue.kind {
        Kind::Lost => Interference::Lost,
        Kind::Foreign => Interference::Foreign,
        Kind::Throttled => Interference::Throttled,
        Kind::Memory => Interference::Memory,
        Kind::Xid => Interference::Xid,
        Kind::Split => Interference::Split,
    };
    (interference, issue.to_string())
}
