//! Defines the output of the resolve job: the commits, the contract, the gates and the cost of a run.
//!
//! A maintainer approves it, the gates job runs exactly it, and the report job compares the results with it. It is an output
//! of its job, so no other job can change it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::evidence::Evidence;
use crate::domain::finding::FindingJson;
use crate::domain::ids::{CommitId, GateId, Nonce, Sha256};
use crate::domain::next_step::NextStep;
use crate::domain::proposal::Proposal;

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// The resolution.
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
    /// Name of the base branch. A retargeted pull request needs another run.
    pub base_branch: String,
    /// The commit to test.
    pub merge: CommitId,
    /// Its tree.
    pub tree: CommitId,
    /// The requested bundle, as in results.
    pub bundle: Option<String>,
    /// The selected gates, in order.
    pub gate_ids: Vec<GateId>,
    /// Gates that the contract requires and the selection does not cover.
    pub uncovered: Vec<GateId>,
    /// The effective registry.
    pub registry: RegistryFacts,
    /// The contract; null if the pull request names none.
    pub contract: Option<ContractFacts>,
    /// Findings about the contract and the attestation.
    pub findings: Findings,
    /// The most GPU-minutes that the selection can use; null if a gate has no time limit.
    pub gpu_minutes: Option<f64>,
    /// Random, 32 hexadecimal digits; results must echo it as `run`.
    pub nonce: Nonce,
    /// Version of this tool.
    pub tool: String,
    /// The next step of the caller at a prompt; absent in a workflow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<NextStep>,
}

/// The effective registry, and the one that the pull request proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryFacts {
    /// SHA-256 of the effective file.
    pub sha256: Sha256,
    /// Where the registry comes from.
    pub source: Source,
    /// What the pull request would change; null if it does not change the file.
    pub proposed: Option<Proposal>,
}

/// Where the effective registry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The trusted base.
    Base,
    /// The pull request, because a maintainer chose it.
    Proposed,
}

/// The contract at the time of the resolution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractFacts {
    /// GitHub's number of the issue.
    pub issue: u64,
    /// SHA-256 of the issue's body.
    pub sha256: Sha256,
    /// Why the contract counts, or that it does not.
    pub standing: Standing,
    /// The person who opened the issue; null if GitHub does not tell.
    pub author: Option<String>,
    /// What GitHub says the author is to the repository.
    pub association: Option<String>,
    /// The person who adopted this text.
    pub adopted_by: Option<String>,
    /// The person who last edited the text; null if it was never edited, or GitHub does not tell.
    pub editor: Option<String>,
    /// Time of the last edit, RFC 3339.
    pub edited_at: Option<String>,
    /// The complete body of the issue.
    pub body: String,
}

/// Why a contract counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Its author and its last editor may write to the repository, or the settings name them.
    Written,
    /// A person who may write to the repository adopted this text.
    Adopted,
    /// It does not count: no person who may write stands behind it.
    Unconfirmed,
}

/// Findings of the lints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// Number of errors.
    pub errors: usize,
    /// Number of warnings.
    pub warnings: usize,
    /// The most severe findings.
    pub shown: Vec<FindingJson>,
}

impl Resolution {
    /// Returns the evidence that results must have to belong to this resolution.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            head: Some(self.head.clone()),
            base: Some(self.base.clone()),
            merge: Some(self.merge.clone()),
            tree: Some(self.tree.clone()),
            registry: Some(self.registry.sha256.clone()),
            contract: self.contract.as_ref().map(|contract| contract.sha256.clone()),
            tool: Some(self.tool.clone()),
            run: Some(self.nonce.clone()),
            ..Evidence::default()
        }
    }
}
