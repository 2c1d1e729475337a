//! Decodes obfuscated text: invisible characters, look-alikes, escapes, and tokens over two lines or literals.
//!
//! The result is a [`DecodedText`], which maps each byte to its place in the original. The rules then scan the decoded text.

use std::ops::Range;

use crate::confusables::is_ignorable;
use crate::confusables::plain_text;
use crate::decoded_text::DecodedText;
use crate::hidden::character;
use crate::hidden::is_unseen;
use crate::hidden::smuggled_byte;
use crate::hidden::unseen_run;
use crate::markup;
use crate::markup::Seen;
use crate::unreserved::is_unreserved;
use crate::window::after;
use crate::window::before;

/// Decides from the neighbours of a keyword of obfuscated text whether to decode the line: the keyword must be inside a word.
pub fn may_be_obfuscated(text: &[u8], hit: Range<usize>) -> bool {
    let (left, right) = (before(text, hit.start), after(text, hit.end));
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'%' | b'\\');
    match text[hit.start] {
        b'%' => word(left) || word(right),
        b'=' => right == b'=',
        b'\\' => match text[hit.start + 1] {
            b'u' | b'U' => escape(&text[hit.start..text.len().min(hit.start + 16)])
                .is_some_and(|(_, decoded)| decoded.as_bytes().iter().all(|&b| is_unreserved(b))),
            b'x' => word(left) || word(right),
            _ => word(left),
        },
        _ if text[hit.start + 1..hit.end].starts_with(b"**") => word(right) || right == b'*',
        b'"' | b'\'' => word(left) && word(right),
        b' ' => left.is_ascii_digit() && right.is_ascii_digit(),
        0x9b => left.is_ascii(),
        _ => true,
    }
}

/// Whether a token that begins with this keyword continues after a line end or in the next quoted text.
pub fn continues_elsewhere(text: &[u8], hit: &Range<usize>) -> bool {
    let from = hit.end;
    // A web token is longer than other tokens, and contains dots.
    let web = text[hit.start..].starts_with(b"eyJ");
    let most = if web { 1024 } else { 64 };
    let run = text[from..]
        .iter()
        .take(most)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || web && **b == b'.')
        .count();
    let at = from + run;
    let glue = text[at..].iter().take(32).take_while(|b| is_glue(**b)).count();
    run < most && is_joint(text, at..at + glue) && after(text, at + glue).is_ascii_alphanumeric()
}

fn is_glue(b: u8) -> bool {
    b.is_ascii_whitespace() || b"\"'`+\\.>#*,".contains(&b)
}

/// Whether a span joins two parts of a token: a line end, or the end of a quoted text and the start of the next.
fn is_joint(text: &[u8], span: Range<usize>) -> bool {
    let listed = before(text, span.start).is_ascii_alphanumeric();
    let glue = &text[span];
    // A list of prefixes is not a token.
    if glue.contains(&b',') && !listed {
        return false;
    }
    let quotes = glue.iter().filter(|b| matches!(b, b'"' | b'\'' | b'`')).count();
    // The end of only one literal does not join two parts.
    match memchr::memchr(b'\n', glue) {
        Some(_) => quotes != 1 && !glue.contains(&b','),
        None => quotes == 2,
    }
}

/// Decodes a line. Returns `None` if there is nothing to decode.
pub fn decode_line(text: &[u8], stretch: Range<usize>) -> Option<DecodedText> {
    let mut decoded = DecodedText::new(stretch.clone());
    let mut at = stretch.start;
    let mut changed = false;
    while at < stretch.end {
        let rest = &text[at..stretch.end];
        if rest.starts_with("\u{202e}".as_bytes()) {
            changed = true;
            at += backwards(rest, at, &mut decoded);
            continue;
        }
        match step(text, at, rest) {
            Some((length, replacement)) => {
                changed = true;
                for &byte in replacement.as_bytes() {
                    decoded.push(byte, at..at + length);
                }
                at += length;
            }
            None => {
                decoded.push(text[at], at..at + 1);
                at += 1;
            }
        }
    }
    changed.then_some(decoded)
}

/// Reads the bytes that a row of tag characters or variation selectors hides; `None` if there are few.
pub fn smuggled(text: &[u8], stretch: Range<usize>) -> Option<DecodedText> {
    let mut decoded = DecodedText::new(stretch.clone());
    let mut at = stretch.start;
    while at < stretch.end {
        let Some((c, length)) = character(text, at) else {
            at += 1;
            continue;
        };
        if let Some(byte) = smuggled_byte(c) {
            decoded.push(byte, at..at + length);
        }
        at += length;
    }
    (decoded.text.len() >= SMUGGLED).then_some(decoded)
}

/// How many bytes a hidden text has at least. A flag of a region has fewer.
const SMUGGLED: usize = 8;

/// Reverses the text after a right-to-left override. Returns the length of that text.
fn backwards(rest: &[u8], at: usize, decoded: &mut DecodedText) -> usize {
    let mark = "\u{202e}".len();
    let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let end = memchr::memmem::find(&rest[..line], "\u{202c}".as_bytes()).unwrap_or(line);
    for &byte in rest[mark..end].iter().rev() {
        // Readers see the text reversed, so report all of it.
        decoded.push(byte, at..at + end);
    }
    end
}

/// Decodes what begins here. Returns its length and its replacement.
fn step(text: &[u8], at: usize, rest: &[u8]) -> Option<(usize, Replacement)> {
    match rest[0] {
        b'%' if rest.starts_with(b"%25") => byte_of(rest.get(3..5)?, 16)
            .filter(u8::is_ascii_graphic)
            .map(|b| (5, b.into())),
        b'%' => byte_of(rest.get(1..3)?, 16)
            .filter(u8::is_ascii_graphic)
            .map(|b| (3, b.into())),
        b'\\' => escape(rest),
        b'&' => markup::entity(rest).map(|(length, seen)| (length, seen.into())),
        byte if is_unseen(byte) => unseen_run(text, at).map(|length| (length, Replacement::NOTHING)),
        b'\x1b' => control_sequence(rest).map(|length| (length, Replacement::NOTHING)),
        // Inside a character, the byte is a part of it.
        0x9b if before(text, at).is_ascii() => {
            control_sequence(rest).map(|length| (length, Replacement::NOTHING))
        }
        0xc2 if matches!(rest.get(1), Some(0x80..=0x9f)) => {
            let length = control_sequence(rest).unwrap_or(2);
            Some((length, Replacement::NOTHING))
        }
        b'[' | b'(' | b'{' => defanged(rest),
        b'h' | b'H' if rest.len() > 5 && rest[..4].eq_ignore_ascii_case(b"hxxp") => {
            Some((4, Replacement::text(b"http")))
        }
        b' ' if rest.len() > 5 && rest[..5].eq_ignore_ascii_case(b" dot ") && rest[5].is_ascii_digit() => {
            Some((5, b'.'.into()))
        }
        b' ' if matches!(rest.get(1), Some(b'[' | b'(')) => defanged(&rest[1..])
            .filter(|(length, _)| rest.get(length + 1) == Some(&b' '))
            .map(|(length, sign)| (length + 2, sign)),
        b'=' if rest.get(3) == Some(&b'=') || at >= 3 && text[at - 3] == b'=' => byte_of(rest.get(1..3)?, 16)
            .filter(|&b| is_unreserved(b) || b == b'=')
            .map(|b| (3, b.into())),
        b'"' | b'\'' => concatenated(rest).map(|length| (length, Replacement::NOTHING)),
        b'*' if rest.starts_with(b"**") => Some((2, Replacement::NOTHING)),
        b'<' | b']' => markup::invisible_markup(rest).map(|length| (length, Replacement::NOTHING)),
        0x80.. => disguised(text, at),
        _ => None,
    }
}

/// Up to four decoded bytes.
struct Replacement {
    bytes: [u8; 4],
    length: usize,
}

impl Replacement {
    const NOTHING: Replacement = Replacement {
        bytes: [0; 4],
        length: 0,
    };

    fn text(text: &[u8; 4]) -> Self {
        Replacement {
            bytes: *text,
            length: 4,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl From<[u8; 4]> for Replacement {
    /// The text before the first zero.
    fn from(bytes: [u8; 4]) -> Self {
        let length = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Replacement { bytes, length }
    }
}

impl From<Seen> for Replacement {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Nothing => Replacement::NOTHING,
            Seen::Text(text) => text.into(),
        }
    }
}

impl From<u8> for Replacement {
    fn from(byte: u8) -> Self {
        Replacement {
            bytes: [byte, 0, 0, 0],
            length: 1,
        }
    }
}

fn byte_of(digits: &[u8], radix: u32) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

/// A number in hexadecimal digits.
fn number_of(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(text, 16).ok())?
}

/// What the character with a number stands for.
fn code_point(number: u32) -> Option<Replacement> {
    markup::seen(number).map(Replacement::from)
}

/// Decodes `\u0067`, `\u{67}`, `\U00000067`, `\x67`, and a backslash before a sign as in Markdown.
fn escape(rest: &[u8]) -> Option<(usize, Replacement)> {
    match rest.get(1)? {
        b'u' if rest.get(2)? == &b'{' => {
            let digits = &rest[3..rest.len().min(12)];
            let end = memchr::memchr(b'}', digits)?;
            Some((end + 4, code_point(number_of(&digits[..end])?)?))
        }
        b'u' => Some((6, code_point(number_of(rest.get(2..6)?)?)?)),
        b'U' => Some((10, code_point(number_of(rest.get(2..10)?)?)?)),
        b'x' => byte_of(rest.get(2..4)?, 16)
            .filter(u8::is_ascii_graphic)
            .map(|b| (4, b.into())),
        sign @ (b'_' | b'-' | b'.' | b'*' | b'@' | b':' | b'#') => Some((2, (*sign).into())),
        _ => None,
    }
}

/// The length of `" + "` between two halves of a word.
fn concatenated(rest: &[u8]) -> Option<usize> {
    let blank = |from: usize| rest[from..].iter().take(2).take_while(|b| **b == b' ').count();
    let sign = 1 + blank(1);
    (rest.get(sign) == Some(&b'+')).then_some(())?;
    let quote = sign + 1 + blank(sign + 1);
    (rest.get(quote) == rest.first()).then_some(quote + 1)
}

/// The length of a control sequence of a terminal: a colour, a move of the cursor, a link, a character set, a string for the device.
fn control_sequence(rest: &[u8]) -> Option<usize> {
    // The second byte of the form with seven bits, and where the sequence goes on.
    let (kind, from) = match rest {
        [0x1b, kind, ..] => (*kind, 2),
        [0xc2, kind @ 0x80..=0x9f, ..] => (kind - 0x40, 2),
        [kind @ 0x9b, ..] => (kind - 0x40, 1),
        _ => return None,
    };
    let end = |most: usize, is_last: fn(&u8) -> bool| rest[from..].iter().take(most).position(is_last);
    match kind {
        b'[' => Some(from + end(24, |b| (0x40..=0x7e).contains(b))? + 1),
        b']' | b'P' | b'X' | b'^' | b'_' => {
            // Other characters also begin with the byte 0xc2.
            let ends = |at: &usize| matches!(rest[*at..], [7 | 0x1b | b'\n', ..] | [0xc2, 0x9c, ..]);
            let end = (from..rest.len().min(from + 512)).find(ends)?;
            match rest[end..] {
                [7, ..] => Some(end + 1),
                [0x1b, b'\\', ..] | [0xc2, 0x9c, ..] => Some(end + 2),
                _ => None,
            }
        }
        b' '..=b'/' => Some(from + end(4, |b| (0x30..=0x7e).contains(b))? + 1),
        0x30..=0x7e => Some(from),
        _ => None,
    }
}

/// Decodes `[.]`, `(dot)`, `[:]`.
fn defanged(rest: &[u8]) -> Option<(usize, Replacement)> {
    let end = rest
        .iter()
        .take(6)
        .position(|b| matches!(b, b']' | b')' | b'}'))?;
    let sign = match &rest[1..end] {
        b"." => b'.',
        b":" => b':',
        b"@" => b'@',
        inner if inner.eq_ignore_ascii_case(b"dot") => b'.',
        inner if inner.eq_ignore_ascii_case(b"at") => b'@',
        _ => return None,
    };
    Some((end + 1, sign.into()))
}

/// Decodes a character that is not ASCII: removes an invisible one, and replaces one that stands for ASCII in a word.
fn disguised(text: &[u8], at: usize) -> Option<(usize, Replacement)> {
    let (c, length) = character(text, at)?;
    if is_ignorable(c) {
        return Some((length, Replacement::NOTHING));
    }
    let plain = plain_text(c)?;
    let beside = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || matches!(b, b'.' | b'-' | b':' | b'_');
    (beside(before(text, at)) || beside(after(text, at + length))).then_some((length, plain.into()))
}

/// Removes line ends, quotes and concatenation signs between two halves of a word.
pub fn join_pieces(text: &[u8], stretch: Range<usize>) -> Option<DecodedText> {
    let mut decoded = DecodedText::new(stretch.clone());
    let mut at = stretch.start;
    let mut changed = false;
    while at < stretch.end {
        let glue = text[at..stretch.end]
            .iter()
            .take(64)
            .take_while(|b| is_glue(**b))
            .count();
        if glue > 0 && is_joint(text, at..at + glue) {
            changed = true;
            at += glue;
        } else {
            let literal = glue.max(1);
            for offset in 0..literal {
                decoded.push(text[at + offset], at + offset..at + offset + 1);
            }
            at += literal;
        }
    }
    changed.then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> String {
        decode_line(text.as_bytes(), 0..text.len()).map_or_else(
            || text.to_owned(),
            |decoded| String::from_utf8_lossy(&decoded.text).into_owned(),
        )
    }

    #[test]
    fn obfuscated_text_is_decoded() {
        for (hidden, plain) in [
            ("ab\u{200b}cd", "abcd"),
            ("g\u{440}u\u{2011}b200", "gpu-b200"),
            ("A%4BIA", "AKIA"),
            ("&#103;hp&lowbar;", "ghp_"),
            ("\\u0067hp\\_x", "ghp_x"),
            ("node[.]corp (dot) hxxp://", "node.corp.http://"),
            ("gh\u{1b}[1mp_\u{1b}[0m", "ghp_"),
            ("gh\u{9b}1mp_", "ghp_"),
            ("gh\u{1b}]8;;https://x\u{1b}\\p_\u{1b}]8;;\u{7}", "ghp_"),
            ("gh\u{34f}p\u{3164}_\u{fe01}x\u{e0101}y", "ghp_xy"),
            ("gh\\u{70}_\\u200bx", "ghp_x"),
            ("gh&zwnj;p_", "ghp_"),
            ("gh&#0000000000008203;p&rlm;_&it;x", "ghp_x"),
            ("gh<B>p<a href='x'></a>_<!-- \n -->x<?y?>", "ghp_x"),
            ("gh\u{202b}p\u{2066}_\u{2800}x\u{fff9}y\u{85}z", "ghp_xyz"),
            ("gh\u{301}p_\u{e9}\u{1d41a}\u{ff21}\u{2460}\u{967}", "ghp_eaA11"),
            (
                "gh\u{1b}_x\u{1b}\\p\u{1b}Pq\u{7}_\u{90}q\u{9c}x\u{1b}=y",
                "ghp_xy",
            ),
            ("gh\u{1b}]0;\u{b0}\u{7}p\u{1b}Pq\u{a7}\u{9c}_", "ghp_"),
            ("gh\rp_\r\nx", "ghp_\r\nx"),
            ("g\0hp\0\0_\u{1}\u{7f}x", "ghp_x"),
            ("a \0b \0\0\0\0c", "a \0b \0\0\0\0c"),
            ("10 dot 2 dot 3", "10.2.3"),
            ("node (dot) corp, me [at] x", "node.corp, me@x"),
            ("a%252Eb", "a.b"),
            ("gpu-\u{661}\u{6f2}", "gpu-12"),
            ("a \u{202e}proc.edon\u{202c} b", "a node.corp b"),
            ("x = \"gh\" + \"p_1\"", "x = \"ghp_1\""),
        ] {
            assert_eq!(decode(hidden), plain);
        }
        assert!(decode_line("plain".as_bytes(), 0..5).is_none());
    }

    #[test]
    fn decoded_text_has_original_places() {
        let back = |text: &str, span| {
            decode_line(text.as_bytes(), 0..text.len()).map(|decoded| decoded.original_span(&span))
        };
        assert_eq!(back("x ab\u{200b}cd y", 2..6), Some(2..9));
        assert_eq!(back("a &#103;hp", 2..3), Some(2..8));
        // The place of reversed text is all of it.
        assert_eq!(back("a \u{202e}edcba\u{202c} b", 3..5), Some(2..10));
    }
}
