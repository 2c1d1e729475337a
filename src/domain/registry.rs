//! Defines the registry, `configs/gates/gates.toml`: gates and bundles.
//!
//! A file for the inline runner loads unchanged: every key that this tool adds is optional.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::document::{Format, Syntax};
use crate::domain::container::Container;
use crate::domain::executor::{Executor, ExecutorKind};
use crate::domain::ids::{GateId, MetricName, Sha256};
use crate::domain::is_default;
use crate::domain::metric;
pub use crate::domain::metric::{Direction, Metric};
use crate::domain::path_pattern::PathPattern;
use crate::domain::preset::Preset;

/// The most pairs of a perf gate, if `max_pairs` is not set. With twelve, a loss of twice a budget of −2 % is found in 95 % of the
/// simulated comparisons at a noise of 1 % (docs/explanation/performance.md).
pub const MAX_PAIRS: u32 = 12;

/// The metric of a perf gate without `metric`.
pub const DEFAULT_PERF_METRIC: &str = MetricName::NODE_TPS_P50;

/// The bundle of one gate that `--gate` names.
pub const SINGLE: &str = "single";
/// The bundle of all Tier-A gates.
pub const TIER_A: &str = "tier_a";
/// The bundle of all Tier-B gates.
pub const TIER_B: &str = "tier_b";
/// Bundles that the tool forms itself. A registry cannot define a bundle with such a name.
pub const RESERVED_BUNDLES: [&str; 3] = [SINGLE, TIER_A, TIER_B];

/// The registry. Entries keep the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Version and target name.
    #[serde(default)]
    pub meta: Meta,
    /// Hardware targets by name. `b200` is the only one.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub target: IndexMap<String, Target>,
    /// The container that `run --container` starts for each gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Where gates run, by name. A gate without `executor` runs on the machine of `run`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub executor: IndexMap<String, Executor>,
    /// Gates by id.
    #[serde(default)]
    pub gates: IndexMap<GateId, Gate>,
    /// Bundles: named lists of gate ids.
    #[serde(default)]
    pub bundles: IndexMap<GateId, Vec<GateId>>,
}

impl Format for Registry {
    const SYNTAX: Syntax = Syntax::Toml;
}

/// Properties of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Version of the format; `"1"`.
    #[serde(default)]
    pub version: String,
    /// Default target of GPU gates.
    #[serde(default)]
    pub target: String,
}

/// A hardware target and how its kernel library is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// The exact compute capability of every GPU, such as `10.0`.
    pub compute_capability: String,
    /// Architecture that kernels must be built for, such as `sm_100a`.
    pub arch: String,
    /// Patterns of the kernel libraries in the subject. In a folder, only shared objects count.
    pub kernels: Vec<PathPattern>,
    /// Command that builds them in the subject.
    pub build: String,
    /// Number of GPUs of one runner.
    pub gpus: u32,
    /// Libraries with self-checks of the repository itself, in addition to those of nmoe-gates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckLibrary>,
    /// Relocatable code for other targets that a library may contain next to its linked image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<ForeignCode>,
    /// The most that a kernel may use, by the name of the kernel.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub pins: IndexMap<String, Pin>,
    /// Libraries that are preloaded into every process of a GPU gate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preload: Vec<Preload>,
}

/// A library with the self-checks of `nmoe_gates_checks.h`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckLibrary {
    /// Pattern of the library. `kernels` must select it too.
    pub library: PathPattern,
    /// How the library is known to be fresh.
    #[serde(default)]
    pub fresh: Freshness,
    /// Folder in the subject with the sources that the stamp covers.
    #[serde(default = "CheckLibrary::default_package")]
    pub package: String,
    /// Files and folders of the package that the stamp covers.
    #[serde(default = "CheckLibrary::default_sources")]
    pub sources: Vec<String>,
}

impl CheckLibrary {
    fn default_package() -> String {
        "nmoe-csrc".to_owned()
    }

    fn default_sources() -> Vec<String> {
        ["build.rs", "Cargo.toml", "include", "src"]
            .map(str::to_owned)
            .into()
    }

    /// Returns the rule for the library of nmoe-gates, and for every library with a stamp that the registry does not name.
    pub fn of_nmoe_gates(library: PathPattern) -> Self {
        CheckLibrary {
            library,
            fresh: Freshness::Stamp,
            package: Self::default_package(),
            sources: Self::default_sources(),
        }
    }
}

/// How a library with self-checks is known to be fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// By its stamp: a digest over sources, flags and compiler, and the nonce of the run.
    #[default]
    Stamp,
    /// By the build: the run deleted the library and its objects, and built it. Only a run can load it.
    Build,
}

/// Relocatable code for other targets, such as that of NVSHMEM's device library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignCode {
    /// Pattern of the libraries that may contain it.
    pub library: PathPattern,
    /// The digest that `kernels inspect` prints for the code.
    pub sha256: Sha256,
    /// Where it comes from.
    pub reason: String,
}

/// The most that a kernel may use. Absent keys are not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pin {
    /// Registers of a thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registers: Option<u64>,
    /// Bytes of the stack frame of a thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<u64>,
    /// Bytes of static shared memory of a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<u64>,
    /// Instructions that spill or refill a register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spills: Option<u64>,
}

/// A library that the loader preloads (`LD_PRELOAD`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preload {
    /// Absolute path on the runner.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub sha256: Sha256,
}

impl Default for Target {
    fn default() -> Self {
        Target {
            compute_capability: "10.0".to_owned(),
            arch: "sm_100a".to_owned(),
            kernels: PathPattern::new("nmoe/csrc/**/*.so").into_iter().collect(),
            build: "make -C nmoe/csrc".to_owned(),
            gpus: 8,
            checks: Vec::new(),
            foreign: Vec::new(),
            pins: IndexMap::new(),
            preload: Vec::new(),
        }
    }
}

impl Target {
    /// The name of the target if `meta.target` is empty.
    pub const DEFAULT: &str = "b200";

    /// Returns the name of the target that `meta.target` selects.
    pub fn name(written: &str) -> &str {
        if written.is_empty() {
            Self::DEFAULT
        } else {
            written
        }
    }

    /// Returns the name in a target of evidence: `b200` of `b200x8`.
    pub fn product(found: &str) -> &str {
        match found.rsplit_once('x') {
            Some((name, count)) if count.parse::<u16>().is_ok() => name,
            _ => found,
        }
    }
}

/// Where a gate runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// On a CPU, by the author of the change.
    A,
    /// On a B200, by the maintainer, on the merge result.
    B,
}

/// The kind of a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateKind {
    /// A command; passes with exit code 0.
    #[default]
    #[serde(alias = "cmd")]
    Command,
    /// A comparison of another gate's metric with its baseline.
    Perf,
    /// A check that runs elsewhere; only a recorded result makes it green.
    External,
    /// The self-checks of the kernel library.
    Kernel,
    /// A comparison of the numbers that another gate prints, step by step.
    Numeric,
}

impl GateKind {
    /// Whether the gate compares another gate of the same run.
    pub fn compares(self) -> bool {
        matches!(self, GateKind::Perf | GateKind::Numeric)
    }
}

/// A named check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Where it runs.
    pub tier: Tier,
    /// The kind of the gate; absent means a command.
    #[serde(default)]
    pub kind: GateKind,
    /// Shell text, run by `bash -eo pipefail`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "with_line_feeds"
    )]
    pub cmd: Option<String>,
    /// Command that `run --rehearse` runs instead of `cmd`, on a machine without the target.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "with_line_feeds"
    )]
    pub rehearse: Option<String>,
    /// Seconds until the gate is killed; 0 means no limit.
    #[serde(default)]
    pub timeout_s: u64,
    /// Seconds without output until the gate is killed; 0 means no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub silence_timeout_s: u64,
    /// Number of GPUs of each node. A gate with 1 or more needs the target.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gpus: u32,
    /// Number of nodes. More than 1 needs an executor that submits jobs.
    #[serde(default = "Gate::default_nodes", skip_serializing_if = "Gate::is_one_node")]
    pub nodes: u32,
    /// Name of the executor, `[executor.NAME]`; absent means the machine of `run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Environment variables that must be set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Files that the subject must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires_files: Vec<String>,
    /// Optional environment variables that the gate receives if they are set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// A note for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The trainer or server that prints the output: its metrics are read without patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Metrics that are read from the output, in addition to `node_tps` and those of the preset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Patterns of files in the subject that a run leaves for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<PathPattern>,
    /// Differences from the container of the registry.
    // Few gates have one, and the box keeps the others small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Box<Container>>,
    /// Whether the kernel library is inspected, loaded and self-checked before the gate; absent means `gpus` ≥ 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<bool>,
    /// What it means if a gate exits with 0 and leaves processes behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaks: Option<Leaks>,
    /// Perf and numeric: the gate whose output is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_gate: Option<GateId>,
    /// Perf: the metric, `<name>_p50` (default: `node_tps_p50`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Perf: further metrics that are compared in the same measurements, each with its own budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<FurtherMetric>,
    /// Perf: number of pairs to begin with; 1 compares one pair with the threshold only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<u32>,
    /// Perf: the most pairs before the verdict is `inconclusive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pairs: Option<u32>,
    /// Perf: number of warm-up steps that do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u32>,
    /// Perf and numeric: arguments that are appended to the compared command, for baseline and change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perf_args: Option<String>,
    /// Numeric: the metrics of the compared gate that are compared, such as `loss`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<String>,
    /// Numeric: the largest relative difference that a contract with `numerics: within` allows, such as `1e-5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// Numeric: shell text that stops and resumes the compared command. The gate then compares the straight run of the change
    /// with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_cmd: Option<String>,
}

/// A further metric that a perf gate compares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FurtherMetric {
    /// The name, as the compared gate declares it.
    pub metric: String,
    /// Percent: −2 means at most 2 % worse.
    pub budget_pct: f64,
}

/// What it means if a gate exits with 0 and leaves processes behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Leaks {
    /// They are counted and shown, and the gate passes.
    Report,
    /// The gate fails with `leaked_processes`.
    Fail,
}

/// Reads a command. In a file with CRLF line ends a multi-line string has them too, and a shell would read the carriage return as
/// text.
fn with_line_feeds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let cmd = Option::<String>::deserialize(deserializer)?;
    Ok(cmd.map(|text| match text.contains('\r') {
        true => text.replace("\r\n", "\n"),
        false => text,
    }))
}

impl Gate {
    fn default_nodes() -> u32 {
        1
    }

    fn is_one_node(nodes: &u32) -> bool {
        *nodes == 1
    }

    /// Returns the metrics that are read from the output: the declared ones, completed by the preset, and the others of the preset.
    pub fn reads(&self) -> Vec<Metric> {
        let ready = self.preset.map(Preset::metrics).unwrap_or_default();
        metric::completed(&self.metrics, &ready)
    }

    /// Returns the metric that a perf gate compares.
    pub fn perf_metric(&self) -> &str {
        self.metric.as_deref().unwrap_or(DEFAULT_PERF_METRIC)
    }

    /// Whether the gate needs the target.
    pub fn needs_target(&self) -> bool {
        self.gpus >= 1 || self.kernel == Some(true) || self.kind == GateKind::Kernel
    }

    /// Whether the kernel library is inspected, loaded and self-checked before the gate.
    pub fn needs_kernels(&self) -> bool {
        self.kernel.unwrap_or(self.gpus >= 1) || self.kind == GateKind::Kernel
    }
}

/// The executor of a gate cannot run it: it is not defined, the gate needs several nodes on one machine, or is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoExecutor;

impl Registry {
    /// Returns the container of a gate: its own keys, and those of the registry.
    pub fn container_of(&self, gate: &Gate) -> Container {
        let own = gate.container.as_deref().cloned().unwrap_or_default();
        match &self.container {
            Some(shared) => own.inherit(shared),
            None => own,
        }
    }

    /// Returns the executor that a gate is submitted to; `None` for a gate that runs on the machine of `run`.
    ///
    /// # Errors
    /// The gate has an executor that cannot run it.
    pub fn submits(&self, gate: &Gate) -> Result<Option<&Executor>, NoExecutor> {
        let executor = match &gate.executor {
            Some(name) => Some(self.executor.get(name).ok_or(NoExecutor)?),
            None => None,
        };
        match executor.filter(|executor| executor.kind != ExecutorKind::Local) {
            None if gate.nodes != 1 => Err(NoExecutor),
            Some(_) if gate.kind != GateKind::Command || gate.nodes == 0 => Err(NoExecutor),
            Some(executor) if executor.kind == ExecutorKind::Kubernetes && executor.kubernetes.is_none() => {
                Err(NoExecutor)
            }
            submits => Ok(submits),
        }
    }

    /// Returns the target of GPU gates. Missing keys have the values of the inline runner.
    pub fn target(&self) -> Target {
        let name = Target::name(&self.meta.target);
        self.target.get(name).cloned().unwrap_or_default()
    }

    /// Returns whether a target of evidence, such as `b200x8`, is one of this registry. Reports refuse any other.
    pub fn has_target(&self, found: &str) -> bool {
        let name = Target::product(found);
        name == Target::DEFAULT || name == self.meta.target || self.target.contains_key(name)
    }
}
