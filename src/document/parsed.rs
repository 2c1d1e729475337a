//! Defines [`Document`]: a text that was parsed once, with its block, its position tree, its defects and its typed value.
//!
//! Must not know any type of the domain: a type implements [`Format`] to say how its documents are written.

use serde::de::DeserializeOwned;

use crate::document::block::{self, Block};
use crate::document::defect::Defect;
use crate::document::markdown::Outline;
use crate::document::node::Node;
use crate::document::source::{Source, Span};
use crate::document::toml_tree;
use crate::document::typed::{self, Strictness};
use crate::document::yaml;

/// How the documents of a type are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// A YAML block with this top-level key, in a Markdown body or as the whole file.
    Block(&'static str),
    Toml,
}

/// A type that documents hold.
pub trait Format: DeserializeOwned {
    const SYNTAX: Syntax;
}

/// A parsed document. Everything that needs the text, a position or the value uses this object, so no text is parsed twice.
#[derive(Clone, Debug)]
pub struct Document<T> {
    pub source: Source,
    /// The YAML block; `None` for TOML and for a body without a block.
    pub block: Option<Block>,
    /// The Markdown around the block.
    pub outline: Outline,
    /// The position tree; `None` if the block is missing or is not YAML. A tree can have defects.
    pub root: Option<Node>,
    /// What makes the document unreadable or ambiguous.
    pub defects: Vec<Defect>,
    /// The value, or the first reason why there is none.
    pub value: Result<T, Defect>,
}

impl<T: Format> Document<T> {
    /// Parses a document.
    pub fn parse(source: Source) -> Self {
        match T::SYNTAX {
            Syntax::Block(key) => Self::parse_block(source, key),
            Syntax::Toml => Self::parse_toml(source),
        }
    }

    fn parse_block(source: Source, key: &str) -> Self {
        let found = block::find(&source, key);
        let mut defects = found.defects;
        let (root, unreadable) = match &found.block {
            Some(block) => yaml::parse(&block.content),
            None => (None, std::mem::take(&mut defects)),
        };
        let value = match (&root, unreadable.first()) {
            (_, Some(defect)) => Err(defect.clone()),
            (Some(root), None) => typed::from_node(root, Strictness::AsWritten),
            (None, None) => Err(Defect {
                kind: "no-block",
                span: 0..0,
                message: format!("the block with the key `{key}` is empty"),
                help: None,
            }),
        };
        defects.extend(unreadable);
        Document {
            source,
            block: found.block,
            outline: found.outline,
            root,
            defects,
            value,
        }
    }

    fn parse_toml(source: Source) -> Self {
        let (root, defects) = toml_tree::parse(source.text());
        let value = match defects.first() {
            None => typed::from_node(&root, Strictness::AsTyped),
            Some(defect) => Err(defect.clone()),
        };
        Document {
            source,
            block: None,
            outline: Outline::default(),
            root: Some(root),
            defects,
            value,
        }
    }
}

impl<T> Document<T> {
    /// Returns the value at a path of keys, as far as the document can be read.
    pub fn at(&self, keys: &[&str]) -> Option<&Node> {
        self.root.as_ref()?.at(keys)
    }

    /// Returns the text at a path of keys, if it is not empty.
    pub fn text(&self, keys: &[&str]) -> Option<&str> {
        self.at(keys)?.text()
    }

    /// Returns the span of the first top-level key, where a missing top-level key is reported.
    pub fn anchor(&self) -> Span {
        let first = self.root.as_ref().and_then(|root| root.entries().first());
        first.map_or(0..0, |entry| entry.key_span.clone())
    }
}
