//! Collects the results that may prove gates of a pull request: recorded files and published comments.

use std::collections::HashMap;

use crate::domain::evidence::Evidence;
use crate::domain::ids::CommitId;
use crate::domain::results::Results;
use crate::domain::verdict::Verdict;
use crate::pull::snapshot::Merge;

/// The known results.
#[derive(Default)]
pub struct KnownResults {
    /// From files that the user named.
    pub recorded: Vec<Results>,
    /// From comments, by the number of the pull request.
    pub published: HashMap<u64, Vec<Results>>,
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

    /// Whether results of this tree exist for all gates, and each gate passed.
    pub fn prove(&self, gates: &[String], tree: &CommitId) -> bool {
        let wanted = Evidence {
            tree: Some(tree.clone()),
            ..Evidence::default()
        };
        let valid: Vec<&Results> = self
            .recorded
            .iter()
            .chain(self.published.values().flatten())
            .filter(|r| r.evidence.stale_for(&wanted).is_empty())
            .collect();
        let passed =
            |r: &&Results, id: &String| r.results.get(id).is_some_and(|gate| gate.status == Verdict::Pass);
        gates.iter().all(|id| valid.iter().any(|r| passed(r, id)))
    }
}
