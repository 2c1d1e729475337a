//! Evaluates Tier A of a pull request: which gates of its contract the author attested for its head.
//!
//! Tier A runs on the author's machine, so nothing here is a recorded result.

use crate::document::{Document, Source};
use crate::domain::contract::Contract;
use crate::domain::finding::Severity;
use crate::domain::ids::GateId;
use crate::domain::registry::{Registry, Tier};
use crate::domain::resolution::Resolution;
use crate::domain::results::Results;
use crate::domain::settings::TierAProof;
use crate::domain::verdict::Verdict;
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::lint;
use crate::lint::attestation_evidence::AttestationEvidence as Evidence;
use crate::pull::contract::{ContractOf, Issue};
use crate::pull::snapshot::Snapshot;
use crate::pull::tier_b;

/// The gates of Tier A that a contract requires and that recorded results do not prove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierA {
    /// Attested for the head, by an attestation without errors.
    pub attested: Vec<String>,
    pub missing: Vec<String>,
    /// What would prove the missing gates.
    pub proof: TierAProof,
}

impl TierA {
    /// Evaluates a pull request with this contract. An attestation with errors attests nothing, and no attestation counts where only
    /// runs are a proof.
    pub fn of(
        snapshot: &Snapshot,
        contract: &Document<Contract>,
        registry: &Registry,
        facts: &lint::LintContext,
        results: &Results,
        proof: TierAProof,
    ) -> Self {
        let Ok(terms) = &contract.value else {
            return TierA::default();
        };
        let head = &snapshot.pull.head;
        let claims = Evidence {
            branch: Some(head.branch.clone()),
            head: Some(head.sha.clone()),
            ..Evidence::default()
        };
        let findings = lint::attestation::lint(&snapshot.description, facts, Some(contract), &claims);
        let faulty = findings.iter().any(|finding| finding.severity == Severity::Error);
        let missing = unattested(snapshot, &head.sha, terms, registry);
        let passed = |id: &str| {
            results
                .results
                .get(id)
                .is_some_and(|gate| gate.status == Verdict::Pass)
        };
        let (missing, attested): (Vec<&GateId>, Vec<&GateId>) = tier_b::required(terms, registry, Tier::A)
            .into_iter()
            .filter(|id| !passed(id))
            .partition(|id| proof == TierAProof::Run || faulty || missing.contains(&id.as_str()));
        TierA {
            proof,
            attested: attested.into_iter().map(ToString::to_string).collect(),
            missing: missing.into_iter().map(ToString::to_string).collect(),
        }
    }
}

/// Evaluates the contract that was resolved, or else the contract of the pull request.
///
/// # Errors
/// GitHub does not answer.
pub fn of_run(
    github: &GitHub,
    resolution: Option<&Resolution>,
    snapshot: &Snapshot,
    evaluate: impl Fn(&Document<Contract>) -> TierA,
) -> Result<TierA, GitHubError> {
    if let Some(resolution) = resolution {
        let contract = resolution.contract.as_ref();
        let source = contract.map(|contract| Source::new(None, contract.body.as_str()));
        return Ok(source
            .map(|source| evaluate(&Document::parse(source)))
            .unwrap_or_default());
    }
    Ok(
        match snapshot.contract(github, |number| Issue::read(github, number))? {
            ContractOf::Found(issue) => evaluate(&issue.document),
            _ => TierA::default(),
        },
    )
}

/// Returns the gates of Tier A that the attestation does not name for this head.
pub fn unattested<'c>(
    snapshot: &Snapshot,
    head: &str,
    contract: &'c Contract,
    registry: &Registry,
) -> Vec<&'c str> {
    let attestation = snapshot.description.value.as_ref().ok();
    let current = attestation.filter(|a| a.nmoe_pr.pr_sha.is_same_commit(head));
    tier_b::required(contract, registry, Tier::A)
        .into_iter()
        .filter(|id| {
            !current
                .as_ref()
                .is_some_and(|a| a.gates_passed.tier_a.contains(id))
        })
        .map(GateId::as_str)
        .collect()
}
