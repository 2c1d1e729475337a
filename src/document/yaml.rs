//! YAML with positions. `serde_yaml` decides what the text means; `saphyr-parser` says where it stands. Where they
//! disagree the text is refused: a document that two readers understand differently proves nothing.

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Mark};

use crate::document::defect::Defect;
use crate::document::mapped::Mapped;
use crate::document::node::{Entry, Kind, Node, Scalar, Value};
use crate::document::source::Span;

/// Most bytes of a block; a contract has two thousand.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most levels of nesting; a contract has four.
pub const MAX_DEPTH: usize = 32;

/// Reads a block. No tree means that there is a defect that says why; with a tree there may be defects too
/// (duplicate keys, anchors, tags). Spans are those of the document.
pub fn parse(content: &Mapped) -> (Option<Node>, Vec<Defect>) {
    let text = content.text();
    if text.len() > MAX_BYTES {
        let message = format!("the block has {} bytes; {MAX_BYTES} is the most", text.len());
        let help = "keep the block to what the form asks for";
        return (
            None,
            vec![defect("block-too-large", content.span(&(0..1)), message, help)],
        );
    }
    if let Some(at) = deep_at(text) {
        return (None, vec![too_deep(content.span(&(at..at + 1)))]);
    }
    let mut reader = Reader::new(content);
    let tree = reader.document();
    let mut defects = reader.defects;
    match tree {
        Err(stop) => {
            let refused = match (stop, serde_yaml::from_str::<serde_yaml::Value>(text)) {
                (Stop::Deep(span), _) => too_deep(span),
                (Stop::Refused(defect), _) => defect,
                (Stop::Syntax(at, said), Ok(_)) => disagreement(content.span(&at_text(text, at)), &said),
                (Stop::Syntax(at, _), Err(error)) => syntax(content, &error, Some(at)),
            };
            defects.push(refused);
            (None, defects)
        }
        Ok(tree) if !defects.is_empty() => (tree, defects),
        Ok(mut tree) => {
            match (serde_yaml::from_str::<serde_yaml::Value>(text), &mut tree) {
                (Ok(value), Some(node)) => {
                    if let Err(span) = agree(node, &value) {
                        return (None, vec![disagreement(span, "a value is read in two ways")]);
                    }
                }
                (Ok(serde_yaml::Value::Null), None) => {}
                (Ok(_), None) => return (None, vec![disagreement(content.extent(), "one sees nothing")]),
                (Err(error), _) => return (None, vec![syntax(content, &error, None)]),
            }
            (tree, defects)
        }
    }
}

/// Where brackets nest too deeply, seen before any parser runs: both take quadratic time on such a text.
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

fn defect(kind: &'static str, span: Span, message: impl Into<String>, help: &str) -> Defect {
    Defect {
        kind,
        span,
        message: message.into(),
        help: (!help.is_empty()).then(|| help.to_owned()),
    }
}

fn too_deep(span: Span) -> Defect {
    defect(
        "too-deep",
        span,
        format!("the block nests more than {MAX_DEPTH} levels"),
        "the forms need four levels at most",
    )
}

fn disagreement(span: Span, said: &str) -> Defect {
    defect(
        "ambiguous-yaml",
        span,
        format!("two YAML readers understand this differently ({said})"),
        "write it in the plain style of the form: block maps, `- ` lists, quoted text where a character is special",
    )
}

fn syntax(content: &Mapped, error: &serde_yaml::Error, other: Option<usize>) -> Defect {
    let text = content.text();
    let mut message = error.to_string();
    // The place is ours to tell, in lines of the document rather than of the block.
    if let Some(at) = message.find(" at line ") {
        message.truncate(at);
    }
    let here = error
        .location()
        .map(|l| text.floor_char_boundary(l.index().min(text.len())));
    // Both readers point where they noticed; the earlier one is nearer to the slip.
    let noticed = here.into_iter().chain(other).min().unwrap_or(0);
    let span = content.span(&at_text(text, slip(text, noticed, &message)));
    defect(
        "invalid-yaml",
        span,
        format!("the block is not YAML: {message}"),
        "",
    )
}

/// Where the slip is, given where a reader noticed it: some faults show only on a later line.
fn slip(text: &str, noticed: usize, message: &str) -> usize {
    // The end of the text is nowhere to look: the last line with something on it is.
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

/// The innermost bracket that is open at the end of a text.
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

/// The character at this offset; from the end of a line, the first of the next line that has one.
fn at_text(text: &str, at: usize) -> Span {
    let start = at + text[at..].len() - text[at..].trim_start_matches('\n').len();
    let start = if start < text.len() { start } else { at };
    start
        ..text[start..]
            .chars()
            .next()
            .map_or(start, |c| start + c.len_utf8())
}

/// Gives every scalar the type that `serde_yaml` takes it for; an error is where the two readings part.
fn agree(node: &mut Node, value: &serde_yaml::Value) -> Result<(), Span> {
    use serde_yaml::Value as Y;
    let span = node.span.clone();
    match (&mut node.value, value) {
        (Value::Scalar(scalar), value) => {
            scalar.kind = match value {
                Y::Null => Kind::Null,
                Y::Bool(b) => Kind::Bool(*b),
                Y::Number(n) => Kind::Number(n.as_f64().unwrap_or(f64::NAN)),
                Y::String(text) if *text == scalar.text => Kind::Text,
                _ => return Err(span),
            };
            Ok(())
        }
        (Value::List(items), Y::Sequence(values)) if items.len() == values.len() => {
            items.iter_mut().zip(values).try_for_each(|(n, v)| agree(n, v))
        }
        (Value::Map(entries), Y::Mapping(values)) if entries.len() == values.len() => {
            for (entry, (key, value)) in entries.iter_mut().zip(values) {
                if key.as_str().is_some_and(|k| k != entry.key) {
                    return Err(entry.key_span.clone());
                }
                agree(&mut entry.node, value)?;
            }
            Ok(())
        }
        _ => Err(span),
    }
}

/// The type of a plain scalar on its own, for trees that `serde_yaml` refuses as a whole.
fn kind_of(text: &str) -> Kind {
    match serde_yaml::from_str::<serde_yaml::Value>(text) {
        Ok(serde_yaml::Value::Null) => Kind::Null,
        Ok(serde_yaml::Value::Bool(b)) => Kind::Bool(b),
        Ok(serde_yaml::Value::Number(n)) => Kind::Number(n.as_f64().unwrap_or(f64::NAN)),
        _ => Kind::Text,
    }
}

enum Stop {
    Syntax(usize, String),
    Deep(Span),
    Refused(Defect),
}

struct Reader<'a> {
    content: &'a Mapped,
    /// Byte offsets of the characters, where they differ from the characters' numbers.
    bytes: Option<Vec<usize>>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    defects: Vec<Defect>,
}

impl<'a> Reader<'a> {
    fn new(content: &'a Mapped) -> Self {
        let text = content.text();
        Reader {
            content,
            bytes: (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect()),
            parser: Parser::new_from_str(text),
            defects: Vec::new(),
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

    /// Where the `-` of an empty entry stands.
    fn dash_before(&self, mark: &Mark) -> Span {
        let at = self.byte(mark.start.index());
        let text = &self.content.text()[..at];
        let dash = text.rfind(['-', ',', '[', '?', '{']).unwrap_or(at);
        self.content
            .span(&(dash..(dash + 1).min(self.content.text().len())))
    }

    /// A quoted scalar up to its closing quote; the parser's own mark goes on to the end of a comment behind it.
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
                        let message = "the block holds more than one YAML document";
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
            "write the value out where it is meant",
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
        let value = match event {
            Event::Alias(_) => {
                self.forbid("yaml-anchor", mark, "aliases");
                Value::Scalar(Scalar {
                    text: String::new(),
                    kind: Kind::Null,
                })
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
                    span = self.quoted(mark);
                }
                if plain && text.is_empty() {
                    span = key.cloned().unwrap_or_else(|| self.dash_before(mark));
                }
                Value::Scalar(Scalar {
                    kind: if plain { kind_of_plain(&text) } else { Kind::Text },
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
        Ok(Node { span, value })
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
            let Some(name) = key.scalar().map(|s| s.text.clone()) else {
                let message = "a key must be a plain word";
                return Err(Stop::Refused(defect("invalid-yaml", key.span, message, "")));
            };
            let (event, mark) = self.next()?;
            let node = self.node(event, &mark, depth + 1, Some(&key.span))?;
            if entries.iter().any(|e| e.key == name) {
                self.defects.push(defect(
                    "duplicate-key",
                    key.span.clone(),
                    format!("`{name}` stands here a second time"),
                    "keep one of the two; readers differ in which one they take",
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

/// A first guess, corrected by [`agree`] where `serde_yaml` reads the whole.
fn kind_of_plain(text: &str) -> Kind {
    if text.is_empty() {
        return Kind::Null;
    }
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'-' | b'+' | b'.' | b'~' | b't' | b'T' | b'f' | b'F' | b'n' | b'N' => kind_of(text),
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_text(text: &str) -> (Option<Node>, Vec<Defect>) {
        parse(&Mapped::lines_of(text, 0))
    }

    fn kinds(text: &str) -> Vec<&'static str> {
        parse_text(text).1.iter().map(|d| d.kind).collect()
    }

    #[test]
    fn every_value_has_its_place_and_type() {
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
    fn what_a_block_must_not_have_is_found_at_its_place() {
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
    fn depth_and_size_are_refused_at_once() {
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

    /// The tree must say what `serde_yaml` says, or the text must be refused.
    fn agrees(text: &str) {
        let mapped = Mapped::lines_of(text, 0);
        let (tree, defects) = parse(&mapped);
        for defect in &defects {
            assert!(
                defect.span.end <= text.len() && defect.span.start <= defect.span.end,
                "{text:?}"
            );
        }
        let Some(mut tree) = tree else { return };
        if defects.is_empty() {
            let value = serde_yaml::from_str(mapped.text()).unwrap();
            agree(&mut tree, &value).unwrap_or_else(|s| panic!("{text:?} at {s:?}"));
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
