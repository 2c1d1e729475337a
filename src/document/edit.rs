//! Edits the YAML block of a document: replaces values in place, adds lines and removes lines.
//!
//! Must not change any other byte: the text around the block, comments, quotes, line endings and indentation stay.

use crate::document::node::{Entry, Kind, Node, Value};
use crate::document::source::{Source, Span};

/// The style of the YAML makes an edit ambiguous.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the style of `{0}` does not allow an edit in place")]
pub struct UnsupportedStyle(pub String);

/// Collects the edits of a document.
pub struct Editor<'a> {
    source: &'a Source,
    edits: Vec<(Span, String)>,
}

impl<'a> Editor<'a> {
    pub fn new(source: &'a Source) -> Self {
        Editor {
            source,
            edits: Vec::new(),
        }
    }

    fn text(&self) -> &'a str {
        self.source.text()
    }

    /// Sets the value of a key: replaces the old value, or adds a line at the end of the map.
    pub fn set(&mut self, map: &Node, key: &str, value: &str) -> Result<(), UnsupportedStyle> {
        let written = scalar(value);
        let Some(entry) = map.entry(key) else {
            return self.add(map, key, &written);
        };
        match &entry.node.value {
            Value::Scalar(known) if known.text == value && known.kind != Kind::Null => {}
            Value::Scalar(_) => self.replace_value(entry, &written)?,
            _ => return Err(UnsupportedStyle(key.to_owned())),
        }
        Ok(())
    }

    /// Sets the number at a key of a map.
    pub fn set_number(&mut self, map: &Node, key: &str, value: f64) -> Result<(), UnsupportedStyle> {
        let written = number(value);
        match map.entry(key) {
            None => self.add(map, key, &written),
            Some(entry) if entry.node.number().is_some_and(|n| (n - value).abs() < 0.005) => Ok(()),
            Some(entry) => self.replace_value(entry, &written),
        }
    }

    /// Removes a key and its value from a map. If the value is a map, the empty line before it goes too.
    pub fn remove(&mut self, map: &Node, key: &str) -> Result<(), UnsupportedStyle> {
        let Some(entry) = map.entry(key) else {
            return Ok(());
        };
        let unsupported = || UnsupportedStyle(key.to_owned());
        let whole = matches!(&entry.node.value, Value::Map(entries) if !entries.is_empty());
        if self.is_flow(map) || !whole && (entry.node.scalar().is_none() || self.spans_lines(entry)) {
            return Err(unsupported());
        }
        let mut lines = self.line(entry.key_span.start);
        if whole {
            let end = self.end_of(entry).ok_or_else(unsupported)?;
            lines.end = self.line(end.saturating_sub(1).max(lines.start)).end;
            let before = self.line(lines.start.saturating_sub(1));
            if self.text()[before.clone()]
                .trim_matches(['>', ' ', '\t', '\r', '\n'])
                .is_empty()
            {
                lines.start = before.start;
            }
        }
        self.edits.push((lines, String::new()));
        Ok(())
    }

    /// Makes the list at a key contain exactly these texts. Entries that stay keep their lines and comments.
    pub fn set_list(&mut self, map: &Node, key: &str, wanted: &[String]) -> Result<(), UnsupportedStyle> {
        let flow = format!(
            "[{}]",
            wanted.iter().map(|w| scalar(w)).collect::<Vec<_>>().join(", ")
        );
        let Some(entry) = map.entry(key) else {
            return self.add(map, key, &flow);
        };
        match &entry.node.value {
            Value::Scalar(_) => self.replace_value(entry, &flow),
            Value::Map(_) => Err(UnsupportedStyle(key.to_owned())),
            Value::List(items) => {
                if items.len() == wanted.len() && items.iter().zip(wanted).all(|(i, w)| i.text() == Some(w)) {
                    return Ok(());
                }
                if self.text()[entry.node.span.start..].starts_with('[') {
                    let end = self
                        .closing(&entry.node, items)
                        .ok_or_else(|| UnsupportedStyle(key.to_owned()))?;
                    self.edits.push((entry.node.span.start..end, flow));
                    return Ok(());
                }
                self.set_lines(entry, items, wanted, &flow)
            }
        }
    }

    /// Edits a list that has one entry per line.
    fn set_lines(
        &mut self,
        entry: &Entry,
        items: &[Node],
        wanted: &[String],
        flow: &str,
    ) -> Result<(), UnsupportedStyle> {
        let unsupported = || UnsupportedStyle(entry.key.clone());
        if wanted.is_empty() {
            for item in items {
                let line = self.line(item.span.start);
                self.edits.push((line, String::new()));
            }
            return self.after_colon(entry, flow);
        }
        let last = items.last().ok_or_else(unsupported)?;
        let line = self.line(last.span.start);
        let lead = &self.text()[line.start..last.span.start];
        let dash = lead.rfind('-').ok_or_else(unsupported)?;
        // A list that begins on the line of its key does not have one entry per line.
        if self.line(entry.key_span.start).start == line.start {
            return Err(unsupported());
        }
        let prefix = lead[..dash].to_owned();
        let known: Vec<&str> = items.iter().filter_map(Node::text).collect();
        let kept: Vec<&str> = wanted
            .iter()
            .map(String::as_str)
            .filter(|w| known.contains(w))
            .collect();
        let added: Vec<&String> = wanted.iter().filter(|w| !known.contains(&w.as_str())).collect();
        let mut seen = Vec::new();
        for item in items {
            let stays = item
                .text()
                .is_some_and(|text| kept.contains(&text) && !seen.contains(&text));
            if stays {
                seen.extend(item.text());
            } else {
                let gone = self.line(item.span.start);
                self.edits.push((gone, String::new()));
            }
        }
        for text in added {
            self.add_line(line.end, &prefix, &format!("- {}", scalar(text)));
        }
        Ok(())
    }

    /// Adds a key at the end of a map. The value is YAML.
    pub fn add(&mut self, map: &Node, key: &str, written: &str) -> Result<(), UnsupportedStyle> {
        let unsupported = || UnsupportedStyle(key.to_owned());
        let entries = map.entries();
        let (first, last) = (
            entries.first().ok_or_else(unsupported)?,
            entries.last().ok_or_else(unsupported)?,
        );
        if self.is_flow(map) {
            let end = self.end_of(last).ok_or_else(unsupported)?;
            self.edits.push((end..end, format!(", {key}: {written}")));
            return Ok(());
        }
        let prefix = self.prefix(first);
        let end = self.end_of(last).ok_or_else(unsupported)?;
        let at = self.line(end.saturating_sub(1).max(last.key_span.start)).end;
        for (n, line) in written.lines().enumerate() {
            let line = if n == 0 {
                format!("{key}: {line}")
            } else {
                line.to_owned()
            };
            self.add_line(at, &prefix, line.trim_end());
        }
        if written.is_empty() {
            self.add_line(at, &prefix, &format!("{key}:"));
        }
        Ok(())
    }

    /// Whether a map or list is in flow style, with brackets.
    fn is_flow(&self, node: &Node) -> bool {
        self.text()[node.span.start..].starts_with(['{', '['])
    }

    /// Returns the text before a key on its line: indentation, and the markers of a quote or list around the block.
    fn prefix(&self, entry: &Entry) -> String {
        let line = self.line(entry.key_span.start);
        self.text()[line.start..entry.key_span.start].to_owned()
    }

    /// Returns the span of the line at an offset, with its line ending.
    fn line(&self, at: usize) -> Span {
        let text = self.text();
        let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
        let end = text[at..].find('\n').map_or(text.len(), |n| at + n + 1);
        start..end
    }

    /// Adds a line at an offset, which is the start of a line or the end of the document.
    fn add_line(&mut self, at: usize, prefix: &str, line: &str) {
        let before = &self.text()[..at];
        let ending = if before.ends_with("\r\n") { "\r\n" } else { "\n" };
        let written = if before.ends_with('\n') {
            format!("{prefix}{line}{ending}")
        } else {
            let ending = if before.contains("\r\n") { "\r\n" } else { "\n" };
            format!("{ending}{prefix}{line}")
        };
        self.edits.push((at..at, written));
    }

    fn spans_lines(&self, entry: &Entry) -> bool {
        self.text()[entry.key_span.start..entry.node.span.end.max(entry.key_span.end)].contains('\n')
    }

    fn replace_value(&mut self, entry: &Entry, written: &str) -> Result<(), UnsupportedStyle> {
        let span = entry.node.span.clone();
        let empty = span == entry.key_span || span.is_empty();
        if empty {
            return self.after_colon(entry, written);
        }
        if self.text()[span.clone()].contains('\n') || self.text()[span.clone()].starts_with(['|', '>']) {
            return Err(UnsupportedStyle(entry.key.clone()));
        }
        self.edits.push((span, written.to_owned()));
        Ok(())
    }

    /// Writes a value after the colon of a key that has no value on its line.
    fn after_colon(&mut self, entry: &Entry, written: &str) -> Result<(), UnsupportedStyle> {
        let rest = &self.text()[entry.key_span.end..self.line(entry.key_span.start).end];
        let colon = rest
            .find(':')
            .ok_or_else(|| UnsupportedStyle(entry.key.clone()))?;
        let at = entry.key_span.end + colon + 1;
        self.edits.push((at..at, format!(" {written}")));
        Ok(())
    }

    /// Returns the offset after the closing bracket of a list.
    fn closing(&self, node: &Node, items: &[Node]) -> Option<usize> {
        let from = items.last().map_or(node.span.start + 1, |item| item.span.end);
        let mut comment = false;
        for (at, c) in self.text()[from..].char_indices() {
            match c {
                '\n' => comment = false,
                _ if comment => {}
                '#' => comment = true,
                ']' => return Some(from + at + 1),
                ',' | '>' => {}
                c if c.is_whitespace() => {}
                _ => return None,
            }
        }
        None
    }

    /// Returns the end of an entry, after its closing bracket.
    fn end_of(&self, entry: &Entry) -> Option<usize> {
        match &entry.node.value {
            Value::List(items) if self.is_flow(&entry.node) => self.closing(&entry.node, items),
            Value::Map(_) if self.is_flow(&entry.node) => None,
            Value::Map(entries) => entries
                .last()
                .map_or(Some(entry.key_span.end), |last| self.end_of(last)),
            Value::List(items) => Some(items.last().map_or(entry.key_span.end, |item| item.span.end)),
            Value::Scalar(_) => Some(entry.node.span.end.max(entry.key_span.end)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Returns the edited text, with the byte-order mark of the document.
    pub fn finish(mut self) -> String {
        // A stable sort keeps the order of lines that are added at the same offset.
        self.edits.sort_by_key(|(span, _)| (span.start, span.end));
        let text = self.text();
        let mut out = String::with_capacity(text.len() + 256);
        if self.source.had_bom() {
            out.push('\u{feff}');
        }
        let mut at = 0;
        for (span, written) in &self.edits {
            if span.start >= at {
                out.push_str(&text[at..span.start]);
                at = span.end;
            }
            out.push_str(written);
        }
        out.push_str(&text[at..]);
        out
    }
}

/// Writes a text as a YAML scalar: plain if every reader reads the same text, else quoted.
pub fn scalar(text: &str) -> String {
    let plain = !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.ends_with(':')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b':' | b'-'));
    if plain
        && matches!(
            serde_yaml::from_str::<serde_yaml::Value>(text),
            Ok(serde_yaml::Value::String(_))
        )
    {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Writes a number with at most two decimals.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{yaml, yaml_block};

    fn edit(text: &str, change: impl FnOnce(&mut Editor<'_>, &Node)) -> String {
        let source = Source::new(None, text);
        let found = yaml_block::find(&source, "a").block.unwrap();
        let (root, defects) = yaml::parse(&found.content);
        assert_eq!(defects, []);
        let root = root.unwrap();
        let mut editor = Editor::new(&source);
        change(&mut editor, &root);
        editor.finish()
    }

    fn own(all: &[&str]) -> Vec<String> {
        all.iter().map(|t| (*t).to_owned()).collect()
    }

    #[test]
    fn values_change_in_place() {
        let text = "# top\r\n> ```yaml\r\n> a:\r\n>   x: \"1\"  # why\r\n>   y:\r\n> ```\r\nend";
        let out = edit(text, |e, root| {
            let a = root.get("a").unwrap();
            e.set(a, "x", "1188731").unwrap();
            e.set(a, "y", "b").unwrap();
            e.set(a, "z", "c").unwrap();
        });
        assert_eq!(
            out,
            "# top\r\n> ```yaml\r\n> a:\r\n>   x: \"1188731\"  # why\r\n>   y: b\r\n>   z: c\r\n> ```\r\nend"
        );
    }

    #[test]
    fn remaining_list_entries_keep_their_lines() {
        let text = "a:\n  l:\n    - p  # first\n    - q # gone\n  f: [p, q] # flow\n  e: []\n";
        let out = edit(text, |e, root| {
            let a = root.get("a").unwrap();
            e.set_list(a, "l", &own(&["p", "r", "s"])).unwrap();
            e.set_list(a, "f", &own(&["q"])).unwrap();
            e.set_list(a, "e", &own(&["cpu:import"])).unwrap();
            e.set_list(a, "n", &own(&[])).unwrap();
        });
        assert_eq!(
            out,
            "a:\n  l:\n    - p  # first\n    - r\n    - s\n  f: [q] # flow\n  e: [cpu:import]\n  n: []\n"
        );
        let out = edit("a:\n  l:\n  - p\n  - q", |e, root| {
            e.set_list(root.get("a").unwrap(), "l", &[]).unwrap();
            e.add(root, "b", "\n  c: 1").unwrap();
        });
        assert_eq!(out, "a:\n  l: []\n\nb:\n  c: 1");
    }

    #[test]
    fn removed_map_takes_its_empty_line() {
        let text = "> a:\n>   x: 1\n>\n> p: # optional\n>   q: 1\n>   r:\n>     - 2 # two\n> z: 1\n";
        let out = edit(&format!("> ```yaml\n{text}> ```\n"), |e, root| {
            e.remove(root, "p").unwrap();
            e.remove(root, "none").unwrap();
        });
        assert_eq!(out, "> ```yaml\n> a:\n>   x: 1\n> z: 1\n> ```\n");
        let out = edit("a: 1\n\np:\n  q: <number>", |e, root| {
            e.remove(root, "p").unwrap()
        });
        assert_eq!(out, "a: 1\n");
    }

    #[test]
    fn equal_values_do_not_change() {
        let text = "a:\n  x: '01'\n  l: [ p,q ]\n";
        let out = edit(text, |e, root| {
            let a = root.get("a").unwrap();
            e.set(a, "x", "01").unwrap();
            e.set_list(a, "l", &own(&["p", "q"])).unwrap();
            assert!(e.is_empty());
        });
        assert_eq!(out, text);
    }
}
