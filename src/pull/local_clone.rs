//! Merges pull requests for trial in the local clone. New objects go to a temporary directory, so a trial leaves nothing behind.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::domain::exit::NoVerdict;
use crate::domain::ids::CommitId;
use crate::git::{Git, GitError, claims, merge_status};
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
    /// The tips of the base branches, by name.
    bases: RefCell<HashMap<String, CommitId>>,
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
            git: here.with_scratch_objects(scratch.path())?.with_fixed_config(),
            remote: remote.to_owned(),
            _scratch: scratch,
            bases: RefCell::default(),
        })
    }

    /// Fetches the heads that are not here, all in one command.
    ///
    /// # Errors
    /// The remote has no such head, or git fails.
    pub fn fetch_heads<'p>(&self, pulls: impl Iterator<Item = &'p Pull>) -> anyhow::Result<()> {
        let mut missing = Vec::new();
        for pull in pulls {
            if self.git.commit(&pull.head.sha)?.is_none() {
                missing.push(format!("refs/pull/{}/head", pull.number));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let args = ["fetch", "--quiet", "--no-tags", self.remote.as_str()];
        self.git
            .bytes(args.into_iter().chain(missing.iter().map(String::as_str)))
            .map_err(|error| NoVerdict(format!("cannot fetch the heads of pull requests: {error}")))?;
        Ok(())
    }

    /// Returns base and head of a pull request, whose head was fetched.
    ///
    /// # Errors
    /// The remote has no such branch, or the head changed during this command.
    pub fn commits(&self, pull: &Pull) -> anyhow::Result<Commits> {
        let base = self.base(&pull.base.branch)?;
        match self.git.commit(&pull.head.sha)? {
            Some(head) => Ok(Commits { base, head }),
            None => Err(NoVerdict(format!(
                "cannot read #{}: its head changed during this command\nhelp: run it again",
                pull.number
            ))
            .into()),
        }
    }

    /// Returns the tip of a base branch.
    ///
    /// # Errors
    /// The remote has no such branch.
    pub fn base(&self, branch: &str) -> anyhow::Result<CommitId> {
        if let Some(known) = self.bases.borrow().get(branch) {
            return Ok(known.clone());
        }
        let remote = &self.remote;
        let tip = self
            .git
            .commit(&format!("refs/remotes/{remote}/{branch}"))?
            .with_context(|| {
                format!("cannot find the base: the remote `{remote}` has no branch `{branch}`")
            })?;
        self.bases.borrow_mut().insert(branch.to_owned(), tip.clone());
        Ok(tip)
    }

    /// Returns the tree of a commit; `None` if the commit is not here.
    pub fn tree(&self, commit: &CommitId) -> Option<CommitId> {
        self.git
            .id(["rev-parse", "--verify", "--quiet", &format!("{commit}^{{tree}}")])
            .ok()
    }

    /// Whether the base already contains the work of a pull request.
    pub fn is_merged(&self, commits: &Commits) -> bool {
        merge_status::of_branch(&self.git, &commits.base, &commits.head, None)
            .is_ok_and(|status| status.is_merged())
    }

    /// Makes the commit of a trial merge, as the base of the next one.
    ///
    /// # Errors
    /// git fails.
    pub fn commit(&self, base: &CommitId, head: &CommitId, tree: &CommitId) -> Result<CommitId, GitError> {
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
            tree,
        ];
        self.git.id(commit)
    }
}
