//! What is wrong in a document, where, and what to do about it.
//!
//! A finding knows nothing of how it is shown. Each one names a [`Code`], a row of a table that its room keeps
//! (`lint/codes.rs`, `leaks/codes.rs`, …) and that `explain` prints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Source, Span};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; changes nothing.
    Note,
    /// Probably a mistake; does not fail the command.
    Warning,
    /// Must be mended; the command exits 1.
    Error,
}

impl Severity {
    /// The word in findings.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A row of the table of codes: a kind of finding with a stable kebab-case name.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable name, such as `unknown-gate`.
    pub id: &'static str,
    /// The severity a finding of this kind has unless its rule says otherwise.
    pub severity: Severity,
    /// One line: what is wrong.
    pub title: &'static str,
    /// Why it matters and how to mend it, in a few sentences of Markdown.
    pub explain: &'static str,
    /// A short example that is wrong; may be empty where an example would itself be a leak.
    pub bad: &'static str,
    /// The same, mended.
    pub good: &'static str,
}

/// A stretch of a document. Lines and columns count from 1, columns in code points, a BOM uncounted;
/// the end is exclusive in columns (an empty region has equal start and end).
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
    /// Lines and columns of a stretch of a document's bytes.
    pub fn of(source: &Source, span: &Span) -> Self {
        let (start, end) = source.places(span);
        Region {
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        }
    }
}

/// A change that mends a finding without losing anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// What the change does, in words.
    pub description: String,
    /// The stretch to replace.
    #[serde(flatten)]
    pub region: Region,
    /// The text to put there.
    pub replacement: String,
}

/// Something wrong in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which kind.
    pub code: &'static Code,
    /// How much it weighs here.
    pub severity: Severity,
    /// What is wrong, with the names that matter.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The document, as the user named it; `None` for standard input or a whole checkout.
    pub path: Option<String>,
    /// Where; `None` for a finding about a document as a whole.
    pub region: Option<Region>,
    /// A safe change that mends it.
    pub fix: Option<Fix>,
}

impl Finding {
    /// A finding of this kind with the kind's own severity and no place yet.
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

    /// The same finding at this place.
    pub fn at(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// The same finding in this document.
    pub fn in_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same finding with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding with this weight.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// One finding as every lint prints it with `--format json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingJson {
    /// Stable kebab-case name of the kind; `explain` tells more.
    pub code: String,
    /// `error`, `warning` or `note`.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do; null where the message says it all.
    pub help: Option<String>,
    /// The document; null for standard input.
    pub path: Option<String>,
    /// First line, from 1; null for a finding about a whole document.
    pub line: Option<u32>,
    /// First column, from 1, in code points.
    pub column: Option<u32>,
    /// Last line.
    pub end_line: Option<u32>,
    /// Column after the last.
    pub end_column: Option<u32>,
    /// A safe change that mends it, where there is one.
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
