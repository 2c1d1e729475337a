//! Finds characters in a path pattern that a reader cannot see or takes for others.
//!
//! Such a `deny` pattern looks right in a review and matches nothing. Must not depend on what the pattern is for.

use leakscan::confusables::{confusable_ascii, is_invisible};

/// Says which character of a pattern is deceptive, and what to write instead; nothing for an honest pattern.
pub fn deceptive(pattern: &str) -> Option<String> {
    let named = |c: char| format!("U+{:04X}", u32::from(c));
    for c in pattern.chars().filter(|c| !c.is_ascii() || c.is_ascii_control()) {
        match c {
            '“' | '”' | '„' | '‘' | '’' | '‚' | '«' | '»' => {
                return Some(format!(
                    "`{c}` is not a quotation mark in YAML; write `\"` or no quotes"
                ));
            }
            c if is_invisible(c) || c.is_control() => {
                return Some(format!("it contains {}, which is invisible; delete it", named(c)));
            }
            c if c.is_whitespace() => {
                return Some(format!(
                    "it contains {}, which is not a plain space; delete it",
                    named(c)
                ));
            }
            _ => {}
        }
    }
    let (c, ascii) = look_alike(pattern)?;
    Some(format!(
        "it contains `{c}` ({}), which looks like `{ascii}`; write `{ascii}`, or `*` if a file has this name",
        named(c)
    ))
}

/// Returns a character that looks like another of its word. A word in a single script is a name.
fn look_alike(pattern: &str) -> Option<(char, char)> {
    let alike = |c: char| {
        confusable_ascii(c)
            .filter(|_| !c.is_ascii())
            .map(|sign| (c, char::from(sign)))
    };
    // A sign that looks like `/` or `-` is never part of a word.
    let sign = |c: char| alike(c).filter(|(_, ascii)| !ascii.is_ascii_alphanumeric());
    if let Some(found) = pattern.chars().find_map(sign) {
        return Some(found);
    }
    let foreign = |c: char| c.is_alphabetic() && !c.is_ascii() && alike(c).is_none();
    let has_own_letters = pattern.chars().any(foreign);
    pattern.split(|c: char| !c.is_alphanumeric()).find_map(|word| {
        let mixed = word.chars().any(|c| c.is_ascii_alphanumeric());
        let honest = !mixed && has_own_letters;
        word.chars().find_map(alike).filter(|_| !honest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_named() {
        for (pattern, part) in [
            ("“nmoe/csrc/**”", "not a quotation mark"),
            ("nmoe\u{a0}/csrc/**", "U+00A0"),
            ("nmoe/\u{200b}csrc/**", "U+200B"),
            ("nmoe/cs\u{ad}rc/**", "U+00AD"),
            ("nmoe/\u{200f}csrc/**", "U+200F"),
            ("nmoe/\u{441}src/**", "U+0441"),
            ("nmoe/\u{441}\u{43e}/**", "U+0441"),
            ("nmoe\u{ff0f}csrc", "U+FF0F"),
            ("nmoe/moe\u{2011}path.py", "U+2011"),
        ] {
            let said = deceptive(pattern).unwrap_or_default();
            assert!(said.contains(part), "{pattern:?}: {said}");
        }
    }

    #[test]
    fn names_in_other_scripts_are_honest() {
        for pattern in [
            "nmoe/**",
            "docs/übersicht/*.md",
            "docs/файл_модели.py",
            "docs/模型/**",
            "docs/Καλημέρα.md",
            "a b/[!x]?.{c,d}",
        ] {
            assert_eq!(deceptive(pattern), None, "{pattern}");
        }
    }
}
