//! Finds what hides or disguises a part of a word: control characters, invisible characters, and characters that stand for ASCII.
//!
//! Plain ASCII text is passed over eight bytes at a time. Must not decode.

use std::ops::Range;

use crate::confusables::compatible;
use crate::confusables::is_ignorable;
use crate::confusables::plain_text;
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

/// The line of a hidden character. A carriage return inside a word does not end it.
pub fn line_of_hidden(text: &[u8], at: usize) -> Range<usize> {
    let mut row = line(text, at..at);
    while row.len() < 2 * REACH && text.get(row.end) == Some(&b'\r') && unseen_run(text, row.end).is_some() {
        row.end = line(text, row.end + 1..row.end + 1).end;
    }
    row
}

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
