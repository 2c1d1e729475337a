//! Locates the mistake behind a YAML syntax error.

use crate::document::defect::ParseError;
use crate::document::source::Span;
use crate::document::source_map::MappedText;

/// Makes a defect of a syntax error. `other` is where the other reader noticed the error, if it did.
pub fn syntax(content: &MappedText, error: &serde_yaml::Error, other: Option<usize>) -> ParseError {
    let text = content.text();
    let mut message = error.to_string();
    // The finding has its own position, in lines of the document and not of the block.
    if let Some(at) = message.find(" at line ") {
        message.truncate(at);
    }
    let here = error
        .location()
        .map(|l| text.floor_char_boundary(l.index().min(text.len())));
    // Each reader points to where it noticed the error. The earlier position is nearer to the mistake.
    let noticed = here.into_iter().chain(other).min().unwrap_or(0);
    let place = at_text(text, error_offset(text, noticed, &message));
    ParseError {
        kind: "invalid-yaml",
        help: fix(text, place.start, &message),
        span: content.span(&place),
        message: format!("the block is not YAML: {message}"),
    }
}

/// Says how to correct a mistake that authors often make, if the lines around the error show it.
fn fix(text: &str, at: usize, message: &str) -> Option<String> {
    let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    // A reader notices some mistakes only on the next line.
    let before = text[..start].lines().next_back().unwrap_or_default();
    let found = |wanted: fn(char) -> bool| {
        [line, before]
            .into_iter()
            .find_map(|l| l.chars().find(|c| wanted(*c)))
    };
    if let Some(space) = found(|c| c.is_whitespace() && !c.is_ascii()) {
        return Some(format!(
            "the line contains a space that YAML does not know (U+{:04X}); replace it with a plain space",
            u32::from(space)
        ));
    }
    if let Some(mark) = found(|c| matches!(c, '“' | '”' | '‘' | '’')) {
        return Some(format!("`{mark}` is not a quotation mark in YAML; write `\"`"));
    }
    let indented_by_tab = |l: &str| l.trim_start_matches(' ').starts_with('\t');
    if indented_by_tab(line) || indented_by_tab(before) {
        return Some("the line is indented with a tab; indent it with spaces".to_owned());
    }
    if let Some(pattern) = [line, before].into_iter().find_map(starred) {
        return Some(format!("text that begins with `*` needs quotes: `\"{pattern}\"`"));
    }
    if let Some(sign) = value(line)
        .chars()
        .next()
        .filter(|c| matches!(c, '@' | '`' | '%' | '!' | '&'))
    {
        return Some(format!("text that begins with `{sign}` needs quotes"));
    }
    let begins_deeper = |a: &str, b: &str| a.len() - a.trim_start().len() > b.len() - b.trim_start().len();
    if message.contains("mapping values") {
        return Some(
            match begins_deeper(line, before) && !before.trim_end().ends_with(':') {
                true => "indent this key as far as the key above it, which has a value already".to_owned(),
                false => "put text that contains `: ` into quotes".to_owned(),
            },
        );
    }
    let structure = [
        "did not find expected key",
        "did not find expected '-'",
        "expected <block end>",
    ];
    structure
        .iter()
        .any(|part| message.contains(part))
        .then(|| "indent keys of one map, and entries of one list, equally far".to_owned())
}

/// Returns what follows the dash or the key of a line.
fn value(line: &str) -> &str {
    let line = line.trim_start();
    let after_dash = line.strip_prefix("- ").unwrap_or(line);
    after_dash
        .split_once(": ")
        .map_or(after_dash, |(_, value)| value)
        .trim_start()
}

/// Returns an entry that begins with `*`, which YAML reads as the name of an alias.
fn starred(line: &str) -> Option<&str> {
    let begins = |at: &usize| {
        line[..*at].trim_end().is_empty() || line[..*at].trim_end().ends_with(['[', ',', '-', ':'])
    };
    let at = line.match_indices('*').map(|(at, _)| at).find(begins)?;
    line[at..].split([',', ']', '}', ' ', '#']).next()
}

/// Returns the offset of the mistake, given where a reader noticed it: a reader notices some mistakes only on a later line.
fn error_offset(text: &str, noticed: usize, message: &str) -> usize {
    // An error at the end of the text belongs to the last line that is not empty.
    let last = text.trim_end().char_indices().next_back().map_or(0, |(at, _)| at);
    let at = noticed.min(last);
    let before = &text[..at];
    let first_of_line = before.rsplit('\n').next().is_some_and(|l| l.trim().is_empty());
    if message.contains("expected ':'") && first_of_line {
        let said = before.trim_end();
        let line = said.rfind('\n').map_or(0, |n| n + 1);
        return line + (said[line..].len() - said[line..].trim_start().len());
    }
    if message.contains("tab character") {
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        let mut start = line_start;
        for line in text[line_start..].split_inclusive('\n') {
            let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
            if let Some(tab) = line[..blank].find('\t') {
                return start + tab;
            }
            start += line.len();
        }
    }
    if message.contains("expected ','") {
        return unclosed(before).unwrap_or(at);
    }
    at
}

/// Returns the offset of the innermost bracket that is open at the end of a text.
fn unclosed(text: &str) -> Option<usize> {
    let (mut open, mut quote, mut comment, mut previous) = (Vec::new(), None, false, '\n');
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (_, '\n') => comment = false,
            _ if comment => {}
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '#') if previous.is_whitespace() => comment = true,
            (None, '"' | '\'') if !previous.is_alphanumeric() => quote = Some(c),
            (None, '[' | '{') => open.push(at),
            (None, ']' | '}') => {
                open.pop();
            }
            _ => {}
        }
        previous = c;
    }
    open.pop()
}

/// Returns the span of the character at an offset. At the end of a line it is the first character of the next line that has one.
pub fn at_text(text: &str, at: usize) -> Span {
    let start = at + text[at..].len() - text[at..].trim_start_matches('\n').len();
    let start = if start < text.len() { start } else { at };
    start
        ..text[start..]
            .chars()
            .next()
            .map_or(start, |c| start + c.len_utf8())
}
