//! Decodes runs of base 64 and hexadecimal that may contain a leak.

use std::ops::Range;

use base64::Engine as _;

use crate::base64_text::STANDARD;
use crate::base64_text::URL_SAFE;
use crate::decoded_text::DecodedText;
use crate::window::around;

/// Decodes a run of base 64 or hexadecimal.
fn bytes_of(run: &[u8]) -> Option<Vec<u8>> {
    let bytes = run.trim_ascii_end();
    let bytes = &bytes[..bytes.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1)];
    let hex = bytes.len().is_multiple_of(2) && bytes.iter().all(u8::is_ascii_hexdigit);
    if hex {
        bytes
            .chunks(2)
            .map(|pair| {
                std::str::from_utf8(pair)
                    .ok()
                    .and_then(|p| u8::from_str_radix(p, 16).ok())
            })
            .collect()
    } else {
        let url_safe = bytes.iter().any(|b| matches!(b, b'_' | b'-'));
        // Decode a truncated run up to its last complete group.
        let bytes = if bytes.len() % 4 == 1 {
            &bytes[..bytes.len() - 1]
        } else {
            bytes
        };
        if url_safe {
            URL_SAFE.decode(bytes).ok()
        } else {
            STANDARD.decode(bytes).ok()
        }
    }
}

/// Decodes the run of base 64 or hexadecimal around a keyword, if it decodes to text. Also returns the end of the run.
pub fn decode(text: &[u8], hit: Range<usize>) -> (usize, Option<DecodedText>) {
    let run = around(text, hit, LONGEST, is_digit);
    let decoded = decode_run(&text[run.clone()]);
    // The whole run is the leak, even if only a part of it is secret.
    (run.end, decoded.map(|plain| DecodedText::from_whole(plain, &run)))
}

/// The longest run that is decoded to each side of a keyword.
const LONGEST: usize = 4096;

fn is_digit(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"+/_-".contains(&b)
}

/// All runs of base 64 or hexadecimal that can be an encoded text, for the search for private terms.
pub fn runs(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let start = at + text[at..].iter().position(|&b| is_digit(b))?;
            let length = text[start..]
                .iter()
                .take(LONGEST)
                .take_while(|&&b| is_digit(b))
                .count();
            at = start + length;
            let run = &text[start..at];
            let is_mixed = run.iter().any(u8::is_ascii_uppercase) && run.iter().any(u8::is_ascii_lowercase);
            if length >= 8 && (is_mixed || run.iter().all(u8::is_ascii_hexdigit)) {
                return Some(start..at);
            }
        }
        None
    })
}

/// Decodes a run, if it decodes to text.
pub fn decode_run(run: &[u8]) -> Option<Vec<u8>> {
    let plain = bytes_of(run);
    let printable = |plain: &[u8]| {
        let good = plain
            .iter()
            .filter(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
            .count();
        plain.len() >= 4 && good * 20 >= plain.len() * 19
    };
    let mut plain = plain.filter(|plain| printable(plain));
    // Encoded twice.
    if let Some(inner) = plain
        .as_ref()
        .filter(|plain| plain.iter().all(|&b| is_digit(b) || b == b'='))
    {
        plain = bytes_of(inner).filter(|inner| printable(inner)).or(plain);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_the_whole_run() {
        let encoded = STANDARD.encode("some token=0123456789");
        let (end, decoded) = decode(encoded.as_bytes(), 8..12);
        assert_eq!(
            decoded.map(|decoded| decoded.original_span(&(5..10))),
            Some(0..end)
        );
    }

    #[test]
    fn double_encoding_is_decoded() {
        let encoded = STANDARD.encode(STANDARD.encode("some token=0123456789"));
        let (_, decoded) = decode(encoded.as_bytes(), 0..4);
        assert!(decoded.is_some_and(|decoded| decoded.text.starts_with(b"some token")));
    }
}
