//! What an attestation may say: which gates passed on this very head, which comparison was measured, and what was left out and why.
//!
//! Takes contract, registry, recorded results and a body, and gives a body; reads and writes no file.

use std::collections::BTreeSet;

use crate::document::edit::{self, Editor, Unclear};
use crate::document::{Document, Node, Source};
use crate::domain::attestation::Attestation;
use crate::domain::contract::{Contract, Risk};
use crate::domain::evidence::Evidence;
use crate::domain::finding::Finding;
use crate::domain::ids::{CommitId, short};
use crate::domain::registry::{GateKind, Registry, Tier};
use crate::domain::results::{PerfResult, Results};
use crate::domain::verdict::Verdict;
use crate::plan::codes;

/// The change that is attested.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its commit.
    pub commit: CommitId,
    /// That commit's tree.
    pub tree: CommitId,
    /// Where it left the base branch.
    pub fork: CommitId,
}

/// What the block should say.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    issue: String,
    pr_sha: CommitId,
    baseline_sha: Option<CommitId>,
    risk: Risk,
    tier_a: Vec<String>,
    tier_b: Vec<String>,
    perf: Claim,
}

/// What becomes of the claim on throughput.
#[derive(Clone, Debug, PartialEq)]
enum Claim {
    /// It says this.
    Is(Perf),
    /// It is about this head, and nothing newer is known.
    Stays,
    /// Nobody measured anything on this head: a template's placeholders, or what an earlier head was.
    Goes,
}

#[derive(Clone, Debug, PartialEq)]
struct Perf {
    gate: String,
    compare: String,
    metric: String,
    numbers: Option<[f64; 3]>,
    budget_pct: f64,
    status: &'static str,
}

/// Why a block was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum Unfilled {
    /// It cannot be read.
    #[error("the block cannot be edited: {0}; `nmoe-gates lint attestation` says more")]
    Broken(String),
    /// It is written in a way that edits would have to guess at.
    #[error("the block cannot be edited: {0}; write it on lines of its own")]
    Style(#[from] Unclear),
}

/// The body with its block filled; one without a block gets one at its top. Bytes outside of the block stay.
pub fn fill(document: &Document<Attestation>, wanted: &Wanted) -> Result<String, Unfilled> {
    let source = &document.source;
    if document.block.is_none() {
        let bom = if source.had_bom() { "\u{feff}" } else { "" };
        let rest = source.text();
        let gap = if rest.is_empty() { "" } else { "\n" };
        let block = wanted.block();
        return Ok(format!(
            "{bom}## PR Attestation (YAML, required)\n\n```yaml\n{block}```\n{gap}{rest}"
        ));
    }
    let (Some(root), None) = (&document.root, document.defects.first()) else {
        let defect = document.defects.first();
        return Err(Unfilled::Broken(
            defect.map(|d| d.message.clone()).unwrap_or_default(),
        ));
    };
    let mut editor = Editor::new(source);
    wanted.write(&mut editor, root)?;
    let text = editor.finish();
    // An edit may go wrong in an unusual style of YAML, so the new text is parsed before it is used.
    match Document::<Attestation>::parse(Source::new(None, text.as_str())).value {
        Ok(_) => Ok(text),
        Err(defect) => Err(Unfilled::Broken(defect.message)),
    }
}

/// Whether results are about this head: by its name, as the commit that was tested (a branch may end in a merge of its own), or
/// by its very tree.
pub fn is_about(evidence: &Evidence, head: &Head) -> bool {
    let commits = [&evidence.head, &evidence.merge];
    commits.into_iter().flatten().any(|commit| *commit == head.commit)
        || evidence.tree.as_ref() == Some(&head.tree)
}

/// Decides what the block should say. `before` is what it says now: what it says of this very head stays where no results speak of it.
pub fn decide(
    contract: &Contract,
    registry: &Registry,
    head: &Head,
    results: &[Results],
    before: Option<&Attestation>,
) -> (Wanted, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut sound: Vec<&Results> = Vec::new();
    for one in results {
        let id = one
            .evidence
            .head
            .as_deref()
            .map_or("a commit without a name", short);
        if !is_about(&one.evidence, head) {
            let says = format!("results about {} say nothing of {}", id, head.commit.short());
            findings.push(Finding::new(&codes::STALE_RESULTS, says).help("run the gates again on this head"));
        } else if one.evidence.dirty {
            let says = "the results are about a dirty tree: what ran was not what is committed";
            findings.push(Finding::new(&codes::DIRTY_RESULTS, says).help("commit, then run the gates again"));
        } else {
            sound.push(one);
        }
    }
    let same_head =
        before.filter(|b| !b.nmoe_pr.pr_sha.is_empty() && head.commit.starts_with(&b.nmoe_pr.pr_sha));
    let tier = |tier: Tier, kept: Vec<String>| -> Vec<String> {
        let of_tier = |id: &String| registry.gates.get(id).is_some_and(|gate| gate.tier == tier);
        let spoken: BTreeSet<&String> = sound
            .iter()
            .flat_map(|r| r.results.keys())
            .filter(|id| of_tier(id))
            .collect();
        let mut passed: Vec<String> = spoken
            .iter()
            .filter(|id| latest(&sound, id) == Some(Verdict::Pass))
            .map(|id| (*id).clone())
            .collect();
        passed.extend(kept.into_iter().filter(|id| !spoken.contains(id)));
        let place = |id: &String| registry.gates.get_index_of(id).unwrap_or(usize::MAX);
        passed.sort_by_key(place);
        passed.dedup();
        passed
    };
    let kept = |list: fn(&Attestation) -> &Vec<String>| same_head.map(list).cloned().unwrap_or_default();
    let tier_a = tier(Tier::A, kept(|b| &b.gates_passed.tier_a));
    let tier_b = tier(Tier::B, kept(|b| &b.gates_passed.tier_b));

    let measured = measured(registry, &sound);
    let perf = match (
        &measured,
        &contract.gates.perf,
        same_head.and_then(|b| b.perf.as_ref()),
    ) {
        (Some((gate, status, perf)), budget, _) => Claim::Is(Perf {
            gate: gate.clone(),
            compare: perf.compare_gate.clone(),
            metric: perf.metric.clone(),
            numbers: perf
                .baseline
                .zip(perf.result)
                .zip(perf.delta_pct)
                .map(|((b, r), d)| [b, r, d]),
            budget_pct: perf
                .budget_pct
                .or(budget.as_ref().map(|b| b.budget_pct))
                .unwrap_or(0.0),
            status: status.as_str(),
        }),
        // Nothing new was measured, and what stands there is about this head.
        (None, _, Some(_)) => Claim::Stays,
        (None, Some(budget), None) => Claim::Is(Perf {
            gate: budget.gate.clone(),
            compare: budget.compare.clone(),
            metric: budget.metric.clone(),
            numbers: None,
            budget_pct: budget.budget_pct,
            status: Verdict::Pending.as_str(),
        }),
        (None, None, None) => Claim::Goes,
    };
    let baseline = measured
        .as_ref()
        .and_then(|(_, _, perf)| perf.baseline_sha.clone());
    let needs_baseline =
        contract.nmoe.risk == Risk::Hot || contract.gates.perf.is_some() || perf != Claim::Goes;
    let wanted = Wanted {
        issue: contract.nmoe.issue.clone(),
        pr_sha: head.commit.clone(),
        baseline_sha: baseline.or_else(|| needs_baseline.then(|| head.fork.clone())),
        risk: contract.nmoe.risk,
        tier_a,
        tier_b,
        perf,
    };
    (wanted, findings)
}

/// The verdict of a gate in the last results that speak of it.
fn latest(sound: &[&Results], id: &str) -> Option<Verdict> {
    sound
        .iter()
        .rev()
        .find_map(|r| r.results.get(id))
        .map(|gate| gate.status)
}

fn measured<'a>(registry: &Registry, sound: &[&'a Results]) -> Option<(String, Verdict, &'a PerfResult)> {
    sound.iter().rev().find_map(|r| {
        r.results.iter().find_map(|(id, gate)| {
            let is_perf = registry.gates.get(id).is_some_and(|g| g.kind == GateKind::Perf);
            Some((id.clone(), gate.status, gate.perf.as_ref().filter(|_| is_perf)?))
        })
    })
}

impl Wanted {
    /// The gates that it attests, tier by tier.
    pub fn passed(&self) -> (&[String], &[String]) {
        (&self.tier_a, &self.tier_b)
    }

    /// Edits the block so that it says this.
    pub fn write(&self, editor: &mut Editor<'_>, root: &Node) -> Result<(), Unclear> {
        let change = root.get("nmoe_pr").ok_or_else(|| Unclear("nmoe_pr".to_owned()))?;
        editor.set(change, "issue", &self.issue)?;
        match &self.baseline_sha {
            Some(baseline) if !says_commit(change, "baseline_sha", baseline) => {
                editor.set(change, "baseline_sha", baseline)?;
            }
            None if change.get("baseline_sha").is_some_and(is_placeholder) => {
                editor.remove(change, "baseline_sha")?;
            }
            _ => {}
        }
        if !says_commit(change, "pr_sha", &self.pr_sha) {
            editor.set(change, "pr_sha", &self.pr_sha)?;
        }
        editor.set(change, "risk", risk(self.risk))?;
        match root.get("gates_passed").filter(|node| !node.entries().is_empty()) {
            Some(passed) => {
                editor.set_list(passed, "tier_a", &self.tier_a)?;
                editor.set_list(passed, "tier_b", &self.tier_b)?;
            }
            None if root.entry("gates_passed").is_some() => return Err(Unclear("gates_passed".to_owned())),
            None => editor.add(root, "gates_passed", &self.passed_lines())?,
        }
        let perf = match &self.perf {
            Claim::Is(perf) => perf,
            Claim::Stays => return Ok(()),
            Claim::Goes => return editor.remove(root, "perf"),
        };
        let Some(claim) = root.get("perf").filter(|node| !node.entries().is_empty()) else {
            if root.entry("perf").is_some() {
                return Err(Unclear("perf".to_owned()));
            }
            return editor.add(root, "perf", &perf.lines());
        };
        editor.set(claim, "gate", &perf.gate)?;
        editor.set(claim, "compare", &perf.compare)?;
        editor.set(claim, "metric", &perf.metric)?;
        for (n, key) in ["baseline", "result", "delta_pct"].into_iter().enumerate() {
            match perf.numbers {
                Some(numbers) => editor.set_number(claim, key, numbers[n])?,
                // A number that nobody measured on this head has no place here.
                None => editor.remove(claim, key)?,
            }
        }
        editor.set_number(claim, "budget_pct", perf.budget_pct)?;
        editor.set(claim, "status", perf.status)
    }

    fn passed_lines(&self) -> String {
        let list = |ids: &[String]| {
            let ids: Vec<String> = ids.iter().map(|id| edit::scalar(id)).collect();
            format!("[{}]", ids.join(", "))
        };
        format!(
            "\n  tier_a: {}\n  tier_b: {}",
            list(&self.tier_a),
            list(&self.tier_b)
        )
    }

    /// The whole block, for a body that has none.
    pub fn block(&self) -> String {
        let mut out = format!("nmoe_pr:\n  issue: {}\n", edit::scalar(&self.issue));
        if let Some(baseline) = &self.baseline_sha {
            out.push_str(&format!("  baseline_sha: {}\n", edit::scalar(baseline)));
        }
        out.push_str(&format!(
            "  pr_sha: {}\n  risk: {}\n\n",
            edit::scalar(&self.pr_sha),
            risk(self.risk)
        ));
        out.push_str(&format!("gates_passed:{}\n", self.passed_lines()));
        if let Claim::Is(perf) = &self.perf {
            out.push_str(&format!("\nperf:{}\n", perf.lines()));
        }
        out
    }
}

impl Perf {
    fn lines(&self) -> String {
        let mut out = format!(
            "\n  gate: {}\n  compare: {}\n  metric: {}",
            edit::scalar(&self.gate),
            edit::scalar(&self.compare),
            edit::scalar(&self.metric)
        );
        if let Some(numbers) = self.numbers {
            for (key, value) in ["baseline", "result", "delta_pct"].into_iter().zip(numbers) {
                out.push_str(&format!("\n  {key}: {}", edit::number(value)));
            }
        }
        out + &format!(
            "\n  budget_pct: {}\n  status: {}",
            edit::number(self.budget_pct),
            self.status
        )
    }
}

/// A commit that is written shortened and means the same is left as it is.
fn says_commit(map: &Node, key: &str, commit: &str) -> bool {
    map.get(key)
        .and_then(Node::text)
        .is_some_and(|said| said.len() >= 7 && commit.starts_with(said))
}

/// What a template has for a value that somebody is to fill in.
fn is_placeholder(node: &Node) -> bool {
    node.text()
        .is_some_and(|said| said.starts_with('<') && said.ends_with('>'))
}

fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Hot => "hot",
        Risk::Warm => "warm",
        Risk::Cold => "cold",
    }
}
