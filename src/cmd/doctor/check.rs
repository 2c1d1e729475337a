//! One thing that `doctor` checked, and the words for several.

use serde::Serialize;

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Hint,
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Check {
            name,
            state: State::Ok,
            found: found.into(),
            remedy: None,
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
        }
    }
}

/// Several things in a sentence: the first three, and how many more there are.
pub fn listed<T: AsRef<str>>(things: &[T]) -> String {
    let first: Vec<&str> = things.iter().take(3).map(AsRef::as_ref).collect();
    let mut text = first.join(", ");
    if let Some(more) = things.len().checked_sub(3).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// The end of a counted word.
pub fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
