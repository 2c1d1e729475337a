//! Reads the event of the current workflow run from the file that GitHub names.
//!
//! Must not send requests.

use std::path::Path;

use serde::Deserialize;

use crate::domain::ids::CommitId;
use crate::github::types::Pull;

/// Why the event contains no pull request.
#[derive(Debug, thiserror::Error)]
pub enum NoEvent {
    /// This process does not run in a workflow.
    #[error(
        "cannot find the pull request: GITHUB_EVENT_PATH is not set, so this is not a workflow run\nhelp: give the pull request with `--pr N`, or its parts as files"
    )]
    Unset,
    /// The file cannot be read or is not an event.
    #[error("cannot read the event of the workflow: {0}\nhelp: give the pull request with `--pr N`")]
    Unreadable(String),
    /// The event is not about a pull request.
    #[error(
        "cannot find the pull request: the event `{0}` is not about a pull request\nhelp: run on `pull_request` or `merge_group`, or give `--pr N`"
    )]
    Other(String),
}

#[derive(Deserialize)]
struct Event {
    pull_request: Option<Pull>,
    merge_group: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    head_ref: String,
    head_sha: CommitId,
}

/// A pull request that a merge queue tests.
#[derive(Clone, Debug)]
pub struct MergeGroup {
    /// The number of the pull request.
    pub pull: u64,
    /// The commit that the queue would merge.
    pub head: CommitId,
}

/// The pull request of an event.
#[derive(Debug)]
pub enum Subject {
    /// As it was when the event happened.
    Pull(Box<Pull>),
    /// The pull request that a merge queue tests.
    Queued(MergeGroup),
}

/// Reads the pull request of the current event, or the one of a merge queue, whose branch is
/// `gh-readonly-queue/BASE/pr-N-SHA`: <https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue>.
pub fn subject(variable: impl Fn(&str) -> Option<String>) -> Result<Subject, NoEvent> {
    let path = variable("GITHUB_EVENT_PATH")
        .filter(|p| !p.is_empty())
        .ok_or(NoEvent::Unset)?;
    let text = std::fs::read_to_string(Path::new(&path)).map_err(|e| NoEvent::Unreadable(e.to_string()))?;
    let event: Event = serde_json::from_str(&text).map_err(|e| NoEvent::Unreadable(e.to_string()))?;
    let name = || variable("GITHUB_EVENT_NAME").unwrap_or_else(|| "unknown".to_owned());
    if let Some(pull) = event.pull_request {
        return Ok(Subject::Pull(Box::new(pull)));
    }
    let queued = event.merge_group.and_then(|group| {
        Some(MergeGroup {
            pull: queued(&group.head_ref)?,
            head: group.head_sha,
        })
    });
    queued.map(Subject::Queued).ok_or_else(|| NoEvent::Other(name()))
}

fn queued(head: &str) -> Option<u64> {
    let (_, entry) = head.rsplit_once('/')?;
    let (number, _) = entry.strip_prefix("pr-")?.split_once('-')?;
    number.parse().ok()
}
