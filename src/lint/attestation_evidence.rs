//! Compares the claims of an attestation with the recorded results, the branch and the head commit.

use crate::document::{Document, Node};
use crate::domain::contract::Contract;
use crate::domain::ids::{CommitId, CommitPrefix, Slug, same_commit};
use crate::domain::next_step::step_line;
use crate::domain::results::{PerfResult, Results};
use crate::domain::verdict::Verdict;
use crate::lint::codes::attestation as codes;
use crate::lint::context::LintContext;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::placeholders::{self, filled_at};
use crate::lint::schema::clip;

/// The branch, the commits and the runs. Absent evidence is not checked.
#[derive(Default)]
pub struct AttestationEvidence<'f> {
    pub branch: Option<String>,
    pub head: Option<CommitId>,
    /// Whether the repository has a commit.
    pub has_commit: Option<&'f dyn Fn(&str) -> bool>,
    /// Recorded results; empty if none were given.
    pub results: Vec<Results>,
}

/// Compares the attestation with the evidence.
pub fn check(
    diagnostics: &mut Diagnostics<'_>,
    root: &Node,
    facts: &LintContext,
    contract: Option<&Document<Contract>>,
    evidence: &AttestationEvidence<'_>,
) {
    branch(diagnostics, root, facts, contract, evidence);
    commits(diagnostics, root, evidence);
    if !evidence.results.is_empty() {
        gates(diagnostics, root, evidence);
        perf(diagnostics, root, evidence);
    }
}

fn branch(
    diagnostics: &mut Diagnostics<'_>,
    root: &Node,
    facts: &LintContext,
    contract: Option<&Document<Contract>>,
    evidence: &AttestationEvidence<'_>,
) {
    let Some(branch) = &evidence.branch else { return };
    let said = filled_at(root, &["nmoe_pr", "issue"]);
    let agreed = |key: &str| contract?.text(&["nmoe", key]);
    let Some(issue) = agreed("issue").or(said.map(|(id, _)| id)) else {
        return;
    };
    let slug = agreed("slug");
    let pattern = facts.naming.branch.replace("{issue}", issue);
    let good = match slug {
        Some(slug) => *branch == pattern.replace("{slug}", slug),
        None => match pattern.split_once("{slug}") {
            Some((before, after)) => branch
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(Slug::is_valid),
            None => *branch == pattern,
        },
    };
    // A hosted agent names its branch itself; then the issue that the description closes binds it to the contract.
    let named_by_agent =
        contract.is_some() && facts.naming.also.iter().any(|pattern| pattern.matches(branch));
    if !good && !named_by_agent {
        let node = root
            .at(&["nmoe_pr", "issue"])
            .map_or(root.span.clone(), |n| n.span.clone());
        let wanted = pattern.replace("{slug}", slug.unwrap_or("<slug>"));
        let message = format!(
            "the branch is `{}`; the branch of this contract is `{wanted}`",
            clip(branch)
        );
        diagnostics.report(&codes::WRONG_BRANCH, &node, message).help = Some(format!(
            "`{}`, or attest the contract that the branch is named after",
            step_line(&["git", "branch", "-m", &wanted])
        ));
    }
}

fn commits(diagnostics: &mut Diagnostics<'_>, root: &Node, evidence: &AttestationEvidence<'_>) {
    let valid = |key: &str| filled_at(root, &["nmoe_pr", key]).filter(|(sha, _)| CommitPrefix::is_valid(sha));
    if let (Some((sha, node)), Some(head)) = (valid("pr_sha"), &evidence.head)
        && !same_commit(sha, head)
    {
        let fix = diagnostics.fix(&node.span, head.get(..sha.len()).unwrap_or(head));
        let short = head.short();
        let message = format!("`pr_sha` is `{sha}`; the head is `{short}`");
        let finding = diagnostics.report(&codes::WRONG_HEAD, &node.span, message);
        finding.help =
            Some("run the gates on the head and refresh the block with `nmoe-gates attest`".to_owned());
        finding.fix = Some(fix);
    }
    let baseline = valid("baseline_sha").filter(|(sha, _)| evidence.has_commit.is_some_and(|has| !has(sha)));
    if let Some((sha, node)) = baseline {
        let message = format!("the repository has no commit `{sha}`");
        diagnostics
            .report(&codes::UNKNOWN_COMMIT, &node.span, message)
            .help = Some("fetch it, or correct the digits".to_owned());
    }
    if let Some((sha, node)) = valid("pr_sha") {
        for results in &evidence.results {
            let ids = [&results.evidence.head, &results.evidence.merge];
            let any = ids.iter().any(|id| id.is_some());
            if any
                && !ids
                    .iter()
                    .any(|id| id.as_deref().is_some_and(|id| same_commit(sha, id)))
            {
                let about = ids.into_iter().flatten().next().map_or("", |id| id.short());
                let message = format!("`pr_sha` is `{sha}`; the results are about `{}`", clip(about));
                diagnostics
                    .report(&codes::FOREIGN_RESULTS, &node.span, message)
                    .help = Some("run the gates on the attested commit".to_owned());
            }
        }
    }
}

fn gates(diagnostics: &mut Diagnostics<'_>, root: &Node, evidence: &AttestationEvidence<'_>) {
    for key in ["tier_a", "tier_b"] {
        let Some(list) = root.at(&["gates_passed", key]) else {
            continue;
        };
        for (id, node) in list.texts().filter(|(id, _)| !placeholders::is_placeholder(id)) {
            let recorded: Vec<Verdict> = evidence
                .results
                .iter()
                .filter_map(|r| r.results.get(id).map(|g| g.status))
                .collect();
            if recorded.contains(&Verdict::Pass) {
                continue;
            }
            let says = recorded.last().map_or("do not contain it", |v| v.as_str());
            let message = match recorded.last() {
                Some(_) => format!("`{}` is claimed as passed; the results say {says}", clip(id)),
                None => format!("`{}` is claimed as passed; the results {says}", clip(id)),
            };
            diagnostics
                .report(&codes::UNPROVEN_CLAIM, &node.span, message)
                .help = Some("list only what the recorded results show as `pass`".to_owned());
        }
    }
}

fn perf(diagnostics: &mut Diagnostics<'_>, root: &Node, evidence: &AttestationEvidence<'_>) {
    let Some(claim) = root.get("perf").filter(|p| !p.entries().is_empty()) else {
        return;
    };
    let gate = filled_at(claim, &["gate"]).map_or("", |(id, _)| id);
    let recorded = evidence.results.iter().rev().find_map(|r| {
        let result = r.results.get(gate)?;
        Some((result.status, result.perf.as_ref()?))
    });
    let of = |get: fn(&PerfResult) -> Option<f64>| recorded.and_then(|(_, p)| get(p));
    let measured = [
        ("baseline", of(|p| p.baseline)),
        ("result", of(|p| p.result)),
        ("delta_pct", of(|p| p.delta_pct)),
    ];
    for (key, measured) in measured {
        let Some((said, node)) = claim.get(key).and_then(|n| n.number().map(|v| (v, n))) else {
            continue;
        };
        let text = node.text().unwrap_or_default();
        let message = match measured {
            Some(measured) if rounds_to(measured, text, said) => continue,
            Some(measured) => format!("`perf.{key}` is {said}; the results have {measured}"),
            None => format!("`perf.{key}` is {said}; the results do not contain this measurement"),
        };
        diagnostics
            .report(&codes::UNMEASURED_NUMBER, &node.span, message)
            .help = Some("`nmoe-gates attest --results FILE` writes what was measured".to_owned());
    }
    if let (Some((said, node)), Some((status, _))) = (filled_at(claim, &["status"]), recorded)
        && said != status.as_str()
    {
        let fix = diagnostics.fix(&node.span, status.as_str());
        let message = format!(
            "`perf.status` is `{}`; the results say `{}`",
            clip(said),
            status.as_str()
        );
        diagnostics
            .report(&codes::UNPROVEN_CLAIM, &node.span, message)
            .fix = Some(fix);
    }
}

/// Whether a measured number rounds to a written number, at the digits of the written one.
fn rounds_to(measured: f64, text: &str, said: f64) -> bool {
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = digits.split_once('.').map_or(0, |(_, d)| d.len().min(12));
    let unit = 10_f64.powi(-i32::try_from(digits).unwrap_or(0));
    (measured - said).abs() <= 0.5 * unit + 1e-9 * measured.abs().max(1.0)
}
