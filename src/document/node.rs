//! Defines the position tree for YAML and TOML: each key and value with its span.

use crate::document::source::Span;

/// A value and its span in the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Bytes of the document. An empty value has the span of its key.
    pub span: Span,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// The keys in the order of the text. A key can occur twice.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key without quotes.
    pub key: String,
    pub key_span: Span,
    pub node: Node,
}

/// A single value.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// The text as it is written, without quotes: `01` stays `01`, `1e10000` stays `1e10000`.
    pub text: String,
    /// The type that the format gives to the text.
    pub kind: Kind,
}

/// The type of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// An empty value, `~` or `null`.
    Null,
    Bool(bool),
    /// A number, including NaN and the infinities.
    Number(f64),
    Text,
}

impl Node {
    /// Returns the first value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.node)
    }

    /// Returns the first entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|e| e.key == key)
    }

    /// Returns the value at a path of keys.
    pub fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Returns the entry at a path of keys.
    pub fn entry_at(&self, keys: &[&str]) -> Option<&Entry> {
        let (last, way) = keys.split_last()?;
        self.at(way)?.entry(last)
    }

    /// Returns the entries of a map; any other value has none.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items of a list; any other value has none.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Returns the text of a scalar that is not empty or null.
    pub fn text(&self) -> Option<&str> {
        self.scalar()
            .filter(|s| s.kind != Kind::Null && !s.text.trim().is_empty())
            .map(|s| s.text.as_str())
    }

    /// Returns the number, if the scalar is a number.
    pub fn number(&self) -> Option<f64> {
        match self.scalar()?.kind {
            Kind::Number(n) => Some(n),
            _ => None,
        }
    }

    /// Returns the texts of a list, each with its node.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.items().iter().filter_map(|n| n.text().map(|t| (t, n)))
    }
}
