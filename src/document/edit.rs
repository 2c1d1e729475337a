//! Edits of a YAML block inside a document: values are replaced where they stand, lines are added and taken away, and every other
//! byte stays: text around the block, comments, quotes, line ends, indentation.

use crate::document::node::{Entry, Kind, Node, Value};
use crate::document::source::{Source, Span};

/// Why an edit would be a guess.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is written in a way that cannot be edited in place")]
pub struct Unclear(pub String);

/// A document with the edits that were asked for.
pub struct Editor<'a> {
    source: &'a Source,
    edits: Vec<(Span, String)>,
}

impl<'a> Editor<'a> {
    /// Nothing changed yet.
    pub fn new(source: &'a Source) -> Self {
        Editor {
            source,
            edits: Vec::new(),
        }
    }

    fn text(&self) -> &'a str {
        self.source.text()
    }

    /// Puts a value at a key of a map: replaces what stands there, or adds a line at the end of the map.
    pub fn set(&mut self, map: &Node, key: &str, value: &str) -> Result<(), Unclear> {
        let written = scalar(value);
        let Some(entry) = map.entry(key) else {
            return self.add(map, key, &written);
        };
        match &entry.node.value {
            Value::Scalar(known) if known.text == value && known.kind != Kind::Null => {}
            Value::Scalar(_) => self.replace_value(entry, &written)?,
            _ => return Err(Unclear(key.to_owned())),
        }
        Ok(())
    }

    /// Puts a number at a key of a map.
    pub fn set_number(&mut self, map: &Node, key: &str, value: f64) -> Result<(), Unclear> {
        let written = number(value);
        match map.entry(key) {
            None => self.add(map, key, &written),
            Some(entry) if entry.node.number().is_some_and(|n| (n - value).abs() < 0.005) => Ok(()),
            Some(entry) => self.replace_value(entry, &written),
        }
    }

    /// Takes a key with its value out of a map, and of a map that is a value the empty line that sets it apart.
    pub fn remove(&mut self, map: &Node, key: &str) -> Result<(), Unclear> {
        let Some(entry) = map.entry(key) else {
            return Ok(());
        };
        let unclear = || Unclear(key.to_owned());
        let whole = matches!(&entry.node.value, Value::Map(entries) if !entries.is_empty());
        if self.is_flow(map) || !whole && (entry.node.scalar().is_none() || self.spans_lines(entry)) {
            return Err(unclear());
        }
        let mut lines = self.line(entry.key_span.start);
        if whole {
            let end = self.end_of(entry).ok_or_else(unclear)?;
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

    /// Makes the list at a key hold exactly these texts; entries that stay keep their lines and comments.
    pub fn set_list(&mut self, map: &Node, key: &str, wanted: &[String]) -> Result<(), Unclear> {
        let flow = format!(
            "[{}]",
            wanted.iter().map(|w| scalar(w)).collect::<Vec<_>>().join(", ")
        );
        let Some(entry) = map.entry(key) else {
            return self.add(map, key, &flow);
        };
        match &entry.node.value {
            Value::Scalar(_) => self.replace_value(entry, &flow),
            Value::Map(_) => Err(Unclear(key.to_owned())),
            Value::List(items) => {
                if items.len() == wanted.len() && items.iter().zip(wanted).all(|(i, w)| i.text() == Some(w)) {
                    return Ok(());
                }
                if self.text()[entry.node.span.start..].starts_with('[') {
                    let end = self
                        .closing(&entry.node, items)
                        .ok_or_else(|| Unclear(key.to_owned()))?;
                    self.edits.push((entry.node.span.start..end, flow));
                    return Ok(());
                }
                self.set_lines(entry, items, wanted, &flow)
            }
        }
    }

    /// A list with one entry a line.
    fn set_lines(
        &mut self,
        entry: &Entry,
        items: &[Node],
        wanted: &[String],
        flow: &str,
    ) -> Result<(), Unclear> {
        let unclear = || Unclear(entry.key.clone());
        if wanted.is_empty() {
            for item in items {
                let line = self.line(item.span.start);
                self.edits.push((line, String::new()));
            }
            return self.after_colon(entry, flow);
        }
        let last = items.last().ok_or_else(unclear)?;
        let line = self.line(last.span.start);
        let lead = &self.text()[line.start..last.span.start];
        let dash = lead.rfind('-').ok_or_else(unclear)?;
        // A list that begins on its key's line is not one entry a line.
        if self.line(entry.key_span.start).start == line.start {
            return Err(unclear());
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

    /// Adds a key with a value that was already written out, at the end of a map.
    pub fn add(&mut self, map: &Node, key: &str, written: &str) -> Result<(), Unclear> {
        let unclear = || Unclear(key.to_owned());
        let entries = map.entries();
        let (first, last) = (
            entries.first().ok_or_else(unclear)?,
            entries.last().ok_or_else(unclear)?,
        );
        if self.is_flow(map) {
            let end = self.end_of(last).ok_or_else(unclear)?;
            self.edits.push((end..end, format!(", {key}: {written}")));
            return Ok(());
        }
        let prefix = self.prefix(first);
        let end = self.end_of(last).ok_or_else(unclear)?;
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

    /// Whether a map or list is written with brackets.
    fn is_flow(&self, node: &Node) -> bool {
        self.text()[node.span.start..].starts_with(['{', '['])
    }

    /// What stands before a key on its line: indentation, and the marks of a quote or list around the block.
    fn prefix(&self, entry: &Entry) -> String {
        let line = self.line(entry.key_span.start);
        self.text()[line.start..entry.key_span.start].to_owned()
    }

    /// The line around an offset, with its end.
    fn line(&self, at: usize) -> Span {
        let text = self.text();
        let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
        let end = text[at..].find('\n').map_or(text.len(), |n| at + n + 1);
        start..end
    }

    /// Adds a line that begins at this offset, which is a line's start or the end of the document.
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

    fn replace_value(&mut self, entry: &Entry, written: &str) -> Result<(), Unclear> {
        let span = entry.node.span.clone();
        let empty = span == entry.key_span || span.is_empty();
        if empty {
            return self.after_colon(entry, written);
        }
        if self.text()[span.clone()].contains('\n') || self.text()[span.clone()].starts_with(['|', '>']) {
            return Err(Unclear(entry.key.clone()));
        }
        self.edits.push((span, written.to_owned()));
        Ok(())
    }

    /// Writes a value right after the colon of a key that has none on its line.
    fn after_colon(&mut self, entry: &Entry, written: &str) -> Result<(), Unclear> {
        let rest = &self.text()[entry.key_span.end..self.line(entry.key_span.start).end];
        let colon = rest.find(':').ok_or_else(|| Unclear(entry.key.clone()))?;
        let at = entry.key_span.end + colon + 1;
        self.edits.push((at..at, format!(" {written}")));
        Ok(())
    }

    /// The offset after the bracket that closes a list.
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

    /// Where an entry ends, its closing bracket included.
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

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The document with its edits, byte-order mark included.
    pub fn finish(mut self) -> String {
        // Stable: what was added at one place stays in the order in which it was added.
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

/// A text as YAML: plain where every reader takes it for this very text, else quoted.
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

/// A number with at most two decimals.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{block, yaml};

    fn edit(text: &str, change: impl FnOnce(&mut Editor<'_>, &Node)) -> String {
        let source = Source::new(None, text);
        let found = block::find(&source, "a").block.unwrap();
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
    fn values_change_where_they_stand() {
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
    fn lists_keep_the_lines_of_what_stays() {
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
    fn a_map_goes_whole_with_the_line_that_sets_it_apart() {
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
    fn what_is_already_so_is_not_touched() {
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
