//! Text that people write, with its places: Markdown fences, YAML and TOML, and edits that keep formatting.
//!
//! Knows nothing of contracts, gates or findings. What it cannot read it returns as a [`Defect`].

pub mod block;
pub mod defect;
pub mod edit;
pub mod mapped;
pub mod markdown;
pub mod node;
pub mod parsed;
pub mod source;
pub mod toml_tree;
pub mod typed;
pub mod yaml;

pub use block::Block;
pub use defect::Defect;
pub use mapped::Mapped;
pub use node::Node;
pub use parsed::{Document, Format, Syntax};
pub use source::{Place, Source, Span};
