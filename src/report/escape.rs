//! Escapes text of others for the place that shows it. Nothing is dropped: what cannot be shown is written as an escape.
//!
//! [`code`] quotes a name, [`text`] escapes a string in running text. Templates use them by default.

use std::fmt::Write as _;

use crate::terminal::escape::visible;
use crate::terminal::workflow_commands::disarm;

/// The kind of output that text is escaped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// GitHub-flavoured Markdown.
    Markdown,
    /// HTML.
    Html,
    /// A terminal, or a log.
    Terminal,
}

impl Sink {
    /// Returns the sink of a template, by the extension of its name.
    pub fn of(template: &str) -> Sink {
        match template.rsplit('.').next() {
            Some("md") => Sink::Markdown,
            Some("html") => Sink::Html,
            _ => Sink::Terminal,
        }
    }
}

/// Quotes a name: a code span in Markdown, `<code>` in HTML, unchanged on a terminal.
pub fn code(sink: Sink, name: &str) -> String {
    let name = visible(name);
    match sink {
        Sink::Terminal => disarm(&name).into_owned(),
        Sink::Html => format!("<code>{}</code>", html(&name)),
        Sink::Markdown => code_span(&name),
    }
}

/// Escapes a string in running text.
pub fn text(sink: Sink, words: &str) -> String {
    let words = visible(words);
    match sink {
        Sink::Terminal => disarm(&words).into_owned(),
        Sink::Html => html(&words),
        Sink::Markdown => markdown(&words),
    }
}

/// Escapes Markdown for one table cell.
pub fn cell(markdown: &str) -> String {
    markdown.replace('|', "\\|").replace(['\r', '\n'], " ")
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn code_span(text: &str) -> String {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    let edge = |c: Option<char>| matches!(c, None | Some('`' | ' '));
    let pad = if edge(text.chars().next()) || edge(text.chars().last()) {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Replaces every character with a meaning in Markdown or on GitHub by an entity. Also breaks mentions and issue numbers with
/// a zero-width space, because GitHub looks for them after it has resolved entities.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        let plain = c.is_ascii_alphanumeric()
            || !c.is_ascii()
            || matches!(c, ' ' | ',' | '%')
            || (c == '.' && before.is_ascii_digit());
        if plain {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "&#{};", u32::from(c));
        }
        if matches!(c, '@' | '#') {
            out.push_str("&#8203;");
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_span_survives_backticks_and_spaces() {
        assert_eq!(code(Sink::Markdown, "cpu:import"), "`cpu:import`");
        assert_eq!(code(Sink::Markdown, "a``b"), "```a``b```");
        assert_eq!(code(Sink::Markdown, "`x"), "`` `x ``");
        assert_eq!(code(Sink::Markdown, ""), "`  `");
    }

    #[test]
    fn running_text_keeps_numbers_and_breaks_mentions() {
        assert_eq!(text(Sink::Markdown, "12,345.5 %"), "12,345.5 %");
        assert_eq!(text(Sink::Markdown, "@a"), "&#64;&#8203;a");
        assert_eq!(text(Sink::Terminal, " ::error::x ##[y]"), " \\::error::x ##\\[y]");
        assert_eq!(text(Sink::Html, "<b>&"), "&lt;b&gt;&amp;");
    }
}
