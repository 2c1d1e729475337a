//! The event that started the current workflow run, read from the file that GitHub names.

use std::path::Path;

use serde::Deserialize;

/// A pull request as the event describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct PullRequest {
    /// GitHub's number.
    pub number: u64,
    /// Description; empty where the author wrote none.
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// Not ready for review.
    #[serde(default)]
    pub draft: bool,
    /// Where the change is.
    pub head: Side,
    /// Where it should go.
    pub base: Side,
}

/// One side of a pull request.
#[derive(Clone, Debug, Deserialize)]
pub struct Side {
    /// Branch name.
    #[serde(rename = "ref")]
    pub branch: String,
    /// Commit.
    pub sha: String,
}

/// Why there is no pull request to be had from the event.
#[derive(Debug, thiserror::Error)]
pub enum NoEvent {
    /// Not in a workflow run.
    #[error(
        "GITHUB_EVENT_PATH is not set: this is no workflow run; name the pull request with `--pr N` or its parts by file"
    )]
    Unset,
    /// The file cannot be read or is no event.
    #[error("the event cannot be read: {0}")]
    Unreadable(String),
    /// An event about something else.
    #[error("the event `{0}` is about no pull request; run on `pull_request`, or name it with `--pr N`")]
    Other(String),
}

#[derive(Deserialize)]
struct Event {
    pull_request: Option<PullRequest>,
}

/// The pull request that the current event is about.
pub fn pull_request(variable: impl Fn(&str) -> Option<String>) -> Result<PullRequest, NoEvent> {
    let path = variable("GITHUB_EVENT_PATH")
        .filter(|p| !p.is_empty())
        .ok_or(NoEvent::Unset)?;
    let text = std::fs::read_to_string(Path::new(&path)).map_err(|e| NoEvent::Unreadable(e.to_string()))?;
    let event: Event = serde_json::from_str(&text).map_err(|e| NoEvent::Unreadable(e.to_string()))?;
    let name = || variable("GITHUB_EVENT_NAME").unwrap_or_else(|| "unknown".to_owned());
    event.pull_request.ok_or_else(|| NoEvent::Other(name()))
}

fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}
