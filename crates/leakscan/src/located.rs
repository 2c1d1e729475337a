//! Leaks with their places in a file.

use crate::kinds::Kind;
use crate::kinds::Severity;

/// A stretch of a text in lines and columns. Both count from 1, columns in code points; the end column is exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region {
    /// First line.
    pub line: u32,
    /// First column.
    pub column: u32,
    /// Last line.
    pub end_line: u32,
    /// Column after the last.
    pub end_column: u32,
}

/// The place of a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An offset in a binary file.
    Byte(usize),
    /// A stretch of a text file.
    Lines(Region),
}

/// A leak with its place in the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedLeak {
    /// The kind.
    pub kind: &'static Kind,
    /// The severity.
    pub severity: Severity,
    /// The place.
    pub place: Place,
    /// Identifies the leak across edits elsewhere in its file.
    pub fingerprint: String,
}
