//! What a run leaves: `results.json`. It keeps the incumbent's keys and adds to them; it holds no free text from a gate.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::evidence::Evidence;
use crate::domain::ids::CommitId;
use crate::domain::noise::Estimator;
use crate::domain::registry::Direction;
use crate::domain::verdict::{Overall, Reason, Verdict};

/// Version of the results format.
pub const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Format version; 1.
    pub schema: u32,
    /// Bundle that was asked for; `single` for one gate, `tier_a` for that tier, null for a list of gates.
    pub bundle: Option<String>,
    /// The selection, in the order it was run.
    pub gate_ids: Vec<String>,
    /// What came of the selection.
    pub overall: Overall,
    /// Why the run as a whole was refused before any gate was looked at: what was asked for could not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
    /// Gates that the contract requires and the selection did not cover.
    #[serde(default)]
    pub uncovered: Vec<String>,
    /// What all this is about.
    pub evidence: Evidence,
    /// When the run began, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Wall time of the run in seconds.
    pub duration_s: Option<f64>,
    /// One entry per gate of the selection.
    pub results: IndexMap<String, GateResult>,
}

impl Results {
    /// What the gates' verdicts come to; a refused run is invalid. `overall` must say the same.
    pub fn judge(&self) -> Overall {
        match self.refused {
            Some(_) => Overall::Invalid,
            None => Overall::of(self.results.values().map(|r| r.status)),
        }
    }
}

/// What came of one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateResult {
    /// The verdict.
    pub status: Verdict,
    /// Why; null for a plain pass.
    pub reason: Option<Reason>,
    /// Exit code of the command; null where it has none.
    pub rc: Option<i32>,
    /// Signal that ended the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Wall time in seconds.
    pub duration_s: Option<f64>,
    /// Median of all `node_tps` samples, tokens per second.
    pub node_tps_p50: Option<f64>,
    /// How many `node_tps` samples there were.
    #[serde(default)]
    pub node_tps_samples: u64,
    /// Environment variables that were missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_env: Vec<String>,
    /// Files that were missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_files: Vec<String>,
    /// Processes it left behind, which were ended.
    #[serde(default)]
    pub leaks: u32,
    /// Every metric that was taken, `node_tps` among them.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub metrics: IndexMap<String, Series>,
    /// A perf gate's comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perf: Option<PerfResult>,
    /// Rows of a kernel gate, or of the check before a GPU gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_checks: Vec<KernelCheck>,
    /// Who supplied an external result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplied_by: Option<String>,
}

impl GateResult {
    /// A result with this verdict and reason and nothing measured.
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
            perf: None,
            kernel_checks: Vec::new(),
            supplied_by: None,
        }
    }
}

/// The samples of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Unit, as the registry has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Which way is better.
    #[serde(default)]
    pub direction: Direction,
    /// How many samples there were.
    pub count: u64,
    /// Median of all samples.
    pub p50: Option<f64>,
    /// Samples in order; thinned evenly where there were more than the cap, `count` tells the truth.
    pub samples: Vec<f64>,
    /// Numbers that could not be read. Where there is one, the series has no median and no samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
    /// How many samples are not a number or infinite; they are counted and not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_finite: u64,
    /// How often the steps began again; samples are those from the last start.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub restarts: u32,
}

/// Numbers of a metric that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// How many.
    pub count: u64,
    /// Shape of the first: digits as 9, letters as a, few other signs. Never its text.
    pub shape: String,
}

impl Unreadable {
    /// Whether a shape has only the signs that a shape may have.
    pub fn is_shape(text: &str) -> bool {
        text.len() <= 32 && text.bytes().all(|b| b"9a.,:;_'/+-%()=~? ".contains(&b))
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero_u32(n: &u32) -> bool {
    *n == 0
}

/// A comparison of two arms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PerfResult {
    /// The gate that was compared.
    pub compare_gate: String,
    /// The metric that was compared.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
    /// Commit of the baseline.
    pub baseline_sha: Option<CommitId>,
    /// Geometric mean of the estimates of the baseline's measurements, in the metric's unit.
    pub baseline: Option<f64>,
    /// The same of the change: result ÷ baseline − 1 is `delta_pct`.
    pub result: Option<f64>,
    /// Percent; negative is worse for a metric where higher is better.
    pub delta_pct: Option<f64>,
    /// Interval of `delta_pct`, percent: the one that decided.
    pub interval_pct: Option<[f64; 2]>,
    /// How surely that interval holds the change, percent; looks before the last ask for more than the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_pct: Option<f64>,
    /// The budget that was in force, percent.
    pub budget_pct: Option<f64>,
    /// How it was decided.
    pub method: PerfMethod,
    /// How a measurement's values per step become one number, the same for both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator: Option<Estimator>,
    /// Whether stored A/A noise took part.
    pub calibrated: bool,
    /// A real loss that the budget allows.
    pub regression_inside_budget: bool,
    /// How many more pairs would decide, where the verdict is inconclusive.
    pub more_pairs: Option<u32>,
    /// Change of total tokens over total time, percent: shows stalls that a median hides.
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
    /// Every pair, in the order it was run.
    pub pairs: Vec<PerfPair>,
    /// Launches that were spoiled, set aside and replaced.
    pub spoiled: u32,
    /// The same by what spoiled them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spoiled_by: BTreeMap<Spoiler, u32>,
    /// Launches used GPUs whose health could not be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unwatched: bool,
    /// Launches that counted although their samples drifted: the replacement drifted too.
    pub unsteady: u32,
    /// Measurements whose steps began again: only what followed the last start counts.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub restarted: u32,
    /// Stored noise was set aside because the pairs vary far more.
    pub history_dropped: bool,
    /// GPU-minutes spent on both arms.
    pub gpu_minutes: Option<f64>,
}

/// What spoils a launch, so that it is set aside and replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spoiler {
    /// Its samples drift.
    Drift,
    /// A GPU was lost, or must be reset.
    Lost,
    /// Somebody else computed on a GPU.
    Foreign,
    /// Heat or power held clocks down.
    Throttled,
    /// A GPU's memory went wrong.
    Memory,
    /// The driver reported an Xid.
    Xid,
    /// A GPU was split (MIG) meanwhile.
    Split,
    /// Its log is too short.
    Short,
}

impl Spoiler {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Spoiler::Drift => "drift",
            Spoiler::Lost => "lost",
            Spoiler::Foreign => "foreign",
            Spoiler::Throttled => "throttled",
            Spoiler::Memory => "memory",
            Spoiler::Xid => "xid",
            Spoiler::Split => "split",
            Spoiler::Short => "short",
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
    /// By the interval over several pairs.
    Paired,
    /// By the bare threshold, from a single pair.
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

/// One pair of launches.
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
    /// Total work over total time of the baseline measurement, in the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_total: Option<f64>,
    /// The same of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_total: Option<f64>,
    /// What counted of the baseline launch, in order; thinned evenly where there was much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline_samples: Vec<f64>,
    /// The same of the head launch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub result_samples: Vec<f64>,
}

/// One check of a kernel library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelCheck {
    /// Name of the check, from a closed list or a library's ABI (lower-case letters, digits, `_`).
    pub name: String,
    /// Path of the library in the subject, where the check is about a library as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// What came of it.
    pub status: Verdict,
    /// What was proven, from a closed list.
    pub reason: Option<Reason>,
    /// Wall time in seconds.
    pub duration_s: Option<f64>,
}

impl KernelCheck {
    /// The name of what is found out about a library as a whole, such as `rdep_inspect`: the library's name up to its first
    /// dot, in the letters that a check's name may have.
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
    fn a_librarys_check_is_named_in_plain_letters() {
        let name = |path: &str| KernelCheck::of_library(Path::new(path), "inspect");
        assert_eq!(name("x/rdep.cpython-311-x86_64-linux-gnu.so"), "rdep_inspect");
        assert_eq!(name("x/<Ü>.so"), "____inspect");
    }
}
