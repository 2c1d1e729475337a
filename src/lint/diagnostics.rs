//! Collects the findings of one document: converts spans to lines and columns, hides private text, sorts by position.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::document::Document;
use crate::document::ParseError;
use crate::document::Source;
use crate::document::Span;
use crate::domain::finding::{Code, Finding, Fix, Region, Severity};
use crate::leaks;
use crate::lint::codes;

pub struct Diagnostics<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
    /// Private text of the document, which no message may contain.
    private: Vec<&'a str>,
}

impl<'a> Diagnostics<'a> {
    pub fn new(source: &'a Source) -> Self {
        Diagnostics {
            source,
            findings: Vec::new(),
            private: Vec::new(),
        }
    }

    /// Starts with the defects of a document.
    pub fn of<T>(document: &'a Document<T>) -> Self {
        let mut diagnostics = Diagnostics::new(&document.source);
        for defect in &document.defects {
            diagnostics.defect(defect);
        }
        diagnostics
    }

    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// Adds a finding. The caller can add help or a fix, or change the severity.
    pub fn report(&mut self, code: &'static Code, span: &Span, message: impl Into<String>) -> &mut Finding {
        let mut finding = Finding::new(code, message).at(Region::of(self.source, span));
        finding.path = self.source.name().map(str::to_owned);
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Adds a defect of the document.
    pub fn defect(&mut self, defect: &ParseError) {
        let code = codes::find(defect.kind).unwrap_or(&codes::document::INVALID_YAML);
        self.report(code, &defect.span, defect.message.as_str()).help = defect.help.clone();
    }

    /// Makes a fix that replaces the text of a span.
    pub fn fix(&self, span: &Span, replacement: impl Into<String>) -> Fix {
        let replacement = replacement.into();
        Fix {
            description: format!("write `{replacement}`"),
            region: Region::of(self.source, span),
            replacement,
        }
    }

    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Scans the whole document for private data.
    pub fn leaks(&mut self, options: &leakscan::scan::Options) {
        let text = self.source.text();
        for leak in leakscan::scan::scan(text, options) {
            self.private.extend(text.get(leak.span.clone()));
            self.findings
                .push(leaks::finding::of_document(self.source, &leak));
        }
    }

    pub fn has(&self, code: &Code) -> bool {
        self.findings.iter().any(|f| f.code == code)
    }

    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }

    /// Returns the findings in the order of their positions.
    pub fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|f| f.region);
        let private = self.private.iter().filter(|secret| secret.len() >= 4);
        // One search for all: a document can have thousands of both.
        let secrets = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(private);
        let hide = |text: &mut String| match &secrets {
            Ok(secrets) if !secrets.is_match(text.as_str()) => {}
            Ok(secrets) => {
                let mut hidden = String::new();
                secrets.replace_all_with(text, &mut hidden, |_, _, to| {
                    to.push_str("[private]");
                    true
                });
                *text = hidden;
            }
            // The secrets exceed the limit of the search, so none of the text is certain.
            Err(_) => *text = "[private]".to_owned(),
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
