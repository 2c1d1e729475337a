//! What still blocks a merge: a closed list of kinds, each with who can lift it and how, and the order in which to merge.
//!
//! Pure: what GitHub, git and recorded results say comes in as plain facts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::contract::{Contract, Risk};
use crate::domain::evidence::Identity;
use crate::domain::finding::{Code, Severity};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::registry::{Registry, Tier};
use crate::domain::results::Results;
use crate::domain::verdict::Verdict;

macro_rules! blockers {
    ($($name:ident = $id:literal, $title:literal, $explain:literal, $bad:literal, $good:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code {
                id: $id,
                severity: Severity::Error,
                title: $title,
                explain: $explain,
                bad: $bad,
                good: $good,
            };
        )*

        /// Every kind of blocker.
        pub static TABLE: &[&Code] = &[$(&$name,)*];
    };
}

blockers! {
    NOT_OPEN = "not-open", "The pull request is not open",
        "A closed or merged pull request cannot be merged.",
        "ready 12  # merged yesterday", "ready 13";
    DRAFT = "draft", "The pull request is a draft",
        "The author marked it as not ready for review.",
        "isDraft: true", "gh pr ready 12";
    NO_CONTRACT = "no-contract", "The pull request names no contract",
        "An issue contains the contract, and the description of the pull request must close it by number.",
        "## Links\n- none", "## Links\n- Fixes: #12";
    CONTRACT_FAULTY = "contract-faulty", "The contract has errors",
        "Results can only be compared with a correct contract. Fix the contract first.",
        "invariants: []", "invariants:\n  - B200-only (sm_100a)";
    RIVAL_PULL = "rival-pull", "Another open pull request closes the same issue",
        "There must be one pull request per issue. Close one of them.",
        "#12 and #13 both say `Fixes: #5`", "#13 is closed";
    NOT_REVIEWED = "not-reviewed", "This head has no approval by another person",
        "An approval is valid only for the commit that was reviewed. An approval of an earlier head does not cover later commits.",
        "approved 1f0c2ab, head 8d1e9b4", "approved 8d1e9b4";
    CHANGES_REQUESTED = "changes-requested", "A reviewer asks for changes",
        "The latest review of a reviewer counts until there is another one or it is dismissed.",
        "state: CHANGES_REQUESTED", "state: APPROVED";
    SCOPE_VIOLATED = "scope-violated", "The change leaves the contract's scope",
        "`lint scope` lists the paths. If you need a wider scope, change the contract first.",
        "scope.allow: [nmoe/moe.py]  # and nmoe/train.py changes", "scope.allow: [nmoe/moe.py, nmoe/train.py]";
    ATTESTATION_FAULTY = "attestation-faulty", "The attestation has errors",
        "`lint attestation` lists the errors.",
        "pr_sha: HEAD", "pr_sha: 8d1e9b4";
    NOT_PUBLIC = "not-public", "The description contains private data, or its boxes are not ticked",
        "Remove the data. Treat a published credential as compromised and rotate it.",
        "- [ ] No internal names", "- [x] No internal names";
    TIER_A_MISSING = "tier-a-missing", "Tier A is not attested on this head",
        "List every Tier-A gate of the contract in `gates_passed.tier_a`, and set `pr_sha` to the head.",
        "tier_a: []", "tier_a: [cpu:import, cpu:compileall]";
    TIER_B_MISSING = "tier-b-missing", "A Tier-B gate of the contract is not green",
        "The gate was not run on the current merge result, or it did not pass. Only recorded results count: `--results FILE`.",
        "b200:moonlight_8x20: not_run", "b200:moonlight_8x20: pass";
    STALE_EVIDENCE = "stale-evidence", "A gate passed on a different tree than the one to be merged",
        "Head, base, contract or registry changed since the run. Results are valid only for the tree that was tested.",
        "tree 1f0c2ab tested, tree 8d1e9b4 would be merged", "tree 8d1e9b4 tested and merged";
    PERF_UNPROVEN = "perf-unproven", "A hot change without a passed throughput comparison",
        "For a hot change, the budget is part of the contract. A comparison on the current merge result must pass.",
        "perf:baseline_delta: inconclusive", "perf:baseline_delta: pass";
    DEPENDENCY_UNMERGED = "dependency-unmerged", "A dependency is not merged",
        "Merge the contracts in `depends_on` first.",
        "depends_on: [03]  # open", "depends_on: [03]  # merged";
    HOTSPOT_ORDER = "hotspot-order", "Another pull request changes the same hotspot and is first",
        "Changes to a core or declared hotspot are merged one after the other, in the order of the contracts.",
        "#12 and #13 both touch nmoe/train.py", "#12 is merged, #13 is tested again";
    MERGE_CONFLICT = "merge-conflict", "The change does not merge cleanly",
        "Resolve only the conflicts, without other changes.",
        "CONFLICT (content): nmoe/train.py", "git merge origin/master  # resolved";
    RESOLUTION_TOO_WIDE = "resolution-too-wide", "A merge commit changes more than the conflicting lines",
        "This merge commit contains changes outside the conflicting lines. Move them to a separate commit so that they get reviewed. If they are outside the scope, get the contract widened first.",
        "merge commit with a refactoring", "merge commit; then a commit with the work";
}

/// Something that blocks a merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// Stable name of its kind; `explain` tells more.
    pub code: &'static str,
    /// What, with the names that matter.
    pub message: String,
    /// Who can lift it, and how.
    pub next: NextStep,
}

impl Blocker {
    /// A blocker that a command lifts.
    pub fn new(code: &'static Code, message: impl Into<String>, next: NextStep) -> Self {
        Blocker {
            code: code.id,
            message: message.into(),
            next,
        }
    }
}

/// What the recorded results, oldest first, say about a contract's gates; `stale` tells what makes results be about something else
/// than the present merge result.
pub fn proven(
    pull: u64,
    contract: &Contract,
    registry: &Registry,
    results: &[Results],
    stale: impl Fn(&Results) -> Vec<Identity>,
) -> Vec<Blocker> {
    let standing: Vec<&Results> = results.iter().filter(|r| stale(r).is_empty()).collect();
    let verdict = |id: &str| {
        let gate = standing.iter().rev().find_map(|r| r.results.get(id));
        gate.map(|gate| gate.status)
    };
    let mut gates: Vec<&String> = contract
        .gates
        .required
        .iter()
        .filter(|id| registry.gates.get(*id).is_some_and(|gate| gate.tier == Tier::B))
        .collect();
    let perf = contract.gates.perf.as_ref().map(|perf| &perf.gate);
    gates.extend(perf.filter(|id| !contract.gates.required.contains(id)));
    let open: Vec<&String> = gates
        .iter()
        .copied()
        .filter(|id| verdict(id) != Some(Verdict::Pass))
        .collect();
    let command = run_command(pull, registry, &open);
    let run = || {
        NextStep::run(
            Who::Maintainer,
            "run it on the B200 runner; what it publishes is found",
            command.clone(),
        )
    };
    let mut blockers: Vec<Blocker> = open
        .iter()
        .map(|id| {
            let elsewhere = results.iter().rev().find(|r| {
                r.results
                    .get(*id)
                    .is_some_and(|gate| gate.status == Verdict::Pass)
            });
            match (verdict(id), elsewhere) {
                (None, Some(r)) => {
                    let differs: Vec<&str> = stale(r).iter().map(|i| i.as_str()).collect();
                    let says = format!(
                        "`{id}` passed on something else; what differs: {}",
                        differs.join(", ")
                    );
                    Blocker::new(&STALE_EVIDENCE, says, run())
                }
                (Some(status), _) => {
                    let code = if Some(*id) == perf {
                        &PERF_UNPROVEN
                    } else {
                        &TIER_B_MISSING
                    };
                    Blocker::new(
                        code,
                        format!("`{id}` is {} on the present merge result", status.as_str()),
                        run(),
                    )
                }
                (None, None) => Blocker::new(
                    &TIER_B_MISSING,
                    format!("no recorded result holds `{id}` on the present merge result"),
                    run(),
                ),
            }
        })
        .collect();
    if contract.nmoe.risk == Risk::Hot && perf.is_none() {
        let says = "the change is hot, and its contract has no throughput budget";
        let next = NextStep::manual(Who::MergeCaptain, "put `gates.perf` into the contract");
        blockers.push(Blocker::new(&PERF_UNPROVEN, says, next));
    }
    blockers
}

/// The workflow run that covers these gates: the smallest bundle that holds them all, one gate alone, or the largest bundle.
fn run_command(pull: u64, registry: &Registry, open: &[&String]) -> Vec<String> {
    let covering = registry
        .bundles
        .iter()
        .filter(|(_, gates)| open.iter().all(|id| gates.contains(id)))
        .min_by_key(|(_, gates)| gates.len());
    let which = match (covering, open) {
        (_, [only]) => vec!["bundle=single".to_owned(), format!("single_gate={only}")],
        (Some((name, _)), _) => vec![format!("bundle={name}")],
        (None, _) => vec!["bundle=full".to_owned()],
    };
    let mut command = ["gh", "workflow", "run", "tier-b.yml"]
        .map(str::to_owned)
        .to_vec();
    for input in std::iter::once(format!("pr_number={pull}")).chain(which) {
        command.extend(["-f".to_owned(), input]);
    }
    command
}

/// A place in the merge order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Number of the pull request.
    pub pull: u64,
    /// Contract id.
    pub issue: String,
    /// Whether its evidence still stands when its turn comes.
    pub evidence_stands: bool,
    /// Gates that must be run again before it, on the merge result of that moment.
    pub rerun: Vec<String>,
}

/// A pull request that waits to be merged.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its number.
    pub pull: u64,
    /// Contract id.
    pub issue: String,
    /// Contract ids that come first.
    pub depends_on: Vec<String>,
    /// Gates that need evidence.
    pub gates: Vec<String>,
}

/// The order that keeps the most evidence: at each turn one whose evidence stands goes before one that must be tested anyway,
/// and of those the one after which most of the others still stand.
///
/// `stands(done, pull)` tells whether a pull request's evidence stands after these were merged, in that order.
pub fn order(waiting: &[Waiting], mut stands: impl FnMut(&[u64], u64) -> bool) -> Vec<Step> {
    let mut left: Vec<&Waiting> = waiting.iter().collect();
    let mut done: Vec<u64> = Vec::new();
    let mut steps = Vec::new();
    while !left.is_empty() {
        let open: Vec<&str> = left.iter().map(|w| w.issue.as_str()).collect();
        let mut free: Vec<usize> = (0..left.len())
            .filter(|n| left[*n].depends_on.iter().all(|id| !open.contains(&id.as_str())))
            .collect();
        if free.is_empty() {
            // Dependencies in a circle: each is blocked, and its blocker says so.
            free = (0..left.len()).collect();
        }
        let mut best: Option<((bool, usize), usize)> = None;
        for n in free {
            let now = stands(&done, left[n].pull);
            let mut after = done.clone();
            after.push(left[n].pull);
            let kept = left
                .iter()
                .filter(|other| other.pull != left[n].pull && stands(&after, other.pull))
                .count();
            // Of equals the first, so that the answer does not depend on chance.
            if best.is_none_or(|(rank, _)| (now, kept) > rank) {
                best = Some(((now, kept), n));
            }
        }
        let Some(((evidence_stands, _), n)) = best else {
            break;
        };
        let next = left.remove(n);
        done.push(next.pull);
        steps.push(Step {
            pull: next.pull,
            issue: next.issue.clone(),
            evidence_stands,
            rerun: if evidence_stands {
                Vec::new()
            } else {
                next.gates.clone()
            },
        });
    }
    steps
}

/// The latest review of each reviewer, the author left out: by login, state and commit.
pub fn latest_reviews<'a>(
    reviews: impl IntoIterator<Item = (&'a str, &'a str, Option<&'a str>)>,
    author: &str,
) -> BTreeMap<&'a str, (&'a str, Option<&'a str>)> {
    let mut latest = BTreeMap::new();
    for (login, state, commit) in reviews {
        if login != author && matches!(state, "APPROVED" | "CHANGES_REQUESTED" | "DISMISSED") {
            latest.insert(login, (state, commit));
        }
    }
    latest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(pull: u64, issue: &str, depends_on: &[&str]) -> Waiting {
        Waiting {
            pull,
            issue: issue.to_owned(),
            depends_on: depends_on.iter().map(|d| (*d).to_owned()).collect(),
            gates: vec!["b200:x".to_owned()],
        }
    }

    #[test]
    fn the_order_keeps_evidence_and_dependencies() {
        let all = [
            waiting(1, "01", &[]),
            waiting(2, "02", &["01"]),
            waiting(3, "03", &[]),
        ];
        // 2 was tested on top of 1; 3 was tested on the base alone.
        let stands = |done: &[u64], pull: u64| match pull {
            1 | 3 => done.is_empty(),
            _ => done == [1],
        };
        let steps: Vec<(u64, bool)> = order(&all, stands)
            .iter()
            .map(|s| (s.pull, s.evidence_stands))
            .collect();
        assert_eq!(steps, [(1, true), (2, true), (3, false)]);
    }
}
