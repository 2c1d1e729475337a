//! The attestation: the YAML block at the top of a pull request. Which gates passed, on which commits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Format, Syntax};
use crate::domain::contract::Risk;

/// The attestation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Which contract, which commits.
    pub nmoe_pr: Change,
    /// Which gates passed.
    pub gates_passed: GatesPassed,
    /// The throughput comparison, where one was run or is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perf: Option<PerfClaim>,
}

impl Format for Attestation {
    const SYNTAX: Syntax = Syntax::Block("nmoe_pr");
}

/// The change that is attested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Contract id.
    pub issue: String,
    /// Commit the change is compared with; required for a hot change or a claimed perf result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_sha: Option<String>,
    /// Head commit of the pull request.
    pub pr_sha: String,
    /// Equal to the contract's.
    pub risk: Risk,
}

/// Gate ids that passed, by tier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatesPassed {
    /// On a CPU, by the author of the change.
    pub tier_a: Vec<String>,
    /// On a B200, by the maintainer; empty until then.
    pub tier_b: Vec<String>,
}

/// A throughput comparison as the pull request states it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerfClaim {
    /// The perf gate.
    pub gate: String,
    /// The gate it compares.
    pub compare: String,
    /// The metric it compares.
    pub metric: String,
    /// Median of the baseline, in the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// Median of the change, in the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<f64>,
    /// (result / baseline − 1) × 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_pct: Option<f64>,
    /// The contract's budget, percent.
    pub budget_pct: f64,
    /// The verdict of the comparison.
    pub status: String,
}
