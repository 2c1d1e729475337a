//! Defines findings: what is wrong in a document, where, and how to fix it.
//!
//! Each finding has a [`Code`] of a table (`lint/codes.rs`, `leaks/codes.rs`, …) that `explain` prints. Must not depend on
//! output formats.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{LineColumn, Source, Span};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Information only.
    Note,
    /// Probably a mistake; the command still succeeds.
    Warning,
    /// Must be fixed; the command exits 1.
    Error,
}

impl Severity {
    /// Returns the name in findings.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable name in kebab case, such as `unknown-gate`.
    pub id: &'static str,
    /// The severity, unless the rule sets another one.
    pub severity: Severity,
    /// One line: what is wrong.
    pub title: &'static str,
    /// Why it matters and how to fix it, in a few sentences of Markdown.
    pub explain: &'static str,
    /// A short wrong example; can be empty.
    pub bad: &'static str,
    /// The corrected example.
    pub good: &'static str,
}

/// Declares the codes of one family, and `TABLE`, which lists them. The fields are in the order of [`Code`].
macro_rules! codes {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $explain:literal, $bad:literal, $good:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: $crate::domain::finding::Code = $crate::domain::finding::Code {
                id: $id,
                severity: $crate::domain::finding::Severity::$severity,
                title: $title,
                explain: $explain,
                bad: $bad,
                good: $good,
            };
        )*

        /// Every code of this family.
        pub static TABLE: &[&$crate::domain::finding::Code] = &[$(&$name,)*];
    };
}
pub(crate) use codes;

/// A part of a document. Lines and columns count from 1, columns in code points without a byte-order mark. The end column is
/// exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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

impl Region {
    /// Converts a span to lines and columns.
    pub fn of(source: &Source, span: &Span) -> Self {
        let (start, end) = source.places(span);
        Region {
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        }
    }

    /// Converts the region to a span of the same document.
    pub fn span(&self, source: &Source) -> Span {
        let at = |line, column| source.offset(LineColumn { line, column });
        at(self.line, self.column)..at(self.end_line, self.end_column)
    }
}

/// A safe change that fixes a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// Description of the change.
    pub description: String,
    /// The text to replace.
    #[serde(flatten)]
    pub region: Region,
    /// The new text.
    pub replacement: String,
}

/// A problem in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub code: &'static Code,
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    pub help: Option<String>,
    /// The document, as the user named it; `None` for standard input or a whole checkout.
    pub path: Option<String>,
    /// `None` for a finding about the whole document.
    pub region: Option<Region>,
    pub fix: Option<Fix>,
}

impl Finding {
    /// Makes a finding with the severity of its code and without a position.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Finding {
            code,
            severity: code.severity,
            message: message.into(),
            help: None,
            path: None,
            region: None,
            fix: None,
        }
    }

    /// Sets the position.
    pub fn at(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// Sets the document.
    pub fn in_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets the help.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the severity.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// The most findings of a run that are listed.
const MOST: usize = 25_000;

/// Returns the first findings of a run. If there are more, the last one states their number.
pub fn listed(findings: &[Finding]) -> Cow<'_, [Finding]> {
    let (first, rest) = findings.split_at(findings.len().min(MOST));
    let Some(worst) = rest.iter().max_by_key(|finding| finding.severity) else {
        return Cow::Borrowed(first);
    };
    let message = format!("{} more findings are not listed", rest.len());
    let last = Finding::new(worst.code, message).severity(worst.severity);
    let last = last.help("fix the listed ones first, or check fewer documents");
    Cow::Owned(first.iter().cloned().chain([last]).collect())
}

/// A finding as lints print it with `--format json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingJson {
    /// Stable name in kebab case; `explain` describes it.
    pub code: String,
    /// `error`, `warning` or `note`.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// How to fix it; can be null.
    pub help: Option<String>,
    /// The document; null for standard input.
    pub path: Option<String>,
    /// First line, from 1; null for a finding about the whole document.
    pub line: Option<u32>,
    /// First column, from 1, in code points.
    pub column: Option<u32>,
    /// Last line.
    pub end_line: Option<u32>,
    /// Column after the last.
    pub end_column: Option<u32>,
    /// A safe change that fixes the finding, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

impl From<&Finding> for FindingJson {
    fn from(f: &Finding) -> Self {
        FindingJson {
            code: f.code.id.to_owned(),
            severity: f.severity,
            message: f.message.clone(),
            help: f.help.clone(),
            path: f.path.clone(),
            line: f.region.map(|r| r.line),
            column: f.region.map(|r| r.column),
            end_line: f.region.map(|r| r.end_line),
            end_column: f.region.map(|r| r.end_column),
            fix: f.fix.clone(),
        }
    }
}
