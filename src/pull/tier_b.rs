//! Evaluates the results of Tier B: which required gates passed on the merge result as it is now, and which must run again.

use crate::domain::contract::{Contract, Risk};
use crate::domain::evidence::Identity;
use crate::domain::ids::GateId;
use crate::domain::next_step::{NextStep, Who};
use crate::domain::registry::{Registry, SINGLE, Tier};
use crate::domain::results::Results;
use crate::domain::settings::TierAProof;
use crate::domain::verdict::Verdict;
use crate::gate::select;
use crate::pull::blocker::{
    Blocker, EVIDENCE_EXPIRED, EVIDENCE_STALE, EVIDENCE_UNPROVEN, PERF_UNPROVEN, TIER_A_MISSING,
    TIER_B_MISSING,
};
use crate::pull::provenance::Doubt;
use crate::pull::published::Refused;

/// Returns the gates of a tier that a contract requires.
pub fn required<'a>(contract: &'a Contract, registry: &Registry, tier: Tier) -> Vec<&'a GateId> {
    let gate = |id: &GateId| registry.gates.get(id.as_str());
    let of_tier = |id: &&GateId| gate(id).is_some_and(|gate| gate.tier == tier);
    contract.gates.required.iter().filter(of_tier).collect()
}

/// Returns the gates of a contract that recorded results must prove.
pub fn to_run(contract: &Contract, registry: &Registry, proof: TierAProof) -> Vec<GateId> {
    let tiers: &[Tier] = match proof {
        TierAProof::Attest => &[Tier::B],
        TierAProof::Run => &[Tier::A, Tier::B],
    };
    let of_tier = |tier: &Tier| required(contract, registry, *tier);
    tiers.iter().flat_map(of_tier).cloned().collect()
}

/// Returns a blocker for each of the gates that did not pass on the current merge result. `results` are oldest first; `stale`
/// returns what makes results invalid for this merge result. `refused` are the comments that do not count; `dispatch` runs
/// the gates.
pub fn blockers(
    dispatch: Dispatch<'_>,
    contract: &Contract,
    required: &[GateId],
    registry: &Registry,
    results: &[Results],
    refused: &[Refused],
    stale: impl Fn(&Results) -> Vec<Identity>,
) -> Vec<Blocker> {
    let valid: Vec<&Results> = results.iter().filter(|r| stale(r).is_empty()).collect();
    let verdict = |id: &str| {
        let gate = valid.iter().rev().find_map(|r| r.results.get(id));
        gate.map(|gate| gate.status)
    };
    let mut gates: Vec<&GateId> = required.iter().collect();
    let perf = contract.gates.perf.as_ref().map(|perf| &perf.gate);
    gates.extend(perf.filter(|id| !contract.gates.required.contains(id)));
    let open: Vec<&GateId> = gates
        .iter()
        .copied()
        .filter(|id| verdict(id) != Some(Verdict::Pass))
        .collect();
    let command = run_command(dispatch, registry, &open);
    let missing = |id: &GateId| match registry.gates.get(id.as_str()) {
        Some(gate) if gate.tier == Tier::A => &TIER_A_MISSING,
        _ => &TIER_B_MISSING,
    };
    let step = |what: &str| NextStep::run(Who::Maintainer, what, command.clone());
    let run = || step("run Tier B on the B200 runner; `ready` finds the published results");
    let mut blockers: Vec<Blocker> = open
        .iter()
        .map(|id| {
            let elsewhere = results.iter().rev().find(|r| {
                r.results
                    .get(id.as_str())
                    .is_some_and(|gate| gate.status == Verdict::Pass)
            });
            match (verdict(id), elsewhere) {
                (None, Some(r)) => {
                    let differs: Vec<&str> = stale(r).iter().map(|i| i.as_str()).collect();
                    let message = format!(
                        "`{id}` passed for another state; what differs: {}",
                        differs.join(", ")
                    );
                    Blocker::new(&EVIDENCE_STALE, message, run())
                }
                (Some(status), _) => {
                    let code = if Some(*id) == perf {
                        &PERF_UNPROVEN
                    } else {
                        missing(id)
                    };
                    let next = match (status, Some(*id) == perf) {
                        (Verdict::Fail, true) => NextStep::manual(
                            Who::Author,
                            "make the change faster and push it, or get the budget of the contract changed first",
                        ),
                        (Verdict::Fail, false) => {
                            NextStep::manual(Who::Author, "read the log of the run, fix the change, and push")
                        }
                        _ => run(),
                    };
                    let message = format!("`{id}` is {} on the current merge result", status.as_str());
                    Blocker::new(code, message, next)
                }
                (None, None) => {
                    let refused = refused.iter().rev().find(|refused| refused.passed.contains(id));
                    let Some(why) = refused.map(|refused| &refused.why) else {
                        let message = format!("there is no result of `{id}` for the current merge result");
                        return Blocker::new(missing(id), message, run());
                    };
                    let code = match why {
                        Doubt::Expired => &EVIDENCE_EXPIRED,
                        Doubt::NotAsked | Doubt::Unproven(_) => &EVIDENCE_UNPROVEN,
                    };
                    let message = format!("the pass of `{id}` does not count: {}", why.message());
                    Blocker::new(code, message, step("run Tier B again"))
                }
            }
        })
        .collect();
    if contract.nmoe.risk == Risk::Hot && perf.is_none() {
        let message = "the change is hot, but its contract has no throughput budget";
        let next = NextStep::manual(Who::MergeCaptain, "add `gates.perf` to the contract");
        blockers.push(Blocker::new(&PERF_UNPROVEN, message, next));
    }
    blockers
}

/// Returns the command for a run of these gates: the smallest bundle that contains them all, or the first gate alone. The others
/// follow one by one.
fn run_command(dispatch: Dispatch<'_>, registry: &Registry, open: &[&GateId]) -> Vec<String> {
    match (select::smallest(registry, open), open) {
        (_, [only]) => dispatch.command(SINGLE, Some(only)),
        (Some(bundle), _) => dispatch.command(bundle, None),
        (None, [first, ..]) => dispatch.command(SINGLE, Some(first)),
        (None, []) => Vec::new(),
    }
}

/// A run of the workflow for a pull request.
#[derive(Clone, Copy)]
pub struct Dispatch<'a> {
    /// The path of the workflow.
    pub workflow: &'a str,
    pub pull: u64,
}

impl Dispatch<'_> {
    /// Returns the command that starts the workflow for a bundle, or for [`SINGLE`] with its gate.
    pub fn command(self, bundle: &str, gate: Option<&str>) -> Vec<String> {
        // `gh` takes the name of the file, without its folder.
        let (_, file) = self.workflow.rsplit_once('/').unwrap_or(("", self.workflow));
        let inputs = [format!("pr_number={}", self.pull), format!("bundle={bundle}")];
        let gate = gate.map(|gate| format!("single_gate={gate}"));
        let mut command = ["gh", "workflow", "run", file].map(str::to_owned).to_vec();
        for input in inputs.into_iter().chain(gate) {
            command.extend(["-f".to_owned(), input]);
        }
        command
    }
}
