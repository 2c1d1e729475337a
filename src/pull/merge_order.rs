//! Finds the order of merging that keeps the most evidence valid, with one trial merge for each pull request.
//!
//! Must not depend on git: a closure merges for trial.

use serde::Serialize;

use crate::domain::ids::{CommitId, GateId};

/// A step of the merge order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub pull: u64,
    /// The contract id.
    pub issue: String,
    /// Whether its evidence is still valid when its turn comes.
    pub evidence_stands: bool,
    /// The gates that must run again before this merge.
    pub rerun: Vec<GateId>,
    /// Whether it conflicts when its turn comes.
    pub conflicts: bool,
    /// The earlier pull requests of this order that change a path in conflict.
    pub conflicts_with: Vec<u64>,
}

/// A pull request that waits to be merged.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub pull: u64,
    /// The contract id.
    pub issue: String,
    /// The contract ids that must be merged first.
    pub depends_on: Vec<String>,
    /// The gates that need evidence.
    pub gates: Vec<GateId>,
    /// What the evidence of all gates is about.
    pub proofs: Vec<Proof>,
}

/// The trees of a test: before the merge, if known, and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub base: Option<CommitId>,
    pub tree: CommitId,
}

/// The result of a trial merge: the new tree of the base, or the pull requests that the merge conflicts with.
pub type Trial = Result<CommitId, Vec<u64>>;

impl Waiting {
    /// Returns the tree after its merge into a base with this tree, if its evidence is valid there and tells.
    fn proven_on(&self, base: &CommitId) -> Option<&CommitId> {
        let proof = self
            .proofs
            .iter()
            .find(|proof| proof.base.as_ref() == Some(base))?;
        Some(&proof.tree)
    }

    fn is_valid_on(&self, base: &CommitId) -> bool {
        self.gates.is_empty() || self.proven_on(base).is_some()
    }
}

/// Returns an order of merging into a base with this tree. Each step takes a pull request with valid evidence if there is one, and of
/// those the one after which the most others are still valid.
///
/// `merge` merges a pull request for trial, in the order of the calls.
pub fn order(waiting: &[Waiting], base: CommitId, mut merge: impl FnMut(u64) -> Trial) -> Vec<Step> {
    let mut left: Vec<&Waiting> = waiting.iter().collect();
    let mut tree = base;
    let mut steps = Vec::new();
    while let Some(n) = best(&left, &tree) {
        let next = left.remove(n);
        let (conflicts, conflicts_with, stands) = match merge(next.pull) {
            Ok(after) => {
                let stands = next.gates.is_empty() || next.proofs.iter().any(|proof| proof.tree == after);
                tree = after;
                (false, Vec::new(), stands)
            }
            Err(others) => (true, others, false),
        };
        steps.push(Step {
            pull: next.pull,
            issue: next.issue.clone(),
            evidence_stands: stands,
            rerun: if stands { Vec::new() } else { next.gates.clone() },
            conflicts,
            conflicts_with,
        });
    }
    steps
}

/// Returns the index of the best next pull request. If several are equal, the first, so that the result is reproducible.
fn best(left: &[&Waiting], tree: &CommitId) -> Option<usize> {
    let is_open = |id: &String| left.iter().any(|w| w.issue == *id);
    let mut free: Vec<usize> = (0..left.len())
        .filter(|n| !left[*n].depends_on.iter().any(is_open))
        .collect();
    if free.is_empty() {
        // The dependencies form a circle. Each of these pull requests has a blocker.
        free = (0..left.len()).collect();
    }
    // A pull request that needs no evidence is valid on each base.
    let always = left.iter().filter(|w| w.gates.is_empty()).count();
    let rank = |n: usize| {
        let one = left[n];
        let kept = match one.proven_on(tree) {
            Some(after) => left.iter().filter(|w| w.proven_on(after).is_some()).count(),
            None => 0,
        };
        let itself = usize::from(one.gates.is_empty());
        (one.is_valid_on(tree), kept + always - itself)
    };
    let mut best: Option<((bool, usize), usize)> = None;
    for n in free {
        let rank = rank(n);
        if best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, n));
        }
    }
    best.map(|(_, n)| n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    fn waiting(pull: u64, issue: &str, depends_on: &[&str], proof: (u64, u64)) -> Waiting {
        Waiting {
            pull,
            issue: issue.to_owned(),
            depends_on: depends_on.iter().map(|d| (*d).to_owned()).collect(),
            gates: vec!["b200:x".parse().unwrap()],
            proofs: vec![Proof {
                base: Some(id(proof.0)),
                tree: id(proof.1),
            }],
        }
    }

    #[test]
    fn the_order_keeps_evidence_and_dependencies() {
        // 2 was tested on top of 1; 3 and 4 were tested on the base alone, and 4 conflicts with 1.
        let all = [
            waiting(1, "01", &[], (0, 10)),
            waiting(2, "02", &["01"], (10, 20)),
            waiting(3, "03", &[], (0, 30)),
            waiting(4, "04", &[], (0, 40)),
        ];
        let mut merges = Vec::new();
        let steps = order(&all, id(0), |pull| {
            merges.push(pull);
            match pull {
                1 => Ok(id(10)),
                2 => Ok(id(20)),
                3 => Ok(id(99)),
                _ => Err(vec![1]),
            }
        });
        let shown: Vec<(u64, bool, &[u64])> = steps
            .iter()
            .map(|s| (s.pull, s.evidence_stands, s.conflicts_with.as_slice()))
            .collect();
        assert_eq!(
            shown,
            [
                (1, true, &[][..]),
                (2, true, &[]),
                (3, false, &[]),
                (4, false, &[1])
            ]
        );
        assert_eq!(merges, [1, 2, 3, 4], "one trial merge for each");
    }
}
