//! Finds the text of a unit after a number: a word, words with `per`, or brackets.
//!
//! Must not read numbers: that is the task of `number`, which calls this.

use std::ops::Range;

use crate::gate::metrics::boundary::Writing;
use crate::gate::metrics::form::Why;
use crate::gate::metrics::text::{character, skip_blanks, text};
use crate::gate::metrics::unit::{self, Unit};

/// Longest unit.
const UNIT: usize = 32;

/// Reads a unit in brackets after a number, `118.7 (ktok/s)`, and returns where it stands and where the brackets end.
///
/// # Errors
/// The brackets contain a factor: `(x1000)`, `(10^5)`, `(k)`, `(thousand)`.
pub(super) fn bracketed(
    line: &[u8],
    at: usize,
    how: &Writing<'_>,
) -> Result<Option<(Range<usize>, usize)>, Why> {
    let close = match line.get(at) {
        Some(b'(') => b')',
        Some(b'[') => b']',
        _ => return Ok(None),
    };
    let Some(len) = line[at + 1..].iter().take(UNIT).position(|b| *b == close) else {
        return Ok(None);
    };
    let inside = at + 1..at + 1 + len;
    let said = text(&line[inside.clone()]).trim();
    let factor = said.strip_prefix(['x', 'X', '×', '*']).map(str::trim_start);
    if factor.is_some_and(|f| f.starts_with(|c: char| c.is_ascii_digit()))
        || said.starts_with("10^")
        || said.starts_with("10**")
    {
        return Err(Why::NotAlone);
    }
    let is_suffix = matches!(said.as_bytes(), [letter] if unit::suffix(*letter).is_some());
    let is_unit = is_declared(line, &inside, how) || Unit::known(said).is_some();
    // `(K tok/s)`, `(per GPU)`; but `(8 GPUs)` and `(14843 tok/s/GPU)` are other numbers.
    let scales = |word: &str| {
        matches!(word.as_bytes(), [letter] if unit::suffix(*letter).is_some())
            || matches!(word, "per" | "each" | "every")
            || word.contains('/') && (Unit::known(word).is_some() || unit::stands_apart(word))
    };
    if !is_unit
        && !is_suffix
        && !said.contains(|c: char| c.is_ascii_digit())
        && said.split_whitespace().any(scales)
    {
        return Err(Why::Unit);
    }
    if !is_unit && (is_suffix || said.split_whitespace().any(is_numeral)) {
        return Err(Why::HalfRead);
    }
    Ok(is_unit.then_some((inside.clone(), inside.end + 1)))
}

/// Whether a word is the declared unit as the registry writes it.
pub(super) fn is_declared(line: &[u8], word: &Range<usize>, how: &Writing<'_>) -> bool {
    how.unit.is_some_and(|(declared, _)| {
        !word.is_empty() && Unit::is_spelling(text(&line[word.clone()]), declared)
    })
}

/// A word for a number, which would multiply the one before it.
pub(super) fn is_numeral(word: &str) -> bool {
    const NUMERALS: &[&str] = &[
        "hundred", "thousand", "million", "billion", "trillion", "mn", "bn", "mio", "mrd", "lakh", "crore",
        "mln", "mlrd", "tys", "tsd", "kilo", "mega", "giga", "tera", "milli", "micro", "nano", "тыс", "млн",
        "млрд",
    ];
    let single = word.strip_suffix('s').unwrap_or(word);
    NUMERALS
        .iter()
        .any(|n| n.eq_ignore_ascii_case(word) || n.eq_ignore_ascii_case(single))
}

/// Returns the range of letters and other characters of a unit.
pub(super) fn word(line: &[u8], at: usize) -> Range<usize> {
    let mut i = at;
    while i - at < UNIT {
        match line.get(i) {
            Some(b'%') => {
                i += 1;
                break;
            }
            Some(b) if b.is_ascii_alphabetic() => i += 1,
            Some(b'/') if line.get(i + 1).is_some_and(u8::is_ascii_alphabetic) => i += 1,
            Some(0x80..) => match character(line, i) {
                Some(('µ' | 'μ', len)) => i += len,
                _ => break,
            },
            _ => break,
        }
    }
    at..i
}

/// Returns the range of a unit in words, `tokens per second`, or of one word.
pub(super) fn phrase(line: &[u8], at: usize) -> Range<usize> {
    let first = word(line, at);
    let mut end = if text(&line[first.clone()]) == "per" {
        at
    } else {
        first.end
    };
    loop {
        let per = skip_blanks(line, end);
        let what = skip_blanks(line, per + 3);
        if !line[per..].starts_with(b"per") || what == per + 3 {
            break;
        }
        let next = word(line, what);
        if next.is_empty() {
            break;
        }
        end = next.end;
    }
    at..end.max(first.end)
}
