//! Human-readable text, escaped as it is composed.

use std::fmt::Display;

use crate::terminal::escape::push_visible;
use crate::terminal::escape::visible;
use crate::terminal::workflow_commands;

/// Text for a person. A value in a line cannot end that line, move the cursor, set a clipboard, reorder what is read or
/// give a command to the Actions runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Text without a line.
    pub fn new() -> Self {
        Text::default()
    }

    /// Appends one line. Everything hidden in it, line breaks included, is spelled out.
    pub fn line(&mut self, line: impl Display) -> &mut Self {
        let line = line.to_string();
        self.0.push_str(&workflow_commands::disarm(&visible(&line)));
        self.0.push('\n');
        self
    }

    /// Appends a message that may have several lines, such as an error with an excerpt. Later lines are indented, so
    /// that none of them can pass for a line of ours.
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

    /// Appends lines that a renderer laid out; the renderer has escaped the values. Line breaks and tabs stay, and with
    /// `color` the colours. Every other hidden character is spelled out.
    pub fn rendered(&mut self, text: &str, color: bool) -> &mut Self {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let paint = if color { color_sequence(rest) } else { 0 };
            let taken = paint.max(c.len_utf8());
            match c {
                '\n' | '\t' => shown.push(c),
                _ if paint > 0 => shown.push_str(&rest[..paint]),
                c => push_visible(c, &mut shown),
            }
            rest = &rest[taken..];
        }
        self.document(&shown)
    }

    /// Appends a document whose characters must all stay; only workflow commands are disarmed.
    pub fn document(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&workflow_commands::disarm(text));
        if !text.is_empty() && !text.ends_with('\n') {
            self.0.push('\n');
        }
        self
    }

    /// Appends other text.
    pub fn append(&mut self, other: &Text) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines, ready to be written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The length of a colour sequence (`ESC [ digits and semicolons m`) that the text begins with; 0 where it begins with none.
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
    fn a_line_stays_one_inert_line() {
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
    fn only_colors_of_a_renderer_pass() {
        let mut text = Text::new();
        text.rendered("\u{1b}[1;31mred\u{1b}[0m\u{1b}[2J\tx", true);
        assert_eq!(text.as_str(), "\u{1b}[1;31mred\u{1b}[0m\\u{1b}[2J\tx\n");
        let mut text = Text::new();
        text.rendered("\u{1b}[1mx", false);
        assert_eq!(text.as_str(), "\\u{1b}[1mx\n");
    }

    proptest! {
        #[test]
        fn no_text_hides_anything(value in "(\\PC|[\\x00-\\x1f\\u{80}-\\u{9f}\\u{202a}-\\u{202e}]|::|##\\[|\n){0,40}") {
            let mut text = Text::new();
            text.line(&value).message(&value).rendered(&value, false);
            let shown = text.as_str();
            prop_assert!(!shown.chars().any(|c| !matches!(c, '\n' | '\t') && is_hidden(c)), "{shown:?}");
            prop_assert!(!shown.lines().any(|l| l.trim_start().starts_with("::") || l.contains("##[")), "{shown:?}");
        }
    }
}
