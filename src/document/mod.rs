//! Parses and edits documents: Markdown bodies with a YAML block, and TOML files. Every value has its span.
//!
//! Must not depend on contracts, gates or findings. An unreadable document has a [`ParseError`].

pub mod defect;
pub mod diff;
pub mod edit;
pub mod markdown;
pub mod node;
#[doc(hidden)]
pub mod parse_log;
pub mod parsed;
mod reconcile;
pub mod source;
pub mod source_map;
pub mod toml_tree;
pub mod typed;
pub mod yaml;
pub mod yaml_block;
mod yaml_error;

pub use defect::ParseError;
pub use node::Node;
pub use parsed::{Document, Format, Syntax};
pub use source::{LineColumn, Source, Span};
pub use source_map::MappedText;
pub use yaml_block::Block;
