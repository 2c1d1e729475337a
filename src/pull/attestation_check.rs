//! Checks a filled attestation against results, branch, diff and contract: `attest --verify`.

use crate::document::Document;
use crate::domain::attestation::Attestation;
use crate::domain::contract::Contract;
use crate::domain::finding::{Finding, Severity};
use crate::domain::results::Results;
use crate::git::Git;
use crate::lint;
use crate::lint::Diagnostics;
use crate::lint::attestation_evidence::AttestationEvidence;
use crate::plan::codes;
use crate::pull::attestation::Head;
use crate::pull::scope;

/// What an attestation is checked against.
pub struct Inputs<'a> {
    pub git: &'a Git,
    pub head: &'a Head,
    /// The branch of the change; `None` for a detached head.
    pub branch: Option<String>,
    pub contract: &'a Document<Contract>,
    pub facts: &'a lint::LintContext,
    /// Recorded results, oldest first.
    pub results: Vec<Results>,
}

/// Returns the findings of a description.
///
/// # Errors
/// git fails.
pub fn check(description: &Document<Attestation>, inputs: Inputs<'_>) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Diagnostics::of(inputs.contract).finish();
    if inputs.results.is_empty() {
        let message = "there are no recorded results, so the attestation is not proven";
        findings.push(Finding::new(&codes::NO_RESULTS, message).help("name them with `--results FILE`"));
    }
    let mut valid = Vec::new();
    for one in inputs.results {
        let (code, message) = if !inputs.head.is_proven_by(&one.evidence) {
            (&codes::STALE_RESULTS, "the results are about another commit")
        } else if one.evidence.dirty {
            let message = "the results are about uncommitted changes, not about a commit";
            (&codes::DIRTY_RESULTS, message)
        } else {
            valid.push(one);
            continue;
        };
        findings.push(Finding::new(code, message).severity(Severity::Error));
    }
    let has_commit = |sha: &str| inputs.git.has_commit(sha);
    let evidence = AttestationEvidence {
        branch: inputs.branch,
        head: Some(inputs.head.commit.clone()),
        has_commit: Some(&has_commit),
        results: valid,
    };
    findings.extend(lint::attestation::lint(
        description,
        inputs.facts,
        Some(inputs.contract),
        &evidence,
    ));
    let (fork, commit) = (&inputs.head.fork, &inputs.head.commit);
    if let Ok(contract) = &inputs.contract.value {
        findings.extend(scope::since(inputs.git, contract, fork, commit)?);
    }
    Ok(findings)
}
