//! What a rule is: literal anchors, and a closer look at the text around them.
//!
//! Every look is bounded, and a rule never looks twice at the same stretch, so that the whole stays linear in the text.

use std::ops::Range;

use crate::domain::finding::Code;

/// How far a look reaches to each side of an anchor, in bytes.
pub const REACH: usize = 1024;

/// One kind of thing to find.
pub struct Rule {
    /// What it is when found.
    pub code: &'static Code,
    /// Lower-case literals, matched without regard to ASCII case; the rule looks closer where one stands.
    pub anchors: &'static [&'static str],
    /// The first look, at the few bytes around an anchor's start: whether the closer one can find anything there.
    pub gate: fn(&[u8], usize) -> bool,
    /// The closer look.
    pub find: Find,
    /// Whether what was found is worth a finding; gets the secret part alone.
    pub judge: fn(&[u8]) -> bool,
}

/// A closer look.
pub enum Find {
    /// A pattern that begins where the anchor begins; the anchor must begin a word.
    At(&'static str),
    /// A pattern looked for in the line around the anchor, up to [`REACH`] to each side.
    Line(&'static str),
    /// Code.
    Look(fn(&Hit<'_>, &mut Found<'_>)),
}

impl Rule {
    /// A pattern anchored at its literal; its group, where there is one, is the secret part.
    pub const fn at(code: &'static Code, anchors: &'static [&'static str], pattern: &'static str) -> Self {
        Rule {
            code,
            anchors,
            gate: |_, _| true,
            find: Find::At(pattern),
            judge: super::allow::looks_real,
        }
    }

    /// A pattern looked for in the line around a literal; its group, where there is one, is the secret part.
    pub const fn line(code: &'static Code, anchors: &'static [&'static str], pattern: &'static str) -> Self {
        Rule {
            code,
            anchors,
            gate: |_, _| true,
            find: Find::Line(pattern),
            judge: super::allow::looks_real,
        }
    }

    /// Code that is called wherever a literal stands.
    pub const fn look(
        code: &'static Code,
        anchors: &'static [&'static str],
        look: fn(&Hit<'_>, &mut Found<'_>),
    ) -> Self {
        Rule {
            code,
            anchors,
            gate: |_, _| true,
            find: Find::Look(look),
            judge: |_| true,
        }
    }

    /// The same rule, looking closer only where a first look at the text from an offset on allows it.
    pub const fn gated(mut self, gate: fn(&[u8], usize) -> bool) -> Self {
        self.gate = gate;
        self
    }

    /// The same rule with another judge of the secret part.
    pub const fn judged(mut self, judge: fn(&[u8]) -> bool) -> Self {
        self.judge = judge;
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

/// The line around a stretch, up to [`REACH`] to each side, without its end.
pub fn line(text: &[u8], span: Range<usize>) -> Range<usize> {
    let floor = span.start.saturating_sub(REACH);
    let ceiling = text.len().min(span.end + REACH);
    let start = memchr::memrchr2(b'\n', b'\r', &text[floor..span.start]).map_or(floor, |at| floor + at + 1);
    let end = memchr::memchr2(b'\n', b'\r', &text[span.end..ceiling]).map_or(ceiling, |at| span.end + at);
    start..end
}

/// The byte before an offset; a line end at the start.
pub fn before(text: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(b'\n', |before| text[before])
}

/// The byte at an offset; a line end past the text.
pub fn after(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(b'\n')
}

/// The longest stretch around `span` whose bytes all satisfy `inside`, up to `cap` bytes to each side.
pub fn around(text: &[u8], span: Range<usize>, cap: usize, inside: impl Fn(u8) -> bool) -> Range<usize> {
    let floor = span.start.saturating_sub(cap);
    let ceiling = text.len().min(span.end + cap);
    let start = text[floor..span.start]
        .iter()
        .rposition(|&b| !inside(b))
        .map_or(floor, |at| floor + at + 1);
    let end = text[span.end..ceiling]
        .iter()
        .position(|&b| !inside(b))
        .map_or(ceiling, |at| span.end + at);
    start..end
}

/// Whether a sign stands within so many bytes from an offset on: the cheap look before a pattern's.
pub fn soon(text: &[u8], at: usize, reach: usize, sign: u8) -> bool {
    memchr::memchr(sign, &text[at..text.len().min(at + reach)]).is_some()
}

/// The judge of a pattern that says enough by itself.
pub fn anything(_: &[u8]) -> bool {
    true
}

/// Letters, digits and the underscore.
pub fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Something found.
pub struct Raw {
    /// What.
    pub code: &'static Code,
    /// Where.
    pub span: Range<usize>,
}

/// What a rule has found so far, and how far it has looked.
pub struct Found<'a> {
    pub(super) raw: &'a mut Vec<Raw>,
    pub(super) cursor: &'a mut usize,
    pub(super) work: &'a mut u64,
}

impl Found<'_> {
    /// Reports a leak; an empty stretch is none.
    pub fn leak(&mut self, code: &'static Code, span: Range<usize>) {
        if !span.is_empty() {
            self.raw.push(Raw { code, span });
        }
    }

    /// The rule need not be called again for anchors that begin before this offset.
    pub fn seen(&mut self, until: usize) {
        *self.cursor = until.max(*self.cursor);
    }

    /// Counts bytes that were looked at; the tests hold the sum against the length of the text.
    pub fn looked(&mut self, bytes: usize) {
        *self.work += bytes as u64;
    }
}
