//! Collects what the rules about workflows find.

use crate::document::source::{Source, Span};
use crate::domain::finding::{Code, Finding, Region, Severity};

/// Where rules put what they find.
pub struct Sink<'a> {
    /// The workflow.
    pub source: &'a Source,
    /// What was found so far.
    pub findings: Vec<Finding>,
}

impl Sink<'_> {
    /// A finding of its rule's own severity.
    pub fn push(&mut self, code: &'static Code, span: &Span, message: impl Into<String>) {
        self.push_as(code, code.severity, span, message);
    }

    /// A finding of this severity.
    pub fn push_as(
        &mut self,
        code: &'static Code,
        severity: Severity,
        span: &Span,
        message: impl Into<String>,
    ) {
        let region = Region::of(self.source, span);
        let mut finding = Finding::new(code, message).at(region).severity(severity);
        if let Some(name) = self.source.name() {
            finding = finding.in_path(name);
        }
        self.findings.push(finding);
    }
}
