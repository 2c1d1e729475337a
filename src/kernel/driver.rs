//! Lists the GPUs with the kernel host and checks whether they are suitable for a gate.
//!
//! The driver may crash or hang, so it is never loaded into this process. Must not depend on gates.

use std::time::Duration;

use kernel_host::{Reply, Request, VERSION};
use serde::Serialize;

use crate::domain::registry::{Registry, Target};
use crate::domain::verdict::Reason;
use crate::kernel::cuda_error;
use crate::kernel::health::{self, Health};
use crate::kernel::host::{HostExit, HostRun, Limits, run_host};

/// Time and output limits for the driver. Without the persistence daemon, a driver needs seconds per GPU.
pub const LIMITS: Limits = Limits {
    step: Duration::from_secs(30),
    whole: Duration::from_secs(60),
    output: 1 << 20,
    memory: 16 << 30,
};

/// A GPU that CUDA reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Name that the driver reports.
    pub name: String,
    /// Compute capability: major, minor.
    pub capability: (u32, u32),
    /// Memory in bytes.
    pub memory: u64,
    /// UUID, to find the GPU among those of NVML. Not printed, because it identifies the machine.
    #[serde(skip)]
    pub uuid: String,
}

impl Gpu {
    /// Returns the name for `CUDA_VISIBLE_DEVICES`: the UUID, otherwise the index.
    pub fn name_for_cuda(&self, index: usize) -> String {
        if self.uuid.is_empty() {
            index.to_string()
        } else {
            self.uuid.clone()
        }
    }
}

/// The data that a driver reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Driver {
    /// Supported CUDA version: major, minor.
    pub cuda: (u32, u32),
    /// Version of the driver; null without NVML.
    pub version: Option<String>,
    /// The GPUs that CUDA sees.
    pub gpus: Vec<Gpu>,
    /// Health of the GPUs that CUDA sees; empty without NVML.
    pub health: Vec<Health>,
}

impl Driver {
    /// Returns a short name of the target for the evidence, such as `b200x8`.
    pub fn target(&self) -> Option<String> {
        let first = self.gpus.first()?;
        let (major, minor) = first.capability;
        let count = self.gpus.len();
        let product = first
            .name
            .split_whitespace()
            .find(|word| matches!(*word, "B200" | "GB200"));
        Some(match product {
            Some(word) => format!("{}x{count}", word.to_ascii_lowercase()),
            None => format!("sm_{major}{minor}x{count}"),
        })
    }

    /// Refuses a product with the right compute capability that the registry does not declare: the report would refuse its results.
    ///
    /// # Errors
    /// The GPUs are of a product without a table in the registry.
    pub fn check_target(self, registry: &Registry) -> Result<Driver, UnsuitableMachine> {
        match self
            .target()
            .filter(|found| !found.starts_with("sm_") && !registry.has_target(found))
        {
            None => Ok(self),
            Some(found) => Err(UnsuitableMachine {
                reason: Reason::OffTarget,
                found: census(&self),
                needed: format!(
                    "a target of the registry; declare this one as `[target.{}]`",
                    Target::product(&found)
                ),
            }),
        }
    }
}

/// The result of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The driver answered.
    Answered(Driver),
    /// No driver is installed.
    NoDriver,
    /// A call failed.
    Error {
        /// Name of the call.
        call: String,
        /// Error code of CUDA.
        code: i32,
    },
    /// The driver crashed the host, or did not answer in time.
    Broken(String),
    /// The kernel host cannot run here.
    Unavailable(String),
}

/// Queries the driver in a kernel host.
pub fn probe(limits: &Limits) -> Probe {
    match run_host(&Request::Driver { version: VERSION }, None, limits) {
        Ok(host_run) => read(&host_run),
        Err(error) => Probe::Unavailable(error.to_string()),
    }
}

fn read(host_run: &HostRun) -> Probe {
    let mut driver = Driver::default();
    let mut answered = false;
    for reply in &host_run.replies {
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
                uuid,
            } => driver.gpus.push(Gpu {
                name: name.clone(),
                capability: (*major, *minor),
                memory: *memory,
                uuid: uuid.clone(),
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
    if host_run.exit == HostExit::Done && answered {
        let visible: Vec<String> = driver.gpus.iter().map(|gpu| gpu.uuid.clone()).collect();
        driver.health = health::only(driver.health, &visible);
        return Probe::Answered(driver);
    }
    let library = if host_run.stage == "nvml" {
        "libnvidia-ml"
    } else {
        "libcuda"
    };
    Probe::Broken(format!("{library}: {}", host_run.exit.message()))
}

/// The GPUs that a gate needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Compute capability that every visible GPU must have exactly.
    pub capability: String,
    /// Architecture with this compute capability.
    pub arch: String,
    /// Minimum number of GPUs.
    pub gpus: u32,
}

impl Need {
    /// Returns the needs of a gate with this target and number of GPUs.
    pub fn of(target: &Target, gpus: u32) -> Self {
        Need {
            capability: target.compute_capability.clone(),
            arch: target.arch.clone(),
            gpus: gpus.max(1),
        }
    }

    /// Describes the need.
    pub fn message(&self) -> String {
        let plural = if self.gpus == 1 { "" } else { "s" };
        format!(
            "{} GPU{plural} of compute capability exactly {} ({})",
            self.gpus, self.capability, self.arch
        )
    }
}

/// Why a machine is not suitable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsuitableMachine {
    /// Reason for the verdict.
    pub reason: Reason,
    /// Description of what was found.
    pub found: String,
    /// Description of what is needed.
    pub needed: String,
}

impl UnsuitableMachine {
    /// Describes what was found and what is needed.
    pub fn message(&self) -> String {
        format!(
            "found {}; needed: {}; there is no fallback",
            self.found, self.needed
        )
    }
}

/// Compares a machine with what is needed.
pub fn check_machine(probe: &Probe, need: &Need) -> Result<Driver, UnsuitableMachine> {
    let refuse = |reason, found: String| {
        Err(UnsuitableMachine {
            reason,
            found,
            needed: need.message(),
        })
    };
    let driver = match probe {
        Probe::Answered(driver) => driver,
        Probe::NoDriver => return refuse(Reason::NoGpu, "no NVIDIA driver (libcuda.so.1)".to_owned()),
        Probe::Error { call, code } => {
            return refuse(
                Reason::NoGpu,
                format!(
                    "a driver that fails: {call} returns {}",
                    cuda_error::message(*code)
                ),
            );
        }
        Probe::Broken(how) => return refuse(Reason::NoGpu, format!("a driver that does not work: {how}")),
        Probe::Unavailable(why) => {
            return refuse(Reason::KernelUnchecked, format!("no access to the driver: {why}"));
        }
    };
    if driver.gpus.is_empty() {
        return refuse(Reason::NoGpu, "a driver and no GPU".to_owned());
    }
    let oldest = oldest_cuda(&need.arch);
    if driver.cuda < oldest {
        let (major, minor) = driver.cuda;
        let found = format!(
            "a driver for CUDA {major}.{minor}; {} needs CUDA {}.{}",
            need.arch, oldest.0, oldest.1
        );
        return refuse(Reason::Driver, found);
    }
    let fits = |gpu: &Gpu| format!("{}.{}", gpu.capability.0, gpu.capability.1) == need.capability;
    if !driver.gpus.iter().all(fits) || driver.gpus.len() < need.gpus as usize {
        return refuse(Reason::OffTarget, census(driver));
    }
    let issues: Vec<String> = driver
        .health
        .iter()
        .flat_map(Health::issues)
        .map(|issue| issue.to_string())
        .collect();
    if !issues.is_empty() {
        return refuse(Reason::Spoiled, issues.join(", "));
    }
    Ok(driver.clone())
}

/// Describes the GPUs, for example `4 × NVIDIA H200 (9.0)`.
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

/// Returns the first CUDA version whose driver supports an architecture.
fn oldest_cuda(arch: &str) -> (u32, u32) {
    if arch.starts_with("sm_10") || arch.starts_with("sm_12") {
        (12, 8)
    } else {
        (0, 0)
    }
}
