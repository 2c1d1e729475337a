//! Where work is started: the main checkout, its remote, its branches and worktrees.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::domain::ids::CommitId;
use crate::domain::settings::Naming;
use crate::git::Git;
use crate::git::claims;
use crate::git::merge_status;
use crate::plan::Item;
use crate::workspace::stored_contract;

/// The main checkout, wherever the command was called from.
pub struct Site {
    /// git in the main checkout.
    pub git: Git,
    /// How things are named.
    pub naming: Naming,
    top: PathBuf,
    common: PathBuf,
}

/// Holds a clone, known by its common git directory, until the file is dropped.
fn hold(common: &Path) -> anyhow::Result<File> {
    let path = common.join("nmoe-gates.lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

impl Site {
    /// Finds the main checkout of the repository that this directory is in.
    pub fn find(dir: &Path, naming: Naming) -> anyhow::Result<Self> {
        let here = Git::at(dir);
        let common: PathBuf = here
            .text(["rev-parse", "--path-format=absolute", "--git-common-dir"])
            .context("a branch is started in a clone of the repository")?
            .into();
        // While another starter makes a worktree, git cannot list it. Where nothing can be written, nobody else writes either.
        let _alone = hold(&common).ok();
        let listed = here.bytes(["worktree", "list", "--porcelain", "-z"])?;
        let first = String::from_utf8_lossy(&listed)
            .split('\0')
            .find_map(|line| line.strip_prefix("worktree ").map(PathBuf::from))
            .context("git knows no worktree here")?;
        Ok(Site {
            git: Git::at(&first),
            naming,
            top: first,
            common,
        })
    }

    /// Holds the clone until dropped: two starters in one clone would trip over each other's locks.
    pub fn lock(&self) -> anyhow::Result<File> {
        hold(&self.common)
    }

    /// The remote's base branch, as it was last fetched.
    pub fn base(&self) -> anyhow::Result<CommitId> {
        let name = format!("refs/remotes/{}/{}", self.naming.remote, self.naming.base);
        match self.git.commit(&name)? {
            Some(id) => Ok(id),
            None => bail!(
                "the remote `{}` has no branch `{}`; set `naming.base` in the settings",
                self.naming.remote,
                self.naming.base
            ),
        }
    }

    /// The branch of a contract.
    pub fn branch(&self, item: &Item) -> String {
        self.naming.branch_of(&item.issue, &item.slug)
    }

    /// The worktree of a contract; relative names start at the main checkout.
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

    /// The refs that hold the contract's branch, here and on the remote, for people.
    pub fn branches(&self, item: &Item) -> anyhow::Result<Vec<String>> {
        let branch = self.branch(item);
        let remote = format!("{}/{branch}", self.naming.remote);
        let mut found = Vec::new();
        for (full, shown) in [
            (format!("refs/heads/{branch}"), &branch),
            (format!("refs/remotes/{remote}"), &remote),
        ] {
            if self.git.commit(&full)?.is_some() {
                found.push(shown.clone());
            }
        }
        Ok(found)
    }

    /// Whether the contract's branch is merged, as far as its refs tell.
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

    /// Makes branch and worktree, and keeps the contract in the worktree's git directory.
    pub fn build(&self, item: &Item, base: &str, contract: &str) -> anyhow::Result<()> {
        let worktree = self.worktree(item);
        let branch = self.branch(item);
        let output = self
            .git
            .command(["worktree", "add", "--quiet", "--no-track", "-b", branch.as_str()])
            .arg(&worktree)
            .arg(base)
            // The checkout is for a person: what the repository keeps in LFS belongs into it.
            .env_remove("GIT_LFS_SKIP_SMUDGE")
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("cannot make the worktree {}: {}", worktree.display(), said.trim());
        }
        let kept = stored_contract::path(&Git::at(&worktree))?;
        if let Some(dir) = kept.parent() {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        std::fs::write(&kept, contract).with_context(|| format!("cannot write {}", kept.display()))
    }

    /// Takes back what [`Site::build`] made. Nobody has worked there yet, and only what is as it was made goes.
    pub fn tear_down(&self, item: &Item, base: &str) {
        let worktree = self.worktree(item);
        let name = worktree.to_string_lossy();
        // Each step may have nothing to do.
        let _ = self.git.output(["worktree", "remove", name.as_ref()]);
        let _ = self.git.output(["worktree", "prune"]);
        let _ = self.git.output([
            "update-ref",
            "-d",
            &format!("refs/heads/{}", self.branch(item)),
            base,
        ]);
    }
}
