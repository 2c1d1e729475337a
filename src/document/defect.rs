//! Defines what makes a document unreadable.

use crate::document::source::Span;

/// A reason why a document is unreadable or ambiguous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// A stable name in kebab case: the code of the finding.
    pub kind: &'static str,
    /// Bytes of the document.
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
}
