//! The contract: the YAML block of an issue. What may change, what must hold, which gates prove it.
//!
//! Ids and commits are text: `01`, `03a` and `1e10000` stay what was written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Format, Syntax};

/// The contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Who and what.
    pub nmoe: Work,
    /// What may change.
    pub scope: Scope,
    /// What must hold.
    pub contract: Terms,
    /// What proves it.
    pub gates: Gates,
}

impl Format for Contract {
    const SYNTAX: Syntax = Syntax::Block("nmoe");
}

/// The work item itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Contract id: letters, digits, `.`, `-`. Not GitHub's issue number.
    pub issue: String,
    /// Lower-case letters, digits and `-`; part of the branch name.
    pub slug: String,
    /// Kind of work.
    pub kind: Kind,
    /// How near the hot path.
    pub risk: Risk,
    /// Size.
    pub complexity: Complexity,
    /// Contract ids that must be merged first.
    #[serde(default)]
    pub depends_on: Vec<String>,
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

/// How near the hot path a change is.
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

/// Globs over paths of the repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Paths that may change.
    pub allow: Vec<String>,
    /// Paths that must not, even where allowed.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// What must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Sentences, recognised by their key terms.
    pub invariants: Vec<String>,
    /// Configuration keys that the change adds or changes.
    #[serde(default)]
    pub knobs: Knobs,
}

/// Configuration keys by what happens to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// New keys.
    #[serde(default)]
    pub add: Vec<String>,
    /// Keys whose meaning or default changes.
    #[serde(default)]
    pub change: Vec<String>,
}

/// Which gates prove the contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// Gate ids of the registry.
    pub required: Vec<String>,
    /// Throughput budget; needed for a hot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perf: Option<PerfBudget>,
}

/// A throughput budget against a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerfBudget {
    /// The perf gate.
    pub gate: String,
    /// The gate it compares.
    pub compare: String,
    /// The metric it compares.
    pub metric: String,
    /// A git ref; empty or absent means the base parent of the tested merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_ref: Option<String>,
    /// Percent: −10 means the result may be at most 10 % worse.
    pub budget_pct: f64,
}
