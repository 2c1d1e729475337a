//! Reads what follows the digits of a number: a suffix, a unit, and words that could be one.
//!
//! Must not read the digits: that is the task of `number`, which calls this.

use std::ops::Range;

use crate::gate::metrics::boundary::Writing;
use crate::gate::metrics::form::Why;
use crate::gate::metrics::text::{digit, skip_blanks, text};
use crate::gate::metrics::unit::{self, Unit};
use crate::gate::metrics::unit_text::{bracketed, is_declared, is_numeral, phrase, word};
use crate::gate::metrics::words::{self, Words};

/// Most digits of a number that is a part of a spread or a duration.
const DIGITS: usize = 64;

/// What follows the digits of a number and belongs to them.
pub(super) struct Tail {
    /// The letter of a suffix; 0 for none.
    pub suffix: u8,
    /// A fingerprint of the next word if it has no known meaning; 0 for none.
    pub word: u32,
    /// Whether the next word could be a unit or a factor that is not known.
    pub unknown: bool,
    /// Where the unit stands.
    pub unit: Option<Range<usize>>,
    /// The end of digits and suffix.
    pub digits_end: usize,
    /// The end of all of it.
    pub end: usize,
}

/// Reads what follows the digits of a number: a suffix, a unit.
///
/// # Errors
/// It belongs to the number and has no known meaning, or changes the meaning of its unit.
pub(super) fn tail(line: &[u8], at: usize, how: &Writing<'_>) -> Result<Tail, Why> {
    let mut tail = Tail {
        suffix: 0,
        word: 0,
        unknown: false,
        unit: None,
        digits_end: at,
        end: at,
    };
    if (how.name)(&line[at..]) {
        return Ok(tail);
    }
    let glued = word(line, at);
    if let [letter] = line[glued.clone()]
        && unit::suffix(letter).is_some()
        && !is_declared(line, &glued, how)
    {
        tail.suffix = letter;
        tail.digits_end = glued.end;
        tail.end = glued.end;
    } else if !glued.is_empty() {
        if is_declared(line, &glued, how) || Unit::known(text(&line[glued.clone()])).is_some() {
            tail.end = glued.end;
            tail.unit = Some(glued);
            behind_unit(line, how, &mut tail)?;
            return Ok(tail);
        }
        // The pattern of the registry says what follows.
        return if glued.start < how.matched {
            Ok(tail)
        } else {
            Err(Why::HalfRead)
        };
    }
    let from = skip_blanks(line, tail.end);
    if let Some((unit, end)) = bracketed(line, from, how)? {
        tail.end = end;
        tail.unit = Some(unit);
        behind_unit(line, how, &mut tail)?;
        return Ok(tail);
    }
    if let Some(after) = spread(line, from) {
        // `0.56 ± 0.01 s`: the unit is that of both.
        let end = tail.end;
        tail.end = after;
        apart_unit(line, how, &mut tail)?;
        tail.end = end;
        return Ok(tail);
    }
    if from == tail.end || (how.name)(&line[from..]) {
        return Ok(tail);
    }
    if encloses_scale(line, from) {
        return Err(Why::HalfRead);
    }
    let apart = phrase(line, from);
    if let [letter] = line[apart.clone()]
        && unit::suffix(letter).is_some()
        && tail.suffix == 0
        && !is_declared(line, &apart, how)
        && words::first(line, from).len() == 1
        && words::after(line, tail.end, from) != Words::Name
    {
        tail.suffix = letter;
        tail.digits_end = apart.end;
        tail.end = apart.end;
    }
    apart_unit(line, how, &mut tail)?;
    Ok(tail)
}

/// Reads the unit that stands after a blank, and checks any other words there.
fn apart_unit(line: &[u8], how: &Writing<'_>, tail: &mut Tail) -> Result<(), Why> {
    let from = skip_blanks(line, tail.end);
    let next = words::after(line, tail.end, from);
    if from == tail.end || matches!(next, Words::Name | Words::None) && !line[from..].starts_with(b"%") {
        return Ok(());
    }
    let apart = phrase(line, from);
    if stands_apart(line, &apart, how) {
        tail.end = apart.end;
        tail.unit = Some(apart);
        return behind_unit(line, how, tail);
    }
    // The pattern of the registry says what follows.
    if from < how.matched {
        return Ok(());
    }
    let said = words::first(line, from);
    // A billion or bytes, peta, minutes or metres.
    if matches!(said, "B" | "b" | "P" | "m") {
        return Err(Why::Unit);
    }
    if is_numeral(said) || is_exponent(line, from) {
        return Err(Why::HalfRead);
    }
    let sentence_ends = line.get(tail.end - 1) == Some(&b'.');
    if next == Words::Column || next == Words::Unknown && !sentence_ends {
        tail.word = words::fingerprint(line, from);
        tail.unknown = next == Words::Unknown;
    }
    Ok(())
}

/// Checks the word behind the unit, perhaps in brackets: a factor changes the number, and another word may.
fn behind_unit(line: &[u8], how: &Writing<'_>, tail: &mut Tail) -> Result<(), Why> {
    let at = skip_blanks(line, tail.end);
    let open = usize::from(matches!(
        line.get(at),
        Some(b'(' | b'[' | b'{' | b'<' | b'"' | b'\'')
    ));
    let from = skip_blanks(line, at + open);
    if from == tail.end || from < how.matched || (how.name)(&line[from..]) {
        return Ok(());
    }
    let next = words::after(line, tail.end, from);
    if !matches!(next, Words::Unknown | Words::Column) {
        return Ok(());
    }
    let said = words::first(line, from);
    let is_factor =
        matches!(said.as_bytes(), [letter] if unit::suffix(*letter).is_some()) || is_numeral(said);
    if is_factor || open > 0 && words::is_divisor(said) {
        return Err(Why::Unit);
    }
    tail.word = words::fingerprint(line, from);
    Ok(())
}

/// Whether a number stands here that is not a time stamp.
pub(super) fn is_second_number(line: &[u8], at: usize) -> bool {
    let digits = line[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    (1..10).contains(&digits)
}

/// The end of a spread such as `± 0.01` and `(+/- 0.01)`, if one stands here.
fn spread(line: &[u8], at: usize) -> Option<usize> {
    let open = usize::from(line.get(at) == Some(&b'('));
    let signs = ["±", "+/-", "+-"];
    let sign = signs
        .into_iter()
        .find(|sign| line[at + open..].starts_with(sign.as_bytes()))?;
    let from = skip_blanks(line, at + open + sign.len());
    let part = |b: &&u8| b.is_ascii_digit() || matches!(**b, b'.' | b',' | b'e' | b'E' | b'-' | b'+');
    let end = from + line[from..].iter().take(DIGITS).take_while(part).count();
    let close = usize::from(open == 1 && line.get(end) == Some(&b')'));
    digit(line, from).then_some(end + close)
}

/// Whether quotes or brackets contain a factor or a unit here, or digits after an apostrophe: `118.7 "k"`, `118.7 <k>`, `118.7 '000`.
fn encloses_scale(line: &[u8], at: usize) -> bool {
    if at >= line.len() {
        return false;
    }
    let word = words::first(line, at + 1);
    let scale = matches!(word.as_bytes(), [letter] if unit::suffix(*letter).is_some())
        || is_numeral(word)
        || Unit::known(word).is_some();
    match line.get(at) {
        Some(b'"' | b'\'') if digit(line, at + 1) => true,
        Some(b'"' | b'\'' | b'{' | b'<' | b'-') => {
            scale && words::after(line, at + 1, at + 1) == Words::Unknown
        }
        _ => false,
    }
}

/// Whether an exponent stands here: `E+5` in `1.2 E+5`.
fn is_exponent(line: &[u8], at: usize) -> bool {
    let sign = usize::from(matches!(line.get(at + 1), Some(b'+' | b'-')));
    let from = at + 1 + sign;
    let count = line[from.min(line.len())..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let ends = line.get(from + count).is_none_or(|b| !b.is_ascii_alphanumeric());
    matches!(line.get(at), Some(b'e' | b'E')) && count > 0 && ends
}

/// Whether a word after a blank is the unit of the number before it.
fn stands_apart(line: &[u8], word: &Range<usize>, how: &Writing<'_>) -> bool {
    let said = text(&line[word.clone()]);
    let is_time = how.unit.is_some_and(|(_, unit)| unit.is_time());
    is_declared(line, word, how) || unit::stands_apart(said) || is_time && unit::seconds(said).is_some()
}

/// Whether another number of the same kind follows this unit, as in `1h 30s`, `1 day, 2:03:04`, `45 GiB 200 MiB` and `45 GiB of 80 GiB`.
pub(super) fn is_compound(line: &[u8], unit: &Range<usize>) -> bool {
    let this = text(&line[unit.clone()]);
    let larger = unit::seconds(this);
    let comma = usize::from(larger.is_some() && line.get(unit.end) == Some(&b','));
    let from = skip_blanks(line, unit.end + comma);
    let joined = [&b"and "[..], b"of "]
        .into_iter()
        .find(|word| line[from..].starts_with(word));
    let from = joined.map_or(from, |word| skip_blanks(line, from + word.len()));
    let count = line[from..]
        .iter()
        .take(DIGITS)
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let clock = larger.is_some() && line.get(from + count) == Some(&b':') && digit(line, from + count + 1);
    if digit(line, from) && clock {
        return true;
    }
    let next = text(&line[word(line, skip_blanks(line, from + count))]);
    let same = match (larger, unit::seconds(next)) {
        // Between hours and seconds, these are minutes.
        (Some(larger), None) if next == "m" => larger > 60.0,
        (Some(larger), Some(smaller)) => smaller < larger || joined == Some(b"of "),
        (None, None) => Unit::known(this)
            .zip(Unit::known(next))
            .is_some_and(|(a, b)| a.is_like(&b)),
        _ => false,
    };
    digit(line, from) && from > unit.end && same
}
