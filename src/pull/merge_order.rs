//! Finds the order of merging that keeps the most evidence valid.
//!
//! Must not depend on git: a closure answers whether evidence stays valid after some merges.

use serde::Serialize;

/// A step of the merge order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub pull: u64,
    /// The contract id.
    pub issue: String,
    /// Whether its evidence is still valid when its turn comes.
    pub evidence_stands: bool,
    /// The gates that must run again before this merge.
    pub rerun: Vec<String>,
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
    pub gates: Vec<String>,
}

/// Returns an order of merging. Each step takes a pull request with valid evidence if there is one, and of those the one after which
/// the most others are still valid.
///
/// `is_valid(done, pull)` tells whether the evidence of a pull request is valid after `done` were merged in that order.
pub fn order(waiting: &[Waiting], mut is_valid: impl FnMut(&[u64], u64) -> bool) -> Vec<Step> {
    let mut left: Vec<&Waiting> = waiting.iter().collect();
    let mut done: Vec<u64> = Vec::new();
    let mut steps = Vec::new();
    while !left.is_empty() {
        let open: Vec<&str> = left.iter().map(|w| w.issue.as_str()).collect();
        let mut free: Vec<usize> = (0..left.len())
            .filter(|n| left[*n].depends_on.iter().all(|id| !open.contains(&id.as_str())))
            .collect();
        if free.is_empty() {
            // The dependencies form a circle. Each of these pull requests has a blocker.
            free = (0..left.len()).collect();
        }
        let mut best: Option<((bool, usize), usize)> = None;
        for n in free {
            let now = is_valid(&done, left[n].pull);
            let mut after = done.clone();
            after.push(left[n].pull);
            let kept = left
                .iter()
                .filter(|other| other.pull != left[n].pull && is_valid(&after, other.pull))
                .count();
            // If several are equal, take the first, so that the result is reproducible.
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
        let is_valid = |done: &[u64], pull: u64| match pull {
            1 | 3 => done.is_empty(),
            _ => done == [1],
        };
        let steps: Vec<(u64, bool)> = order(&all, is_valid)
            .iter()
            .map(|s| (s.pull, s.evidence_stands))
            .collect();
        assert_eq!(steps, [(1, true), (2, true), (3, false)]);
    }
}
