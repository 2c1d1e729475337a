//! Proves which workflow run made published results: GitHub says which workflow, event, branch and artifacts a run has.
//!
//! Everybody who may push a branch can add a workflow that writes our comment and our status. Only a run can upload its
//! artifacts, and only a dispatched run of a trusted workflow on the base branch counts. Must not read the results themselves.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::domain::ids::CommitId;
use crate::domain::settings::Publish;
use crate::github::api::GitHub;
use crate::github::batch::Batch;
use crate::github::error::GitHubError;
use crate::report::embedded_results::Embedded;

/// The event that starts a run with the workflow of the branch that a person chose.
pub const EVENT: &str = "workflow_dispatch";

/// Why published results do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// GitHub deleted the artifact, because its time of retention is over.
    Expired,
    /// The token may not read workflow runs.
    NotAsked,
    /// Nothing proves that a trusted run made the results.
    Unproven(String),
}

impl Doubt {
    /// Returns a part of a sentence.
    pub fn message(&self) -> String {
        match self {
            Doubt::Expired => "the artifact that proves them has expired".to_owned(),
            Doubt::NotAsked => "this token needs the permission `actions: read`".to_owned(),
            Doubt::Unproven(why) => why.clone(),
        }
    }
}

/// What a run must have so that its results count.
pub struct Provenance<'a> {
    github: &'a GitHub,
    /// Runs and artifacts that are known already.
    batch: &'a Batch,
    publish: &'a Publish,
    /// The base branch of the pull request.
    base: &'a str,
    /// Answers that GitHub gave, by run.
    known: RefCell<HashMap<u64, Result<CommitId, Doubt>>>,
}

impl<'a> Provenance<'a> {
    pub fn new(github: &'a GitHub, batch: &'a Batch, publish: &'a Publish, base: &'a str) -> Self {
        Provenance {
            github,
            batch,
            publish,
            base,
            known: RefCell::default(),
        }
    }

    /// Returns the commit that the workflow of a run came from, if a person dispatched a trusted workflow on the base branch.
    /// A tag may have the name of the base branch, so the caller must check that the base branch contains the commit.
    pub fn run(&self, id: u64) -> Result<Result<CommitId, Doubt>, GitHubError> {
        if let Some(known) = self.known.borrow().get(&id) {
            return Ok(known.clone());
        }
        let answer = self.ask(id)?;
        self.known.borrow_mut().insert(id, answer.clone());
        Ok(answer)
    }

    fn ask(&self, id: u64) -> Result<Result<CommitId, Doubt>, GitHubError> {
        let unproven = |why: String| Ok(Err(Doubt::Unproven(why)));
        let run = match self.batch.workflow_run(self.github, id) {
            Ok(run) => run,
            Err(error) if error.is_missing() => return unproven(format!("GitHub has no run {id}")),
            Err(error) if error.status() == Some(403) => return Ok(Err(Doubt::NotAsked)),
            Err(error) => return Err(error),
        };
        // GitHub may append the branch to the path.
        let suffixes = [
            String::new(),
            format!("@{}", self.base),
            format!("@refs/heads/{}", self.base),
        ];
        let is_trusted = |path: &String| {
            suffixes
                .iter()
                .any(|suffix| run.path == format!("{path}{suffix}"))
        };
        if !self.publish.workflows.iter().any(is_trusted) {
            return unproven(format!(
                "run {id} is of the workflow `{}`, which is not in `publish.workflows`",
                run.path
            ));
        }
        if run.event != EVENT {
            return unproven(format!(
                "run {id} was started by `{}`, not by `{EVENT}`",
                run.event
            ));
        }
        if run.head_branch.as_deref() != Some(self.base) {
            return unproven(format!(
                "run {id} was not started on the base branch `{}`",
                self.base
            ));
        }
        Ok(Ok(run.head_sha))
    }

    /// Checks that a run uploaded exactly what a comment embeds.
    pub fn artifact(&self, run: u64, embedded: &Embedded) -> Result<Result<(), Doubt>, GitHubError> {
        let Some(artifact) = self.batch.artifact(self.github, run, &embedded.artifact())? else {
            return Ok(Err(Doubt::Unproven(format!(
                "run {run} has no artifact with the digest of these results"
            ))));
        };
        let digest = format!("sha256:{}", embedded.digest());
        Ok(match artifact.digest.as_deref() {
            _ if artifact.expired => Err(Doubt::Expired),
            Some(found) if found == digest => Ok(()),
            _ => Err(Doubt::Unproven(format!(
                "the artifact of run {run} has another digest than these results"
            ))),
        })
    }
}
