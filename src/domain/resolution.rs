//! What the resolve job found out before anything ran: which commits, which contract, which gates, at what cost.
//!
//! A maintainer approves this, the gates job runs exactly this, and the report job holds results against it. It travels as an
//! output of its job, which no other job can change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::evidence::Evidence;
use crate::domain::finding::FindingJson;
use crate::domain::ids::{CommitId, Nonce, Sha256};
use crate::domain::proposal::Proposal;

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// The whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// Format version; 1.
    pub schema: u32,
    /// `owner/name`.
    pub repository: String,
    /// Number of the pull request.
    pub pull: u64,
    /// Head commit of the pull request.
    pub head: CommitId,
    /// First parent of the merge.
    pub base: CommitId,
    /// The commit to test.
    pub merge: CommitId,
    /// Its tree.
    pub tree: CommitId,
    /// Bundle that was asked for; as in results.
    pub bundle: Option<String>,
    /// The selection, in order.
    pub gate_ids: Vec<String>,
    /// Gates that the contract requires and the selection does not cover.
    pub uncovered: Vec<String>,
    /// The registry in force.
    pub registry: RegistryFacts,
    /// The contract, read once; none where the pull request names none.
    pub contract: Option<ContractFacts>,
    /// What the lints say of contract and attestation.
    pub findings: Findings,
    /// Most GPU-minutes that the selection can take; null where a gate has no time limit.
    pub gpu_minutes: Option<f64>,
    /// Random, 32 hexadecimal digits; results must echo it as `run`.
    pub nonce: Nonce,
    /// Version of this tool.
    pub tool: String,
}

/// The registry in force, and the one that the pull request proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryFacts {
    /// SHA-256 of the file in force.
    pub sha256: Sha256,
    /// Whose it is.
    pub source: Source,
    /// What the pull request would change; none where it leaves the file alone.
    pub proposed: Option<Proposal>,
}

/// Whose registry is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The trusted base's.
    Base,
    /// The pull request's own, because a maintainer said so.
    Proposed,
}

/// The contract as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractFacts {
    /// GitHub's number of the issue.
    pub issue: u64,
    /// SHA-256 of the issue's body.
    pub sha256: Sha256,
    /// Who opened the issue; null where GitHub does not say.
    pub author: Option<String>,
    /// Who edited its text last; null where nobody did, or GitHub does not say.
    pub editor: Option<String>,
    /// When, RFC 3339.
    pub edited_at: Option<String>,
    /// The issue's body, whole.
    pub body: String,
}

/// What the lints say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// How many errors.
    pub errors: usize,
    /// How many warnings.
    pub warnings: usize,
    /// The gravest few.
    pub shown: Vec<FindingJson>,
}

impl Resolution {
    /// The identities that results must have to be about this.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            head: Some(self.head.clone()),
            base: Some(self.base.clone()),
            merge: Some(self.merge.clone()),
            tree: Some(self.tree.clone()),
            registry: Some(self.registry.sha256.clone()),
            contract: self.contract.as_ref().map(|contract| contract.sha256.clone()),
            tool: Some(self.tool.clone()),
            run: Some(self.nonce.to_string()),
            ..Evidence::default()
        }
    }
}
