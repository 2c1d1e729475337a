//! Formats results as an in-toto statement with the test-result predicate, ready to be signed.
//!
//! The subjects are the tested commit and the kernel libraries. Results without a commit cannot be attested.

use serde_json::{Value, json};

use crate::domain::evidence::Isolation;
use crate::domain::ids::{CommitId, GateId};
use crate::domain::results::Results;
use crate::domain::verdict::{Overall, Verdict};

/// The type of the predicate that the report job signs.
pub const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// Why results cannot be attested.
#[derive(Debug, thiserror::Error)]
pub enum NotAttestable {
    /// The results name no commit, so the statement would have no subject.
    #[error("these results name no commit, so there is nothing to attest; run the gates on a commit")]
    NoCommit,
    /// The subject had uncommitted changes, so the commit is not what was tested.
    #[error("the subject had uncommitted changes: commit them, and run the gates again")]
    Dirty,
    /// The run was a rehearsal.
    #[error("the results are of a rehearsal, which proves nothing")]
    Rehearsal,
}

/// Returns the unsigned statement.
pub fn statement(results: &Results) -> Result<Value, NotAttestable> {
    let e = &results.evidence;
    let (name, commit) = match (&e.merge, &e.head) {
        (Some(merge), _) => ("merge", merge),
        (None, Some(head)) => ("head", head),
        (None, None) => return Err(NotAttestable::NoCommit),
    };
    if e.dirty {
        return Err(NotAttestable::Dirty);
    }
    if e.rehearsal {
        return Err(NotAttestable::Rehearsal);
    }
    let mut subjects = vec![json!({ "name": name, "digest": { "gitCommit": commit } })];
    subjects.extend(
        e.kernels
            .iter()
            .map(|(path, digest)| json!({ "name": path, "digest": { "sha256": bare(digest) } })),
    );
    let with = |wanted: &[Verdict]| -> Vec<&GateId> {
        let of = |id: &&GateId| {
            results
                .results
                .get(*id)
                .is_some_and(|r| wanted.contains(&r.status))
        };
        results.gate_ids.iter().filter(of).collect()
    };
    Ok(json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            // The predicate has no value for "not decided". Only a pass may look like a pass.
            "result": if results.overall == Overall::Pass { "PASSED" } else { "FAILED" },
            "configuration": configuration(results),
            "passedTests": with(&[Verdict::Pass]),
            "warnedTests": with(&[Verdict::Inconclusive, Verdict::NotRun, Verdict::Pending]),
            "failedTests": with(&[Verdict::Fail, Verdict::Invalid, Verdict::Cancelled]),
        }
    }))
}

/// Returns what the verdicts depend on, as resource descriptors.
fn configuration(results: &Results) -> Vec<Value> {
    let e = &results.evidence;
    let digest = |name: &str, sha256: Option<&str>| {
        sha256.map(|d| json!({ "name": name, "digest": { "sha256": bare(d) } }))
    };
    let commit = |name: &str, id: &Option<CommitId>| {
        id.as_ref()
            .map(|c| json!({ "name": name, "digest": { "gitCommit": c } }))
    };
    let noted = |name: &str, key: &str, value: Option<&str>| {
        value.map(|v| json!({ "name": name, "annotations": { key: v } }))
    };
    [
        digest("registry", e.registry.as_deref()),
        digest("contract", e.contract.as_deref()),
        digest("image", e.image.as_deref()),
        commit("merge", &e.merge),
        commit("base", &e.base),
        commit("head", &e.head),
        e.tree
            .as_ref()
            .map(|t| json!({ "name": "tree", "digest": { "gitTree": t } })),
        noted("nmoe-gates", "version", e.tool.as_deref()),
        noted("target", "name", e.target.as_deref()),
        noted("isolation", "level", e.isolation.map(Isolation::as_str)),
        noted("run", "nonce", e.run.as_deref()),
        noted("bundle", "name", results.bundle.as_deref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Removes the prefix with the algorithm from a digest.
fn bare(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}
