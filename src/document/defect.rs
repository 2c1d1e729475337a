//! Defines what makes a document unreadable.

use crate::document::source::Span;

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
