//! Parses YAML into a position tree. `saphyr-parser` gives the positions and `serde_yaml` the values.
//!
//! If the two readers disagree, the text is refused: a document that two readers understand differently proves nothing.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Mark};

use crate::document::defect::ParseError;
use crate::document::node::{Entry, Kind, Node, Scalar, Value};
use crate::document::parse_log;
use crate::document::reconcile::{Disagreement, reconcile};
use crate::document::source::Span;
use crate::document::source_map::MappedText;
use crate::document::yaml_error::{at_text, syntax};

/// The largest accepted block, in bytes. A contract has about two thousand.
pub const MAX_BYTES: usize = 64 * 1024;
/// The deepest accepted nesting. A contract has four levels.
pub const MAX_DEPTH: usize = 32;
/// The number of nodes that the aliases of a block may copy.
const MAX_COPIES: usize = 10_000;

/// Parses a block. Without a tree there is a defect that says why. With a tree there may be defects too (duplicate keys,
/// anchors, tags). Spans are those of the document.
pub fn parse(content: &MappedText) -> (Option<Node>, Vec<ParseError>) {
    let text = content.text();
    parse_log::record(text);
    if text.len() > MAX_BYTES {
        let message = format!(
            "the block has {} bytes; at most {MAX_BYTES} are allowed",
            text.len()
        );
        let help = "keep only what the form asks for in the block";
        let span = content.span(&(0..1));
        return (None, vec![defect("block-too-large", span, message, help)]);
    }
    if let Some(at) = deep_at(text) {
        return (None, vec![too_deep(content.span(&(at..at + 1)))]);
    }
    let mut reader = Reader::new(content);
    let tree = reader.document();
    let mut defects = reader.defects;
    let refused = match tree {
        Ok(Some(mut root)) if !defects.is_empty() => {
            set_kinds(&mut root, &mut reader.plain.into_iter());
            return (Some(root), defects);
        }
        Ok(Some(mut root)) => match reconcile(&mut root, text) {
            Ok(()) => return (Some(root), defects),
            Err(Disagreement::Value(span)) => disagreement(span, "a value differs"),
            Err(Disagreement::Syntax(error)) => syntax(content, &error, None),
        },
        Ok(None) => match serde_yaml::from_str(text) {
            Ok(serde_yaml::Value::Null) => return (None, defects),
            Ok(_) => disagreement(content.full_span(), "one of them finds no value"),
            Err(error) => syntax(content, &error, None),
        },
        Err(Stop::Deep(span)) => too_deep(span),
        Err(Stop::Refused(defect)) => defect,
        Err(Stop::Syntax(at, said)) => match serde_yaml::from_str::<serde_yaml::Value>(text) {
            Ok(_) => disagreement(content.span(&at_text(text, at)), &said),
            Err(error) => syntax(content, &error, Some(at)),
        },
    };
    defects.push(refused);
    (None, defects)
}

/// Returns the offset where brackets nest too deeply. This runs before the parsers, which need quadratic time for such a text.
fn deep_at(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.bytes().enumerate().find_map(|(at, byte)| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth > 2 * MAX_DEPTH).then_some(at)
    })
}

fn defect(kind: &'static str, span: Span, message: impl Into<String>, help: &str) -> ParseError {
    ParseError {
        kind,
        span,
        message: message.into(),
        help: (!help.is_empty()).then(|| help.to_owned()),
    }
}

fn too_deep(span: Span) -> ParseError {
    defect(
        "too-deep",
        span,
        format!("the block has more than {MAX_DEPTH} levels of nesting"),
        "the forms need four levels at most",
    )
}

fn disagreement(span: Span, said: &str) -> ParseError {
    defect(
        "ambiguous-yaml",
        span,
        format!("two YAML parsers read this differently ({said})"),
        "use the plain style of the form: block maps, `- ` lists, quotes around text with special characters",
    )
}

/// Gives every scalar its type in a tree that is not reconciled. `plain` tells of each scalar, in order, if it has no quotes.
fn set_kinds(node: &mut Node, plain: &mut impl Iterator<Item = bool>) {
    match &mut node.value {
        Value::Scalar(scalar) => {
            if plain.next().unwrap_or(false) && !scalar.text.is_empty() {
                scalar.kind = kind_of(&scalar.text);
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| set_kinds(item, plain)),
        Value::Map(entries) => {
            for entry in entries {
                set_kinds(&mut entry.node, plain);
            }
        }
    }
}

/// Returns the type of a plain scalar on its own.
fn kind_of(text: &str) -> Kind {
    match serde_yaml::from_str::<serde_yaml::Value>(text) {
        Ok(serde_yaml::Value::Null) => Kind::Null,
        Ok(serde_yaml::Value::Bool(b)) => Kind::Bool(b),
        Ok(serde_yaml::Value::Number(n)) => Kind::Number(n.as_f64().unwrap_or(f64::NAN)),
        _ => Kind::Text,
    }
}

/// Why the first reader stopped.
enum Stop {
    Syntax(usize, String),
    Deep(Span),
    Refused(ParseError),
}

struct Reader<'a> {
    content: &'a MappedText,
    /// The byte offset of each character; `None` for ASCII, where offset and index are equal.
    bytes: Option<Vec<usize>>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    defects: Vec<ParseError>,
    /// For each scalar that is not a key, in order: whether it has no quotes.
    plain: Vec<bool>,
    /// The values of anchors, each with its part of `plain`.
    anchored: HashMap<usize, (Node, Span)>,
    /// The number of nodes that aliases may still copy, so that nested aliases stay small.
    copies: usize,
}

impl<'a> Reader<'a> {
    fn new(content: &'a MappedText) -> Self {
        let text = content.text();
        Reader {
            content,
            bytes: (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect()),
            parser: Parser::new_from_str(text),
            defects: Vec::new(),
            plain: Vec::new(),
            anchored: HashMap::new(),
            copies: MAX_COPIES,
        }
    }

    fn byte(&self, index: usize) -> usize {
        let len = self.content.text().len();
        match &self.bytes {
            None => index.min(len),
            Some(bytes) => bytes.get(index).copied().unwrap_or(len),
        }
    }

    fn span(&self, mark: &Mark) -> Span {
        let range = self.byte(mark.start.index())..self.byte(mark.end.index());
        self.content.span(&range)
    }

    /// Returns the span of the `-` of an empty entry.
    fn dash_before(&self, mark: &Mark) -> Span {
        let at = self.byte(mark.start.index());
        let text = &self.content.text()[..at];
        let dash = text.rfind(['-', ',', '[', '?', '{']).unwrap_or(at);
        self.content
            .span(&(dash..(dash + 1).min(self.content.text().len())))
    }

    /// Returns the span of a quoted scalar. The mark of the parser includes a comment after the closing quote.
    fn quoted(&self, mark: &Mark) -> Span {
        let (start, end) = (self.byte(mark.start.index()), self.byte(mark.end.index()));
        let written = &self.content.text().as_bytes()[start..end];
        let quote = written.first().copied().unwrap_or(b'"');
        let mut at = 1;
        while at < written.len() {
            match written[at] {
                b'\\' if quote == b'"' => at += 1,
                b'\'' if quote == b'\'' && written.get(at + 1) == Some(&b'\'') => at += 1,
                byte if byte == quote => return self.content.span(&(start..start + at + 1)),
                _ => {}
            }
            at += 1;
        }
        self.content.span(&(start..end))
    }

    fn next(&mut self) -> Result<(Event<'a>, Mark), Stop> {
        match self.parser.next_event() {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(error)) => {
                let at = self.byte(error.marker().index());
                Err(Stop::Syntax(at, error.info().to_owned()))
            }
            None => Ok((Event::StreamEnd, Mark::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        let mut documents = 0;
        loop {
            let (event, mark) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let message = "the block contains more than one YAML document";
                        let help = "remove the `---` line between them";
                        let span = self.span(&mark);
                        return Err(Stop::Refused(defect("invalid-yaml", span, message, help)));
                    }
                }
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                event => root = Some(self.node(event, &mark, 0, None)?),
            }
        }
    }

    fn forbid(&mut self, kind: &'static str, mark: &Mark, what: &str) {
        let span = self.span(mark);
        self.defects.push(defect(
            kind,
            span,
            format!("{what} are not allowed in the block"),
            "write the value where it applies",
        ));
    }

    fn node(
        &mut self,
        event: Event<'a>,
        mark: &Mark,
        depth: usize,
        key: Option<&Span>,
    ) -> Result<Node, Stop> {
        let mut span = self.span(mark);
        if depth > MAX_DEPTH {
            return Err(Stop::Deep(span));
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        if anchor != 0 {
            self.forbid("yaml-anchor", mark, "anchors");
        }
        if tag {
            self.forbid("yaml-tag", mark, "tags");
        }
        let first = self.plain.len();
        let value = match event {
            Event::Alias(id) => {
                self.forbid("yaml-anchor", mark, "aliases");
                if let Some(defect) = self.defects.last_mut() {
                    defect.help = Some(
                        "text that begins with `*` needs quotes; write a value where it applies".to_owned(),
                    );
                }
                if let Some(copy) = self.copy(id) {
                    return Ok(copy);
                }
                self.plain.push(false);
                let (text, kind) = (String::new(), Kind::Null);
                Value::Scalar(Scalar { text, kind })
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
                    span = self.quoted(mark);
                }
                self.plain.push(plain);
                if plain && text.is_empty() {
                    span = key.cloned().unwrap_or_else(|| self.dash_before(mark));
                }
                Value::Scalar(Scalar {
                    // `reconcile` or `set_kinds` completes the type.
                    kind: if plain && text.is_empty() {
                        Kind::Null
                    } else {
                        Kind::Text
                    },
                    text: text.into_owned(),
                })
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, mark) = self.next()?;
                    if event == Event::SequenceEnd {
                        span.end = span.end.max(items.last().map_or(0, |n: &Node| n.span.end));
                        break Value::List(items);
                    }
                    items.push(self.node(event, &mark, depth + 1, None)?);
                }
            }
            Event::MappingStart(..) => self.map(depth, &mut span)?,
            _ => {
                return Err(Stop::Syntax(
                    self.byte(mark.start.index()),
                    "unexpected event".to_owned(),
                ));
            }
        };
        let node = Node { span, value };
        if anchor != 0 {
            let plain = first..self.plain.len();
            self.anchored.insert(anchor, (node.clone(), plain));
        }
        Ok(node)
    }

    /// Returns the value of an anchor. `None` if there is no such anchor, or if the aliases copied too much.
    fn copy(&mut self, anchor: usize) -> Option<Node> {
        let (node, plain) = self.anchored.get(&anchor)?;
        let plain = self.plain.get(plain.clone())?.to_vec();
        self.copies = self.copies.checked_sub(size(node))?;
        self.plain.extend(plain);
        Some(node.clone())
    }

    fn map(&mut self, depth: usize, span: &mut Span) -> Result<Value, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, mark) = self.next()?;
            if event == Event::MappingEnd {
                span.end = span.end.max(entries.last().map_or(0, |e| e.node.span.end));
                return Ok(Value::Map(entries));
            }
            let key = self.node(event, &mark, depth + 1, None)?;
            self.plain.pop();
            let Some(name) = key.scalar().map(|s| s.text.clone()) else {
                let message = "a key must be text";
                return Err(Stop::Refused(defect("invalid-yaml", key.span, message, "")));
            };
            let (event, mark) = self.next()?;
            let node = self.node(event, &mark, depth + 1, Some(&key.span))?;
            if entries.iter().any(|e| e.key == name) {
                self.defects.push(defect(
                    "duplicate-key",
                    key.span.clone(),
                    format!("a second `{name}` in the same map"),
                    "keep one of the two; parsers differ in which one they use",
                ));
            }
            entries.push(Entry {
                key: name,
                key_span: key.span,
                node,
            });
        }
    }
}

/// Counts the nodes of a value.
fn size(node: &Node) -> usize {
    let entries = node.entries().iter().map(|entry| &entry.node);
    1 + entries.chain(node.items()).map(size).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_text(text: &str) -> (Option<Node>, Vec<ParseError>) {
        parse(&MappedText::lines_of(text, 0))
    }

    fn kinds(text: &str) -> Vec<&'static str> {
        parse_text(text).1.iter().map(|d| d.kind).collect()
    }

    #[test]
    fn values_have_spans_and_types() {
        let text = "# x\nä: [ü, 01]\nb:\n  - c: 'q: 1'\n    d:\n  - -10\ne: 1e3\n";
        let (root, defects) = parse_text(text);
        assert_eq!(defects, []);
        let root = root.unwrap();
        let at = |node: &Node| text[node.span.clone()].to_owned();
        assert_eq!(at(&root.get("ä").unwrap().items()[1]), "01");
        assert_eq!(root.get("ä").unwrap().items()[1].text(), Some("01"));
        let b = root.get("b").unwrap();
        assert_eq!(at(b.items()[0].get("c").unwrap()), "'q: 1'");
        assert_eq!(b.items()[0].get("c").unwrap().text(), Some("q: 1"));
        assert_eq!(
            at(b.items()[0].get("d").unwrap()),
            "d",
            "an empty value has the place of its key"
        );
        assert_eq!(b.items()[1].number(), Some(-10.0));
        assert_eq!(root.get("e").unwrap().number(), Some(1000.0));
    }

    #[test]
    fn block_scalar_may_end_without_line_break() {
        for (text, value) in [
            ("a: |\n  b", "b"),
            ("a: >\n  b\n  c", "b c"),
            ("- |\n b\n c", "b\nc"),
        ] {
            let (root, defects) = parse_text(text);
            assert!(defects.is_empty(), "{text:?}: {defects:?}");
            let root = root.unwrap();
            let entry = root.entries().first().map(|entry| &entry.node);
            let scalar = entry.or(root.items().first()).unwrap().scalar().unwrap();
            assert_eq!(scalar.text, value, "{text:?}");
        }
    }

    #[test]
    fn forbidden_yaml_is_found_at_its_position() {
        assert_eq!(kinds("a: &x 1\nb: *x\n"), ["yaml-anchor", "yaml-anchor"]);
        assert_eq!(kinds("a: !!str 1\n"), ["yaml-tag"]);
        assert_eq!(kinds("a: 1\nb: 2\na: 3\n"), ["duplicate-key"]);
        assert_eq!(kinds("a: 1\n---\nb: 2\n"), ["invalid-yaml"]);
        assert_eq!(kinds("? [a]\n: 1\n"), ["invalid-yaml"]);
        assert_eq!(kinds("a: [1\nb: 2\n"), ["invalid-yaml"]);
        let text = "a: 1\nb: \"open\nc: 3\n";
        let (_, defects) = parse_text(text);
        assert_eq!(defects[0].kind, "invalid-yaml");
    }

    #[test]
    fn deep_and_large_blocks_are_refused() {
        assert_eq!(kinds(&format!("a: {}\n", "[".repeat(60_000))), ["too-deep"]);
        assert_eq!(
            kinds(&format!("a: {}{}\n", "[".repeat(40), "]".repeat(40))),
            ["too-deep"]
        );
        assert_eq!(kinds(&"- ".repeat(30_000)), ["too-deep"]);
        assert_eq!(
            kinds(&format!("a: {}\n", "x".repeat(MAX_BYTES))),
            ["block-too-large"]
        );
        let laughs = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n";
        assert!(kinds(laughs).iter().all(|k| *k == "yaml-anchor"));
    }

    /// Checks that the tree and `serde_yaml` agree, or that the text is refused.
    fn agrees(text: &str) {
        let mapped = MappedText::lines_of(text, 0);
        let (tree, defects) = parse(&mapped);
        for defect in &defects {
            assert!(
                defect.span.end <= text.len() && defect.span.start <= defect.span.end,
                "{text:?}"
            );
        }
        let Some(mut tree) = tree else { return };
        if defects.is_empty() {
            let before = tree.clone();
            reconcile(&mut tree, mapped.text()).unwrap_or_else(|e| panic!("{text:?} {e:?}"));
            assert!(tree == before || text.to_lowercase().contains("nan"), "{text:?}");
        }
        in_range(&tree, text);
    }

    fn in_range(node: &Node, text: &str) {
        assert!(
            node.span.start <= node.span.end && node.span.end <= text.len(),
            "{text:?} {node:?}"
        );
        node.entries().iter().for_each(|e| in_range(&e.node, text));
        node.items().iter().for_each(|n| in_range(n, text));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            agrees(&text);
        }

        #[test]
        fn yaml_like_text_is_read_or_refused(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "b: ", "- ", "\n", "  ", "[", "]", "{", "}", ",", ": ", "'", "\"", "# c", "&x ", "*x", "|\n", ">\n",
                    "~", "01", "1e9", "true", "é", "\t", "\r\n", "!", "%", "@", "---\n", "? ", "\\n", "-10", ".inf", "0x1F",
                ]),
                0..24,
            ),
        ) {
            agrees(&words.concat());
        }
    }
}
