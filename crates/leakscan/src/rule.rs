//! What a rule is: literal anchors, and a closer look at the text around them.
//!
//! Every look is bounded, and a rule never looks twice at the same stretch, so that the whole stays linear in the text.

use std::ops::Range;

use crate::kinds::Kind;
use crate::window::before;
use crate::window::line;

/// One kind of thing to find.
pub struct Rule {
    /// What it is when found.
    pub kind: &'static Kind,
    /// Lower-case literals, matched without regard to ASCII case; the rule looks closer where one stands.
    pub keywords: &'static [&'static str],
    /// The first look, at the few bytes around an anchor's start: whether the closer one can find anything there.
    pub prefilter: fn(&[u8], usize) -> bool,
    /// The closer look.
    pub find: Find,
    /// Whether what was found is worth a finding; gets the secret part alone.
    pub accept: fn(&[u8]) -> bool,
}

/// A closer look.
pub enum Find {
    /// A pattern that begins where the anchor begins; the anchor must begin a word.
    At(&'static str),
    /// A pattern looked for in the line around the anchor, up to [`REACH`] to each side.
    Line(&'static str),
    /// Code.
    Code(fn(&Hit<'_>, &mut MatchSink<'_>)),
}

impl Rule {
    /// A pattern anchored at its literal; its group, where there is one, is the secret part.
    pub const fn at(kind: &'static Kind, keywords: &'static [&'static str], pattern: &'static str) -> Self {
        Rule {
            kind,
            keywords,
            prefilter: |_, _| true,
            find: Find::At(pattern),
            accept: crate::false_positives::is_plausible_secret,
        }
    }

    /// A pattern looked for in the line around a literal; its group, where there is one, is the secret part.
    pub const fn line(kind: &'static Kind, keywords: &'static [&'static str], pattern: &'static str) -> Self {
        Rule {
            kind,
            keywords,
            prefilter: |_, _| true,
            find: Find::Line(pattern),
            accept: crate::false_positives::is_plausible_secret,
        }
    }

    /// Code that is called wherever a literal stands.
    pub const fn code(
        kind: &'static Kind,
        keywords: &'static [&'static str],
        scan: fn(&Hit<'_>, &mut MatchSink<'_>),
    ) -> Self {
        Rule {
            kind,
            keywords,
            prefilter: |_, _| true,
            find: Find::Code(scan),
            accept: |_| true,
        }
    }

    /// The same rule, looking closer only where a first look at the text from an offset on allows it.
    pub const fn prefilter_if(mut self, prefilter: fn(&[u8], usize) -> bool) -> Self {
        self.prefilter = prefilter;
        self
    }

    /// The same rule with another judge of the secret part.
    pub const fn accept_if(mut self, accept: fn(&[u8]) -> bool) -> Self {
        self.accept = accept;
        self
    }
}

/// An anchor in a text.
pub struct Hit<'t> {
    /// The whole text.
    pub text: &'t [u8],
    /// Where the anchor stands.
    pub span: Range<usize>,
}

impl<'t> Hit<'t> {
    /// The line around the anchor, up to [`REACH`] to each side, without its end.
    pub fn line(&self) -> Range<usize> {
        line(self.text, self.span.clone())
    }

    /// The byte before the anchor; a line end at the start of the text.
    pub fn before(&self) -> u8 {
        before(self.text, self.span.start)
    }

    /// What stands before the anchor on its line, up to [`REACH`].
    pub fn lead(&self) -> &'t [u8] {
        &self.text[self.line().start..self.span.start]
    }

    /// What stands after the anchor on its line, up to [`REACH`].
    pub fn tail(&self) -> &'t [u8] {
        &self.text[self.span.end..self.line().end]
    }
}

/// The judge of a pattern that says enough by itself.
pub fn always(_: &[u8]) -> bool {
    true
}

/// Something found.
pub struct RawMatch {
    /// What.
    pub kind: &'static Kind,
    /// Where.
    pub span: Range<usize>,
}

/// What a rule has found so far, and how far it has looked.
pub struct MatchSink<'a> {
    pub(crate) raw: &'a mut Vec<RawMatch>,
    pub(crate) cursor: &'a mut usize,
    pub(crate) work: &'a mut u64,
}

impl MatchSink<'_> {
    /// Reports a leak; an empty stretch is none.
    pub fn report(&mut self, kind: &'static Kind, span: Range<usize>) {
        if !span.is_empty() {
            self.raw.push(RawMatch { kind, span });
        }
    }

    /// The rule need not be called again for anchors that begin before this offset.
    pub fn skip_to(&mut self, until: usize) {
        *self.cursor = until.max(*self.cursor);
    }

    /// Counts bytes that were looked at; the tests hold the sum against the length of the text.
    pub fn count_work(&mut self, bytes: usize) {
        *self.work += bytes as u64;
    }
}
