//! A rule: literal keywords, and what to match around them.
//!
//! The rules are data: `rules/*.toml`. The amount of text that a rule examines is bounded, and a rule never examines the
//! same text twice, so that a scan takes linear time.

use std::ops::Range;

use crate::generic_values::is_generic;
use crate::kinds::Kind;
use crate::kinds::LoweredIn;
use crate::kinds::Severity;
use crate::window::before;
use crate::window::line;

/// Finds one form of a kind of leak.
pub struct Rule {
    /// The kind that matches of a pattern have.
    pub kind: &'static Kind,
    /// The severity of all matches; `None` for the severity of the kind.
    pub severity: Option<Severity>,
    /// In which files the matches are warnings; `None` for the files of the kind.
    pub lowered_in: Option<LoweredIn>,
    /// Lower-case literals that trigger the rule. They match without regard to ASCII case. The build script prepares them for
    /// the search.
    #[cfg(test)]
    pub keywords: &'static [&'static str],
    /// Decides from a few bytes around the start of a keyword whether to run the rule there.
    pub prefilter: fn(&[u8], usize) -> bool,
    /// What to match.
    pub find: Find,
    /// Decides whether a match is a leak. Gets the secret part: the first group that matched, or the whole match.
    pub accept: fn(&[u8]) -> bool,
    /// Identifies the rule among the rules of its kind.
    #[cfg(test)]
    pub name: &'static str,
    /// Texts in which the rule must find a leak, as templates.
    #[cfg(test)]
    pub examples: &'static [&'static str],
    /// Texts in which the rule must not find a leak, as templates.
    #[cfg(test)]
    pub non_examples: &'static [&'static str],
}

/// What a rule matches.
pub enum Find {
    /// A pattern that begins at the keyword; the keyword must begin a word.
    AtKeyword(&'static str),
    /// A pattern in the line around the keyword, up to [`REACH`](crate::window::REACH) bytes to each side.
    InLine(&'static str),
    /// A function that is called for each keyword.
    Code(fn(&Hit<'_>, &mut MatchSink<'_>)),
}

/// A keyword in a text.
pub struct Hit<'t> {
    /// The whole text.
    pub text: &'t [u8],
    /// The place of the keyword.
    pub span: Range<usize>,
}

impl<'t> Hit<'t> {
    /// The line around the keyword, without its end, up to [`REACH`](crate::window::REACH) bytes to each side.
    pub fn line(&self) -> Range<usize> {
        line(self.text, self.span.clone())
    }

    /// The byte before the keyword; a line end at the start of the text.
    pub fn before(&self) -> u8 {
        before(self.text, self.span.start)
    }

    /// The line before the keyword.
    pub fn lead(&self) -> &'t [u8] {
        &self.text[self.line().start..self.span.start]
    }

    /// The line after the keyword.
    pub fn tail(&self) -> &'t [u8] {
        &self.text[self.span.end..self.line().end]
    }
}

/// A match that may overlap with others.
pub struct RawMatch {
    /// The kind.
    pub kind: &'static Kind,
    /// The severity.
    pub severity: Severity,
    /// In which files the match is only a warning.
    pub lowered_in: LoweredIn,
    /// The place.
    pub span: Range<usize>,
}

/// Collects the matches of a rule, and how far the rule has examined the text.
pub struct MatchSink<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) raw: &'a mut Vec<RawMatch>,
    pub(crate) severity: Option<Severity>,
    pub(crate) lowered_in: Option<LoweredIn>,
    pub(crate) cursor: &'a mut usize,
    pub(crate) work: &'a mut u64,
}

impl MatchSink<'_> {
    /// Reports a leak, unless its span is empty. A value that identifies no site is a warning, and so is an example.
    pub fn report(&mut self, kind: &'static Kind, span: Range<usize>) {
        let is_example = !kind.is_credential && follows_example_words(self.text, span.start);
        let severity = if is_example || is_generic(kind, &self.text[span.clone()]) {
            Severity::Warning
        } else {
            self.severity.unwrap_or(kind.severity)
        };
        self.report_as(kind, severity, span);
    }

    /// Reports text that is likely harmless as a warning, unless its span is empty.
    pub fn warn(&mut self, kind: &'static Kind, span: Range<usize>) {
        self.report_as(kind, Severity::Warning, span);
    }

    /// Reports a leak that identifies a site wherever it is, also in tests.
    pub fn report_everywhere(&mut self, kind: &'static Kind, span: Range<usize>) {
        let lowered_in = self.lowered_in.replace(LoweredIn::Nowhere);
        self.report(kind, span);
        self.lowered_in = lowered_in;
    }

    fn report_as(&mut self, kind: &'static Kind, severity: Severity, span: Range<usize>) {
        if !span.is_empty() {
            self.raw.push(RawMatch {
                kind,
                severity,
                lowered_in: self.lowered_in.unwrap_or(kind.lowered_in),
                span,
            });
        }
    }

    /// Skips the keywords that begin before this offset.
    pub fn skip_to(&mut self, until: usize) {
        *self.cursor = until.max(*self.cursor);
    }

    /// Counts examined bytes. Tests compare the sum with the length of the text.
    pub fn count_work(&mut self, bytes: usize) {
        *self.work += bytes as u64;
    }
}

/// Whether the words before a value on its line call it an example.
fn follows_example_words(text: &[u8], at: usize) -> bool {
    let lead = &text[at.saturating_sub(80)..at];
    let start = memchr::memrchr(b'\n', lead).map_or(0, |end| end + 1);
    let lead = lead[start..].to_ascii_lowercase();
    ["e.g.", "example:", "for example", "for instance"]
        .iter()
        .any(|words| memchr::memmem::find(&lead, words.as_bytes()).is_some())
}
