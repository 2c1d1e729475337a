//! Creates, reads and removes claims: refs on the remote that show who works on a contract. The push succeeds only if no claim
//! exists, so only one of two simultaneous starters gets it.
//!
//! `refs/nmoe-gates/claims/<id>` is an empty commit whose parent is the start of the work. `refs/nmoe-gates/done/<id>` replaces it
//! when the work is merged. [`fetch`] copies both to the local repository.

use std::collections::BTreeMap;

use tempfile::TempDir;

use crate::domain::ids::CommitId;
use crate::git::{Git, GitError};
use crate::system::random;

/// The prefix of claim refs.
pub const CLAIMS: &str = "refs/nmoe-gates/claims/";
/// The prefix of refs for merged work.
pub const DONE: &str = "refs/nmoe-gates/done/";

/// The result of an attempt to claim a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The claim succeeded and has this commit id.
    Won(String),
    /// Another starter has the claim.
    Lost,
}

/// An existing claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The commit id of the claim.
    pub id: CommitId,
    /// The commit where the work started.
    pub start: Option<CommitId>,
    /// The author name of the claim.
    pub who: String,
    /// The time of the claim, RFC 3339.
    pub when: String,
}

/// Fetches branches and claims of the remote, and removes local copies of deleted claims.
pub fn fetch(git: &Git, remote: &str) -> Result<(), GitError> {
    git.bytes(["fetch", "--quiet", "--no-recurse-submodules", remote])?;
    git.bytes([
        "fetch",
        "--quiet",
        "--prune",
        "--no-tags",
        "--no-recurse-submodules",
        remote,
        "+refs/nmoe-gates/*:refs/nmoe-gates/*",
    ])
    .map(drop)
}

/// Returns the refs with a prefix and their commit ids, as of the last fetch.
pub fn listed(git: &Git, prefix: &str) -> Result<BTreeMap<String, String>, GitError> {
    let lines = git.text(["for-each-ref", "--format=%(refname) %(objectname)", prefix])?;
    Ok(lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, id)| Some((name.strip_prefix(prefix)?.to_owned(), id.to_owned())))
        .collect())
}

/// Returns the claim of a contract, as of the last fetch.
pub fn of(git: &Git, issue: &str) -> Result<Option<Claim>, GitError> {
    let name = format!("{CLAIMS}{issue}");
    let Some(id) = git.commit(&name)? else {
        return Ok(None);
    };
    let text = git.text(["show", "-s", "--format=%P%n%an%n%aI", &id])?;
    let mut lines = text.lines();
    let start = lines.next().and_then(|parent| parent.parse().ok());
    Ok(Some(Claim {
        id,
        start,
        who: lines.next().unwrap_or_default().to_owned(),
        when: lines.next().unwrap_or_default().to_owned(),
    }))
}

/// Claims a contract; `start` is the commit where the work starts.
pub fn claim(git: &Git, remote: &str, issue: &str, start: &str) -> Result<Claimed, GitError> {
    let away = Quarantine::new(git)?;
    let tree = away.text(["hash-object", "-t", "tree", "-w", "--stdin"])?;
    // Without a nonce, two claims of the same second could be the same object, and both starters would win.
    let message = format!("Claim contract {issue}\n\nNonce: {}", random::token()?);
    let id = away.text(["commit-tree", "--no-gpg-sign", "-m", &message, "-p", start, &tree])?;
    let name = format!("{CLAIMS}{issue}");
    let mut said = GitError::Failed {
        command: "push".to_owned(),
        code: 1,
        message: "the remote has no claim after the push".to_owned(),
    };
    // Another starter may hold a lock on the remote for a moment, so retry.
    for _ in 0..5 {
        let pushed = away.text(push(remote, &name, "", &format!("{id}:{name}")));
        match (pushed, there(git, remote, &name)?) {
            (_, Some(found)) if found == id => return Ok(Claimed::Won(id)),
            (_, Some(_)) => return Ok(Claimed::Lost),
            (Err(error), None) => said = error,
            (Ok(_), None) => {}
        }
    }
    Err(said)
}

/// Removes a claim if it still has this id.
pub fn release(git: &Git, remote: &str, issue: &str, id: &str) -> Result<(), GitError> {
    let name = format!("{CLAIMS}{issue}");
    git.bytes(push(remote, &name, id, &format!(":{name}")))?;
    forget(git, &name)
}

/// Replaces a claim by a done ref in one atomic push.
pub fn finish(git: &Git, remote: &str, issue: &str, claim: &str) -> Result<(), GitError> {
    let (name, done) = (format!("{CLAIMS}{issue}"), format!("{DONE}{issue}"));
    let mut args = push(remote, &name, claim, &format!(":{name}"));
    args.insert(1, "--atomic".to_owned());
    args.push(format!("+{claim}:{done}"));
    git.bytes(args)?;
    git.bytes(["update-ref", &done, claim])?;
    forget(git, &name)
}

fn forget(git: &Git, name: &str) -> Result<(), GitError> {
    git.bytes(["update-ref", "-d", name]).map(drop)
}

fn push(remote: &str, name: &str, expected: &str, change: &str) -> Vec<String> {
    [
        "push",
        "--quiet",
        "--no-verify",
        "--recurse-submodules=no",
        "--no-follow-tags",
        "--no-signed",
        &format!("--force-with-lease={name}:{expected}"),
        remote,
        change,
    ]
    .map(str::to_owned)
    .to_vec()
}

fn there(git: &Git, remote: &str, name: &str) -> Result<Option<String>, GitError> {
    let lines = git.text(["ls-remote", remote, name])?;
    Ok(lines.split_whitespace().next().map(str::to_owned))
}

/// A temporary directory for new objects, so that a lost claim leaves nothing in the repository.
struct Quarantine {
    git: Git,
    _dir: TempDir,
}

impl Quarantine {
    fn new(git: &Git) -> Result<Self, GitError> {
        let dir = TempDir::with_prefix("nmoe-gates-claim-")?;
        Ok(Quarantine {
            git: git.with_scratch_objects(dir.path())?,
            _dir: dir,
        })
    }

    fn text<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String, GitError> {
        // A machine without a git identity can still claim.
        let git = match has_identity(&self.git)? {
            true => self.git.clone(),
            false => self.git.as_tool(),
        };
        git.text(args)
    }
}

fn has_identity(git: &Git) -> Result<bool, GitError> {
    Ok(git.output(["config", "--get", "user.email"])?.status.success())
}
