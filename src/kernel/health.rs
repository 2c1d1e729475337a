//! How the GPUs are, as NVML knows it: before a run, and around a launch whose numbers somebody wants to believe.
//!
//! Knows counters, not launches: whoever measures takes a reading before and one after, and asks what happened between.

use std::fmt;
use std::time::{Duration, Instant};

use kernel_host::{Reply, Request, VERSION};
use serde::Serialize;

use crate::kernel::host::{HostSession, Limits};

/// NVML's bits for clocks that hardware or heat holds down; idling, user settings and the software power cap are no trouble.
const HELD_DOWN: u64 = 0x8 | 0x20 | 0x40 | 0x80;

/// Clocks may be held down for one part in so many of the time between two readings before it counts: half a percent.
const HELD_SHARE: u32 = 200;

/// NVML's codes for a GPU that is lost, and for one that must be reset.
const LOST: i32 = 15;
const RESET_REQUIRED: i32 = 16;

/// What NVML knows of one GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// NVML's index, which counts every GPU of the machine.
    pub index: u32,
    /// First error code that NVML gave for it, or 0; 15 is a lost GPU, 16 one that needs a reset.
    pub error: i32,
    /// Compute processes on it.
    pub processes: u32,
    /// Reasons for reduced clocks, NVML's bits.
    pub throttle: u64,
    /// For how long since the driver was loaded its clocks were held down, in nanoseconds; only differences mean anything.
    pub held: u64,
    /// Uncorrected ECC errors since the driver was loaded.
    pub ecc: u64,
    /// Whether a row of memory could not be replaced, or waits for a reset.
    pub rows: bool,
    /// Rows of memory that were replaced for uncorrected errors.
    pub remapped: u64,
    /// Whether it is split (MIG).
    pub split: bool,
    /// What must be done before it can be trusted again, NVML's number; 0 is nothing. An Xid leaves this behind.
    pub recovery: u32,
}

/// What spoils a run or a measurement. Closed, so that it can be counted and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The GPU is gone, must be reset, or NVML cannot ask it: what a grave Xid leaves behind.
    Lost,
    /// Somebody else computes on it.
    Foreign,
    /// Heat, power brakes or the board's limit held its clocks down.
    Throttled,
    /// Its memory went wrong: uncorrected errors, bad rows.
    Memory,
    /// The driver reported an Xid.
    Xid,
    /// It is split (MIG).
    Split,
}

impl Kind {
    /// The stable word.
    pub fn word(self) -> &'static str {
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

/// One trouble of one GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// NVML's index of the GPU.
    pub gpu: u32,
    /// Which sort.
    pub kind: Kind,
    /// It in words, numbers and nothing of the machine.
    pub says: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GPU {}: {}", self.gpu, self.says)
    }
}

impl Health {
    /// What a reply of the kernel host says; none where it is another reply.
    pub fn of(reply: &Reply) -> Option<Self> {
        let Reply::Health {
            index,
            error,
            processes,
            throttle,
            held,
            ecc,
            rows,
            remapped,
            split,
            recovery,
        } = reply
        else {
            return None;
        };
        Some(Health {
            index: *index,
            error: *error,
            processes: *processes,
            throttle: *throttle,
            held: *held,
            ecc: *ecc,
            rows: *rows != 0,
            remapped: *remapped,
            split: *split != 0,
            recovery: *recovery,
        })
    }

    /// Everything that would spoil a run on this GPU now.
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut found = Troubles::of(self.index);
        match self.error {
            0 => {}
            LOST => found.push(Kind::Lost, "it has fallen off the bus"),
            RESET_REQUIRED => found.push(Kind::Lost, "it needs a reset"),
            code => found.push(Kind::Lost, format!("NVML gives error {code} for it")),
        }
        if self.recovery != 0 {
            found.push(Kind::Lost, recovery(self.recovery));
        }
        if self.processes > 0 {
            found.push(
                Kind::Foreign,
                format!("{} other processes compute on it", self.processes),
            );
        }
        if self.throttle & HELD_DOWN != 0 {
            found.push(
                Kind::Throttled,
                format!(
                    "its clocks are held down by heat or power ({:#x})",
                    self.throttle & HELD_DOWN
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
            found.push(
                Kind::Memory,
                "its memory has rows that are bad or wait for a reset",
            );
        }
        if self.split {
            found.push(Kind::Split, "it is split (MIG)");
        }
        found.list
    }

    /// What happened to it since an earlier look, so long ago. What was there before and did not grow is not news; but
    /// what holds now held for a part of the time at least.
    fn troubles_since(&self, before: &Health, between: Duration) -> Vec<Trouble> {
        let mut found = Troubles::of(self.index);
        let held = Duration::from_nanos(self.held.saturating_sub(before.held));
        if held > between / HELD_SHARE {
            found.push(
                Kind::Throttled,
                format!(
                    "heat or power held its clocks down for {:.1} of {:.1} s",
                    held.as_secs_f64(),
                    between.as_secs_f64()
                ),
            );
        }
        let rows = self.remapped.saturating_sub(before.remapped);
        if rows > 0 {
            found.push(Kind::Memory, format!("{rows} rows of its memory were replaced"));
        }
        let news = Health {
            ecc: self.ecc.saturating_sub(before.ecc),
            rows: self.rows && !before.rows,
            split: self.split && !before.split,
            ..self.clone()
        };
        found.list.extend(news.troubles());
        found.list
    }
}

/// The troubles of one GPU, while they are gathered.
struct Troubles {
    gpu: u32,
    list: Vec<Trouble>,
}

impl Troubles {
    fn of(gpu: u32) -> Self {
        Troubles {
            gpu,
            list: Vec::new(),
        }
    }

    fn push(&mut self, kind: Kind, says: impl Into<String>) {
        self.list.push(Trouble {
            gpu: self.gpu,
            kind,
            says: says.into(),
        });
    }
}

fn recovery(action: u32) -> String {
    match action {
        1 => "it needs a reset".to_owned(),
        2 | 7 => "its machine needs a reboot".to_owned(),
        3 => "its peers must be drained".to_owned(),
        4 => "it must be drained and reset".to_owned(),
        other => format!("it needs recovery (NVML's action {other})"),
    }
}

/// NVML, kept open in a process of its own: what its counters say at any moment, and every Xid in between.
///
/// Starting it starts a child of this process, and asking it does not; whoever supervises launches and ends whatever else
/// runs below this process starts it before that, and may then ask while a launch runs.
pub struct Sentinel {
    host: HostSession,
}

impl Sentinel {
    /// Opens NVML; none where it does not answer, and then nothing may be concluded.
    pub fn start(limits: &Limits) -> Option<Self> {
        let mut host = HostSession::start(&Request::Watch { version: VERSION }, limits).ok()?;
        host.listen(&Reply::Told {})?;
        Some(Sentinel { host })
    }

    /// How the GPUs are now; none where NVML stopped to answer, or has no GPU.
    pub fn read(&mut self) -> Option<Reading> {
        let replies = self.host.ask(&Request::Read {}, &Reply::Told {})?;
        let gpus: Vec<Health> = replies.iter().filter_map(Health::of).collect();
        let xids = replies.iter().filter_map(|reply| match reply {
            Reply::Xid { index, code } => Some((*index, *code)),
            _ => None,
        });
        (!gpus.is_empty()).then_some(Reading {
            at: Instant::now(),
            xids: xids.collect(),
            gpus,
        })
    }
}

/// How all GPUs of the machine were at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    gpus: Vec<Health>,
    /// Every Xid since its sentinel was started, by GPU.
    xids: Vec<(u32, u64)>,
}

/// How long NVML may take to answer.
pub const LIMITS: Limits = Limits {
    step: Duration::from_secs(20),
    whole: Duration::from_secs(40),
    output: 1 << 20,
};

impl Reading {
    /// One look, by a sentinel that is gone afterwards: nothing of Xids, and not to be taken while a launch of this process
    /// runs, since whoever supervises one reaps every child.
    pub fn take(limits: &Limits) -> Option<Self> {
        Sentinel::start(limits)?.read()
    }

    /// A reading with these GPUs, for a test of whoever judges readings.
    pub fn with(at: Instant, gpus: Vec<Health>) -> Self {
        Reading {
            at,
            gpus,
            xids: Vec::new(),
        }
    }

    /// Every GPU.
    pub fn gpus(&self) -> &[Health] {
        &self.gpus
    }

    /// What would spoil a launch that begins now.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.gpus.iter().flat_map(Health::troubles).collect()
    }

    /// What spoiled a launch that began after `before` and has ended, with all its processes, before this reading. Both must
    /// be of the same sentinel for Xids to be known. A GPU that was there and is no more is lost.
    pub fn troubles_since(&self, before: &Reading) -> Vec<Trouble> {
        let between = self.at.saturating_duration_since(before.at);
        let mut found = Vec::new();
        for was in &before.gpus {
            match self.gpus.iter().find(|gpu| gpu.index == was.index) {
                Some(now) => found.extend(now.troubles_since(was, between)),
                None => found.push(Trouble {
                    gpu: was.index,
                    kind: Kind::Lost,
                    says: "it is no longer there".to_owned(),
                }),
            }
        }
        for (gpu, code) in self.xids.iter().skip(before.xids.len()) {
            found.push(Trouble {
                gpu: *gpu,
                kind: Kind::Xid,
                says: format!("the driver reported Xid {code}"),
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
        after.troubles_since(&before).iter().map(|t| t.kind).collect()
    }

    #[test]
    fn only_what_came_between_spoils_a_launch() {
        let old = Health {
            ecc: 2,
            held: 9_000_000_000,
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
        assert_eq!(with(|h| h.held += 300_000_000), []);
        assert_eq!(with(|h| h.held += 300_000_001), [Kind::Throttled]);
        assert_eq!(with(|h| h.throttle = 0x40), [Kind::Throttled]);
        // A cap that the load itself runs into is how it always is.
        assert_eq!(with(|h| h.throttle = 0x4 | 0x1), []);
        assert_eq!(with(|h| h.ecc = 3), [Kind::Memory]);
        assert_eq!(with(|h| h.remapped = 2), [Kind::Memory]);
        assert_eq!(with(|h| h.processes = 1), [Kind::Foreign]);
        assert_eq!(with(|h| h.error = 15), [Kind::Lost]);
        assert_eq!(with(|h| h.recovery = 1), [Kind::Lost]);
        // A driver that was loaded anew counts from nothing.
        assert_eq!(with(|h| h.held = 0), []);
    }

    #[test]
    fn rows_that_went_bad_and_gpus_that_went_away_are_news() {
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
        let troubles = after.troubles_since(&Reading::with(began, two));
        assert_eq!((troubles[0].gpu, troubles[0].kind), (1, Kind::Lost));
    }
}
