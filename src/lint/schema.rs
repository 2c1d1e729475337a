//! Checks the keys and the values of a document against a table, one table per kind of document.
//!
//! The tables must accept what the types in `domain` accept; a test compares them.

use crate::document::Span;
use crate::document::node::{Entry, Kind, Node, Value};
use crate::domain::finding::{Code, Severity};
use crate::domain::suggest::{did_you_mean, nearest};
use crate::lint::codes::document as codes;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::placeholders;

/// The type of a value.
#[derive(Debug)]
pub enum SchemaType {
    /// Text. In a form, numbers count as text.
    Text(Option<TextRule>),
    /// Text in which `<…>` and `|` do not mark a placeholder.
    Sentence,
    OneOf(fn() -> &'static [&'static str]),
    Number,
    /// A whole number, 0 or more.
    Whole,
    Flag,
    List(&'static SchemaType),
    Map(&'static [Key]),
    /// A map with any keys and values of this type.
    Table(&'static SchemaType),
}

/// A rule for a text, and the code of its finding.
#[derive(Debug)]
pub struct TextRule {
    pub good: fn(&str) -> bool,
    pub code: &'static Code,
    /// Completes "must be …".
    pub must_be: &'static str,
}

#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub need: Need,
    pub shape: SchemaType,
}

/// Whether a key is required, and whether it can be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The key and a value are required.
    Required,
    /// The key is required; its list can be empty.
    RequiredMayBeEmpty,
    /// The key is optional and needs a value.
    Optional,
    /// The key is optional and can be empty.
    MayBeEmpty,
}

/// How strictly values are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// A form that people fill in: placeholders are findings, and a number counts as text.
    Form,
    /// A form to which people add keys for their readers: an unknown key is a warning, unless it is nearly a known one.
    OpenForm,
    /// A file format with types.
    File,
}

/// Checks a tree against a type. Missing top-level keys are reported at `anchor`.
pub fn check(
    diagnostics: &mut Diagnostics<'_>,
    node: &Node,
    shape: &SchemaType,
    name: &str,
    anchor: &Span,
    reading: Strictness,
) {
    Walk { diagnostics, reading }.value(node, shape, name, anchor, Need::Required);
}

struct Walk<'s, 'a> {
    diagnostics: &'s mut Diagnostics<'a>,
    reading: Strictness,
}

impl Walk<'_, '_> {
    fn value(&mut self, node: &Node, shape: &SchemaType, name: &str, anchor: &Span, need: Need) {
        if self.is_empty(node, shape) {
            let empty_text = node.scalar().is_some_and(|s| s.text.is_empty());
            let fine = match need {
                Need::MayBeEmpty => true,
                Need::RequiredMayBeEmpty => !empty_text && node.scalar().is_none(),
                Need::Optional => node.scalar().is_none(),
                Need::Required => false,
            };
            if !fine {
                let comment = comment_after(self.diagnostics.source().text(), &node.span);
                let help = match (comment, shape) {
                    (Some(comment), _) => format!(
                        "YAML reads `{}` as a comment; leave the `#` out, or put the value into quotes",
                        clip(comment)
                    ),
                    (None, SchemaType::List(_)) => "add at least one entry".to_owned(),
                    (None, _) => wanted(shape),
                };
                let message = format!("{} is empty", label(name));
                self.diagnostics
                    .report(&codes::EMPTY_VALUE, &node.span, message)
                    .help = Some(help);
            }
            return;
        }
        match shape {
            SchemaType::List(inner) => self.list(node, inner, name, shape),
            SchemaType::Map(keys) => self.map(node, keys, name, anchor, shape),
            SchemaType::Table(inner) => {
                if !matches!(node.value, Value::Map(_)) {
                    return self.wrong(node, name, shape);
                }
                for entry in node.entries() {
                    let name = format!("{name}.{}", entry.key);
                    self.value(
                        &entry.node,
                        inner,
                        &name,
                        &entry.key_span,
                        Need::RequiredMayBeEmpty,
                    );
                }
            }
            _ => self.scalar(node, shape, name),
        }
    }

    fn is_empty(&self, node: &Node, shape: &SchemaType) -> bool {
        match &node.value {
            Value::Scalar(s) => {
                s.kind == Kind::Null
                    || (s.text.trim().is_empty()
                        && !matches!(shape, SchemaType::Map(_) | SchemaType::Table(_)))
            }
            Value::List(items) => items.is_empty() && matches!(shape, SchemaType::List(_)),
            Value::Map(_) => false,
        }
    }

    fn list(&mut self, node: &Node, inner: &SchemaType, name: &str, shape: &SchemaType) {
        let Value::List(items) = &node.value else {
            return self.wrong(node, name, shape);
        };
        let mut seen: Vec<&str> = Vec::new();
        for item in items {
            self.value(
                item,
                inner,
                &format!("{ENTRY_OF}{name}"),
                &item.span,
                Need::Required,
            );
            let Some(text) = item.text() else { continue };
            if seen.contains(&text) {
                let message = format!("a second `{text}` in `{name}`");
                self.diagnostics
                    .report(&codes::DUPLICATE_ENTRY, &item.span, message);
            }
            seen.push(text);
        }
    }

    fn map(&mut self, node: &Node, keys: &[Key], name: &str, anchor: &Span, shape: &SchemaType) {
        let Value::Map(entries) = &node.value else {
            return self.wrong(node, name, shape);
        };
        for entry in entries {
            match keys.iter().find(|k| k.name == entry.key) {
                Some(key) => {
                    let name = join(name, key.name);
                    self.value(&entry.node, &key.shape, &name, &entry.key_span, key.need);
                }
                None => self.unknown(entry, entries, keys, name),
            }
        }
        for key in keys {
            let needed = matches!(key.need, Need::Required | Need::RequiredMayBeEmpty);
            if !needed
                || entries
                    .iter()
                    .any(|e| e.key == key.name || self.means(e, entries, keys) == Some(key.name))
            {
                continue;
            }
            let message = format!("`{}` is missing", join(name, key.name));
            self.diagnostics.report(&codes::MISSING_KEY, anchor, message).help =
                Some(format!("add `{}`: {}", key.name, wanted(&key.shape)));
        }
    }

    /// Returns the key of which an unknown key is a misspelling. That key is then not reported as missing.
    fn means(&self, entry: &Entry, entries: &[Entry], keys: &[Key]) -> Option<&'static str> {
        if keys.iter().any(|k| k.name == entry.key) {
            return None;
        }
        let absent = keys.iter().filter(|k| !entries.iter().any(|e| e.key == k.name));
        nearest(&entry.key, absent.map(|k| k.name))
    }

    fn unknown(&mut self, entry: &Entry, entries: &[Entry], keys: &[Key], name: &str) {
        let meant = self.means(entry, entries, keys);
        let fix = meant.map(|m| self.diagnostics.fix(&entry.key_span, m));
        let place = if name.is_empty() {
            String::new()
        } else {
            format!(" in `{name}`")
        };
        let finding = self.diagnostics.report(
            &codes::UNKNOWN_KEY,
            &entry.key_span,
            format!("there is no key `{}`{place}", entry.key),
        );
        // A misspelt key next to the right one: a reader takes one of them for the other.
        let twin = nearest(&entry.key, keys.iter().map(|key| key.name)).filter(|_| meant.is_none());
        if meant.or(twin).is_none() && self.reading == Strictness::OpenForm {
            finding.severity = Severity::Warning;
        }
        finding.help = Some(match meant {
            Some(meant) => did_you_mean(meant),
            None if let Some(twin) = twin => {
                format!("`{twin}` is already there; remove this key, or give it another name")
            }
            None if self.reading != Strictness::File => {
                let known: Vec<&str> = keys.iter().map(|k| k.name).collect();
                format!(
                    "the keys are {}; put other text outside of the block",
                    known.join(", ")
                )
            }
            None => {
                let known: Vec<&str> = keys.iter().map(|k| k.name).collect();
                format!("the keys are {}", known.join(", "))
            }
        });
        finding.fix = fix;
    }

    fn scalar(&mut self, node: &Node, shape: &SchemaType, name: &str) {
        let Some(scalar) = node.scalar() else {
            return self.wrong(node, name, shape);
        };
        let text = scalar.text.trim();
        if self.reading != Strictness::File
            && !matches!(shape, SchemaType::Sentence)
            && placeholders::is_placeholder(text)
        {
            let message = format!("{} is still the placeholder `{text}`", label(name));
            self.diagnostics
                .report(&codes::UNFILLED_PLACEHOLDER, &node.span, message)
                .help = Some(wanted(shape));
            return;
        }
        match (shape, scalar.kind) {
            (SchemaType::Text(_) | SchemaType::Sentence | SchemaType::OneOf(_), kind)
                if self.reading == Strictness::File && kind != Kind::Text =>
            {
                self.wrong(node, name, shape);
            }
            (SchemaType::Text(Some(word)), _) if !(word.good)(text) => {
                let message = format!("{} is `{}`; it must be {}", label(name), clip(text), word.must_be);
                let finding = self.diagnostics.report(word.code, &node.span, message);
                if text.contains(['“', '”', '‘', '’']) {
                    finding.help = Some(
                        "YAML does not know typographic quotation marks; write `\"`, or none".to_owned(),
                    );
                }
            }
            (SchemaType::OneOf(known), _) if !known().contains(&text) => {
                let known = known();
                let meant = nearest(text, known.iter().copied());
                let fix = meant.map(|m| {
                    let quoted = if self.reading == Strictness::File {
                        format!("\"{m}\"")
                    } else {
                        m.to_owned()
                    };
                    self.diagnostics.fix(&node.span, quoted)
                });
                let message = format!("{} is `{}`", label(name), clip(text));
                let finding = self
                    .diagnostics
                    .report(&codes::INVALID_VALUE, &node.span, message);
                let set = known.join(", ");
                finding.help = Some(match meant {
                    Some(meant) => format!("{} It is one of {set}", did_you_mean(meant)),
                    None => format!("it is one of {set}"),
                });
                finding.fix = fix;
            }
            (SchemaType::Number, Kind::Number(n)) if n.is_finite() => {}
            (SchemaType::Whole, Kind::Number(n)) if n >= 0.0 && n.fract() == 0.0 && n < 1e15 => {}
            (SchemaType::Flag, Kind::Bool(_)) => {}
            (SchemaType::Number | SchemaType::Whole | SchemaType::Flag, _) => self.wrong(node, name, shape),
            _ => {}
        }
    }

    fn wrong(&mut self, node: &Node, name: &str, shape: &SchemaType) {
        let is = match &node.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar(s) => match s.kind {
                Kind::Null => "nothing",
                Kind::Bool(_) => "true or false",
                Kind::Number(n) if n.is_finite() => "a number",
                Kind::Number(_) => "not a finite number",
                Kind::Text => "text",
            },
        };
        let sentence = matches!(shape, SchemaType::Sentence | SchemaType::Text(_))
            && matches!(node.value, Value::Map(_));
        let quoted = matches!(shape, SchemaType::Number)
            && node
                .scalar()
                .is_some_and(|s| s.text.trim().parse::<f64>().is_ok_and(f64::is_finite));
        let written = self
            .diagnostics
            .source()
            .text()
            .get(node.span.clone())
            .unwrap_or_default();
        let finding =
            self.diagnostics
                .report(&codes::WRONG_TYPE, &node.span, format!("{} is {is}", label(name)));
        finding.help = Some(if sentence && written.starts_with('{') {
            "put the text into quotes, because `{` begins a map".to_owned()
        } else if sentence {
            "put the text into quotes, because `: ` makes it a map".to_owned()
        } else if quoted {
            "write the number without quotes".to_owned()
        } else {
            wanted(shape)
        });
    }
}

/// Returns the comment that follows a key or a dash, if nothing is before it: `#12` of `issue: #12`.
fn comment_after<'t>(text: &'t str, span: &Span) -> Option<&'t str> {
    let rest = text.get(span.end..)?.lines().next()?;
    let comment = rest
        .trim_start_matches([' ', '\t', ':', '"', '\'', '-'])
        .trim_end();
    // `# text` is a remark of the author.
    let value = comment.strip_prefix('#')?;
    (!value.is_empty() && !value.starts_with([' ', '#'])).then_some(comment)
}

/// What the name of an entry begins with. The rest is the name of its list.
const ENTRY_OF: &str = "an entry of ";

/// Puts the part of a name that the document contains between code marks.
fn label(name: &str) -> String {
    match name.strip_prefix(ENTRY_OF) {
        Some(list) => format!("{ENTRY_OF}`{list}`"),
        None => format!("`{name}`"),
    }
}

fn join(name: &str, key: &str) -> String {
    if name.is_empty() {
        key.to_owned()
    } else {
        format!("{name}.{key}")
    }
}

/// Shortens a value for a message.
pub fn clip(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.replace(['\n', '\r', '\t', '`'], " ");
    }
    let head: String = text.chars().take(57).collect();
    format!("{}…", head.replace(['\n', '\r', '\t', '`'], " "))
}

fn wanted(shape: &SchemaType) -> String {
    match shape {
        SchemaType::Text(Some(word)) => format!("it must be {}", word.must_be),
        SchemaType::Text(None) => "it needs text".to_owned(),
        SchemaType::Sentence => "it needs a sentence".to_owned(),
        SchemaType::OneOf(known) => format!("one of {}", known().join(", ")),
        SchemaType::Number => "it needs a finite number".to_owned(),
        SchemaType::Whole => "it needs a whole number".to_owned(),
        SchemaType::Flag => "it needs true or false".to_owned(),
        SchemaType::List(_) => "it needs a list".to_owned(),
        SchemaType::Map(keys) => {
            let known: Vec<&str> = keys.iter().map(|k| k.name).collect();
            format!("it needs a map of {}", known.join(", "))
        }
        SchemaType::Table(_) => "it needs a map".to_owned(),
    }
}
