//! Formats findings: snippets for people, JSON for programs.
//!
//! Takes findings and their documents. Must not depend on the rules that created the findings.

use std::collections::HashMap;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Source;
use crate::document::source::LineColumn;
use crate::domain::finding::{Code, Finding, FindingJson, Region, Severity, listed};
use crate::domain::next_step::{NextStep, Who};
use crate::terminal::Text;
use crate::terminal::escape::visible;

/// Version of the findings format.
pub const SCHEMA: u32 = 1;

/// The JSON output of every lint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Format version; 1.
    pub schema: u32,
    /// Every finding, sorted by document and position.
    pub findings: Vec<FindingJson>,
    /// The number of findings.
    pub summary: Summary,
    /// The next steps: one per kind of error, limited in number.
    #[serde(default)]
    pub next: Vec<NextStep>,
}

/// The number of findings and of scanned documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Documents that were read.
    pub documents: usize,
    /// Findings of severity error.
    pub errors: usize,
    /// Findings of severity warning.
    pub warnings: usize,
    /// Findings of severity note.
    pub notes: usize,
}

impl Summary {
    /// Counts findings.
    pub fn of(findings: &[Finding], documents: usize) -> Self {
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        Summary {
            documents,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
        }
    }

    /// Formats the counts as words.
    pub fn words(&self) -> String {
        let some = |n: usize, what: &str| match n {
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        let parts: Vec<String> = [
            (self.errors, "error"),
            (self.warnings, "warning"),
            (self.notes, "note"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| some(n, what))
        .collect();
        let found = if parts.is_empty() {
            "no findings".to_owned()
        } else {
            parts.join(", ")
        };
        match self.documents {
            // A diff is scanned without documents.
            0 => found,
            n => format!("{found} in {}", some(n, "document")),
        }
    }
}

/// Creates the report that a lint prints with `--format json`.
pub fn report(findings: &[Finding], documents: usize) -> Report {
    Report {
        schema: SCHEMA,
        findings: listed(findings).iter().map(FindingJson::from).collect(),
        summary: Summary::of(findings, documents),
        next: steps(findings),
    }
}

/// Maximum number of next steps.
const STEPS: usize = 5;

fn steps(findings: &[Finding]) -> Vec<NextStep> {
    let mut codes: Vec<&Code> = Vec::new();
    for finding in findings.iter().filter(|f| f.severity == Severity::Error) {
        if codes.len() < STEPS && !codes.contains(&finding.code) {
            codes.push(finding.code);
        }
    }
    codes
        .into_iter()
        .map(|code| {
            NextStep::run(
                Who::Author,
                format!("fix `{}`: {}", code.id, code.title),
                ["nmoe-gates", "explain", code.id],
            )
        })
        .collect()
}

/// The most findings that are shown as snippets, and the longest text of a snippet in bytes. A renderer reads the whole text for each
/// finding, so a long line with many findings would take quadratic time.
const SHOWN: usize = 1_000;
const LONGEST: usize = 4 << 10;

/// Formats findings as snippets. Masks text in every snippet where `is_private` is true for a finding.
pub fn human(
    findings: &[Finding],
    documents: &[Source],
    is_private: &dyn Fn(&Code) -> bool,
    color: bool,
    width: usize,
) -> Text {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.term_width(width);
    let mut out = Text::new();
    let by_name: HashMap<_, _> = documents.iter().rev().map(|d| (d.name(), d)).collect();
    let mut secrets: HashMap<_, Vec<&Region>> = HashMap::new();
    for finding in findings.iter().filter(|f| is_private(f.code)) {
        let regions = secrets.entry(finding.path.as_deref()).or_default();
        regions.extend(&finding.region);
    }
    let mut shown: Option<Source> = None;
    let (first, rest) = findings.split_at(findings.len().min(SHOWN));
    for finding in first {
        let name = finding.path.as_deref();
        if shown.as_ref().is_none_or(|s| s.name() != name) {
            let secrets = secrets.get(&name).map_or(&[][..], Vec::as_slice);
            shown = by_name.get(&name).map(|d| masked(d, secrets));
        }
        let path = shown.as_ref().map(|s| visible(s.name().unwrap_or("<stdin>")));
        let message = visible(&finding.message);
        let place = shown.as_ref().zip(path.as_deref());
        out.rendered(&renderer.render(&groups(finding, &message, place)), color)
            .line("");
    }
    if !rest.is_empty() {
        out.line(format_args!(
            "and {} more; `--format json` lists them",
            rest.len()
        ));
    }
    out
}

/// Formats one line per finding, for documents that are not in memory: location, rule, message.
pub fn lines(findings: &[Finding]) -> Text {
    let mut out = Text::new();
    for finding in findings {
        let severity = finding.severity.as_str();
        let path = finding.path.as_deref().unwrap_or("standard input");
        let place = finding
            .region
            .map(|r| format!(":{}:{}", r.line, r.column))
            .unwrap_or_default();
        out.line(format_args!(
            "{path}{place}: {severity}[{}]: {}",
            finding.code.id, finding.message
        ));
    }
    out
}

/// Replaces private text of a document character by character, so that all positions stay the same.
fn masked(document: &Source, secrets: &[&Region]) -> Source {
    if secrets.is_empty() {
        return document.clone();
    }
    let whole = document.text();
    let mut spans: Vec<_> = secrets.iter().map(|region| region.span(document)).collect();
    spans.sort_by_key(|span| span.start);
    let mut text = String::with_capacity(whole.len());
    let mut at = 0;
    for span in spans {
        let from = span.start.max(at);
        let (Some(plain), Some(secret)) = (whole.get(at..from), whole.get(from..span.end)) else {
            continue;
        };
        text.push_str(plain);
        text.extend(secret.chars().map(|c| if c == '\n' { '\n' } else { '*' }));
        at = span.end;
    }
    text.push_str(whole.get(at..).unwrap_or_default());
    Source::new(document.name().map(str::to_owned), text)
}

fn groups<'f>(
    finding: &'f Finding,
    message: &'f str,
    document: Option<(&'f Source, &'f str)>,
) -> Vec<Group<'f>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(message).id(finding.code.id);
    let group = match (document, finding.region) {
        (Some((document, path)), Some(region)) => {
            // Keep only the lines around a finding: the renderer searches the whole text once per finding, which would be
            // quadratic.
            let first = region.line.saturating_sub(1).max(1);
            let start = document.offset(LineColumn {
                line: first,
                column: 1,
            });
            let end = document.offset(LineColumn {
                line: region.end_line.max(region.line).saturating_add(1),
                column: 1,
            });
            let span = region.span(document);
            let text = document.text().get(start..end.max(start)).unwrap_or_default();
            if text.len() > LONGEST {
                let origin = Origin::path(path).line(region.line as usize);
                let group = Group::with_title(title).element(origin.char_column(region.column as usize));
                return vec![with_help(group, finding)];
            }
            let inner = span.start.saturating_sub(start)..span.end.saturating_sub(start).min(text.len());
            title.element(
                Snippet::source(text)
                    .path(path)
                    .line_start(first as usize)
                    .annotation(AnnotationKind::Primary.span(inner)),
            )
        }
        _ => Group::with_title(title),
    };
    vec![with_help(group, finding)]
}

fn with_help<'f>(group: Group<'f>, finding: &'f Finding) -> Group<'f> {
    match &finding.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}
