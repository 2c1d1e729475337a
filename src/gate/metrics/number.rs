//! Reads one number of a line, whole or not at all.
//!
//! Does not know metrics. The caller finds the name and interprets the unit.

use std::ops::Range;

pub use crate::gate::metrics::boundary::Writing;
use crate::gate::metrics::boundary::boundary;
use crate::gate::metrics::form::{Decimals, Form, Why};
use crate::gate::metrics::tail::{is_compound, is_second_number, tail};
use crate::gate::metrics::text::{character, digit, skip_blanks, text, wide_blank};
use crate::gate::metrics::unit;
use crate::gate::metrics::words::{self, Words};

/// The largest whole number below which all whole numbers have a value of their own.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Significant digits that suffice to print any value.
const SIGNIFICANT: usize = 17;
/// Most digits of a number; more of them are something else.
const DIGITS: usize = 64;
/// A number that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Its value with its suffix, in the written unit; may be not finite, zero or negative.
    pub value: f64,
    /// One unit of its last written digit: 0.1 for `61.0`, 100 for `12.3k`.
    pub resolution: f64,
    /// Whether it has more digits than its value keeps.
    pub rounded: bool,
    /// Whether the next word could be a unit or a factor that is not known.
    pub unknown_word: bool,
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
            let next = skip_blanks(line, close + 1);
            let another = line.get(next) == Some(&quote) && digit(line, next + 1);
            if line.get(close) == Some(&quote) && !another {
                let apart = next > close + 1 && words::after(line, close + 1, next) == Words::Unknown;
                Reading::Number(Number {
                    end: close + 1,
                    unknown_word: number.unknown_word || apart,
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
            rounded: false,
            unknown_word: false,
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
    form.word = tail.word;
    form.unit = tail.unit.is_some();
    let rounded = is_rounded(&written.text, value);
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
    if tail.unit.is_some() && tail.end >= how.matched && words::divides(line, tail.end) {
        return Reading::Unreadable(Why::Unit);
    }
    // Columns are further apart than one blank.
    let gap = tail.unit.is_none() && tail.end >= how.matched && line.get(tail.end) == Some(&b' ');
    if gap && is_second_number(line, tail.end + 1) {
        return Reading::Unreadable(Why::Blank);
    }
    match boundary(line, tail.end, how) {
        Ok(()) => Reading::Number(Number {
            value,
            resolution: 10f64.powi(written.last_digit) * suffix,
            rounded,
            unknown_word: tail.unknown,
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

/// Whether the value of a number stands for other numbers with as many digits too.
fn is_rounded(text: &str, value: f64) -> bool {
    if value.abs() >= EXACT && text.bytes().all(|b| b.is_ascii_digit()) {
        return text
            .parse::<u128>()
            .is_ok_and(|exact| format!("{:.0}", value.abs()) != exact.to_string());
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa
        .bytes()
        .filter(u8::is_ascii_digit)
        .skip_while(|b| *b == b'0');
    mantissa.contains('.') && digits.count() > SIGNIFICANT
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
