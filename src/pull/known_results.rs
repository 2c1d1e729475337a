//! Collects the results that may prove gates of a pull request: recorded files and published comments.

use std::collections::HashMap;

use crate::domain::ids::{CommitId, GateId};
use crate::domain::results::Results;
use crate::domain::verdict::Verdict;
use crate::pull::published::Refused;
use crate::pull::snapshot::Merge;

/// The known results.
#[derive(Default)]
pub struct KnownResults {
    /// From files that the user named.
    pub recorded: Vec<Results>,
    /// From comments, by the number of the pull request.
    pub published: HashMap<u64, Vec<Results>>,
    /// Comments that do not count, by the number of the pull request.
    pub refused: HashMap<u64, Vec<Refused>>,
}

impl KnownResults {
    /// Returns the results of a pull request, oldest first: the published ones, and the recorded ones of its head or tree.
    pub fn about(&self, pull: u64, merge: &Merge) -> Vec<Results> {
        let about = |r: &&Results| {
            r.evidence.head.as_ref() == Some(&merge.head) || r.evidence.tree.as_ref() == Some(&merge.tree)
        };
        let published = self.published.get(&pull).into_iter().flatten();
        let mut found: Vec<Results> = self
            .recorded
            .iter()
            .filter(about)
            .chain(published)
            .cloned()
            .collect();
        found.sort_by(|a, b| a.started_at.cmp(&b.started_at));
        found
    }

    /// Returns the trees for which these results prove all gates, each with the commit of the base that was tested.
    pub fn proofs(results: &[Results], gates: &[GateId]) -> Vec<(Option<CommitId>, CommitId)> {
        let mut proofs = Vec::new();
        for one in results {
            let Some(tree) = &one.evidence.tree else {
                continue;
            };
            let proof = (one.evidence.base.clone(), tree.clone());
            let same = |r: &&Results| r.evidence.tree.as_ref() == Some(tree);
            let passed = |id: &GateId| {
                let latest = results
                    .iter()
                    .rev()
                    .filter(same)
                    .find_map(|r| r.results.get(id.as_str()));
                latest.is_some_and(|gate| gate.status == Verdict::Pass)
            };
            if !proofs.contains(&proof) && gates.iter().all(passed) {
                proofs.push(proof);
            }
        }
        proofs
    }
}
