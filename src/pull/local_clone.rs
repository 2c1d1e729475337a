//! Merges pull requests for trial in the local clone. New objects go to a temporary directory, so a trial leaves nothing behind.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::domain::exit::NoVerdict;
use crate::domain::ids::CommitId;
use crate::domain::settings::Settings;
use crate::git::{Git, GitError, claims, merge_status, revisions};
use crate::github::types::Pull;
use crate::policy::Revision;

/// The most ids in the arguments of one command.
const OF_COMMAND: usize = 500;

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
    /// The heads of pull requests that are here.
    heads: RefCell<HashSet<CommitId>>,
    trees: RefCell<HashMap<CommitId, Option<CommitId>>>,
    settings: RefCell<HashMap<CommitId, Rc<Settings>>>,
    /// Whether a base contains a commit, by base and commit.
    contained: RefCell<HashMap<(CommitId, CommitId), bool>>,
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
            heads: RefCell::default(),
            trees: RefCell::default(),
            settings: RefCell::default(),
            contained: RefCell::default(),
        })
    }

    /// Fetches the heads that are not here, all in one command.
    ///
    /// # Errors
    /// The remote has no such head, or git fails.
    pub fn fetch_heads<'p>(&self, pulls: impl Iterator<Item = &'p Pull>) -> anyhow::Result<()> {
        let mut missing: Vec<&Pull> = pulls.collect();
        self.keep_missing(&mut missing)?;
        if missing.is_empty() {
            return Ok(());
        }
        let args = ["fetch", "--quiet", "--no-tags", self.remote.as_str()];
        let names = missing
            .iter()
            .map(|pull| format!("refs/pull/{}/head", pull.number));
        self.git
            .bytes(args.into_iter().map(str::to_owned).chain(names))
            .map_err(|error| NoVerdict(format!("cannot fetch the heads of pull requests: {error}")))?;
        self.keep_missing(&mut missing)
    }

    /// Keeps the pull requests whose heads are not here, and remembers the other heads.
    fn keep_missing(&self, pulls: &mut Vec<&Pull>) -> anyhow::Result<()> {
        let mut heads = self.heads.borrow_mut();
        for part in pulls.chunks(OF_COMMAND) {
            let args = ["rev-list", "--no-walk=unsorted", "--ignore-missing"];
            let ids = part.iter().map(|pull| pull.head.sha.as_str());
            let found = self.git.text(args.into_iter().chain(ids))?;
            heads.extend(found.lines().filter_map(|id| id.parse::<CommitId>().ok()));
        }
        pulls.retain(|pull| !heads.contains(&pull.head.sha));
        Ok(())
    }

    /// Returns base and head of a pull request, whose head was fetched.
    ///
    /// # Errors
    /// The remote has no such branch, or the head changed during this command.
    pub fn commits(&self, pull: &Pull) -> anyhow::Result<Commits> {
        let base = self.base(&pull.base.branch)?;
        let head = pull.head.sha.clone();
        if self.heads.borrow().contains(&head) {
            return Ok(Commits { base, head });
        }
        let message = format!(
            "cannot read #{}: its head changed during this command\nhelp: run it again",
            pull.number
        );
        Err(NoVerdict(message).into())
    }

    /// Returns the tip of a base branch.
    ///
    /// # Errors
    /// The remote has no such branch.
    pub fn base(&self, branch: &str) -> anyhow::Result<CommitId> {
        if let Some(known) = self.bases.borrow().get(branch) {
            return Ok(known.clone());
        }
        let tip = revisions::remote_base(&self.git, &self.remote, branch)?;
        self.bases.borrow_mut().insert(branch.to_owned(), tip.clone());
        Ok(tip)
    }

    /// Returns the tree of a commit; `None` if the commit is not here.
    pub fn tree(&self, commit: &CommitId) -> Option<CommitId> {
        if let Some(known) = self.trees.borrow().get(commit) {
            return known.clone();
        }
        let name = format!("{commit}^{{tree}}");
        let tree = self.git.id(["rev-parse", "--verify", "--quiet", &name]).ok();
        self.trees.borrow_mut().insert(commit.clone(), tree.clone());
        tree
    }

    /// Returns the settings of a commit of a base branch. Those of the checkout may be those of a change.
    ///
    /// # Errors
    /// The settings are not valid, or git fails.
    pub fn settings(&self, base: &CommitId) -> anyhow::Result<Rc<Settings>> {
        if let Some(known) = self.settings.borrow().get(base) {
            return Ok(Rc::clone(known));
        }
        let settings = Rc::new(Revision::Commit(&self.git, base).settings()?);
        self.settings
            .borrow_mut()
            .insert(base.clone(), Rc::clone(&settings));
        Ok(settings)
    }

    /// Whether a base contains a commit.
    pub fn contains(&self, base: &CommitId, commit: &CommitId) -> bool {
        let key = (base.clone(), commit.clone());
        let mut contained = self.contained.borrow_mut();
        *contained
            .entry(key)
            .or_insert_with(|| revisions::contains(&self.git, base, commit))
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
        self.git.as_tool().id(commit)
    }
}
