//! Escapes characters that a terminal or a viewer would interpret. Removes no character.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes control characters, line breaks, and invisible or direction-changing characters, the latter as `\u{…}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push_visible(c, &mut out);
    }
    Cow::Owned(out)
}

/// Appends one character. Escapes a hidden character.
pub(super) fn push_visible(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_hidden(c) => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}", c.escape_unicode());
        }
        c => out.push(c),
    }
}

/// Whether a character is invisible or changes how other characters are displayed.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Replaces hidden characters and `##[` in JSON strings with `\u` escapes. Every parser reads the same value.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.contains("##") && !text.chars().any(|c| c != '\n' && is_hidden(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut hashes = 0;
    for c in text.chars() {
        let escaped = (c != '\n' && is_hidden(c)) || (c == '[' && hashes >= 2);
        if escaped {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
        hashes = match c {
            '#' => hashes + 1,
            // The Actions runner may ignore a non-ASCII character between two `#`.
            c if !c.is_ascii() => hashes,
            _ => 0,
        };
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_escaped() {
        assert_eq!(visible("a\u{202e}b\nc\u{1b}[0m"), "a\\u{202e}b\\nc\\u{1b}[0m");
    }

    #[test]
    fn escaped_json_keeps_its_value() {
        let value =
            serde_json::json!({ "a\u{202e}": "x\u{9b}31m ##[error]y #\u{e9}#[z] \u{e0041} \n\u{1b}" });
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        let shown = json(&text);
        assert!(
            !shown.contains("##[") && !shown.chars().any(|c| c != '\n' && is_hidden(c)),
            "{shown}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).ok(),
            Some(value)
        );
        assert_eq!(json("{\"a\": [1]}\n"), "{\"a\": [1]}\n");
    }
}
