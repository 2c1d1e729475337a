//! Claims: refs on the remote that say who works on what. A claim is created only where there was none, so of two starters one wins.
//!
//! `refs/nmoe-gates/claims/<id>` is a commit without content whose parent is where the work started; `refs/nmoe-gates/done/<id>`
//! takes its place when the work is merged. Both are mirrored here by [`fetch`].

use std::collections::BTreeMap;

use tempfile::TempDir;

use crate::domain::ids::CommitId;
use crate::git::{Git, GitError};
use crate::system::random;

/// Where claims are.
pub const CLAIMS: &str = "refs/nmoe-gates/claims/";
/// Where merged work is noted.
pub const DONE: &str = "refs/nmoe-gates/done/";

/// What came of claiming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours, under this id.
    Won(String),
    /// Somebody was faster.
    Lost,
}

/// A claim as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its id.
    pub id: CommitId,
    /// Where the work started.
    pub start: Option<CommitId>,
    /// Who made it: the name git knows them by.
    pub who: String,
    /// When, RFC 3339.
    pub when: String,
}

/// Brings the remote's branches and claims here; claims that are gone there are gone here.
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

/// The ids under a prefix, as they were when last fetched.
pub fn listed(git: &Git, prefix: &str) -> Result<BTreeMap<String, String>, GitError> {
    let lines = git.text(["for-each-ref", "--format=%(refname) %(objectname)", prefix])?;
    Ok(lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, id)| Some((name.strip_prefix(prefix)?.to_owned(), id.to_owned())))
        .collect())
}

/// The claim of a contract, as it was when last fetched.
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

/// Claims a contract whose work starts from a commit.
pub fn claim(git: &Git, remote: &str, issue: &str, start: &str) -> Result<Claimed, GitError> {
    let away = Quarantine::new(git)?;
    let tree = away.text(["hash-object", "-t", "tree", "-w", "--stdin"])?;
    // Two claims made in the same second would otherwise be the same object, and both starters would win.
    let message = format!("Claim contract {issue}\n\nNonce: {}", random::token()?);
    let id = away.text(["commit-tree", "--no-gpg-sign", "-m", &message, "-p", start, &tree])?;
    let name = format!("{CLAIMS}{issue}");
    let mut said = GitError::Failed {
        command: "push".to_owned(),
        code: 1,
        message: "the claim did not arrive".to_owned(),
    };
    // The remote may be locked by another starter for a moment; then it has not decided yet.
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

/// Takes a claim back, if it is still the one with this id.
pub fn release(git: &Git, remote: &str, issue: &str, id: &str) -> Result<(), GitError> {
    let name = format!("{CLAIMS}{issue}");
    git.bytes(push(remote, &name, id, &format!(":{name}")))?;
    forget(git, &name)
}

/// Turns a claim into a note that the work is merged, in one step.
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

/// A place for new objects outside the repository: what loses the race leaves nothing behind.
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
        let mut command = self.git.command(args);
        if !has_identity(&self.git)? {
            // A machine without an identity can still claim; what it commits is its owner's business.
            for role in ["AUTHOR", "COMMITTER"] {
                command
                    .env(format!("GIT_{role}_NAME"), "nmoe-gates")
                    .env(format!("GIT_{role}_EMAIL"), "nmoe-gates@localhost");
            }
        }
        let output = command.output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(GitError::Failed {
            command: "push".to_owned(),
            code: output.status.code().unwrap_or(-1),
            message: String::from_utf8_lossy(&output.stderr)
                .lines()
                .find(|l| !l.trim().is_empty())
                .unwrap_or("no message")
                .trim()
                .to_owned(),
        })
    }
}

fn has_identity(git: &Git) -> Result<bool, GitError> {
    Ok(git.output(["config", "--get", "user.email"])?.status.success())
}
