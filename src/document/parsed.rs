//! Defines [`Document`]: a text that was parsed once, with its block, its position tree, its defects and its typed value.
//!
//! Must not know any type of the domain: a type implements [`Format`] to say how its documents are written.

use serde::de::DeserializeOwned;

use crate::document::defect::ParseError;
use crate::document::markdown::Outline;
use crate::document::node::Node;
use crate::document::parse_log;
use crate::document::source::{Source, Span};
use crate::document::toml_tree;
use crate::document::typed::{self, Strictness};
use crate::document::yaml;
use crate::document::yaml_block::{self, Block, Found};

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
    pub defects: Vec<ParseError>,
    /// The value, or the first reason why there is none.
    pub value: Result<T, ParseError>,
}

impl<T: Format> Document<T> {
    /// Parses a document.
    pub fn parse(source: Source) -> Self {
        let (found, root, unreadable, strictness) = match T::SYNTAX {
            Syntax::Block(key) => {
                let mut found = yaml_block::find(&source, key);
                let (root, unreadable) = match &found.block {
                    Some(block) => yaml::parse(&block.content),
                    None => (None, std::mem::take(&mut found.defects)),
                };
                (found, root, unreadable, Strictness::AsWritten)
            }
            Syntax::Toml => {
                let (root, unreadable) = toml_tree::parse(source.text());
                (Found::default(), Some(root), unreadable, Strictness::AsTyped)
            }
        };
        let value = match (&root, unreadable.first()) {
            (_, Some(defect)) => Err(defect.clone()),
            (Some(root), None) => typed::from_node(root, strictness),
            (None, None) => Err(ParseError {
                kind: "no-block",
                span: 0..0,
                message: "the block is empty".to_owned(),
                help: None,
            }),
        };
        let mut defects = found.defects;
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

    /// Reads only the value of a TOML document, which is faster because it needs no positions; `None` if there is no valid value.
    pub fn value_of(text: &str) -> Option<T> {
        if T::SYNTAX != Syntax::Toml {
            return None;
        }
        parse_log::record(text);
        toml::from_str(text).ok()
    }

    /// Parses the bytes of a document. Bytes that are not UTF-8 are a defect.
    pub fn of_bytes(name: Option<String>, bytes: Vec<u8>) -> Self {
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Document::parse(Source::new(name, text)),
            Err(error) => error,
        };
        let start = error.utf8_error().valid_up_to();
        let defect = ParseError {
            kind: match T::SYNTAX {
                Syntax::Block(_) => "invalid-yaml",
                Syntax::Toml => "invalid-toml",
            },
            span: start..start,
            message: "the file is not UTF-8".to_owned(),
            help: None,
        };
        Document {
            source: Source::new(name, String::from_utf8_lossy(error.as_bytes())),
            block: None,
            outline: Outline::default(),
            root: None,
            defects: vec![defect.clone()],
            value: Err(defect),
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Note {
        note: String,
    }

    impl Format for Note {
        const SYNTAX: Syntax = Syntax::Block("note");
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Table {
        n: u32,
    }

    impl Format for Table {
        const SYNTAX: Syntax = Syntax::Toml;
    }

    fn parse(text: &str) -> Document<Note> {
        Document::parse(Source::new(None, text))
    }

    #[test]
    fn first_defect_replaces_value() {
        let text = "x\n\n```yaml\nnote: 01\nnote: 02\n```\n";
        let defect = parse(text).value.unwrap_err();
        assert_eq!((defect.kind, &text[defect.span]), ("duplicate-key", "note"));
        assert_eq!(parse("nothing").value.unwrap_err().kind, "no-block");
        let unclosed = parse("```yaml\nnote: 01\n");
        assert_eq!(unclosed.defects[0].kind, "unclosed-fence");
        assert_eq!(unclosed.value.unwrap().note, "01");
    }

    #[test]
    fn bytes_must_be_utf8() {
        let table = |bytes: &[u8]| Document::<Table>::of_bytes(None, bytes.to_vec());
        assert_eq!(table(b"n = 1\n").value, Ok(Table { n: 1 }));
        assert_eq!(Document::value_of("n = 1\n"), Some(Table { n: 1 }));
        assert_eq!(table(b"n = 1 # \xff\n").defects[0].kind, "invalid-toml");
    }
}
