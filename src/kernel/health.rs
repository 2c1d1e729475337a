//! Reads the health of the GPUs with NVML, before a run and around a measurement.
//!
//! A caller takes one reading before and one after a measurement, and compares them. Must not depend on measurements.

use std::fmt;
use std::time::{Duration, Instant};

use kernel_host::{Reply, Request, VERSION};
use serde::Serialize;

use crate::kernel::host::{HostSession, Limits, run_host};

/// NVML's bits for clocks that hardware or heat reduces. Idle clocks, user settings and the software power cap are not issues.
const THROTTLED: u64 = 0x8 | 0x20 | 0x40 | 0x80;

/// Reduced clocks are an issue above this fraction of the time between two readings: 1/200, half a percent.
const ALLOWED_THROTTLE_DIVISOR: u32 = 200;

/// NVML's error codes for a lost GPU, and for a GPU that needs a reset.
const LOST: i32 = 15;
const RESET_REQUIRED: i32 = 16;

/// The health of one GPU, from NVML.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// NVML's index, which counts all GPUs of the machine.
    pub index: u32,
    /// First error code that NVML returned for this GPU, or 0; 15 means lost, 16 means that it needs a reset.
    pub error: i32,
    /// Number of compute processes on this GPU.
    pub processes: u32,
    /// NVML's bits for the current reasons of reduced clocks.
    pub throttle: u64,
    /// Nanoseconds of reduced clocks since the driver was loaded. Only differences between readings are meaningful.
    #[serde(rename = "held")]
    pub throttled_ns: u64,
    /// Number of uncorrected ECC errors since the driver was loaded.
    pub ecc: u64,
    /// Whether remapping a memory row failed or needs a reset.
    pub rows: bool,
    /// Number of memory rows that were remapped after uncorrected errors.
    pub remapped: u64,
    /// Whether MIG is enabled.
    #[serde(rename = "split")]
    pub mig: bool,
    /// NVML's number for the required recovery action, for example after an Xid; 0 if none is required.
    pub recovery: u32,
    /// UUID, to find the GPU among those of CUDA. Not printed, because it identifies the machine.
    #[serde(skip)]
    pub uuid: String,
}

/// Keeps the GPUs that CUDA sees, and so drops those that `CUDA_VISIBLE_DEVICES` hides.
///
/// Keeps all of them if no UUID is known, or if none is in both lists: CUDA sees parts of a GPU if MIG is enabled.
pub fn only(mut health: Vec<Health>, visible: &[String]) -> Vec<Health> {
    let seen = |one: &Health| !one.uuid.is_empty() && visible.contains(&one.uuid);
    if health.iter().any(seen) {
        health.retain(seen);
    }
    health
}

/// The kinds of issues that disturb a run or a measurement. The set is fixed, so that results can be counted and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The GPU is missing, needs a reset, or does not answer NVML, for example after a severe Xid.
    Lost,
    /// Other processes use the GPU.
    Foreign,
    /// Heat, a power brake or the board limit reduced the clocks.
    Throttled,
    /// The memory has uncorrected errors or bad rows.
    Memory,
    /// The driver reported an Xid.
    Xid,
    /// MIG is enabled.
    Split,
}

impl Kind {
    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Lost => "lost",
            Kind::Foreign => "foreign",
            Kind::Throttled => "throttled",
            Kind::Memory => "memory",
            Kind::Xid => "xid",
            Kind::Split => "split",
        }
    }
}

/// One issue of one GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GpuIssue {
    /// NVML's index of the GPU.
    pub gpu: u32,
    /// Kind of the issue.
    pub kind: Kind,
    /// Description with numbers, but without names or addresses of the machine.
    #[serde(rename = "says")]
    pub message: String,
}

impl fmt::Display for GpuIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GPU {}: {}", self.gpu, self.message)
    }
}

impl Health {
    /// Converts a health reply of the kernel host. Returns `None` for any other reply.
    pub fn of(reply: &Reply) -> Option<Self> {
        let Reply::Health {
            index,
            error,
            processes,
            throttle,
            throttled_ns,
            ecc,
            rows,
            remapped,
            mig,
            recovery,
            uuid,
        } = reply
        else {
            return None;
        };
        Some(Health {
            index: *index,
            error: *error,
            processes: *processes,
            throttle: *throttle,
            throttled_ns: *throttled_ns,
            ecc: *ecc,
            rows: *rows != 0,
            remapped: *remapped,
            mig: *mig != 0,
            recovery: *recovery,
            uuid: uuid.clone(),
        })
    }

    /// Lists everything that would disturb a run on this GPU now.
    pub fn issues(&self) -> Vec<GpuIssue> {
        let mut found = IssueList::of(self.index);
        match self.error {
            0 => {}
            LOST => found.push(Kind::Lost, "it has fallen off the bus"),
            RESET_REQUIRED => found.push(Kind::Lost, "it needs a reset"),
            code => found.push(Kind::Lost, format!("NVML returns error {code} for it")),
        }
        if self.recovery != 0 {
            found.push(Kind::Lost, recovery(self.recovery));
        }
        if self.processes > 0 {
            found.push(
                Kind::Foreign,
                format!("{} other processes use it", self.processes),
            );
        }
        if self.throttle & THROTTLED != 0 {
            found.push(
                Kind::Throttled,
                format!(
                    "heat or power reduces its clocks ({:#x})",
                    self.throttle & THROTTLED
                ),
            );
        }
        if self.ecc > 0 {
            found.push(
                Kind::Memory,
                format!("it had {} uncorrected memory errors", self.ecc),
            );
        }
        if self.rows {
            found.push(Kind::Memory, "its memory has bad rows or needs a reset");
        }
        if self.mig {
            found.push(Kind::Split, "it is split (MIG)");
        }
        found.list
    }

    /// Lists the issues since an earlier reading, `between` ago.
    ///
    /// Counters that did not grow are not reported again. A state that exists now is reported, because it existed for at
    /// least a part of the time.
    fn issues_since(&self, before: &Health, between: Duration) -> Vec<GpuIssue> {
        let mut found = IssueList::of(self.index);
        let throttled = Duration::from_nanos(self.throttled_ns.saturating_sub(before.throttled_ns));
        if throttled > between / ALLOWED_THROTTLE_DIVISOR {
            found.push(
                Kind::Throttled,
                format!(
                    "heat or power reduced its clocks for {:.1} of {:.1} s",
                    throttled.as_secs_f64(),
                    between.as_secs_f64()
                ),
            );
        }
        let rows = self.remapped.saturating_sub(before.remapped);
        if rows > 0 {
            found.push(Kind::Memory, format!("{rows} rows of its memory were remapped"));
        }
        let new = Health {
            ecc: self.ecc.saturating_sub(before.ecc),
            rows: self.rows && !before.rows,
            mig: self.mig && !before.mig,
            ..self.clone()
        };
        found.list.extend(new.issues());
        found.list
    }
}

/// Collects the issues of one GPU.
struct IssueList {
    gpu: u32,
    list: Vec<GpuIssue>,
}

impl IssueList {
    fn of(gpu: u32) -> Self {
        IssueList {
            gpu,
            list: Vec::new(),
        }
    }

    fn push(&mut self, kind: Kind, message: impl Into<String>) {
        self.list.push(GpuIssue {
            gpu: self.gpu,
            kind,
            message: message.into(),
        });
    }
}

fn recovery(action: u32) -> String {
    match action {
        1 => "it needs a reset".to_owned(),
        2 | 7 => "its machine needs a reboot".to_owned(),
        3 => "its peers must be drained first".to_owned(),
        4 => "it must be drained and reset".to_owned(),
        other => format!("it needs recovery (NVML's action {other})"),
    }
}

/// Keeps NVML open in a kernel host, reads its counters on demand and records every Xid.
///
/// Starting a monitor starts a child process; reading does not. A caller that kills other descendants of this process must
/// start the monitor before it supervises anything. It may then read while a gate command runs.
pub struct HealthMonitor {
    host: HostSession,
    /// UUIDs of the GPUs that CUDA sees; empty if they are unknown.
    visible: Vec<String>,
}

impl HealthMonitor {
    /// Opens NVML. Returns `None` if NVML does not answer; the health is unknown then.
    pub fn start(limits: &Limits) -> Option<Self> {
        let visible = visible(limits);
        let mut host = HostSession::start(&Request::Watch { version: VERSION }, limits).ok()?;
        host.listen(&Reply::Complete {})?;
        Some(HealthMonitor { host, visible })
    }

    /// Reads the health of the GPUs that CUDA sees. Returns `None` if NVML does not answer or reports no GPU.
    pub fn read(&mut self) -> Option<Reading> {
        let replies = self.host.ask(&Request::Read {}, &Reply::Complete {})?;
        let gpus = only(replies.iter().filter_map(Health::of).collect(), &self.visible);
        let xids = replies.iter().filter_map(|reply| match reply {
            Reply::Xid { index, code } if gpus.iter().any(|gpu| gpu.index == *index) => Some((*index, *code)),
            _ => None,
        });
        (!gpus.is_empty()).then_some(Reading {
            at: Instant::now(),
            xids: xids.collect(),
            gpus,
        })
    }
}

/// Returns the UUIDs of the GPUs that CUDA sees; empty without a working driver.
fn visible(limits: &Limits) -> Vec<String> {
    let replies = run_host(&Request::Driver { version: VERSION }, None, limits)
        .map(|host_run| host_run.replies)
        .unwrap_or_default();
    let uuids = replies.into_iter().filter_map(|reply| match reply {
        Reply::Device { uuid, .. } => Some(uuid),
        _ => None,
    });
    uuids.collect()
}

/// The health of the GPUs at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    gpus: Vec<Health>,
    /// Every Xid of these GPUs since the monitor was started, as GPU and number.
    xids: Vec<(u32, u64)>,
}

/// Time and output limits for NVML.
pub const LIMITS: Limits = Limits {
    step: Duration::from_secs(20),
    whole: Duration::from_secs(40),
    output: 1 << 20,
    memory: 16 << 30,
};

impl Reading {
    /// Takes one reading with a temporary monitor, so without Xids.
    ///
    /// Do not call this while this process supervises a gate command, because the supervision reaps every child.
    pub fn take(limits: &Limits) -> Option<Self> {
        HealthMonitor::start(limits)?.read()
    }

    /// Creates a reading with these GPUs, for tests.
    pub fn with(at: Instant, gpus: Vec<Health>) -> Self {
        Reading {
            at,
            gpus,
            xids: Vec::new(),
        }
    }

    /// Returns the health of every GPU.
    pub fn gpus(&self) -> &[Health] {
        &self.gpus
    }

    /// Lists everything that would disturb a measurement that begins now.
    pub fn issues(&self) -> Vec<GpuIssue> {
        self.gpus.iter().flat_map(Health::issues).collect()
    }

    /// Lists what disturbed a measurement that ran between `before` and this reading.
    ///
    /// All processes of the measurement must have ended. Xids are known only if both readings come from one monitor.
    /// A GPU that is missing in this reading is lost.
    pub fn issues_since(&self, before: &Reading) -> Vec<GpuIssue> {
        let between = self.at.saturating_duration_since(before.at);
        let mut found = Vec::new();
        for was in &before.gpus {
            match self.gpus.iter().find(|gpu| gpu.index == was.index) {
                Some(now) => found.extend(now.issues_since(was, between)),
                None => found.push(GpuIssue {
                    gpu: was.index,
                    kind: Kind::Lost,
                    message: "NVML does not list it any more".to_owned(),
                }),
            }
        }
        for (gpu, code) in self.xids.iter().skip(before.xids.len()) {
            found.push(GpuIssue {
                gpu: *gpu,
                kind: Kind::Xid,
                message: format!("the driver reported Xid {code}"),
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(before: Health, after: Health, seconds: u64) -> Vec<Kind> {
        let began = Instant::now();
        let before = Reading::with(began, vec![before]);
        let after = Reading::with(began + Duration::from_secs(seconds), vec![after]);
        after.issues_since(&before).iter().map(|t| t.kind).collect()
    }

    #[test]
    fn only_new_issues_are_reported() {
        let old = Health {
            ecc: 2,
            throttled_ns: 9_000_000_000,
            remapped: 1,
            rows: true,
            ..Health::default()
        };
        assert_eq!(kinds(old.clone(), old.clone(), 60), []);
        let with = |change: fn(&mut Health)| {
            let mut new = old.clone();
            change(&mut new);
            kinds(old.clone(), new, 60)
        };
        // 0.3 s of 60 s is half a percent.
        assert_eq!(with(|h| h.throttled_ns += 300_000_000), []);
        assert_eq!(with(|h| h.throttled_ns += 300_000_001), [Kind::Throttled]);
        assert_eq!(with(|h| h.throttle = 0x40), [Kind::Throttled]);
        // Every full load reaches the software power cap, so it is not an issue.
        assert_eq!(with(|h| h.throttle = 0x4 | 0x1), []);
        assert_eq!(with(|h| h.ecc = 3), [Kind::Memory]);
        assert_eq!(with(|h| h.remapped = 2), [Kind::Memory]);
        assert_eq!(with(|h| h.processes = 1), [Kind::Foreign]);
        assert_eq!(with(|h| h.error = 15), [Kind::Lost]);
        assert_eq!(with(|h| h.recovery = 1), [Kind::Lost]);
        // A reloaded driver starts its counters at 0.
        assert_eq!(with(|h| h.throttled_ns = 0), []);
    }

    #[test]
    fn bad_rows_and_missing_gpus_are_reported() {
        let bad = Health {
            rows: true,
            ..Health::default()
        };
        assert_eq!(kinds(Health::default(), bad, 1), [Kind::Memory]);
        let began = Instant::now();
        let two = (0..2)
            .map(|index| Health {
                index,
                ..Health::default()
            })
            .collect();
        let after = Reading::with(began, vec![Health::default()]);
        let issues = after.issues_since(&Reading::with(began, two));
        assert_eq!((issues[0].gpu, issues[0].kind), (1, Kind::Lost));
    }
}
