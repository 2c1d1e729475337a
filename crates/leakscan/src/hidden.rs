//! Finds what hides or disguises a part of a word: control characters, invisible characters, and characters that stand for ASCII.
//!
//! Plain ASCII text is passed over eight bytes at a time. Must not decode.

use std::ops::Range;

use crate::confusables::compatible;
use crate::confusables::is_ignorable;
use crate::confusables::plain_text;
use crate::markup;
use crate::unreserved::is_unreserved;
use crate::window::REACH;
use crate::window::after;
use crate::window::before;
use crate::window::line;

/// Whether a byte is a control character that no viewer shows. Others end a line, separate words, or begin a control sequence. A
/// carriage return inside a line is one of them.
pub fn is_unseen(byte: u8) -> bool {
    (byte < b' ' || byte == 0x7f) && !matches!(byte, b'\t' | b'\n' | 0x1b)
}

/// Whether a name, an address or a token contains a byte.
pub fn is_word(b: u8) -> bool {
    is_unreserved(b) || matches!(b, b'@' | b':' | b'/')
}

/// Whether one of eight bytes is not a visible ASCII character or a space: most text is passed over eight bytes at a time.
fn may_be_hidden(bytes: [u8; 8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_ne_bytes(bytes);
    let below_space = word.wrapping_sub(EACH * 0x20) & !word;
    let delete = word ^ (EACH * 0x7f);
    let is_delete = delete.wrapping_sub(EACH) & !delete;
    (below_space | is_delete | word) & (EACH * 0x80) != 0
}

/// Returns the places of control characters inside words, such as a zero byte in a token, and of characters beyond ASCII that hide or
/// disguise a part of a word.
pub fn hidden_in_words(text: &[u8]) -> impl Iterator<Item = usize> {
    let (words, rest) = text.as_chunks::<8>();
    let hits = words.iter().enumerate().filter(|(_, word)| may_be_hidden(**word));
    let rest = text.len() - rest.len()..text.len();
    let places = hits.map(|(n, _)| n * 8..n * 8 + 8).chain([rest]).flatten();
    places.filter(|at| match text[*at] {
        0x1b => is_word(before(text, *at)),
        0xc2..=0xf4 => is_disguise(text, *at),
        byte => is_unseen(byte) && unseen_run(text, *at).is_some(),
    })
}

/// Returns the places of tags, comments and entities inside words.
pub fn markup_in_words(text: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr3_iter(b'<', b'&', b']', text).filter(|&at| match text[at] {
        b'&' => markup::is_disguise(text, at),
        _ => markup::joint(text, at).is_some(),
    })
}

/// The byte that an invisible character can stand for: a tag character for its ASCII sign, a variation selector for its number.
pub fn smuggled_byte(c: char) -> Option<u8> {
    let number = u32::from(c);
    let byte = match c {
        '\u{e0020}'..='\u{e007e}' => number - 0xe0000,
        '\u{fe00}'..='\u{fe0f}' => number - 0xfe00,
        '\u{e0100}'..='\u{e01ef}' => number - 0xe0100 + 16,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// Reads the character that begins here, and its length.
pub fn character(text: &[u8], at: usize) -> Option<(char, usize)> {
    let length = match text.get(at)? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let c = std::str::from_utf8(text.get(at..at + length)?)
        .ok()?
        .chars()
        .next()?;
    Some((c, length))
}

/// Whether the character that begins here hides or disguises a part of a word.
fn is_disguise(text: &[u8], at: usize) -> bool {
    let Some((c, length)) = character(text, at) else {
        return false;
    };
    let (left, right) = (before(text, at), after(text, at + length));
    let is_smuggled = |(c, _)| smuggled_byte(c).is_some();
    if smuggled_byte(c).is_some() && character(text, at + length).is_some_and(is_smuggled) {
        return true;
    }
    if is_word(left) || is_word(right) {
        if is_ignorable(c) {
            return is_word(left);
        }
        let beside = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        return match plain_text(c) {
            // Dashes in prose have no space around them.
            Some([b'-', 0, ..]) => {
                !matches!(c, '\u{2014}' | '\u{2015}')
                    && left.is_ascii_alphanumeric()
                    && right.is_ascii_alphanumeric()
            }
            Some([sign, 0, ..]) => is_word(sign) && (beside(left) || beside(right) || sign.is_ascii_digit()),
            Some(text) => text.iter().any(u8::is_ascii_alphanumeric),
            None => false,
        };
    }
    // A right-to-left override hides more than a part of a word, and a word can have no ASCII character at all.
    let is_styled = |c: char| {
        matches!(c, '\u{2070}'..='\u{24ff}' | '\u{ff01}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1ff}')
            && compatible(c).is_some_and(|text| text[0].is_ascii_alphanumeric())
    };
    c == '\u{202e}' || is_styled(c) && character(text, at + length).is_some_and(|(next, _)| is_styled(next))
}

/// The line of a hidden character. A carriage return or markup inside a word does not end it.
pub fn line_of_hidden(text: &[u8], at: usize) -> Range<usize> {
    let mut row = line(text, at..at);
    let mut from = at;
    while row.len() < LONGEST
        && let Some(next) = memchr::memchr2(b'<', b']', &text[from..row.end])
    {
        let length = markup::joint(text, from + next).unwrap_or(1);
        from += next + length;
        if from > row.end || length > 1 && row.end < from + REACH {
            row.end = line(text, from..from).end.max(row.end);
        }
    }
    while row.len() < 2 * REACH && text.get(row.end) == Some(&b'\r') && unseen_run(text, row.end).is_some() {
        row.end = line(text, row.end + 1..row.end + 1).end;
    }
    row
}

/// How far markup inside words extends a line.
const LONGEST: usize = 64 << 10;

/// The most control characters in a row that can be a part of a word: three zero bytes follow each character in UTF-32.
const UNSEEN: usize = 3;

/// The length of the control characters that begin here; `None` unless they are few and inside a word.
pub fn unseen_run(text: &[u8], at: usize) -> Option<usize> {
    let run = text[at..]
        .iter()
        .take(UNSEEN + 1)
        .take_while(|b| is_unseen(**b))
        .count();
    (run <= UNSEEN && is_word(before(text, at)) && is_word(after(text, at + run))).then_some(run)
}
