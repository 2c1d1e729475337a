//! Bounded looks at the bytes around a place in a text.

use std::ops::Range;

/// How many bytes to each side of a keyword a rule examines.
pub const REACH: usize = 1024;

/// The line around a span, without its end, up to [`REACH`] bytes to each side.
pub fn line(text: &[u8], span: Range<usize>) -> Range<usize> {
    let floor = span.start.saturating_sub(REACH);
    let ceiling = text.len().min(span.end + REACH);
    let start = memchr::memrchr2(b'\n', b'\r', &text[floor..span.start]).map_or(floor, |at| floor + at + 1);
    let end = memchr::memchr2(b'\n', b'\r', &text[span.end..ceiling]).map_or(ceiling, |at| span.end + at);
    start..end
}

/// The byte before an offset, or a line end at the start of the text.
pub fn before(text: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(b'\n', |before| text[before])
}

/// The byte at an offset, or a line end after the text.
pub fn after(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(b'\n')
}

/// The longest span around `span` whose bytes all satisfy `inside`, up to `cap` bytes to each side.
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

/// Whether one of the next `reach` bytes is `sign`.
pub fn has_byte_within(text: &[u8], at: usize, reach: usize, sign: u8) -> bool {
    memchr::memchr(sign, &text[at..text.len().min(at + reach)]).is_some()
}

/// The rest of the line from an offset, as far as a rule looks from a keyword that begins there.
pub fn line_after(text: &[u8], at: usize) -> &[u8] {
    let rest = &text[at..text.len().min(at + REACH + 64)];
    &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]
}

/// Returns where the local part of a mail address begins, whose `@` is here.
pub fn local_part(text: &[u8], at: usize) -> usize {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-' | b'%');
    around(text, at..at, 64, is_part).start
}

/// Whether an address is not a part of a URL, of a remote such as `git@host:path`, or of an identifier.
pub fn stands_alone(text: &[u8], address: &Range<usize>) -> bool {
    !matches!(after(text, address.end), b':' | b'/' | b'@' | b'(' | b'_')
        && !matches!(before(text, address.start), b'/' | b':' | b'@' | b'.')
}

/// Whether a byte is a letter, a digit or an underscore.
pub fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// Whether the keyword at an offset begins with a capital. Keywords match without regard to case.
pub fn starts_with_capital(text: &[u8], at: usize) -> bool {
    text[at].is_ascii_uppercase()
}
