//! Merges pull requests for trial in the local clone. New objects go to a temporary directory, so a trial leaves nothing behind.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::domain::exit::NoVerdict;
use crate::domain::ids::CommitId;
use crate::git::{Git, claims, merge, merge_status};
use crate::github::types::Pull;

/// The base and the head of a pull request, both present in the clone.
#[derive(Clone, Debug)]
pub struct Commits {
    pub base: CommitId,
    pub head: CommitId,
}

/// The local clone.
pub struct LocalClone {
    /// git, with new objects in a temporary directory.
    pub git: Git,
    pub remote: String,
    _scratch: TempDir,
    /// Bases after some heads were merged, by base and heads.
    bases: RefCell<HashMap<Vec<CommitId>, Option<CommitId>>>,
}

impl LocalClone {
    /// Fetches the remote's branches and claims.
    ///
    /// # Errors
    /// The remote does not answer, or no temporary directory can be created.
    pub fn fetch(here: &Git, remote: &str) -> anyhow::Result<Self> {
        claims::fetch(here, remote)
            .map_err(|error| NoVerdict(format!("cannot fetch from `{remote}`: {error}")))?;
        let scratch = TempDir::with_prefix("nmoe-gates-ready-").context("cannot make a temporary folder")?;
        Ok(LocalClone {
            git: here.with_scratch_objects(scratch.path())?,
            remote: remote.to_owned(),
            _scratch: scratch,
            bases: RefCell::default(),
        })
    }

    /// Returns base and head of a pull request, and fetches the head if it is not here.
    ///
    /// # Errors
    /// The remote has no such branch, or the head changed during this command.
    pub fn commits(&self, pull: &Pull) -> anyhow::Result<Commits> {
        let (remote, branch) = (&self.remote, &pull.base.branch);
        let base = self
            .git
            .commit(&format!("refs/remotes/{remote}/{branch}"))?
            .with_context(|| format!("the remote `{remote}` has no branch `{branch}`"))?;
        if self.git.commit(&pull.head.sha)?.is_none() {
            let name = format!("refs/pull/{}/head", pull.number);
            self.git
                .bytes(["fetch", "--quiet", "--no-tags", remote, &name])
                .map_err(|error| NoVerdict(format!("cannot fetch the head of #{}: {error}", pull.number)))?;
        }
        match self.git.commit(&pull.head.sha)? {
            Some(head) => Ok(Commits { base, head }),
            None => Err(NoVerdict(format!(
                "the head of #{} changed during this command; run it again",
                pull.number
            ))
            .into()),
        }
    }

    /// Whether the base already contains the work of a pull request.
    pub fn is_merged(&self, commits: &Commits) -> bool {
        merge_status::of_branch(&self.git, &commits.base, &commits.head, None)
            .is_ok_and(|status| status.is_merged())
    }

    /// Returns the base after these heads were merged in this order; `None` if one of them conflicts.
    pub fn base_after(&self, base: &CommitId, heads: &[CommitId]) -> Option<CommitId> {
        let Some((last, before)) = heads.split_last() else {
            return Some(base.clone());
        };
        let key: Vec<CommitId> = std::iter::once(base).chain(heads).cloned().collect();
        let known = self.bases.borrow().get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        let after = self
            .base_after(base, before)
            .and_then(|base| self.merge_commit(&base, last));
        self.bases.borrow_mut().insert(key, after.clone());
        after
    }

    fn merge_commit(&self, base: &CommitId, head: &CommitId) -> Option<CommitId> {
        let trial = merge::trial(&self.git, base, head).ok()?;
        if !trial.conflicts.is_empty() {
            return None;
        }
        let commit = [
            "-c",
            "user.name=nmoe-gates",
            "-c",
            "user.email=nmoe-gates@localhost",
            "commit-tree",
            "--no-gpg-sign",
            "-m",
            "Trial",
            "-p",
            base,
            "-p",
            head,
            &trial.tree,
        ];
        self.git.text(commit).ok()?.parse().ok()
    }
}
