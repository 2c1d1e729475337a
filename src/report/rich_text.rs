//! Represents a sentence as spans of fixed text and of names that others chose, so that each format quotes the names correctly.

use serde::{Deserialize, Serialize};

/// Number of names that a note lists before it only counts the rest.
pub const LISTED: usize = 12;

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextSpan {
    /// Fixed words and numbers of this program.
    Text(String),
    /// A name that others may have chosen. Each format quotes it.
    Code(String),
}

/// A sentence.
pub type RichText = Vec<TextSpan>;

/// Parses a fixed sentence with names in backticks.
pub fn rich_text(sentence: &str) -> RichText {
    sentence
        .split('`')
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
        .map(|(at, part)| {
            if at % 2 == 1 {
                TextSpan::Code(part.to_owned())
            } else {
                TextSpan::Text(part.to_owned())
            }
        })
        .collect()
}

/// Creates a span of fixed text.
pub fn text(text: impl Into<String>) -> TextSpan {
    TextSpan::Text(text.into())
}

/// Lists names: quotes the first few, and counts the rest.
pub fn listed(lead: &str, names: &[String]) -> RichText {
    let mut out = vec![text(lead)];
    for (at, name) in names.iter().take(LISTED).enumerate() {
        if at > 0 {
            out.push(text(", "));
        }
        out.push(TextSpan::Code(name.clone()));
    }
    if names.len() > LISTED {
        out.push(text(format!(" and {} more", names.len() - LISTED)));
    }
    out
}
