//! Defines the contract: the YAML block of an issue. It says what may change, what must hold, and which gates prove it.
//!
//! Ids and commits are text: `01`, `03a` and `1e10000` stay as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Format, Syntax};
use crate::domain::ids::{ContractId, GateId, Knob, Revision, Slug};
use crate::domain::numeric::Numerics;

/// The contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The work item.
    pub nmoe: WorkItem,
    /// The paths that may change.
    pub scope: Scope,
    /// The invariants and the configuration keys.
    pub contract: Clauses,
    /// The gates that prove the contract.
    pub gates: Gates,
}

impl Format for Contract {
    const SYNTAX: Syntax = Syntax::Block("nmoe");
}

/// A work item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkItem {
    /// Contract id: letters, digits, `.`, `-`. This is not the issue number of GitHub.
    pub issue: ContractId,
    /// Lower-case letters, digits and `-`; part of the branch name.
    pub slug: Slug,
    /// Kind of work.
    pub kind: Kind,
    /// How close the change is to the hot path.
    pub risk: Risk,
    /// Size of the work.
    pub complexity: Complexity,
    /// Contract ids that must be merged first.
    #[serde(default)]
    pub depends_on: Vec<ContractId>,
    /// Paths that several contracts are likely to touch.
    #[serde(default)]
    pub merge_hotspots: Vec<String>,
}

/// Kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Kind {
    Feature,
    Bugfix,
    Perf,
    Refactor,
    Docs,
}

/// How close a change is to the hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Risk {
    Hot,
    Warm,
    Cold,
}

/// Size of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Complexity {
    S,
    M,
    L,
}

/// Patterns of paths in the repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Paths that may change.
    pub allow: Vec<String>,
    /// Paths that must not change, even if `allow` covers them.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// The invariants and the configuration keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clauses {
    /// Sentences, identified by their key terms.
    pub invariants: Vec<String>,
    /// Configuration keys that the change adds or changes.
    #[serde(default)]
    pub knobs: Knobs,
    /// What the change does to the numbers that the program computes; absent means `identical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics: Option<Numerics>,
    /// The largest change that the contract allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// The largest change that a contract allows. An absent key means: unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Number of changed files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Number of added and removed lines together. A renamed file counts with its changed lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
}

/// Configuration keys that a change adds or changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// New keys.
    #[serde(default)]
    pub add: Vec<Knob>,
    /// Keys whose value, meaning or default changes.
    #[serde(default)]
    pub change: Vec<Knob>,
}

/// The gates that prove a contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// Gate ids of the registry.
    pub required: Vec<GateId>,
    /// Throughput budget; required for a hot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perf: Option<PerfBudget>,
}

/// A throughput budget against a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerfBudget {
    /// The perf gate.
    pub gate: GateId,
    /// The gate whose metric is compared.
    pub compare: GateId,
    /// The compared metric.
    pub metric: String,
    /// A git revision; empty or absent means the base parent of the tested merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_ref: Option<Revision>,
    /// Percent: −10 means that the result may be at most 10 % worse.
    pub budget_pct: f64,
}

impl PerfBudget {
    /// Returns the budget in percent under this budget of the policy, which a contract can only tighten.
    pub fn within(&self, policy_pct: f64) -> f64 {
        self.budget_pct.max(policy_pct)
    }
}
