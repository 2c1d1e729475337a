//! Reads a pull request as it is now, and what evidence is valid for it. A publication compares its results with this.

use crate::domain::evidence::Evidence;
use crate::domain::ids::Sha256;
use crate::domain::resolution::Resolution;
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::pull::fresh_merge::{self, Checkout};
use crate::pull::snapshot::{Merge, Snapshot};

/// Returns the pull request as it is now, and the evidence that is valid for it.
///
/// # Errors
/// GitHub does not answer.
pub fn evidence(
    github: &GitHub,
    pull: u64,
    resolution: Option<&Resolution>,
    checkout: Checkout<'_>,
) -> Result<(Evidence, Snapshot), GitHubError> {
    let snapshot = Snapshot::fetch(github, pull)?;
    let contract = match resolution.and_then(|resolution| resolution.contract.as_ref()) {
        Some(contract) => Some(match github.issue(contract.issue) {
            Ok(issue) => Sha256::of(issue.body.as_bytes()),
            // A deleted issue has no text any more, so its contract changed.
            Err(error) if error.is_missing() => Sha256::of(&[]),
            Err(error) => return Err(error),
        }),
        None => None,
    };
    let from_github = snapshot.latest_merge(github)?;
    let tip = match snapshot.pull.state.as_str() {
        "open" => github.branch_tip(&snapshot.pull.base.branch)?,
        // A merged pull request keeps the merge that it was tested with.
        _ => None,
    };
    let head = &snapshot.pull.head.sha;
    let merge = match (&tip, resolution, from_github) {
        (None, _, merge) => merge,
        (Some(tip), Some(resolved), _) if resolved.head == *head && resolved.base == *tip => Some(Merge {
            commit: Some(resolved.merge.clone()),
            base: tip.clone(),
            head: head.clone(),
            tree: resolved.tree.clone(),
            local: false,
        }),
        (Some(tip), _, Some(merge)) if merge.head == *head && merge.base == *tip => Some(merge),
        // GitHub's merge is outdated. An equal tree would keep the results valid.
        (Some(tip), _, _) => fresh_merge::make(github, pull, tip, head, checkout).ok(),
    };
    let mut evidence = snapshot.evidence(merge.as_ref(), None, contract.as_ref());
    evidence.base = evidence.base.or(tip);
    Ok((evidence, snapshot))
}
