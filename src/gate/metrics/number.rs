//! Reads one number of a line, whole or not at all.
//!
//! Does not know metrics. The caller finds the name and interprets the unit.

use std::ops::Range;

pub use crate::gate::metrics::boundary::Writing;
use crate::gate::metrics::boundary::boundary;
use crate::gate::metrics::form::{Decimals, Form, Why};
use crate::gate::metrics::text::{character, digit, skip_blanks, text, wide_blank};
use crate::gate::metrics::unit::{self, Unit};
use crate::gate::metrics::unit_text::{bracketed, is_declared, is_numeral, phrase, word};

/// Most digits of a number; more of them are something else.
const DIGITS: usize = 64;
/// A number that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Its value with its suffix, in the written unit; may be not finite, zero or negative.
    pub value: f64,
    /// One unit of its last written digit: 0.1 for `61.0`, 100 for `12.3k`.
    pub resolution: f64,
    /// How it is written.
    pub form: Form,
    /// Where its unit stands, where it has one.
    pub unit: Option<Range<usize>>,
    /// The end of its digits and suffix.
    pub digits_end: usize,
    /// The end of all of it.
    pub end: usize,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A number.
    Number(Number),
    /// No number at all.
    Text,
    /// Something that begins like a number.
    Unreadable(Why),
}

/// Reads what stands at `at`.
pub fn read(line: &[u8], at: usize, how: &Writing<'_>) -> Reading {
    let quote = quote(line, at);
    let start = at + quote.map_or(0, |(len, _)| len);
    let reading = bare(line, start, how);
    match (quote, reading) {
        (Some((_, quote)), Reading::Number(number)) => {
            let close = skip_blanks(line, number.end);
            let close = close + usize::from(line.get(close) == Some(&b'\\'));
            if line.get(close) == Some(&quote) {
                Reading::Number(Number {
                    end: close + 1,
                    ..number
                })
            } else {
                Reading::Unreadable(Why::HalfRead)
            }
        }
        (_, reading) => reading,
    }
}

/// An opening quote, also one that a backslash escapes: its length and the quote itself.
fn quote(line: &[u8], at: usize) -> Option<(usize, u8)> {
    match *line.get(at..)? {
        [q @ (b'"' | b'\''), ..] => Some((1, q)),
        [b'\\', q @ (b'"' | b'\''), ..] => Some((2, q)),
        _ => None,
    }
}

fn bare(line: &[u8], at: usize, how: &Writing<'_>) -> Reading {
    let decimal = how.decimal.sign();
    let mut i = at;
    let minus = "−".as_bytes();
    let negative = line.get(i) == Some(&b'-') || line[i..].starts_with(minus);
    if line[i..].starts_with(minus) {
        i += minus.len();
    } else if negative || line.get(i) == Some(&b'+') {
        i += 1;
    }
    if let Some((value, len)) = not_finite(&line[i..]) {
        let end = i + len;
        let end = end + usize::from(line.get(end) == Some(&b'%'));
        return Reading::Number(Number {
            value: if negative { -value } else { value },
            resolution: 0.0,
            form: Form::default(),
            unit: None,
            digits_end: end,
            end,
        });
    }
    let leads = line.get(i) == Some(&decimal) && digit(line, i + 1);
    if !digit(line, i) && !leads {
        return text_or_sign(line, i);
    }
    let mut form = Form::default();
    let written = match digits(line, i, how, &mut form) {
        Ok(written) => written,
        Err(why) => return Reading::Unreadable(why),
    };
    let Ok(mut value) = written.text.parse::<f64>() else {
        return Reading::Unreadable(Why::TooLarge);
    };
    if !value.is_finite() {
        return Reading::Unreadable(Why::TooLarge);
    }
    if negative {
        value = -value;
    }
    let tail = match tail(line, written.end, how) {
        Ok(tail) => tail,
        Err(why) => return Reading::Unreadable(why),
    };
    form.suffix = tail.suffix.to_ascii_uppercase();
    form.unit = tail.unit.is_some();
    let suffix = unit::suffix(tail.suffix).unwrap_or(1.0);
    value *= suffix;
    if !value.is_finite() {
        return Reading::Unreadable(Why::TooLarge);
    }
    // `5e3K`: one of the two is meant for something else. `1h 30s` is one duration.
    if tail.suffix != 0 && written.has_exponent {
        return Reading::Unreadable(Why::HalfRead);
    }
    if tail.unit.as_ref().is_some_and(|unit| is_compound(line, unit)) {
        return Reading::Unreadable(Why::NotAlone);
    }
    match boundary(line, tail.end, how) {
        Ok(()) => Reading::Number(Number {
            value,
            resolution: 10f64.powi(written.last_digit) * suffix,
            form,
            digits_end: tail.digits_end,
            unit: tail.unit,
            end: tail.end,
        }),
        Err(why) => Reading::Unreadable(why),
    }
}

struct Written<'a> {
    text: std::borrow::Cow<'a, str>,
    /// The power of ten of the last digit.
    last_digit: i32,
    has_exponent: bool,
    end: usize,
}

/// The digits with separators, decimals and exponent.
fn digits<'a>(line: &'a [u8], start: usize, how: &Writing<'_>, form: &mut Form) -> Result<Written<'a>, Why> {
    let decimal = how.decimal.sign();
    let run = |from: usize| {
        line[from..]
            .iter()
            .take(DIGITS + 1)
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let first = run(start);
    if first > DIGITS {
        return Err(Why::TooLarge);
    }
    let mut groups: Option<String> = None;
    let mut separator = None;
    let mut i = start + first;
    while let Some((sign, len)) = group_separator(line, i, decimal) {
        let group = run(i + len);
        let heads = first <= 3 && first > 0 && line[start] != b'0';
        if !heads || group != 3 || *separator.get_or_insert(sign) != sign {
            return Err(Why::Grouping);
        }
        let all = groups.get_or_insert_with(|| text(&line[start..start + first]).to_owned());
        all.push_str(text(&line[i + len..i + len + group]));
        if all.len() > DIGITS {
            return Err(Why::TooLarge);
        }
        i += len + group;
    }
    form.grouped = groups.is_some();
    form.plain = !form.grouped && first > 3;
    let before = i;
    let decimals = if line.get(i) == Some(&decimal) {
        run(i + 1)
    } else {
        0
    };
    if decimals > DIGITS {
        return Err(Why::TooLarge);
    }
    if decimals > 0 {
        let three = decimals == 3 && !form.grouped && (1..=3).contains(&first) && line[start] != b'0';
        form.decimals = if three { Decimals::Three } else { Decimals::Proven };
        i += 1 + decimals;
        // `1.2.3`, `118.750,50`, `1.234_567`
        if matches!(line.get(i), Some(b'.' | b',' | b'_' | b'\'')) && digit(line, i + 1)
            || wide_blank(line, i).is_some_and(|len| digit(line, i + len))
        {
            return Err(Why::NotAlone);
        }
    } else if line.get(i) == Some(&b' ') && (form.grouped || first <= 3 && line[start] != b'0') && {
        // `118 750`, `1 18 750`
        let next = run(i + 1);
        next == 3 || next == 2 && first <= 2 && line.get(i + 3) == Some(&b' ') && run(i + 4) == 3
    } {
        return Err(Why::Blank);
    } else if line.get(i) == Some(&b'.')
        && line
            .get(i + 1)
            .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.')
    {
        return Err(Why::NotAlone);
    }
    let number_end = i;
    let mut exponent = 0..0;
    if matches!(line.get(i), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(line.get(i + 1), Some(b'+' | b'-')));
        let count = run(i + 1 + sign);
        if count > 0 {
            if form.grouped || count > 6 {
                return Err(Why::HalfRead);
            }
            exponent = i..i + 1 + sign + count;
            i = exponent.end;
            form.decimals = Decimals::Proven;
            if matches!(line.get(i), Some(b'.' | b',')) && digit(line, i + 1) {
                return Err(Why::NotAlone);
            }
        }
    } else if decimals == 0 && line.get(i) == Some(&b'.') {
        // A full stop, or decimals that are all zero and not written.
        i += 1;
    }
    let power = text(&line[exponent.clone()])
        .get(1..)
        .and_then(|digits| digits.parse::<i32>().ok());
    let last_digit = power.unwrap_or(0) - i32::try_from(decimals).unwrap_or(0);
    if groups.is_none() && (decimal == b'.' || decimals == 0) {
        let end = if exponent.is_empty() {
            number_end
        } else {
            exponent.end
        };
        return Ok(Written {
            text: text(&line[start..end]).into(),
            last_digit,
            has_exponent: !exponent.is_empty(),
            end: i,
        });
    }
    let mut all = groups.unwrap_or_else(|| text(&line[start..before]).to_owned());
    if decimals > 0 {
        all.push('.');
        all.push_str(text(&line[before + 1..number_end]));
    }
    all.push_str(text(&line[exponent.clone()]));
    Ok(Written {
        text: all.into(),
        last_digit,
        has_exponent: !exponent.is_empty(),
        end: i,
    })
}

/// Returns the thousands separator before a digit, as a unique mark with its length. A blank is not a separator: it separates columns.
fn group_separator(line: &[u8], at: usize, decimal: u8) -> Option<(u32, usize)> {
    let (mark, len) = match *line.get(at)? {
        b if b == decimal => return None,
        b @ (b',' | b'.' | b'_' | b'\'') => (u32::from(b), 1),
        0..=0x7f => return None,
        _ => match character(line, at)? {
            (c @ '’', len) => (c as u32, len),
            _ => (u32::from(b' '), wide_blank(line, at)?),
        },
    };
    digit(line, at + len).then_some((mark, len))
}

struct Tail {
    suffix: u8,
    unit: Option<Range<usize>>,
    digits_end: usize,
    end: usize,
}

/// What follows the digits and belongs to them: a suffix, a unit.
fn tail(line: &[u8], at: usize, how: &Writing<'_>) -> Result<Tail, Why> {
    let mut tail = Tail {
        suffix: 0,
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
        return Ok(tail);
    }
    let apart = phrase(line, from);
    if from == tail.end || apart.is_empty() || names_something(line, apart.end) || (how.name)(&line[from..]) {
        return Ok(tail);
    }
    if let [letter] = line[apart.clone()]
        && unit::suffix(letter).is_some()
        && tail.suffix == 0
        && !is_declared(line, &apart, how)
    {
        tail.suffix = letter;
        tail.digits_end = apart.end;
        tail.end = apart.end;
        let unit = phrase(line, skip_blanks(line, tail.end));
        if stands_apart(line, &unit, how) {
            tail.end = unit.end;
            tail.unit = Some(unit);
        }
        return Ok(tail);
    }
    let said = text(&line[apart.clone()]);
    if stands_apart(line, &apart, how) {
        tail.end = apart.end;
        tail.unit = Some(apart);
    } else if is_numeral(said) {
        return Err(Why::HalfRead);
    } else if matches!(said, "B" | "b" | "P" | "m") {
        // A billion or bytes, peta, minutes or metres.
        return Err(Why::Unit);
    }
    Ok(tail)
}

/// Whether a word after a blank is the unit of the number before it.
fn stands_apart(line: &[u8], word: &Range<usize>, how: &Writing<'_>) -> bool {
    let said = text(&line[word.clone()]);
    let is_time = how.unit.is_some_and(|(_, unit)| unit.is_time());
    is_declared(line, word, how) || unit::stands_apart(said) || is_time && unit::seconds(said).is_some()
}

/// Whether a duration goes on after this unit, as in `1h 30s` and `1 day, 2:03:04`.
fn is_compound(line: &[u8], unit: &Range<usize>) -> bool {
    let Some(larger) = unit::seconds(text(&line[unit.clone()])) else {
        return false;
    };
    let comma = usize::from(line.get(unit.end) == Some(&b','));
    let from = skip_blanks(line, unit.end + comma);
    let from = if line[from..].starts_with(b"and ") {
        skip_blanks(line, from + 4)
    } else {
        from
    };
    let count = line[from..]
        .iter()
        .take(DIGITS)
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    if digit(line, from) && line.get(from + count) == Some(&b':') && digit(line, from + count + 1) {
        return true;
    }
    let smaller = match text(&line[word(line, skip_blanks(line, from + count))]) {
        // Between hours and seconds, these are minutes.
        "m" => Some(60.0),
        next => unit::seconds(next),
    };
    digit(line, from) && smaller.is_some_and(|smaller| smaller < larger)
}

/// Whether what ends here is the name of another value.
fn names_something(line: &[u8], at: usize) -> bool {
    let at = skip_blanks(line, at);
    match line.get(at) {
        Some(b'=' | b':' | b'_' | b'-') => true,
        Some(b) => b.is_ascii_digit() && at > 0 && line[at - 1].is_ascii_alphabetic(),
        None => false,
    }
}

/// What is not finite and still a number: also `.nan` of YAML, `NaN32` of Julia and `∞`.
fn not_finite(line: &[u8]) -> Option<(f64, usize)> {
    if line.starts_with("∞".as_bytes()) {
        return Some((f64::INFINITY, "∞".len()));
    }
    let dot = usize::from(line.first() == Some(&b'.'));
    let line = &line[dot..];
    let starts =
        |word: &str| line.len() >= word.len() && line[..word.len()].eq_ignore_ascii_case(word.as_bytes());
    let (value, len) = [
        ("infinity", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ]
    .into_iter()
    .find_map(|(word, value)| starts(word).then_some((value, word.len())))?;
    let bits = matches!(line.get(len..len + 2), Some(b"16" | b"32" | b"64"));
    let len = len + if bits { 2 } else { 0 };
    let ends = line
        .get(len)
        .is_none_or(|b| !(b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80));
    ends.then_some((value, dot + len))
}

/// Neither a digit nor a decimal sign stands here: text, or a sign before digits.
fn text_or_sign(line: &[u8], at: usize) -> Reading {
    // Fortran prints these where a number does not fit, and GitHub where a number is masked.
    if line[at..].starts_with(b"***") {
        return Reading::Unreadable(Why::Digits);
    }
    let mut i = at;
    for _ in 0..4 {
        match character(line, i) {
            Some((c, _)) if c.is_ascii_digit() && i > at => return Reading::Unreadable(Why::Qualified),
            Some((c, _)) if !c.is_ascii() && c.is_numeric() => return Reading::Unreadable(Why::Digits),
            Some((c, len)) if !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control() => i += len,
            _ => return Reading::Text,
        }
    }
    if digit(line, i) {
        Reading::Unreadable(Why::Qualified)
    } else {
        Reading::Text
    }
}
