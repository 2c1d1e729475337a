//! Small judgements about single words: ids, slugs, commits, placeholders.

use crate::document::Node;

/// The text of a value that was filled in: not empty and not a placeholder.
pub fn filled(node: &Node) -> Option<&str> {
    node.text().filter(|text| !is_placeholder(text))
}

/// The value under these keys with its node, where it was filled in.
pub fn filled_at<'n>(root: &'n Node, keys: &[&str]) -> Option<(&'n str, &'n Node)> {
    let node = root.at(keys)?;
    Some((filled(node)?, node))
}

/// Whether this is an id of a contract: letters, digits, `.`, `-`.
pub fn is_issue_id(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..")
}

/// Whether this is a slug: lower-case letters, digits, `-`.
pub fn is_slug(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether this is a commit, whole or abbreviated: 7 to 40 hex digits.
pub fn is_sha(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether two commits, either of them abbreviated, are one.
pub fn same_commit(a: &str, b: &str) -> bool {
    let len = a.len().min(b.len());
    len >= 7 && a.is_char_boundary(len) && b.is_char_boundary(len) && a[..len].eq_ignore_ascii_case(&b[..len])
}

/// Whether this is an id of a gate or bundle.
pub fn is_gate_id(text: &str) -> bool {
    text.len() <= 64
        && is_made_of(text, |c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':')
        })
}

/// Whether this is the name of an environment variable.
pub fn is_env_name(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether this is the name of a configuration key.
pub fn is_knob(text: &str) -> bool {
    is_made_of(text, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '*' | '[' | ']')
    })
}

/// Whether git would take this for the name of a revision and not for an option.
pub fn is_ref(text: &str) -> bool {
    !text.starts_with('-')
        && !text.contains("..")
        && !text.ends_with('.')
        && text
            .chars()
            .all(|c| !c.is_control() && !matches!(c, ' ' | ':' | '?' | '*' | '[' | '\\'))
}

fn is_made_of(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

/// Whether this stands for something that was to be filled in: `<sha>`, `pass|fail`, `TODO`, `NN`.
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
    fn placeholders_are_told_from_values() {
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

    #[test]
    fn ids_slugs_and_commits() {
        for id in ["01", "03a", "08", "1e10000", "a.b-c"] {
            assert!(is_issue_id(id), "{id}");
        }
        for id in ["", "#5", "a b", "a/b", "-x", "a..b", "ä"] {
            assert!(!is_issue_id(id), "{id}");
        }
        assert!(is_slug("rdep-kernels") && !is_slug("Rdep") && !is_slug("a_b") && !is_slug("-a"));
        assert!(
            is_sha("1188731") && is_sha(&"a".repeat(40)) && !is_sha("118873") && !is_sha(&"a".repeat(41))
        );
        assert!(same_commit("1188731", "1188731abcdef") && !same_commit("1188731", "1188732"));
    }
}
