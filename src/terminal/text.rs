//! Builds human-readable text and escapes each part. Must not write the text anywhere.

use std::fmt::Display;

use crate::terminal::escape::push_visible;
use crate::terminal::escape::visible;
use crate::terminal::workflow_commands;
use crate::terminal::wrap::wrap;

/// Escaped text for a person. A value in a line cannot end that line, move the cursor, set the clipboard, reorder the
/// text or run a command of the Actions runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Creates an empty text.
    pub fn new() -> Self {
        Text::default()
    }

    /// Appends one line. Escapes hidden characters, including line breaks.
    pub fn line(&mut self, line: impl Display) -> &mut Self {
        let line = line.to_string();
        self.0.push_str(&workflow_commands::disarm(&visible(&line)));
        self.0.push('\n');
        self
    }

    /// Appends one line, wrapped at 80 columns. Continuation lines begin with `indent` spaces.
    pub fn wrapped(&mut self, line: impl Display, indent: usize) -> &mut Self {
        let line = line.to_string();
        for line in wrap(&visible(&line), indent).split('\n') {
            self.line(line);
        }
        self
    }

    /// Appends a message that may have several lines, such as an error with an excerpt.
    ///
    /// Later lines are indented, so that they cannot imitate a line of this program.
    pub fn message(&mut self, message: impl Display) -> &mut Self {
        let message = message.to_string();
        for (n, line) in message.trim_end().split('\n').enumerate() {
            match (n, line) {
                (0, line) => self.line(line),
                (_, "") => self.line(""),
                (_, line) => self.line(format_args!("  {line}")),
            };
        }
        self
    }

    /// Appends the lines of a renderer that has already escaped the values.
    ///
    /// Keeps line breaks and tabs, and with `color` also colour sequences. Escapes every other hidden character.
    pub fn rendered(&mut self, text: &str, color: bool) -> &mut Self {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let color_length = if color { color_sequence(rest) } else { 0 };
            let length = color_length.max(c.len_utf8());
            match c {
                '\n' | '\t' => shown.push(c),
                _ if color_length > 0 => shown.push_str(&rest[..color_length]),
                c => push_visible(c, &mut shown),
            }
            rest = &rest[length..];
        }
        self.document(&shown)
    }

    /// Appends a document unchanged, except that workflow commands are disarmed.
    pub fn document(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&workflow_commands::disarm(text));
        if !text.is_empty() && !text.ends_with('\n') {
            self.0.push('\n');
        }
        self
    }

    /// Appends another text, which is already escaped.
    pub fn append(&mut self, other: &Text) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// Whether the text has no lines.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the escaped lines.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the length of the colour sequence (`ESC [ digits and semicolons m`) at the start of the text, or 0.
fn color_sequence(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let digits = rest
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b';')
        .count();
    if rest.as_bytes().get(digits) == Some(&b'm') {
        digits + 3
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::terminal::escape::is_hidden;

    #[test]
    fn a_value_cannot_end_its_line() {
        let mut text = Text::new();
        text.line(format_args!(
            "a {} b",
            "x\n::error::y\u{1b}]52;c;eA==\u{7}\r\u{202e}"
        ));
        text.line("::error::x").line("  ##[error]x");
        assert_eq!(
            text.as_str(),
            "a x\\n::error::y\\u{1b}]52;c;eA==\\u{7}\\r\\u{202e} b\n\\::error::x\n  ##\\[error]x\n"
        );
    }

    #[test]
    fn later_lines_of_a_message_are_indented() {
        let mut text = Text::new();
        text.message("error: a\n::error::b\n\n  c\n");
        assert_eq!(text.as_str(), "error: a\n  \\::error::b\n\n    c\n");
    }

    #[test]
    fn rendered_text_keeps_only_color_sequences() {
        let mut text = Text::new();
        text.rendered("\u{1b}[1;31mred\u{1b}[0m\u{1b}[2J\tx", true);
        assert_eq!(text.as_str(), "\u{1b}[1;31mred\u{1b}[0m\\u{1b}[2J\tx\n");
        let mut text = Text::new();
        text.rendered("\u{1b}[1mx", false);
        assert_eq!(text.as_str(), "\\u{1b}[1mx\n");
    }

    proptest! {
        #[test]
        fn hidden_characters_are_always_escaped(value in "(\\PC|[\\x00-\\x1f\\u{80}-\\u{9f}\\u{202a}-\\u{202e}]|::|##\\[|\n){0,40}") {
            let mut text = Text::new();
            text.line(&value).message(&value).rendered(&value, false);
            let shown = text.as_str();
            prop_assert!(!shown.chars().any(|c| !matches!(c, '\n' | '\t') && is_hidden(c)), "{shown:?}");
            prop_assert!(!shown.lines().any(|l| l.trim_start().starts_with("::") || l.contains("##[")), "{shown:?}");
        }
    }
}
