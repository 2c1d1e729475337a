//! Parses and edits documents: Markdown bodies with a YAML block, and TOML files. Every value has its span.
//!
//! Must not depend on contracts, gates or findings. An unreadable document has a [`Defect`].

pub mod block;
pub mod defect;
pub mod edit;
pub mod mapped;
pub mod markdown;
pub mod node;
#[doc(hidden)]
pub mod parse_log;
pub mod parsed;
mod reconcile;
pub mod source;
pub mod toml_tree;
pub mod typed;
pub mod yaml;
mod yaml_error;

pub use block::Block;
pub use defect::Defect;
pub use mapped::Mapped;
pub use node::Node;
pub use parsed::{Document, Format, Syntax};
pub use source::{Place, Source, Span};
