//! Defines `results.json`, the output of a run. It has the keys of the inline runner and more.
//!
//! Must not contain free text of a gate.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::evidence::Evidence;
use crate::domain::ids::{CommitId, GateId};
use crate::domain::is_default;
use crate::domain::metric::NODE_TPS;
use crate::domain::noise::Estimator;
use crate::domain::numeric::NumericResult;
use crate::domain::registry::Direction;
use crate::domain::verdict::{Overall, Reason, Verdict};
use crate::system::digest::is_hex;

/// Version of the results format.
pub const SCHEMA: u32 = 1;

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Format version; 1.
    pub schema: u32,
    /// The requested bundle; `single` for one gate, `tier_a` for that tier, null for a list of gates.
    pub bundle: Option<String>,
    /// The selected gates, in the order of the run.
    pub gate_ids: Vec<GateId>,
    /// The overall verdict.
    pub overall: Overall,
    /// Why the complete run was refused before any gate: its inputs are not usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
    /// Gates that the contract requires and the selection does not cover.
    #[serde(default)]
    pub uncovered: Vec<GateId>,
    /// The commits, the policy and the environment of the run.
    pub evidence: Evidence,
    /// When the run began, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Wall time of the run in seconds.
    pub duration_s: Option<f64>,
    /// One entry per selected gate.
    pub results: IndexMap<GateId, GateResult>,
}

impl Results {
    /// Computes the overall verdict from the gates. A refused run is invalid. `overall` must be equal.
    pub fn evaluate(&self) -> Overall {
        match self.refused {
            Some(_) => Overall::Invalid,
            None => Overall::of(self.results.values().map(|r| r.status)),
        }
    }
}

/// The result of one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateResult {
    /// The verdict.
    pub status: Verdict,
    /// The reason; null for a plain pass.
    pub reason: Option<Reason>,
    /// Exit code of the command; null if it has none.
    pub rc: Option<i32>,
    /// Signal that ended the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Wall time in seconds.
    pub duration_s: Option<f64>,
    /// Median of all `node_tps` samples, tokens per second.
    pub node_tps_p50: Option<f64>,
    /// Number of `node_tps` samples.
    #[serde(default)]
    pub node_tps_samples: u64,
    /// Environment variables that were missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_env: Vec<String>,
    /// Files that were missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_files: Vec<String>,
    /// Number of processes that the gate left behind and that were killed.
    #[serde(default)]
    pub leaks: u32,
    /// All measured metrics, including `node_tps`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub metrics: IndexMap<String, Series>,
    /// Digest of the image that the gate ran in; absent for a gate without a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The comparison of a perf gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perf: Option<PerfResult>,
    /// The comparison of a numeric gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric: Option<NumericResult>,
    /// Checks of a kernel gate, or of the kernel check before a GPU gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_checks: Vec<KernelCheck>,
    /// The person who supplied an external result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplied_by: Option<String>,
    /// Number of GPUs that had a compute process while the gate ran; absent if nothing counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_gpus: Option<u32>,
    /// The ranks of a gate that ran in a job, one for each node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<RankResult>,
}

/// The result of one rank of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankResult {
    /// The number of the rank.
    pub rank: u32,
    /// A salted id of its node, to tell the nodes of one job apart; null if the rank did not start.
    pub node: Option<String>,
    /// The verdict of the rank.
    pub status: Verdict,
    /// The reason; null for a plain pass.
    pub reason: Option<Reason>,
    /// Exit code of the command; null if it has none.
    pub rc: Option<i32>,
    /// Wall time in seconds.
    pub duration_s: Option<f64>,
    /// Number of GPUs of the node that had a compute process; absent if nothing counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_gpus: Option<u32>,
}

impl RankResult {
    /// Whether the rank passed without a process on a GPU, or nothing counted its GPUs.
    pub fn is_idle(&self) -> bool {
        self.status == Verdict::Pass && self.busy_gpus.is_none_or(|busy| busy == 0)
    }

    /// Whether a text can be the salted id of a node.
    pub fn is_node(text: &str) -> bool {
        is_hex(text.as_bytes(), &[12])
    }
}

impl Results {
    /// Returns the overall verdict as reports print it. A rehearsal has none.
    pub fn overall_word(&self) -> &'static str {
        match self.evidence.rehearsal {
            true => "rehearsal",
            false => self.overall.as_str(),
        }
    }
}

impl GateResult {
    /// Sets what was measured.
    pub fn set_metrics(&mut self, metrics: IndexMap<String, Series>) {
        if let Some(series) = metrics.get(NODE_TPS) {
            self.node_tps_p50 = series.p50;
            self.node_tps_samples = series.count;
        }
        self.metrics = metrics;
    }

    /// Makes a result without measurements.
    pub fn new(status: Verdict, reason: Option<Reason>) -> Self {
        GateResult {
            status,
            reason,
            rc: None,
            signal: None,
            duration_s: None,
            node_tps_p50: None,
            node_tps_samples: 0,
            missing_env: Vec::new(),
            missing_files: Vec::new(),
            leaks: 0,
            metrics: IndexMap::new(),
            image: None,
            perf: None,
            numeric: None,
            kernel_checks: Vec::new(),
            supplied_by: None,
            busy_gpus: None,
            ranks: Vec::new(),
        }
    }

    /// Returns what the machine or the checkout lacks, such as `missing variables: A, B`.
    pub fn missing(&self) -> impl Iterator<Item = String> {
        let kinds = [("variables", &self.missing_env), ("files", &self.missing_files)];
        let kinds = kinds.into_iter().filter(|(_, names)| !names.is_empty());
        kinds.map(|(what, names)| format!("missing {what}: {}", names.join(", ")))
    }
}

/// The samples of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Unit from the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether higher or lower is better.
    #[serde(default)]
    pub direction: Direction,
    /// Number of samples.
    pub count: u64,
    /// Median of all samples.
    pub p50: Option<f64>,
    /// Samples in order, evenly thinned if there were too many. `count` is the real number.
    pub samples: Vec<f64>,
    /// Numbers that could not be read. With such a number, the series has no median and no samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
    /// Number of samples that are NaN or infinite. They are not listed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub not_finite: u64,
    /// How often the steps restarted. The samples are those after the last restart.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restarts: u32,
}

/// Numbers of a metric that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// Their number.
    pub count: u64,
    /// Shape of the first one: digits as 9, letters as a, and few other characters. Never the text itself.
    pub shape: String,
}

impl Unreadable {
    /// Whether a shape has only the allowed characters.
    pub fn is_shape(text: &str) -> bool {
        text.len() <= 32 && text.bytes().all(|b| b"9a.,:;_'/+-%()=~? ".contains(&b))
    }
}

/// A comparison of baseline and change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PerfResult {
    /// The gate that was compared.
    pub compare_gate: String,
    /// The metric that was compared.
    pub metric: String,
    /// Whether higher or lower is better.
    pub direction: Direction,
    /// Commit of the baseline.
    pub baseline_sha: Option<CommitId>,
    /// Geometric mean of the estimates of the baseline measurements, in the unit of the metric.
    pub baseline: Option<f64>,
    /// The same for the change: result ÷ baseline − 1 is `delta_pct`.
    pub result: Option<f64>,
    /// Percent; negative is worse for a metric where higher is better.
    pub delta_pct: Option<f64>,
    /// Interval of `delta_pct`, percent: the one that decided.
    pub interval_pct: Option<[f64; 2]>,
    /// Confidence of that interval, percent. Earlier looks need a higher confidence than the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_pct: Option<f64>,
    /// The effective budget, percent.
    pub budget_pct: Option<f64>,
    /// How the verdict was decided.
    pub method: PerfMethod,
    /// How the values per step of a measurement become one number, equal for both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator: Option<Estimator>,
    /// Whether stored A/A noise was used.
    pub calibrated: bool,
    /// Whether there is a real loss that the budget allows.
    pub regression_inside_budget: bool,
    /// Number of further pairs that would decide, if the verdict is inconclusive.
    pub more_pairs: Option<u32>,
    /// Change of total tokens over total time, percent. It shows stalls that a median hides.
    pub total_delta_pct: Option<f64>,
    /// Interval of `total_delta_pct`, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_interval_pct: Option<[f64; 2]>,
    /// Standard deviation of the log ratio of one pair, times 100: nearly percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread_pct: Option<f64>,
    /// ln(result) − ln(baseline) of the discarded warm-up pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up_log_ratio: Option<f64>,
    /// All pairs, in the order of the run.
    pub pairs: Vec<PerfPair>,
    /// Number of disturbed measurements, which were discarded and repeated.
    pub spoiled: u32,
    /// Number of disturbed measurements by cause.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spoiled_by: BTreeMap<Interference, u32>,
    /// Whether measurements used GPUs whose health could not be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unwatched: bool,
    /// Number of measurements that count although their samples drifted, because the repetition drifted too.
    pub unsteady: u32,
    /// Number of measurements whose steps restarted. Only the part after the last restart counts.
    #[serde(skip_serializing_if = "is_default")]
    pub restarted: u32,
    /// Whether stored noise was ignored, because the pairs vary far more.
    pub history_dropped: bool,
    /// GPU-minutes for baseline and change together.
    pub gpu_minutes: Option<f64>,
    /// Verdict of the main metric alone, where there are further metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_status: Option<Verdict>,
    /// Its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_reason: Option<Reason>,
    /// Further metrics of the same measurements.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<FurtherResult>,
}

/// The comparison of a further metric. The fields mean what they mean in [`PerfResult`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "PerfResult explains each of them")]
pub struct FurtherResult {
    pub metric: String,
    /// The verdict for this metric alone.
    pub status: Verdict,
    /// Why.
    pub reason: Option<Reason>,
    pub direction: Direction,
    pub budget_pct: Option<f64>,
    pub baseline: Option<f64>,
    pub result: Option<f64>,
    pub delta_pct: Option<f64>,
    pub interval_pct: Option<[f64; 2]>,
    pub confidence_pct: Option<f64>,
    pub estimator: Option<Estimator>,
    pub calibrated: bool,
    pub history_dropped: bool,
    pub regression_inside_budget: bool,
    pub more_pairs: Option<u32>,
    pub total_delta_pct: Option<f64>,
    /// ln(result) − ln(baseline) of each pair.
    pub log_ratios: Vec<f64>,
}

impl FurtherResult {
    /// Summarizes a comparison that was decided.
    pub fn new(perf: PerfResult, status: Verdict, reason: Option<Reason>) -> Self {
        FurtherResult {
            metric: perf.metric,
            status,
            reason,
            direction: perf.direction,
            budget_pct: perf.budget_pct,
            baseline: perf.baseline,
            result: perf.result,
            delta_pct: perf.delta_pct,
            interval_pct: perf.interval_pct,
            confidence_pct: perf.confidence_pct,
            estimator: perf.estimator,
            calibrated: perf.calibrated,
            history_dropped: perf.history_dropped,
            regression_inside_budget: perf.regression_inside_budget,
            more_pairs: perf.more_pairs,
            total_delta_pct: perf.total_delta_pct,
            log_ratios: perf.pairs.iter().map(|p| p.log_ratio).collect(),
        }
    }

    /// The comparison without its pairs, to be put into words.
    pub fn comparison(&self) -> PerfResult {
        PerfResult {
            metric: self.metric.clone(),
            direction: self.direction,
            budget_pct: self.budget_pct,
            baseline: self.baseline,
            result: self.result,
            delta_pct: self.delta_pct,
            interval_pct: self.interval_pct,
            confidence_pct: self.confidence_pct,
            method: PerfMethod::Paired,
            estimator: self.estimator,
            calibrated: self.calibrated,
            history_dropped: self.history_dropped,
            regression_inside_budget: self.regression_inside_budget,
            more_pairs: self.more_pairs,
            total_delta_pct: self.total_delta_pct,
            ..PerfResult::default()
        }
    }
}

/// What disturbs a measurement, so that it is discarded and repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interference {
    /// The samples drift.
    Drift,
    Lost,
    /// Another process used a GPU.
    Foreign,
    /// Heat or power limited the clocks.
    Throttled,
    /// A GPU had a memory error.
    Memory,
    /// The driver reported an Xid.
    Xid,
    /// A GPU was split (MIG) during the measurement.
    Split,
    /// Its log is too short.
    Short,
}

impl Interference {
    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Interference::Drift => "drift",
            Interference::Lost => "lost",
            Interference::Foreign => "foreign",
            Interference::Throttled => "throttled",
            Interference::Memory => "memory",
            Interference::Xid => "xid",
            Interference::Split => "split",
            Interference::Short => "short",
        }
    }
}

/// How a comparison is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PerfMethod {
    /// Not decided yet.
    #[default]
    #[serde(rename = "")]
    Undecided,
    /// By the confidence interval over several pairs.
    Paired,
    /// By the threshold alone, from a single pair.
    Threshold,
}

/// Which measurement of a pair came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PairOrder {
    /// The baseline.
    #[serde(rename = "ab")]
    BaseFirst,
    /// The change.
    #[serde(rename = "ba")]
    ChangeFirst,
    /// The records do not say.
    Unknown,
}

/// One pair of measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerfPair {
    /// Which of the two was measured first.
    pub order: PairOrder,
    /// Estimate of the baseline measurement.
    pub baseline: f64,
    /// Estimate of the measurement of the change.
    pub result: f64,
    /// ln(result) − ln(baseline).
    pub log_ratio: f64,
    /// Total work over total time of the baseline measurement, in the unit of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_total: Option<f64>,
    /// The same for the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_total: Option<f64>,
    /// Samples of the baseline measurement that count, in order, evenly thinned if there were too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline_samples: Vec<f64>,
    /// The same for the change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub result_samples: Vec<f64>,
}

/// One check of a kernel library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelCheck {
    /// Name of the check, from a closed list or a library's ABI (lower-case letters, digits, `_`).
    pub name: String,
    /// Path of the library in the subject, if the check is about the whole library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// The verdict.
    pub status: Verdict,
    /// Method of the check, from a closed list.
    pub reason: Option<Reason>,
    /// Wall time in seconds.
    pub duration_s: Option<f64>,
    /// For the check of the pins: what differs from them. For the comparison with the base: what differs from its kernels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<PinDelta>,
}

/// A number of a kernel that is not what the registry pins, or not what the kernel of the base uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinDelta {
    /// Name of the kernel in the registry or in the base, shortened.
    pub kernel: String,
    /// What is pinned.
    pub number: PinNumber,
    /// The pin in the registry of the base, or what the kernel of the base uses.
    pub pinned: u64,
    /// What the kernel of the change uses.
    pub used: u64,
}

impl PinDelta {
    /// The longest name of a kernel.
    pub const MAX_NAME: usize = 100;
}

/// What a pin limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinNumber {
    /// Registers of a thread.
    Registers,
    /// Bytes of the stack frame of a thread.
    Stack,
    /// Bytes of static shared memory of a block.
    Shared,
    /// Instructions that spill or refill a register.
    Spills,
}

impl PinNumber {
    /// Returns the key of the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            PinNumber::Registers => "registers",
            PinNumber::Stack => "stack",
            PinNumber::Shared => "shared",
            PinNumber::Spills => "spills",
        }
    }
}

impl KernelCheck {
    /// The name of the check that the libraries were built in this run, after old libraries and objects were deleted.
    pub const BUILT_FROM_SCRATCH: &str = "built_from_scratch";

    /// The name of the comparison of a perf gate between the kernels of the change and those of the base.
    pub const OF_BASE: &str = "base_kernels";

    /// Returns the name of a check of a whole library, such as `rdep_inspect`: the name of the library up to its first dot, in
    /// the characters that the name of a check can have.
    pub fn of_library(library: &Path, what: &str) -> String {
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.split('.').next().unwrap_or_default();
        let mut word: String = stem
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .take(40)
            .collect();
        if word.is_empty() {
            word.push('_');
        }
        format!("{word}_{what}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_check_name_has_plain_letters() {
        let name = |path: &str| KernelCheck::of_library(Path::new(path), "inspect");
        assert_eq!(name("x/rdep.cpython-311-x86_64-linux-gnu.so"), "rdep_inspect");
        assert_eq!(name("x/<Ü>.so"), "____inspect");
    }
}
