//! Parses the path patterns of documents, and refuses a pattern that a reader takes for another one.
//!
//! Such a `deny` pattern looks right in a review and matches nothing. Must not depend on what the pattern is for.

use leakscan::confusables::{compatible, is_invisible, is_mark, look_alike_ascii};

use crate::domain::path_pattern::PathPattern;

/// Parses a pattern, or says what is wrong with it and what to write instead.
pub fn parse(pattern: &str) -> Result<PathPattern, String> {
    match magic(pattern).or_else(|| deceptive(pattern)) {
        Some(fault) => Err(fault),
        None => PathPattern::new(pattern).map_err(|error| error.to_string()),
    }
}

/// Reports the prefixes of git pathspecs. Here they would be a part of the name.
fn magic(pattern: &str) -> Option<String> {
    let long = |text: &str| {
        let (words, rest) = text.strip_prefix(":(")?.split_once(')')?;
        Some((words.to_owned(), rest.to_owned()))
    };
    let (words, rest) = long(pattern).unwrap_or_else(|| {
        let rest = match pattern.strip_prefix(':') {
            Some(short) => short.trim_start_matches(['/', '!', '^', ':']),
            None => pattern.strip_prefix('!').unwrap_or(pattern),
        };
        (String::new(), rest.to_owned())
    });
    let prefix = pattern
        .strip_suffix(rest.as_str())
        .filter(|prefix| !prefix.is_empty())?;
    Some(if prefix.contains(['!', '^']) || words.contains("exclude") {
        format!(
            "a leading `{prefix}` excludes nothing here; put `{rest}` into `deny`, which has no exceptions"
        )
    } else if words.contains("icase") {
        format!(
            "a leading `{prefix}` has no effect here; write `{rest}` with `[Aa]` for a letter of either case"
        )
    } else {
        format!(
            "a leading `{prefix}` has no effect here; write `{rest}`, which is a glob from the top already"
        )
    })
}

/// Says which character of a pattern is deceptive, where, and what to write instead; nothing for an honest pattern.
fn deceptive(pattern: &str) -> Option<String> {
    let mut previous = '/';
    let mut escaped = false;
    let mut rest = pattern.chars().enumerate().peekable();
    while let Some((at, c)) = rest.next() {
        let place = format!("at character {}", at + 1);
        let number = format!("U+{:04X}", u32::from(c));
        if c == '\n' {
            return Some(format!("it contains a line ending {place}"));
        }
        if "“”„‘’‚«»".contains(c) {
            return Some(format!(
                "`{c}` {place} is not a quotation mark in YAML; write `\"` or no quotes"
            ));
        }
        if (is_invisible(c) && !c.is_ascii()) || c.is_control() {
            return Some(format!(
                "it contains {number} {place}, which is invisible; delete it"
            ));
        }
        if c.is_whitespace() && c != ' ' {
            return Some(format!(
                "it contains {number} {place}, which is not a plain space; delete it"
            ));
        }
        if is_mark(c) && previous.is_ascii() {
            return Some(format!(
                "it contains {number} {place}, which marks the `{previous}` before it; write both as one character, or `*`"
            ));
        }
        if escaped && (c.is_alphanumeric() || "_-.".contains(c)) {
            return Some(format!(
                "it contains `\\` at character {at}, which only makes `{c}` literal; write `/` between folders"
            ));
        }
        let next = rest.peek().map(|(_, next)| *next);
        let is_edge = previous == '/' || matches!(next, None | Some('/'));
        if c == ' ' && is_edge && !escaped {
            return Some(format!(
                "it contains a space {place}, where a name begins or ends; delete it, or write `\\ ` if a file has this name"
            ));
        }
        if "\"'`".contains(c) && !escaped && (at == 0 || next.is_none()) {
            return Some(format!(
                "it contains `{c}` {place}, which is a part of the name here; delete it, or write `\\{c}` if a file has this name"
            ));
        }
        escaped = c == '\\' && !escaped;
        previous = c;
    }
    let (at, c, ascii) = look_alike(pattern)?;
    Some(format!(
        "it contains `{c}` (U+{:04X}) at character {}, which looks like `{ascii}`; write `{ascii}`, or `*` if a file has this name",
        u32::from(c),
        at + 1
    ))
}

/// Returns the first character that looks like ASCII and is not a part of a name in another script: its index, and the ASCII text.
///
/// A name in another script has letters of that script that look like no ASCII letter, and its words have no ASCII letter.
fn look_alike(pattern: &str) -> Option<(usize, char, String)> {
    let is_own = |c: char| c.is_alphabetic() && !c.is_ascii() && ascii_of(c).is_none();
    let mut at = 0;
    for name in pattern.split('/') {
        let has_own_letters = name.chars().any(is_own);
        for word in name.split_inclusive(|c: char| !c.is_alphanumeric()) {
            let is_mixed = word.chars().any(|c| c.is_ascii_alphabetic());
            for c in word.chars() {
                // A letter that is compatible with an ASCII letter, such as a wide one, is of no other script.
                let is_styled = compatible(c).is_some_and(|text| !text[0].is_ascii_digit());
                let is_honest = c.is_alphanumeric() && has_own_letters && !is_mixed && !is_styled;
                if let Some(ascii) = ascii_of(c).filter(|_| !is_honest) {
                    return Some((at, c, ascii));
                }
                at += 1;
            }
        }
        at += 1;
    }
    None
}

/// The ASCII text that a character beyond ASCII stands for or looks like.
fn ascii_of(c: char) -> Option<String> {
    if c.is_ascii() {
        return None;
    }
    let text = match compatible(c) {
        Some(text) => text.into_iter().take_while(|byte| *byte != 0).collect(),
        None => vec![look_alike_ascii(c)?],
    };
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_named() {
        for (pattern, part) in [
            ("“nmoe/csrc/**”", "`“` at character 1 is not a quotation mark"),
            ("nmoe\u{a0}/csrc/**", "U+00A0 at character 5"),
            ("nmoe/\u{200b}csrc/**", "U+200B at character 6"),
            ("nmoe/cs\u{ad}rc/**", "U+00AD"),
            ("nmoe/\u{200f}csrc/**", "U+200F"),
            ("nmoe/\u{441}src/**", "U+0441"),
            ("nmoe/\u{441}\u{43e}/**", "U+0441"),
            ("nmoe\u{ff0f}csrc", "U+FF0F"),
            ("nmoe/moe\u{2011}path.py", "U+2011"),
            (
                "nmoe\u{2215}csrc/**",
                "(U+2215) at character 5, which looks like `/`",
            ),
            ("nmoe\u{2044}csrc/**", "U+2044"),
            ("nmoe\u{29f8}csrc/**", "U+29F8"),
            ("nmoe\u{30ce}csrc/**", "U+30CE"),
            (
                "nmoe/train\u{a4f8}py",
                "(U+A4F8) at character 11, which looks like `.`",
            ),
            ("\u{a4d3}\u{a4f3}\u{a4da}/**", "U+A4D3"),
            ("nmoe/\u{a4d4}ockerfile", "U+A4D4"),
            ("nmoe/t\u{ab81}ain.py", "U+AB81"),
            ("nmoe/\u{2217}\u{2217}", "U+2217"),
            ("nmoe/\u{fb01}le.py", "looks like `fi`"),
            ("模型/\u{ff54}\u{ff52}/**", "U+FF54"),
            ("模型\u{ff54}/**", "U+FF54"),
            ("файл/\u{441}\u{440}\u{441}", "U+0441"),
            ("docs/u\u{308}ber.md", "U+0308 at character 7"),
            (" nmoe/csrc/**", "a space at character 1"),
            ("nmoe/csrc/** ", "a space at character 13"),
            ("nmoe /csrc/**", "a space at character 5"),
            ("nmoe/ csrc/**", "a space at character 6"),
            ("'nmoe/csrc/**'", "`'` at character 1"),
            ("nmoe/csrc/**`", "a part of the name"),
            ("nmoe\\csrc\\**", "`\\` at character 5"),
            ("a/**\nb/**", "a line ending at character 5"),
        ] {
            let said = parse(pattern).unwrap_err();
            assert!(said.contains(part), "{pattern:?}: {said}");
        }
    }

    #[test]
    fn pathspec_magic_is_refused_with_pattern_to_write() {
        for (pattern, part) in [
            (
                ":(glob)nmoe/**",
                "a leading `:(glob)` has no effect here; write `nmoe/**`",
            ),
            (":(top)nmoe", "write `nmoe`"),
            (":(top,icase)readme", "write `readme` with `[Aa]`"),
            (":(exclude)nmoe", "put `nmoe` into `deny`"),
            (":/nmoe", "a leading `:/` has no effect here; write `nmoe`"),
            (":!nmoe", "put `nmoe` into `deny`"),
            (":^nmoe", "put `nmoe` into `deny`"),
            (
                "!nmoe",
                "a leading `!` excludes nothing here; put `nmoe` into `deny`",
            ),
            (":nmoe", "write `nmoe`"),
        ] {
            let said = parse(pattern).unwrap_err();
            assert!(said.contains(part), "{pattern:?}: {said}");
        }
    }

    #[test]
    fn names_in_other_scripts_are_honest() {
        for pattern in [
            "nmoe/**",
            "docs/übersicht/*.md",
            "docs/færdig/øl.md",
            "docs/файл_модели.py",
            "docs/заметки_о_модели2.md",
            "docs/模型/**",
            "docs/ノート/第３章.md",
            "docs/한국어.md",
            "docs/हिन्दी.md",
            "docs/ملف_٣.md",
            "docs/Καλημέρα.md",
            "docs/launch🚀.md",
            "a b/[!x]?.{c,d}",
            "nmoe/\\!x",
            "nmoe/\\*",
            "nmoe/name\\ ",
            "nmoe/[:]x",
        ] {
            assert_eq!(parse(pattern).err(), None, "{pattern}");
        }
    }
}
