//! Distinguishes values from placeholders of a form.

use crate::document::Node;

/// Returns the text of a value that is not empty and not a placeholder.
pub fn filled(node: &Node) -> Option<&str> {
    node.text().filter(|text| !is_placeholder(text))
}

/// Returns the text and the node at a path of keys, if the value is not a placeholder.
pub fn filled_at<'n>(root: &'n Node, keys: &[&str]) -> Option<(&'n str, &'n Node)> {
    let node = root.at(keys)?;
    Some((filled(node)?, node))
}

fn is_made_of(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

/// Whether a text is a placeholder of a form: `<sha>`, `pass|fail`, `TODO`, `NN`.
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    if matches!(
        text.to_ascii_uppercase().as_str(),
        "TODO" | "TBD" | "FIXME" | "XXX" | "NN" | "[NN]" | "???" | "..." | "…"
    ) {
        return true;
    }
    let bracketed = text.find('<').is_some_and(|open| {
        text[open..].find('>').is_some_and(|close| {
            let inner = &text[open + 1..open + close];
            inner.starts_with(|c: char| c.is_ascii_alphabetic())
                && inner
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '))
        })
    });
    let alternatives = text.contains('|')
        && text.split('|').all(|word| {
            is_made_of(word.trim(), |c| {
                c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
            })
        });
    bracketed || alternatives
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_differ_from_values() {
        for text in [
            "<sha>",
            "<number>",
            "pass|fail",
            "hot|warm|cold",
            "TODO",
            "tbd",
            "NN",
            "<NN>",
            "nmoe/<module>/**",
            "...",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in [
            "472a452",
            "pass",
            "a < b > c",
            "nmoe/**",
            "x<1",
            "",
            "no | yes, or no",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
