//! Defines the result of one check of `doctor`, and helpers to list several things in a sentence.

use serde::Serialize;

/// The state of a checked thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Hint,
    Missing,
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The arguments of the command of this program that fixes it.
    #[serde(skip)]
    pub command: Option<Vec<String>>,
}

impl Check {
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Check {
            name,
            state: State::Ok,
            found: found.into(),
            remedy: None,
            command: None,
        }
    }

    pub fn not(
        state: State,
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Check {
            name,
            state,
            found: found.into(),
            remedy: Some(remedy.into()),
            command: None,
        }
    }

    /// Names the command of this program that fixes it.
    pub fn with_command(self, arguments: &[&str]) -> Self {
        let command = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Check {
            command: Some(command),
            ..self
        }
    }
}

/// Lists the first three things of a sentence, and counts the others.
pub fn listed<T: AsRef<str>>(things: &[T]) -> String {
    let first: Vec<&str> = things.iter().take(3).map(AsRef::as_ref).collect();
    let mut text = first.join(", ");
    if let Some(more) = things.len().checked_sub(3).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Returns the plural ending of a counted word.
pub fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
