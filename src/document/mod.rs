//! Text that people write, with its places: Markdown fences, YAML and TOML, and edits that keep formatting.
//!
//! Knows nothing of contracts, gates or findings. What it cannot read it returns as a [`Defect`].

pub mod block;
pub mod edit;
pub mod mapped;
pub mod markdown;
pub mod node;
pub mod source;
pub mod toml_tree;
pub mod yaml;

pub use block::Block;
pub use mapped::Mapped;
pub use node::Node;
pub use source::{Place, Source, Span};

/// Something that makes a document unreadable or ambiguous, before anybody looks at what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// What kind, a stable kebab-case name.
    pub kind: &'static str,
    /// Where, in bytes of the document.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}
