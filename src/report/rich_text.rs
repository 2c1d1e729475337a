//! A sentence in pieces: our own words apart from names that others chose, so that each format quotes the names its own way.

use serde::{Deserialize, Serialize};

/// How many names a note lists before it counts the rest.
pub const LISTED: usize = 12;

/// A stretch of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextSpan {
    /// Our own words and numbers.
    Text(String),
    /// A name, to be quoted; anybody may have chosen it.
    Code(String),
}

/// A sentence in pieces.
pub type RichText = Vec<TextSpan>;

/// Our own sentence, whose names stand between backticks.
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

/// Our own words.
pub fn text(text: impl Into<String>) -> TextSpan {
    TextSpan::Text(text.into())
}

/// Names in a row, the first few quoted and the rest counted.
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
