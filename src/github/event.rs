//! The event that started the current workflow run, read from the file that GitHub names.

use std::path::Path;

use serde::Deserialize;

use crate::github::types::Pull;

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
    pull_request: Option<Pull>,
}

/// The pull request that the current event is about.
pub fn pull_request(variable: impl Fn(&str) -> Option<String>) -> Result<Pull, NoEvent> {
    let path = variable("GITHUB_EVENT_PATH")
        .filter(|p| !p.is_empty())
        .ok_or(NoEvent::Unset)?;
    let text = std::fs::read_to_string(Path::new(&path)).map_err(|e| NoEvent::Unreadable(e.to_string()))?;
    let event: Event = serde_json::from_str(&text).map_err(|e| NoEvent::Unreadable(e.to_string()))?;
    let name = || variable("GITHUB_EVENT_NAME").unwrap_or_else(|| "unknown".to_owned());
    event.pull_request.ok_or_else(|| NoEvent::Other(name()))
}
