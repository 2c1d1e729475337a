//! What to do next: the one field that lets an agent go on by reading only what the tool says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who can take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Whoever works on the contract.
    Author,
    /// Whoever reviews.
    Reviewer,
    /// Whoever brings work to the base branch in order.
    MergeCaptain,
    /// Whoever releases the B200 runner.
    Maintainer,
}

impl Who {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Who::Author => "author",
            Who::Reviewer => "reviewer",
            Who::MergeCaptain => "merge captain",
            Who::Maintainer => "maintainer",
        }
    }
}

/// A step that brings the work forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Next {
    /// Who can take it.
    pub who: Who,
    /// What to do, in words.
    pub what: String,
    /// The command that does it; null where it takes a person's judgement.
    pub command: Option<String>,
}

impl Next {
    /// A step with its command.
    pub fn run(who: Who, what: impl Into<String>, command: impl Into<String>) -> Self {
        Next {
            who,
            what: what.into(),
            command: Some(command.into()),
        }
    }

    /// A step that no command takes.
    pub fn think(who: Who, what: impl Into<String>) -> Self {
        Next {
            who,
            what: what.into(),
            command: None,
        }
    }
}
