//! Collects the findings of the workflow rules.

use crate::document::source::{Source, Span};
use crate::domain::finding::{Code, Finding, Region, Severity};

/// Collects findings.
pub struct Sink<'a> {
    /// The workflow.
    pub source: &'a Source,
    /// The findings so far.
    pub findings: Vec<Finding>,
    /// Whether the repository has a workflow that runs gates.
    pub runs_gates: bool,
}

impl Sink<'_> {
    /// Adds a finding with the severity of its rule.
    pub fn push(&mut self, code: &'static Code, span: &Span, message: impl Into<String>) {
        self.push_as(code, code.severity, span, message);
    }

    /// Returns the severity of a possible loss: an error where gates run, otherwise a warning.
    pub fn if_gates_run(&self) -> Severity {
        if self.runs_gates {
            Severity::Error
        } else {
            Severity::Warning
        }
    }

    /// Adds a finding with this severity.
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
