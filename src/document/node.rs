//! One position tree for YAML and TOML: what stands where. Rules walk it; typed values are read elsewhere.

use crate::document::source::Span;

/// A value and the stretch of the document it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where, in bytes of the document. An empty value has the place of its key.
    pub span: Span,
    /// What.
    pub value: Value,
}

/// A scalar, a list or a map.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// Entries in order.
    List(Vec<Node>),
    /// Keys in the order they were written; a key may occur twice.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key, unquoted.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// Its value.
    pub node: Node,
}

/// A single value: the text as it was written (unquoted), and what the format takes it for.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// `01` stays `01`, `1e10000` stays `1e10000`.
    pub text: String,
    /// What the format takes it for.
    pub kind: Kind,
}

/// What a format takes a scalar for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; NaN and infinities are numbers too.
    Number(f64),
    /// Anything else.
    Text,
}

impl Node {
    /// The value of a key; the first where it occurs twice.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.node)
    }

    /// A key with its value; the first where it occurs twice.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|e| e.key == key)
    }

    /// The value at the end of a way of keys.
    pub fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The key at the end of a way of keys.
    pub fn entry_at(&self, keys: &[&str]) -> Option<&Entry> {
        let (last, way) = keys.split_last()?;
        self.at(way)?.entry(last)
    }

    /// The keys and values of a map; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The scalar, where it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar that is not empty or null.
    pub fn text(&self) -> Option<&str> {
        self.scalar()
            .filter(|s| s.kind != Kind::Null && !s.text.trim().is_empty())
            .map(|s| s.text.as_str())
    }

    /// The number, where the format takes it for one.
    pub fn number(&self) -> Option<f64> {
        match self.scalar()?.kind {
            Kind::Number(n) => Some(n),
            _ => None,
        }
    }

    /// The texts of a list, each with its node.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.items().iter().filter_map(|n| n.text().map(|t| (t, n)))
    }
}
