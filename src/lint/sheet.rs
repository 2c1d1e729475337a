//! The sheet that rules write their findings on: it knows the document, turns spans into places, and sorts at the end.

use crate::document::Defect;
use crate::document::Document;
use crate::document::Source;
use crate::document::Span;
use crate::domain::finding::{Code, Finding, Fix, Region, Severity};
use crate::leaks;
use crate::lint::codes;

/// The findings of one document.
pub struct Sheet<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
    /// What must not be shown, in no message either.
    private: Vec<&'a str>,
}

impl<'a> Sheet<'a> {
    /// An empty sheet for this document.
    pub fn new(source: &'a Source) -> Self {
        Sheet {
            source,
            findings: Vec::new(),
            private: Vec::new(),
        }
    }

    /// A sheet with the defects of this document.
    pub fn of<T>(document: &'a Document<T>) -> Self {
        let mut sheet = Sheet::new(&document.source);
        for defect in &document.defects {
            sheet.defect(defect);
        }
        sheet
    }

    /// The document.
    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// Writes a finding down; the caller may add help, a fix or another weight.
    pub fn find(&mut self, code: &'static Code, span: &Span, message: impl Into<String>) -> &mut Finding {
        let mut finding = Finding::new(code, message).at(Region::of(self.source, span));
        finding.path = self.source.name().map(str::to_owned);
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Writes a defect of the document down.
    pub fn defect(&mut self, defect: &Defect) {
        let code = codes::find(defect.kind).unwrap_or(&codes::document::INVALID_YAML);
        self.find(code, &defect.span, defect.message.as_str()).help = defect.help.clone();
    }

    /// A change that puts this text in place of a stretch.
    pub fn fix(&self, span: &Span, replacement: impl Into<String>) -> Fix {
        let replacement = replacement.into();
        Fix {
            description: format!("write `{replacement}`"),
            region: Region::of(self.source, span),
            replacement,
        }
    }

    /// Takes a finding that was made elsewhere.
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Writes down what must not be public, wherever in the document it stands.
    pub fn leaks(&mut self, options: &leakscan::scan::Options) {
        let text = self.source.text();
        for leak in leakscan::scan::scan(text, options) {
            self.private.extend(text.get(leak.span.clone()));
            self.findings
                .push(leaks::finding::of_document(self.source, &leak));
        }
    }

    /// Whether a finding of this kind is on the sheet.
    pub fn has(&self, code: &Code) -> bool {
        self.findings.iter().any(|f| f.code == code)
    }

    /// Whether a finding of severity error is on the sheet.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }

    /// The findings in the order of their places.
    pub fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|f| f.region);
        let hide = |text: &mut String| {
            for secret in self.private.iter().filter(|s| s.len() >= 4) {
                if text.contains(secret) {
                    *text = text.replace(secret, "[private]");
                }
            }
        };
        for finding in &mut self.findings {
            hide(&mut finding.message);
            finding.help.as_mut().map(hide);
            if let Some(fix) = &mut finding.fix {
                hide(&mut fix.description);
                hide(&mut fix.replacement);
            }
        }
        self.findings.dedup();
        self.findings
    }
}
