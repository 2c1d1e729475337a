//! Manages the branches and worktrees of contracts from the main worktree of a repository.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::domain::ids::{BranchName, CommitId};
use crate::domain::settings::Naming;
use crate::git::Git;
use crate::git::claims;
use crate::git::merge_status;
use crate::git::revisions;
use crate::git::worktrees;
use crate::plan::Item;
use crate::workspace::stored_contract;

/// The main worktree of a repository.
pub struct MainWorktree {
    pub git: Git,
    pub naming: Naming,
    top: PathBuf,
    common: PathBuf,
}

/// Locks a repository, identified by its common git directory, until the file is dropped.
fn lock(common: &Path) -> anyhow::Result<File> {
    let path = common.join("nmoe-gates.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

impl MainWorktree {
    /// Finds the main worktree of the repository that contains this directory.
    pub fn find(dir: &Path, naming: Naming) -> anyhow::Result<Self> {
        let here = Git::at(dir);
        let common: PathBuf = here
            .text(["rev-parse", "--path-format=absolute", "--git-common-dir"])
            .context("cannot find the repository\nhelp: run this command in a clone of it")?
            .into();
        // git cannot list a worktree that another process creates. If the lock file cannot be written, no other process can write either.
        let _locked = lock(&common).ok();
        let first = worktrees::list(&here)?.into_iter().next();
        let first = first
            .context("cannot find the main worktree: git lists none")?
            .path;
        Ok(MainWorktree {
            git: Git::at(&first),
            naming,
            top: first,
            common,
        })
    }

    /// Locks the repository until the file is dropped, because git commands of two processes would fail on each other's locks.
    pub fn lock(&self) -> anyhow::Result<File> {
        lock(&self.common)
    }

    /// Returns the base branch of the remote, as of the last fetch.
    pub fn base(&self) -> anyhow::Result<CommitId> {
        Ok(revisions::remote_base(
            &self.git,
            &self.naming.remote,
            &self.naming.base,
        )?)
    }

    /// Returns the branch of a contract.
    pub fn branch(&self, item: &Item) -> String {
        self.naming.branch_of(&item.issue, &item.slug)
    }

    /// Returns the worktree of a contract; a relative name starts at the main worktree.
    pub fn worktree(&self, item: &Item) -> PathBuf {
        let name = self.naming.worktree_of(&item.issue, &item.slug);
        let mut path = self.top.clone();
        for part in Path::new(&name).components() {
            match part {
                std::path::Component::ParentDir => {
                    path.pop();
                }
                std::path::Component::CurDir => {}
                part => path.push(part),
            }
        }
        path
    }

    /// Returns the names of a contract's branch that exist, here and on the remote.
    pub fn branches(&self, item: &Item) -> anyhow::Result<Vec<String>> {
        let branch = self.branch(item);
        let remote = format!("{}/{branch}", self.naming.remote);
        let mut found = Vec::new();
        for (full, shown) in [
            (BranchName::local_ref(&branch), &branch),
            (BranchName::remote_ref(&self.naming.remote, &branch), &remote),
        ] {
            if self.git.commit(&full)?.is_some() {
                found.push(shown.clone());
            }
        }
        Ok(found)
    }

    /// Returns a branch whose name is the start of the name of a contract's branch, such as `issue`. git can have only one of them.
    pub fn branch_above(&self, item: &Item) -> anyhow::Result<Option<String>> {
        let branch = self.branch(item);
        for (at, _) in branch.match_indices('/') {
            let name = &branch[..at];
            let remote = format!("{}/{name}", self.naming.remote);
            for (full, shown) in [
                (BranchName::local_ref(name), name),
                (BranchName::remote_ref(&self.naming.remote, name), remote.as_str()),
            ] {
                if self.git.commit(&full)?.is_some() {
                    return Ok(Some(shown.to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// Whether the branch of a contract exists and is merged.
    pub fn is_merged(&self, item: &Item) -> anyhow::Result<bool> {
        let base = self.base()?;
        let start = claims::of(&self.git, &item.issue)?.and_then(|claim| claim.start);
        for name in self.branches(item)? {
            let Some(tip) = self.git.commit(&name)? else {
                continue;
            };
            if !merge_status::of_branch(&self.git, &base, &tip, start.as_ref())?.is_merged() {
                return Ok(false);
            }
        }
        Ok(!self.branches(item)?.is_empty())
    }

    /// Creates branch and worktree, and stores the contract in the git directory of the worktree.
    pub fn create(&self, item: &Item, base: &str, contract: &str, issue: Option<u64>) -> anyhow::Result<()> {
        let worktree = self.worktree(item);
        let branch = self.branch(item);
        // Forget worktrees whose folder was removed by hand; git would refuse the path.
        self.git.output(["worktree", "prune"])?;
        let output = self
            .git
            .command(["worktree", "add", "--quiet", "--no-track", "-b", branch.as_str()])
            .arg(&worktree)
            .arg(base)
            // The worktree needs the files that the repository has in LFS.
            .env_remove("GIT_LFS_SKIP_SMUDGE")
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "cannot create the worktree {}: {}",
                worktree.display(),
                said.trim()
            );
        }
        stored_contract::store(&Git::at(&worktree), issue, contract)
    }

    /// Removes what [`MainWorktree::create`] created, if it is unchanged.
    pub fn rollback(&self, item: &Item, base: &str) {
        let worktree = self.worktree(item);
        let name = worktree.to_string_lossy();
        // Each command may have nothing to remove.
        let _ = self.git.output(["worktree", "remove", name.as_ref()]);
        let _ = self.git.output(["worktree", "prune"]);
        let _ = self.git.output([
            "update-ref",
            "-d",
            &BranchName::local_ref(&self.branch(item)),
            base,
        ]);
    }
}
