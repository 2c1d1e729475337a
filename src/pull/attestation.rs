//! Fills the attestation block of a description: which gates passed on this head, and which comparison was measured.
//!
//! Takes contract, registry, results and a description, and returns a description. Must not read or write files.

use std::collections::BTreeSet;

use crate::document::edit::{self, Editor, UnsupportedStyle};
use crate::document::{Document, Node, Source};
use crate::domain::attestation::Attestation;
use crate::domain::contract::{Contract, Risk};
use crate::domain::evidence::Evidence;
use crate::domain::finding::Finding;
use crate::domain::ids::{CommitId, ContractId, GateId, short};
use crate::domain::registry::{GateKind, Registry, Tier};
use crate::domain::results::{PerfResult, Results};
use crate::domain::verdict::Verdict;
use crate::git::{Git, GitError, revisions};
use crate::plan::codes;

/// The head that is attested.
#[derive(Clone, Debug)]
pub struct Head {
    pub commit: CommitId,
    pub tree: CommitId,
    /// The merge base with the base branch.
    pub fork: CommitId,
}

impl Head {
    /// Finds tree and merge base of a commit.
    ///
    /// # Errors
    /// The two commits have no common history, or git fails.
    pub fn find(git: &Git, commit: CommitId, base: &CommitId) -> Result<Self, GitError> {
        Ok(Head {
            tree: git.id(["rev-parse", "--verify", &format!("{commit}^{{tree}}")])?,
            fork: revisions::merge_base(git, base, &commit)?,
            commit,
        })
    }

    /// Whether results are about this head: its commit was the head or the tested commit, or the tree is the same.
    pub fn is_proven_by(&self, evidence: &Evidence) -> bool {
        let commits = [&evidence.head, &evidence.merge];
        commits.into_iter().flatten().any(|commit| *commit == self.commit)
            || evidence.tree.as_ref() == Some(&self.tree)
    }
}

/// The content that the block should have.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    issue: ContractId,
    pr_sha: CommitId,
    baseline_sha: Option<CommitId>,
    risk: Risk,
    tier_a: Vec<GateId>,
    tier_b: Vec<GateId>,
    perf: PerfChange,
}

/// What to do with the `perf` key.
#[derive(Clone, Debug, PartialEq)]
enum PerfChange {
    Set(Perf),
    /// Keep the text: it is about this head, and no newer measurement exists.
    Keep,
    /// Remove the key: its values are placeholders or about an earlier head.
    Remove,
}

#[derive(Clone, Debug, PartialEq)]
struct Perf {
    gate: GateId,
    compare: String,
    metric: String,
    numbers: Option<[f64; 3]>,
    budget_pct: f64,
    status: &'static str,
}

/// Why a block cannot be filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The block is not valid.
    #[error("cannot edit the block: {0}\nhelp: `nmoe-gates lint attestation`")]
    Broken(String),
    /// The editor does not support the style of the block.
    #[error("cannot edit the block: {0}\nhelp: write it on lines of its own")]
    Style(#[from] UnsupportedStyle),
}

/// Returns the description with the block filled, or with a new block at its top. Text outside of the block does not change.
pub fn fill(document: &Document<Attestation>, wanted: &Block) -> Result<String, FillError> {
    let source = &document.source;
    if document.block.is_none() {
        let bom = if source.had_bom() { "\u{feff}" } else { "" };
        let rest = source.text();
        let gap = if rest.is_empty() { "" } else { "\n" };
        let block = wanted.render();
        return Ok(format!(
            "{bom}## PR Attestation (YAML, required)\n\n```yaml\n{block}```\n{gap}{rest}"
        ));
    }
    let (Some(root), None) = (&document.root, document.defects.first()) else {
        let defect = document.defects.first();
        return Err(FillError::Broken(
            defect.map(|d| d.message.clone()).unwrap_or_default(),
        ));
    };
    let mut editor = Editor::new(source);
    wanted.write(&mut editor, root)?;
    let text = editor.finish();
    // An edit may go wrong in an unusual style of YAML, so the new text is parsed before it is used.
    match Document::<Attestation>::parse(Source::new(None, text.as_str())).value {
        Ok(_) => Ok(text),
        Err(defect) => Err(FillError::Broken(defect.message)),
    }
}

/// Decides the content of the block. `before` is its content now; what it says about this head stays, unless newer results exist.
pub fn decide(
    contract: &Contract,
    registry: &Registry,
    head: &Head,
    results: &[Results],
    before: Option<&Attestation>,
) -> (Block, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut valid: Vec<&Results> = Vec::new();
    for one in results {
        let id = one.evidence.head.as_deref().map_or("an unknown commit", short);
        if !head.is_proven_by(&one.evidence) {
            let message = format!(
                "ignored the results of {}: the head is {}",
                id,
                head.commit.short()
            );
            findings
                .push(Finding::new(&codes::STALE_RESULTS, message).help("run the gates again on this head"));
        } else if one.evidence.dirty {
            let message = "the results are about uncommitted changes, not about a commit";
            findings
                .push(Finding::new(&codes::DIRTY_RESULTS, message).help("commit, then run the gates again"));
        } else {
            valid.push(one);
        }
    }
    let same_head = before.filter(|b| b.nmoe_pr.pr_sha.is_same_commit(&head.commit));
    let tier = |tier: Tier, kept: Vec<GateId>| -> Vec<GateId> {
        let of_tier = |id: &GateId| registry.gates.get(id).is_some_and(|gate| gate.tier == tier);
        let tested: BTreeSet<&GateId> = valid
            .iter()
            .flat_map(|r| r.results.keys())
            .filter(|id| of_tier(id))
            .collect();
        let mut passed: Vec<GateId> = tested
            .iter()
            .filter(|id| latest(&valid, id) == Some(Verdict::Pass))
            .map(|id| (*id).clone())
            .collect();
        passed.extend(kept.into_iter().filter(|id| !tested.contains(id)));
        let place = |id: &GateId| registry.gates.get_index_of(id).unwrap_or(usize::MAX);
        passed.sort_by_key(place);
        passed.dedup();
        passed
    };
    let kept = |list: fn(&Attestation) -> &Vec<GateId>| {
        let ids = same_head.map(list).into_iter().flatten();
        ids.cloned().collect()
    };
    let tier_a = tier(Tier::A, kept(|b| &b.gates_passed.tier_a));
    let tier_b = tier(Tier::B, kept(|b| &b.gates_passed.tier_b));

    let measured = measured(registry, &valid);
    let perf = match (
        &measured,
        &contract.gates.perf,
        same_head.and_then(|b| b.perf.as_ref()),
    ) {
        (Some((gate, status, perf)), budget, _) => PerfChange::Set(Perf {
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
        // No new measurement exists, and the text is about this head.
        (None, _, Some(_)) => PerfChange::Keep,
        // Without a measurement there is nothing to attest. A pending block would be a finding of `lint attestation`.
        (None, _, None) => PerfChange::Remove,
    };
    let baseline = measured
        .as_ref()
        .and_then(|(_, _, perf)| perf.baseline_sha.clone());
    let needs_baseline =
        contract.nmoe.risk == Risk::Hot || contract.gates.perf.is_some() || perf != PerfChange::Remove;
    let wanted = Block {
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

/// Returns the verdict of a gate in the newest results that contain it.
fn latest(valid: &[&Results], id: &str) -> Option<Verdict> {
    valid
        .iter()
        .rev()
        .find_map(|r| r.results.get(id))
        .map(|gate| gate.status)
}

fn measured<'a>(registry: &Registry, valid: &[&'a Results]) -> Option<(GateId, Verdict, &'a PerfResult)> {
    valid.iter().rev().find_map(|r| {
        r.results.iter().find_map(|(id, gate)| {
            let is_perf = registry.gates.get(id).is_some_and(|g| g.kind == GateKind::Perf);
            Some((id.clone(), gate.status, gate.perf.as_ref().filter(|_| is_perf)?))
        })
    })
}

impl Block {
    /// Returns the attested gates of Tier A and of Tier B.
    pub fn passed(&self) -> (&[GateId], &[GateId]) {
        (&self.tier_a, &self.tier_b)
    }

    /// Edits an existing block.
    pub fn write(&self, editor: &mut Editor<'_>, root: &Node) -> Result<(), UnsupportedStyle> {
        let change = root
            .get("nmoe_pr")
            .ok_or_else(|| UnsupportedStyle("nmoe_pr".to_owned()))?;
        editor.set(change, "issue", &self.issue)?;
        match &self.baseline_sha {
            Some(baseline) if !names_commit(change, "baseline_sha", baseline) => {
                editor.set(change, "baseline_sha", baseline)?;
            }
            None if change.get("baseline_sha").is_some_and(is_placeholder) => {
                editor.remove(change, "baseline_sha")?;
            }
            _ => {}
        }
        if !names_commit(change, "pr_sha", &self.pr_sha) {
            editor.set(change, "pr_sha", &self.pr_sha)?;
        }
        editor.set(change, "risk", risk(self.risk))?;
        match root.get("gates_passed").filter(|node| !node.entries().is_empty()) {
            Some(passed) => {
                let texts = |ids: &[GateId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
                editor.set_list(passed, "tier_a", &texts(&self.tier_a))?;
                editor.set_list(passed, "tier_b", &texts(&self.tier_b))?;
            }
            None if root.entry("gates_passed").is_some() => {
                return Err(UnsupportedStyle("gates_passed".to_owned()));
            }
            None => editor.add(root, "gates_passed", &self.passed_lines())?,
        }
        let perf = match &self.perf {
            PerfChange::Set(perf) => perf,
            PerfChange::Keep => return Ok(()),
            PerfChange::Remove => return editor.remove(root, "perf"),
        };
        let Some(claim) = root.get("perf").filter(|node| !node.entries().is_empty()) else {
            if root.entry("perf").is_some() {
                return Err(UnsupportedStyle("perf".to_owned()));
            }
            return editor.add(root, "perf", &perf.lines());
        };
        editor.set(claim, "gate", &perf.gate)?;
        editor.set(claim, "compare", &perf.compare)?;
        editor.set(claim, "metric", &perf.metric)?;
        for (n, key) in ["baseline", "result", "delta_pct"].into_iter().enumerate() {
            match perf.numbers {
                Some(numbers) => editor.set_number(claim, key, numbers[n])?,
                // Remove a number that was not measured on this head.
                None => editor.remove(claim, key)?,
            }
        }
        editor.set_number(claim, "budget_pct", perf.budget_pct)?;
        editor.set(claim, "status", perf.status)
    }

    fn passed_lines(&self) -> String {
        let list = |ids: &[GateId]| {
            let ids: Vec<String> = ids.iter().map(|id| edit::scalar(id)).collect();
            format!("[{}]", ids.join(", "))
        };
        format!(
            "\n  tier_a: {}\n  tier_b: {}",
            list(&self.tier_a),
            list(&self.tier_b)
        )
    }

    /// Renders a new block.
    fn render(&self) -> String {
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
        if let PerfChange::Set(perf) = &self.perf {
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

/// Whether a value already names this commit, possibly abbreviated.
fn names_commit(map: &Node, key: &str, commit: &str) -> bool {
    map.get(key)
        .and_then(Node::text)
        .is_some_and(|text| text.len() >= 7 && commit.starts_with(text))
}

/// Whether a value is a placeholder of a template, such as `<commit>`.
fn is_placeholder(node: &Node) -> bool {
    node.text()
        .is_some_and(|text| text.starts_with('<') && text.ends_with('>'))
}

fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Hot => "hot",
        Risk::Warm => "warm",
        Risk::Cold => "cold",
    }
}
