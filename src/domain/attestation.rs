//! Defines the attestation: the YAML block at the top of a pull request. It says which gates passed, on which commits.
//!
//! Authors add keys for their readers, so unknown keys are accepted. `lint attestation` reports them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Format, Syntax};
use crate::domain::contract::Risk;
use crate::domain::ids::{CommitPrefix, ContractId, GateId};
use crate::domain::verdict::Verdict;

/// The attestation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attestation {
    /// The contract and the commits.
    pub nmoe_pr: Change,
    /// The gates that passed.
    pub gates_passed: GatesPassed,
    /// The throughput comparison, if one was run or is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perf: Option<PerfClaim>,
}

impl Format for Attestation {
    const SYNTAX: Syntax = Syntax::Block("nmoe_pr");
}

/// The change that is attested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Contract id.
    pub issue: ContractId,
    /// Commit that the change is compared with; required for a hot change or a perf claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_sha: Option<CommitPrefix>,
    /// Head commit of the pull request.
    pub pr_sha: CommitPrefix,
    /// Risk of the contract.
    pub risk: Risk,
}

/// Gate ids that passed, by tier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GatesPassed {
    /// Gates that the author of the change ran on a CPU.
    pub tier_a: Vec<GateId>,
    /// Gates that the maintainer ran on a B200; empty until then.
    pub tier_b: Vec<GateId>,
}

/// A throughput comparison that the pull request claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PerfClaim {
    /// The perf gate.
    pub gate: GateId,
    /// The gate whose metric is compared.
    pub compare: GateId,
    /// The compared metric.
    pub metric: String,
    /// Median of the baseline, in the unit of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// Median of the change, in the unit of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<f64>,
    /// (result / baseline − 1) × 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_pct: Option<f64>,
    /// Budget of the contract in percent.
    pub budget_pct: f64,
    /// The verdict of the comparison.
    pub status: Verdict,
}
