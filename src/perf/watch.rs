//! Whether the GPUs were well while a launch ran: a look before it, one after it, and every Xid in between.
//!
//! Knows the kernel room's readings and the words that results have for what spoils a launch; judges no numbers.

use crate::domain::results::Spoiler;
use crate::gate::process::Supervisor;
use crate::kernel::health::{self, GpuIssue, HealthMonitor, Kind, Reading};

/// Eyes on the GPUs, for as long as launches are compared.
pub struct Watch {
    monitor: Option<HealthMonitor>,
    before: Option<Reading>,
    blind: bool,
}

impl Watch {
    /// Opens its eyes, where the launches use GPUs. To be called between launches: what it starts must not count as theirs.
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

    /// The look before a launch.
    pub fn before(&mut self) {
        self.before = self.look();
    }

    /// The look after it, when all its processes are gone: what spoiled it, worst first.
    pub fn after(&mut self) -> Vec<(Spoiler, String)> {
        let (Some(before), Some(after)) = (self.before.take(), self.look()) else {
            return Vec::new();
        };
        let mut issues = after.issues_since(&before);
        // Whoever was there when it began may have gone before it ended.
        issues.extend(
            before
                .issues()
                .into_iter()
                .filter(|issue| issue.kind == Kind::Foreign),
        );
        issues.sort_by_key(|issue| issue.kind);
        issues.iter().map(told).collect()
    }

    /// Whether launches on GPUs went unwatched, since their health could not be read.
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

fn told(issue: &GpuIssue) -> (Spoiler, String) {
    let spoiler = match issue.kind {
        Kind::Lost => Spoiler::Lost,
        Kind::Foreign => Spoiler::Foreign,
        Kind::Throttled => Spoiler::Throttled,
        Kind::Memory => Spoiler::Memory,
        Kind::Xid => Spoiler::Xid,
        Kind::Split => Spoiler::Split,
    };
    (spoiler, issue.to_string())
}
