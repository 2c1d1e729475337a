//! Describes a pull request as it is now: its description, its merge result and its contract. Each part is requested once.
//!
//! Must not evaluate the parts: lints, [`crate::pull::staleness`] and [`crate::pull::readiness`] do.

use std::cell::OnceCell;

use crate::document::{Document, Source};
use crate::domain::attestation::Attestation;
use crate::domain::evidence::Evidence;
use crate::domain::exit::NoVerdict;
use crate::domain::ids::{CommitId, Sha256};
use crate::github::api::GitHub;
use crate::github::error::{ErrorKind, GitHubError};
use crate::github::types::{Commit, Pull};
use crate::pull::contract::{ContractOf, Issue, contract_of};

/// The merge of a pull request into its base branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The merge commit; `None` for a trial merge without a commit.
    pub commit: Option<CommitId>,
    pub base: CommitId,
    pub head: CommitId,
    pub tree: CommitId,
    /// Whether the commit exists only in the local repository.
    pub local: bool,
}

impl Merge {
    /// Reads a merge commit of GitHub.
    fn of(commit: Commit) -> Result<Self, GitHubError> {
        let parents = commit.parents.len();
        let [base, head] = commit.parents.try_into().map_err(|_| GitHubError {
            attempt: format!("read the merge {}", commit.sha),
            kind: ErrorKind::Shape(format!("a merge with {parents} parents")),
            tries: 1,
        })?;
        Ok(Merge {
            base: base.sha,
            head: head.sha,
            tree: commit.tree.sha,
            commit: Some(commit.sha),
            local: false,
        })
    }
}

/// A pull request as it is now.
pub struct Snapshot {
    pub pull: Pull,
    pub description: Document<Attestation>,
    contract: OnceCell<ContractOf>,
}

impl Snapshot {
    /// Wraps a pull request that GitHub or an event described.
    pub fn new(pull: Pull) -> Self {
        let name = format!("pull request #{}", pull.number);
        Snapshot::named(pull, name)
    }

    /// Wraps a pull request whose description findings call by this name.
    pub fn named(pull: Pull, name: String) -> Self {
        Snapshot {
            description: Document::parse(Source::new(Some(name), pull.body.as_str())),
            contract: OnceCell::new(),
            pull,
        }
    }

    /// Requests a pull request.
    pub fn fetch(github: &GitHub, number: u64) -> Result<Self, GitHubError> {
        github.pull(number).map(Snapshot::new)
    }

    /// Finds the contract. `read` reads an issue.
    pub fn contract(
        &self,
        github: &GitHub,
        read: impl Fn(u64) -> Result<Issue, GitHubError>,
    ) -> Result<&ContractOf, GitHubError> {
        if let Some(found) = self.contract.get() {
            return Ok(found);
        }
        let found = contract_of(github, &self.description, read)?;
        Ok(self.contract.get_or_init(|| found))
    }

    /// Requests the merge that GitHub has now, which may be of an earlier head; `None` if there is none. A merged pull request keeps
    /// its last merge.
    pub fn latest_merge(&self, github: &GitHub) -> Result<Option<Merge>, GitHubError> {
        match github.merge_ref(self.pull.number)? {
            Some(id) => Merge::of(github.commit(&id)?).map(Some),
            None => Ok(None),
        }
    }

    /// Returns what results must be about to be valid for the pull request as it is now. A `None` is not compared.
    pub fn evidence(
        &self,
        merge: Option<&Merge>,
        registry: Option<&Sha256>,
        contract: Option<&Sha256>,
    ) -> Evidence {
        Evidence {
            head: Some(self.pull.head.sha.clone()),
            base: merge.map(|m| m.base.clone()),
            merge: merge.and_then(|m| m.commit.clone()),
            tree: merge.map(|m| m.tree.clone()),
            registry: registry.cloned(),
            contract: contract.cloned(),
            ..Evidence::default()
        }
    }

    /// Replaces the description on GitHub, unless it or the head changed since this snapshot. GitHub has no conditional write, so the
    /// edit history is read before and after, and tells of an edit that crossed this one.
    ///
    /// # Errors
    /// The pull request changed, or another edit crossed this one, or GitHub refuses.
    pub fn replace_description(&self, github: &GitHub, text: &str) -> anyhow::Result<()> {
        let number = self.pull.number;
        let before = github.edited_text(number)?;
        let now = github.pull(number)?;
        if now.body != self.pull.body || now.head.sha != self.pull.head.sha {
            return Err(NoVerdict(format!(
                "cannot write: pull request #{number} changed meanwhile, so nothing was written\nhelp: run the command again"
            ))
            .into());
        }
        github.update_pull_body(number, text)?;
        let after = github.edited_text(number)?;
        let Some(editors) = after.crossed(&before, same_text(&after.body, text)) else {
            return Ok(());
        };
        Err(NoVerdict(format!(
            "cannot confirm the description of pull request #{number}: another edit crossed this one (editors: {editors})\nhelp: compare the versions under \"edited\" on its page, restore what was lost, and run the command again"
        ))
        .into())
    }
}

/// Compares two descriptions without the form of line ends and the end of the text, which a server may change.
fn same_text(a: &str, b: &str) -> bool {
    a.trim_end().lines().eq(b.trim_end().lines())
}
