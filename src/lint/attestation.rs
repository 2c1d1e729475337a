//! Checks attestations: the block itself, and the block against the contract.
//!
//! Must not depend on git or on runs: `attestation_evidence` compares the claims with results, branch and head.

use crate::document::typed::variants;
use crate::document::{Document, Node};
use crate::domain::attestation::Attestation;
use crate::domain::contract::{Contract, Risk};
use crate::domain::finding::{Finding, Severity};
use crate::domain::ids::{CommitPrefix, ContractId, same_commit};
use crate::domain::next_step::own_line;
use crate::domain::verdict::Verdict;
use crate::lint::attestation_evidence::{self, AttestationEvidence};
use crate::lint::codes::attestation as codes;
use crate::lint::codes::contract::{INVALID_BUDGET, PERF_INCONSISTENT};
use crate::lint::codes::document::MISSING_KEY;
use crate::lint::context::{Gate, LintContext, RegistryIndex};
use crate::lint::contract::{known_gate, perf_block};
use crate::lint::diagnostics::Diagnostics;
use crate::lint::placeholders::filled_at;
use crate::lint::schema::{self, Strictness, clip};
use crate::lint::schemas;
use crate::lint::template_sections;

/// Lists what is wrong with an attestation, in the order of the document.
pub fn lint(
    document: &Document<Attestation>,
    facts: &LintContext,
    contract: Option<&Document<Contract>>,
    evidence: &AttestationEvidence<'_>,
) -> Vec<Finding> {
    let mut diagnostics = Diagnostics::of(document);
    diagnostics.leaks(&facts.leaks);
    template_sections::pr_form(&mut diagnostics, document);
    if let Some(root) = &document.root {
        schema::check(
            &mut diagnostics,
            root,
            &schemas::ATTESTATION,
            "",
            &document.anchor(),
            Strictness::OpenForm,
        );
        commits(&mut diagnostics, root);
        passed(&mut diagnostics, root, facts.registry.as_ref());
        perf(&mut diagnostics, root, facts.registry.as_ref());
        if let Some(contract) = contract {
            check_against_contract(&mut diagnostics, root, contract, facts.registry.as_ref());
        }
        claimed_perf(&mut diagnostics, root, contract, facts.registry.as_ref());
        attestation_evidence::check(&mut diagnostics, root, facts, contract, evidence);
        if !diagnostics.has_errors() {
            // The tables and the types should accept the same documents. If they differ, the types decide.
            if let Err(defect) = &document.value {
                diagnostics.defect(defect);
            }
        }
    }
    diagnostics.finish()
}

fn perf_of(root: &Node) -> Option<&Node> {
    root.get("perf").filter(|p| !p.entries().is_empty())
}

fn commits(diagnostics: &mut Diagnostics<'_>, root: &Node) {
    let baseline = filled_at(root, &["nmoe_pr", "baseline_sha"]);
    if let (Some((base, node)), Some((head, _))) = (baseline, filled_at(root, &["nmoe_pr", "pr_sha"]))
        && CommitPrefix::is_valid(base)
        && CommitPrefix::is_valid(head)
        && same_commit(base, head)
    {
        let message = "`baseline_sha` is the attested commit itself";
        diagnostics.report(&codes::SAME_COMMIT, &node.span, message).help =
            Some("name the commit that the change is compared with".to_owned());
    }
    let left_in = root
        .at(&["nmoe_pr", "baseline_sha"])
        .is_some_and(|n| n.text().is_some());
    let hot = filled_at(root, &["nmoe_pr", "risk"]).is_some_and(|(risk, _)| risk == "hot");
    if left_in || !(hot || perf_of(root).is_some()) {
        return;
    }
    if let Some(entry) = root.entry("nmoe_pr") {
        let why = if hot { "a hot change" } else { "a perf claim" };
        let span = root
            .entry_at(&["nmoe_pr", "baseline_sha"])
            .unwrap_or(entry)
            .key_span
            .clone();
        let message = format!("{why} needs `baseline_sha`");
        diagnostics.report(&codes::MISSING_BASELINE, &span, message).help =
            Some("add the commit that the change is compared with, 7 to 64 hex digits".to_owned());
    }
}

fn passed(diagnostics: &mut Diagnostics<'_>, root: &Node, registry: Option<&RegistryIndex>) {
    let Some(registry) = registry else { return };
    for (key, tier) in [("tier_a", "a"), ("tier_b", "b")] {
        let Some(list) = root.at(&["gates_passed", key]) else {
            continue;
        };
        for (id, node) in list.texts() {
            if !known_gate(diagnostics, registry, id, node) {
                continue;
            }
            if let Some(own) = registry.gate(id).and_then(|gate| gate.text("tier"))
                && own != tier
            {
                let message = format!("`{id}` is a gate of tier {own}");
                diagnostics.report(&codes::WRONG_TIER, &node.span, message).help =
                    Some(format!("list it under `tier_{own}`"));
            }
        }
    }
}

fn perf(diagnostics: &mut Diagnostics<'_>, root: &Node, registry: Option<&RegistryIndex>) {
    let Some(perf) = perf_of(root) else { return };
    if let Some(registry) = registry {
        perf_block(diagnostics, perf, registry);
    }
    for key in ["baseline", "result"] {
        let Some(node) = perf.get(key) else { continue };
        if node.number().is_some_and(|n| n.is_finite() && n <= 0.0) {
            let message = format!("`perf.{key}` must be above zero");
            diagnostics.report(&codes::INVALID_NUMBER, &node.span, message);
        }
    }
    let number = |key: &str| perf.get(key).and_then(Node::number).filter(|n| n.is_finite());
    if let (Some(budget), Some(node)) = (number("budget_pct"), perf.get("budget_pct"))
        && budget <= -100.0
    {
        diagnostics.report(
            &INVALID_BUDGET,
            &node.span,
            "a budget of −100 % or less allows every loss",
        );
    }
    let positive = |key: &str| number(key).filter(|n| *n > 0.0);
    let true_delta = positive("baseline")
        .zip(positive("result"))
        .map(|(b, r)| (r / b - 1.0) * 100.0);
    let stated = number("delta_pct");
    if let (Some(actual), Some(stated), Some(node)) = (true_delta, stated, perf.get("delta_pct"))
        && (actual - stated).abs() > tolerance(perf)
    {
        let message = format!("`delta_pct` is {stated}; baseline and result give {actual:.2}");
        diagnostics.report(&codes::WRONG_DELTA, &node.span, message).help =
            Some("it is (result / baseline − 1) × 100".to_owned());
    }
    let Some((status, node)) = filled_at(perf, &["status"]) else {
        return;
    };
    if !matches!(status, "pass" | "fail") {
        if variants::<Verdict>().contains(&status) {
            let message = format!("the status is `{status}`: this proves nothing yet");
            diagnostics.report(&codes::PERF_PENDING, &node.span, message).help =
                Some("omit the block until Tier B has run; `nmoe-gates attest` writes it".to_owned());
        }
        return;
    }
    for key in ["baseline", "result", "delta_pct"] {
        let unfilled = perf
            .get(key)
            .and_then(Node::scalar)
            .is_none_or(|s| s.text.trim().is_empty());
        if unfilled {
            let span = perf
                .entry(key)
                .or_else(|| root.entry("perf"))
                .map(|e| e.key_span.clone());
            let message = format!("`perf.{key}` is missing, and the status `{status}` needs it");
            diagnostics.report(&MISSING_KEY, &span.unwrap_or(perf.span.clone()), message);
        }
    }
    let lower =
        filled_at(perf, &["gate"]).is_some_and(|(gate, _)| registry.is_some_and(|k| k.is_lower_better(gate)));
    // If lower is better, an increase is a loss.
    let sign = if lower { -1.0 } else { 1.0 };
    if let (Some(delta), Some(budget)) = (true_delta.or(stated), number("budget_pct")) {
        let slack = if true_delta.is_some() { 0.0 } else { 1e-9 };
        let inside = delta * sign >= budget - slack
            || stated.is_some_and(|s| s * sign >= budget && (s - delta).abs() <= tolerance(perf));
        if inside != (status == "pass") {
            let says = if inside { "within" } else { "outside of" };
            let message =
                format!("`status` is `{status}`, and {delta:.2} % is {says} the budget of {budget} %");
            let fix = diagnostics.fix(&node.span, if inside { "pass" } else { "fail" });
            diagnostics
                .report(&codes::STATUS_DISAGREES, &node.span, message)
                .fix = Some(fix);
        }
    }
}

/// Returns how far a rounded `delta_pct` can be from the quotient of rounded numbers: half of the last digit of each.
fn tolerance(perf: &Node) -> f64 {
    let half = |key: &str| {
        let text = perf.get(key).and_then(Node::text).unwrap_or_default();
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let digits = mantissa.split_once('.').map_or(0, |(_, d)| d.len());
        0.5 / 10_f64.powi(i32::try_from(digits.min(12)).unwrap_or(0))
    };
    let base = perf
        .get("baseline")
        .and_then(Node::number)
        .unwrap_or(1.0)
        .abs()
        .max(1e-9);
    let result = perf.get("result").and_then(Node::number).unwrap_or(1.0).abs();
    let of_inputs = 100.0 * (half("result") / base + half("baseline") * result / (base * base));
    half("delta_pct") + of_inputs.min(0.5) + 1e-9
}

/// Returns the perf block of a contract, if it has entries.
fn agreed_perf(contract: &Document<Contract>) -> Option<&Node> {
    contract
        .at(&["gates", "perf"])
        .filter(|perf| !perf.entries().is_empty())
}

/// Compares with the contract: id, risk, Tier-A gates, perf block.
fn check_against_contract(
    diagnostics: &mut Diagnostics<'_>,
    root: &Node,
    contract: &Document<Contract>,
    registry: Option<&RegistryIndex>,
) {
    let fixed = [("issue", &codes::ISSUE_MISMATCH), ("risk", &codes::RISK_MISMATCH)];
    for (key, code) in fixed {
        let (Some((said, node)), Some(fixed)) =
            (filled_at(root, &["nmoe_pr", key]), contract.text(&["nmoe", key]))
        else {
            continue;
        };
        let well_formed = match key {
            "issue" => ContractId::is_valid(said),
            _ => variants::<Risk>().contains(&said),
        };
        if said != fixed && well_formed {
            let fix = diagnostics.fix(&node.span, fixed);
            let message = format!("`{key}` is `{}`; the contract says `{}`", clip(said), clip(fixed));
            diagnostics.report(code, &node.span, message).fix = Some(fix);
        }
    }
    tier_a(diagnostics, root, contract, registry);
    let (Some(perf), Some(agreed)) = (perf_of(root), agreed_perf(contract)) else {
        return;
    };
    let agreed_text = |key: &str| agreed.get(key).and_then(Node::text);
    for key in ["gate", "compare", "metric"] {
        let (Some((said, node)), Some(fixed)) = (filled_at(perf, &[key]), agreed_text(key)) else {
            continue;
        };
        // Do not repeat what the comparison with the registry reports.
        let by_registry = registry
            .and_then(|registry| registry.gate(agreed_text("gate")?))
            .is_some_and(|gate| match key {
                "compare" => gate.text("compare_gate") == Some(fixed),
                "metric" => gate.perf_metric() == fixed,
                _ => registry.is_some_and(|registry| registry.gate(said).is_none()),
            });
        if said != fixed && !by_registry {
            let message = format!("`{key}` is `{}`; the contract says `{}`", clip(said), clip(fixed));
            diagnostics.report(&PERF_INCONSISTENT, &node.span, message);
        }
    }
    let said = perf.get("budget_pct").and_then(|n| n.number().map(|v| (v, n)));
    if let (Some((said, node)), Some(budget)) = (said, agreed.get("budget_pct").and_then(Node::number))
        && (said - budget).abs() > 1e-9
    {
        let fix = diagnostics.fix(&node.span, budget.to_string());
        let message = format!("`budget_pct` is {said}; the contract says {budget}");
        diagnostics.report(&PERF_INCONSISTENT, &node.span, message).fix = Some(fix);
    }
}

fn tier_a(
    diagnostics: &mut Diagnostics<'_>,
    root: &Node,
    contract: &Document<Contract>,
    registry: Option<&RegistryIndex>,
) {
    let Some(entry) = root.entry_at(&["gates_passed", "tier_a"]) else {
        return;
    };
    let required = contract.at(&["gates", "required"]);
    for (id, _) in required.into_iter().flat_map(Node::texts) {
        let is_a = registry
            .and_then(|registry| registry.gate(id))
            .map_or(id.starts_with("cpu:"), |gate| gate.text("tier") == Some("a"));
        if is_a && !entry.node.texts().any(|(text, _)| text == id) {
            let message = format!("the contract requires `{id}`, and it is not attested");
            diagnostics
                .report(&codes::TIER_A_UNCOVERED, &entry.key_span, message)
                .help = Some(format!(
                "run `{}` and list it here once it passed",
                own_line(&["run", "--gate", id])
            ));
        }
    }
}

/// Reports a missing `perf` block: Tier B is claimed although the contract has a budget, or the perf gate is claimed.
fn claimed_perf(
    diagnostics: &mut Diagnostics<'_>,
    root: &Node,
    contract: Option<&Document<Contract>>,
    registry: Option<&RegistryIndex>,
) {
    let Some(entry) = root.entry_at(&["gates_passed", "tier_b"]) else {
        return;
    };
    if perf_of(root).is_some() {
        return;
    }
    let listed = entry
        .node
        .texts()
        .find(|(id, _)| registry.map_or(id.starts_with("perf:"), |k| k.gate(id).is_some_and(Gate::is_perf)));
    let hot = filled_at(root, &["nmoe_pr", "risk"]).is_some_and(|(risk, _)| risk == "hot");
    let budget = contract.map_or(hot, |contract| agreed_perf(contract).is_some());
    let claimed = entry.node.texts().next().is_some();
    let (span, why) = match listed {
        Some((id, node)) => (
            &node.span,
            format!("`{id}` is listed as passed, but the `perf` block is missing"),
        ),
        None if claimed && budget => (
            &entry.key_span,
            "Tier B is claimed for a change with a perf budget, but the `perf` block is missing".to_owned(),
        ),
        None => return,
    };
    diagnostics.report(&codes::MISSING_PERF, span, why).help =
        Some("add `perf` with the numbers; `nmoe-gates attest --results FILE` writes it".to_owned());
}

/// Turns errors into warnings, because the pull request is a draft.
pub fn downgrade_for_draft(findings: &mut [Finding]) {
    for finding in findings {
        finding.severity = finding.severity.min(Severity::Warning);
    }
}
