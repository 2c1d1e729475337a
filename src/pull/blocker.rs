//! Defines what can block a merge: a closed list of codes, and a blocker with the step that removes it.

use serde::Serialize;

use crate::domain::finding::{Code, Finding, Severity, codes};
use crate::domain::next_step::{NextStep, Who};

codes! {
    NOT_OPEN = "not-open", Error, "The pull request is not open",
        "A closed or merged pull request cannot be merged.",
        "ready 12  # merged yesterday", "ready 13";
    DRAFT = "draft", Error, "The pull request is a draft",
        "The author marked it as not ready for review.",
        "isDraft: true", "gh pr ready 12";
    NO_WORKFLOW_RUN = "no-workflow-run", Error, "No workflow ran for the head",
        "GitHub starts no workflow for a pull request that a workflow opened or pushed with `GITHUB_TOKEN`, so PR lint and required checks never run. A person, or a token of an app, must cause an event: close and reopen the pull request, or push a commit.",
        "gh pr create  # in a workflow, with GITHUB_TOKEN", "gh pr close 12 && gh pr reopen 12  # by a person";
    NO_CONTRACT = "no-contract", Error, "The pull request names no contract",
        "An issue contains the contract, and the description of the pull request must close it by number.",
        "## Links\n- none", "## Links\n- Fixes: #12";
    CONTRACT_FAULTY = "contract-faulty", Error, "The contract has errors",
        "Results can only be compared with a correct contract. Fix the contract first.",
        "invariants: []", "invariants:\n  - B200-only (sm_100a)";
    CONTRACT_UNTRUSTED = "contract-untrusted", Error, "Nobody with write access wrote or adopted the contract",
        "Anybody can open an issue. A contract counts if its author and its last editor may write to the repository, or are in `contracts.authors`. A person with write access can adopt a contract of somebody else: a comment on the issue with the digest of the text. After an edit, the adoption no longer counts.",
        "written by an outsider, not adopted", "nmoe-gates adopt 9f86d081…";
    RIVAL_PULL = "rival-pull", Error, "Another open pull request closes the same issue",
        "There must be one pull request per issue. Close one of them.",
        "#12 and #13 both say `Fixes: #5`", "#13 is closed";
    NOT_REVIEWED = "not-reviewed", Error, "This head has no approval by another person",
        "An approval is valid only for the commit that was reviewed. An approval of an earlier head does not cover later commits.",
        "approved 1f0c2ab, head 8d1e9b4", "approved 8d1e9b4";
    CHANGES_REQUESTED = "changes-requested", Error, "A reviewer asks for changes",
        "The latest review of a reviewer counts until there is another one or it is dismissed.",
        "state: CHANGES_REQUESTED", "state: APPROVED";
    SCOPE_VIOLATED = "scope-violated", Error, "The change leaves the contract's scope",
        "`lint scope` lists the paths. If you need a wider scope, change the contract first.",
        "scope.allow: [nmoe/moe.py]  # and nmoe/train.py changes", "scope.allow: [nmoe/moe.py, nmoe/train.py]";
    ATTESTATION_FAULTY = "attestation-faulty", Error, "The attestation has errors",
        "`lint attestation` lists the errors.",
        "pr_sha: HEAD", "pr_sha: 8d1e9b4";
    NOT_PUBLIC = "not-public", Error, "The description contains private data, or its boxes are not ticked",
        "Remove the data. Treat a published credential as compromised and rotate it.",
        "- [ ] No internal names", "- [x] No internal names";
    TIER_A_MISSING = "tier-a-missing", Error, "Tier A is not attested on this head",
        "List every Tier-A gate of the contract in `gates_passed.tier_a`, and set `pr_sha` to the head.",
        "tier_a: []", "tier_a: [cpu:import, cpu:compileall]";
    TIER_B_MISSING = "tier-b-missing", Error, "A Tier-B gate of the contract is not green",
        "The gate was not run on the current merge result, or it did not pass. Only recorded results count: `--results FILE`.",
        "b200:moonlight_8x20: not_run", "b200:moonlight_8x20: pass";
    EVIDENCE_STALE = "evidence-stale", Error, "A gate passed on a different tree than the one to be merged",
        "Head, base, contract or registry changed since the run. Results are valid only for the tree that was tested.",
        "tree 1f0c2ab tested, tree 8d1e9b4 would be merged", "tree 8d1e9b4 tested and merged";
    EVIDENCE_UNPROVEN = "evidence-unproven", Error, "Nothing proves that a trusted run made the published results",
        "Whoever may push a branch can write a comment and a commit status from a workflow of that branch. Published results count only if they name a run of a workflow in `publish.workflows`, dispatched on the base branch, and that run uploaded them as an artifact.",
        "run 7 is of the workflow `.github/workflows/own.yml`", "run 8 is of the workflow `.github/workflows/tier-b.yml`";
    EVIDENCE_EXPIRED = "evidence-expired", Error, "The artifact that proves published results has expired",
        "GitHub deletes artifacts when their time of retention is over. Without the artifact, nothing proves the results, so run Tier B again.",
        "evidence-4f0c….json, expired", "evidence-4f0c….json";
    PERF_UNPROVEN = "perf-unproven", Error, "A hot change without a passed throughput comparison",
        "For a hot change, the budget is part of the contract. A comparison on the current merge result must pass.",
        "perf:baseline_delta: inconclusive", "perf:baseline_delta: pass";
    DEPENDENCY_UNMERGED = "dependency-unmerged", Error, "A dependency is not merged",
        "Merge the contracts in `depends_on` first.",
        "depends_on: [03]  # open", "depends_on: [03]  # merged";
    HOTSPOT_ORDER = "hotspot-order", Error, "Another pull request changes the same hotspot and is first",
        "Changes to a core or declared hotspot are merged one after the other, in the order of the contracts.",
        "#12 and #13 both touch nmoe/train.py", "#12 is merged, #13 is tested again";
    MERGE_CONFLICT = "merge-conflict", Error, "The change does not merge cleanly",
        "Resolve only the conflicts, without other changes.",
        "CONFLICT (content): nmoe/train.py", "git fetch origin && git merge origin/master  # resolved";
    RESOLUTION_TOO_WIDE = "resolution-too-wide", Error, "A merge commit changes more than the conflicting lines",
        "This merge commit contains changes outside the conflicting lines. Move them to a separate commit so that they get reviewed. If they are outside the scope, get the contract widened first.",
        "merge commit with a refactoring", "merge commit; then a commit with the work";
}

/// Something that blocks the merge of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// The code, which `explain` describes.
    pub code: &'static str,
    pub message: String,
    /// Who can remove it, and how.
    pub next: NextStep,
}

impl Blocker {
    pub fn new(code: &'static Code, message: impl Into<String>, next: NextStep) -> Self {
        Blocker {
            code: code.id,
            message: message.into(),
            next,
        }
    }
}

impl Blocker {
    /// Creates the blocker for findings of severity error: names the first one and counts the rest. `None` without an error.
    pub fn of_errors(
        code: &'static Code,
        findings: &[&Finding],
        next: impl FnOnce() -> NextStep,
    ) -> Option<Self> {
        let errors: Vec<&&Finding> = findings
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .collect();
        let first = errors.first()?;
        let more = match errors.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let message = format!("{}: {}{more}", first.code.id, first.message);
        Some(Blocker::new(code, message, next()))
    }
}

/// Replaces the next steps of evidence that cannot be made yet: a run would be outdated after the merge of what is first.
pub fn after_others(others: &[Blocker], mut evidence: Vec<Blocker>) -> Vec<Blocker> {
    let first = others
        .iter()
        .find(|other| [HOTSPOT_ORDER.id, DEPENDENCY_UNMERGED.id].contains(&other.code));
    if let Some(first) = first {
        for blocker in evidence.iter_mut().filter(|b| b.next.who == Who::Maintainer) {
            blocker.next = first.next.clone();
        }
    }
    evidence
}
