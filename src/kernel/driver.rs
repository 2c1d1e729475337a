//! What GPUs there are and whether they will do, asked through the kernel host: a driver may crash or hang too.

use std::time::Duration;

use kernel_host::{Reply, Request, VERSION};
use serde::Serialize;

use crate::domain::registry::Target;
use crate::domain::verdict::Reason;
use crate::kernel::health::Health;
use crate::kernel::host::{Conversation, Ending, Limits, converse};

/// How long a driver may take. Without its persistence daemon a real one needs seconds per GPU.
pub const LIMITS: Limits = Limits {
    step: Duration::from_secs(30),
    whole: Duration::from_secs(60),
    output: 1 << 20,
};

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its name, as the driver gives it.
    pub name: String,
    /// Compute capability: major, minor.
    pub capability: (u32, u32),
    /// Memory in bytes.
    pub memory: u64,
}

/// What a driver says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Driver {
    /// CUDA version that it speaks: major, minor.
    pub cuda: (u32, u32),
    /// Its own version; null without NVML.
    pub version: Option<String>,
    /// The GPUs that CUDA sees.
    pub gpus: Vec<Gpu>,
    /// What NVML knows of the machine's GPUs; empty without NVML.
    pub health: Vec<Health>,
}

impl Driver {
    /// The target in a word, such as `b200x8`, for the evidence.
    pub fn target(&self) -> Option<String> {
        let first = self.gpus.first()?;
        let (major, minor) = first.capability;
        let count = self.gpus.len();
        Some(if first.name.contains("B200") {
            format!("b200x{count}")
        } else {
            format!("sm_{major}{minor}x{count}")
        })
    }
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The driver answered.
    Answered(Driver),
    /// There is none.
    NoDriver,
    /// A call failed.
    Error {
        /// Which.
        call: String,
        /// CUDA's error code.
        code: i32,
    },
    /// The driver took the host down, or did not answer in time.
    Broken(String),
    /// The kernel host cannot run here.
    Unavailable(String),
}

/// Asks the driver, in a process of its own.
pub fn probe(limits: &Limits) -> Probe {
    match converse(&Request::Driver { version: VERSION }, None, limits) {
        Ok(conversation) => read(&conversation),
        Err(error) => Probe::Unavailable(error.to_string()),
    }
}

fn read(conversation: &Conversation) -> Probe {
    let mut driver = Driver::default();
    let mut answered = false;
    for reply in &conversation.replies {
        match reply {
            Reply::Cuda { version } => {
                answered = true;
                driver.cuda = (version / 1000, version % 1000 / 10);
            }
            Reply::Device {
                name,
                major,
                minor,
                memory,
            } => driver.gpus.push(Gpu {
                name: name.clone(),
                capability: (*major, *minor),
                memory: *memory,
            }),
            Reply::Nvml { driver: version } => driver.version = Some(version.clone()),
            Reply::Health { .. } => driver.health.extend(Health::of(reply)),
            Reply::Refused { what, .. } if what == "no_driver" => return Probe::NoDriver,
            Reply::Refused { code, detail, .. } => {
                return Probe::Error {
                    call: detail.clone(),
                    code: *code,
                };
            }
            _ => {}
        }
    }
    if conversation.ending == Ending::Done && answered {
        return Probe::Answered(driver);
    }
    let library = if conversation.stage == "nvml" {
        "libnvidia-ml"
    } else {
        "libcuda"
    };
    Probe::Broken(format!("asked {library}: {}", conversation.ending.says()))
}

/// What a gate needs of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Compute capability that every visible GPU must have exactly.
    pub capability: String,
    /// Architecture that goes with it.
    pub arch: String,
    /// At least so many GPUs.
    pub gpus: u32,
}

impl Need {
    /// What a gate with so many GPUs needs of this target.
    pub fn of(target: &Target, gpus: u32) -> Self {
        Need {
            capability: target.compute_capability.clone(),
            arch: target.arch.clone(),
            gpus: gpus.max(1),
        }
    }

    /// It in words.
    pub fn says(&self) -> String {
        let plural = if self.gpus == 1 { "" } else { "s" };
        format!(
            "{} GPU{plural} of compute capability exactly {} ({})",
            self.gpus, self.capability, self.arch
        )
    }
}

/// Why a machine will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason of the verdict.
    pub reason: Reason,
    /// What was found.
    pub found: String,
    /// What is needed.
    pub needed: String,
}

impl Refusal {
    /// One sentence: what was found and what is needed.
    pub fn says(&self) -> String {
        format!(
            "found {}; needed: {}; there is no fallback",
            self.found, self.needed
        )
    }
}

/// Holds a machine against what is needed.
pub fn judge(probe: &Probe, need: &Need) -> Result<Driver, Refusal> {
    let refuse = |reason, found: String| {
        Err(Refusal {
            reason,
            found,
            needed: need.says(),
        })
    };
    let driver = match probe {
        Probe::Answered(driver) => driver,
        Probe::NoDriver => return refuse(Reason::NoGpu, "no NVIDIA driver (libcuda.so.1)".to_owned()),
        Probe::Error { call, code } => {
            return refuse(
                Reason::NoGpu,
                format!("a driver that fails: {call} gives error {code}{}", meaning(*code)),
            );
        }
        Probe::Broken(how) => return refuse(Reason::NoGpu, format!("a driver that does not work: {how}")),
        Probe::Unavailable(why) => {
            return refuse(
                Reason::KernelUnchecked,
                format!("no way to ask the driver: {why}"),
            );
        }
    };
    if driver.gpus.is_empty() {
        return refuse(Reason::NoGpu, "a driver and no GPU".to_owned());
    }
    let fits = |gpu: &Gpu| format!("{}.{}", gpu.capability.0, gpu.capability.1) == need.capability;
    if !driver.gpus.iter().all(fits) || driver.gpus.len() < need.gpus as usize {
        return refuse(Reason::OffTarget, census(driver));
    }
    let troubles: Vec<String> = driver
        .health
        .iter()
        .flat_map(Health::troubles)
        .map(|trouble| trouble.to_string())
        .collect();
    if !troubles.is_empty() {
        return refuse(Reason::Spoiled, troubles.join(", "));
    }
    Ok(driver.clone())
}

/// The GPUs in words: `4 × NVIDIA H200 (9.0)`.
pub fn census(driver: &Driver) -> String {
    let mut kinds: Vec<(String, u32)> = Vec::new();
    for gpu in &driver.gpus {
        let kind = format!("{} ({}.{})", gpu.name, gpu.capability.0, gpu.capability.1);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let words: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} × {kind}"))
        .collect();
    words.join(", ")
}

fn meaning(code: i32) -> &'static str {
    match code {
        34 => " (the toolkit's stub library, not a driver)",
        100 => " (no device)",
        802 => " (the system is not ready: is the fabric manager running?)",
        803 => " (driver and library versions differ)",
        999 => " (unknown error)",
        _ => "",
    }
}
