//! Decides whether a number ends at a place, or is a part of a list, range, ratio, date or word.
//!
//! Looks only at the text after the number.

use crate::domain::metric::Decimal;
use crate::gate::metrics::form::Why;
use crate::gate::metrics::text::{character, digit, skip_blanks, text};
use crate::gate::metrics::unit::{self, Unit};
use crate::gate::metrics::words::divides_by_word;

/// What the reader must know about the metric.
#[derive(Clone, Copy)]
pub struct Writing<'a> {
    /// The declared decimal sign.
    pub decimal: Decimal,
    /// Whether the number may be the first of two, as in `10/500`: it counts something.
    pub counts: bool,
    /// The declared unit and its text.
    pub unit: Option<(&'a str, &'a Unit)>,
    /// Whether a name of another value begins here: numbers and names may be glued.
    pub name: &'a dyn Fn(&[u8]) -> bool,
    /// The end of the match of the registry's pattern. Text inside the match is not checked.
    pub matched: usize,
}

/// Checks that a number ends at `at`.
///
/// # Errors
/// The next characters belong to the number, or make it a part of something else.
pub fn boundary(line: &[u8], at: usize, how: &Writing<'_>) -> Result<(), Why> {
    if (how.name)(&line[at..]) {
        return Ok(());
    }
    let ours = at >= how.matched;
    let next = line.get(at).copied();
    let after = |signs: usize| digit(line, at + signs);
    match next {
        None => return Ok(()),
        Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'%') => return Err(Why::HalfRead),
        Some(b'.') => {
            let ends = line.get(at + 1).is_none_or(|b| {
                b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b')' | b']' | b'}' | b'\\')
            });
            return if ends { Ok(()) } else { Err(Why::NotAlone) };
        }
        Some(b',') if after(1) => return Err(Why::NotAlone),
        Some(b'`') if after(1) => return Err(Why::HalfRead),
        Some(b'/') if ours && !(how.counts && ratio(line, at)) => return Err(Why::NotAlone),
        // `320|ms`, as StatsD has it.
        Some(b'|') if ours && is_time_field(&line[at + 1..]) => return Err(Why::Unit),
        Some(b';' | b'|' | b':' | b'-') if after(1) && ours => return Err(Why::NotAlone),
        Some(b'+') if line.get(at + 1) == Some(&b'/') => return Ok(()),
        Some(b'-' | b'+' | b'*' | b'^' | b'=' | b'~' | b'#' | b'@' | b'!' | b'?' | b'&' | b'$' | b'<')
            if ours =>
        {
            return Err(Why::HalfRead);
        }
        // A terminal may show `118`, a control character and `750` as one number.
        Some(b) if b.is_ascii_control() && b != b'\t' && after(1) => return Err(Why::HalfRead),
        Some(0x80..) => {
            let Some((c, len)) = character(line, at) else {
                return Err(Why::HalfRead);
            };
            if !c.is_whitespace() && !ends_number(c) && ours {
                return Err(if "–—‒×·～〜…".contains(c) {
                    Why::NotAlone
                } else {
                    Why::HalfRead
                });
            }
            if c.is_whitespace() && digit(line, at + len) {
                return Err(Why::Grouping);
            }
            let next_value = match c {
                '→' => digit(line, skip_blanks(line, at + len)),
                // These separate thousands or the values of a list.
                '、' | '，' | '；' => digit(line, at + len),
                _ => false,
            };
            if next_value && ours {
                return Err(Why::NotAlone);
            }
        }
        Some(_) => {}
    }
    let then = skip_blanks(line, at);
    if then > at && ours {
        apart(line, then, how)?;
    }
    Ok(())
}

/// Checks that the text after a number and a blank does not make the number a part of something else.
fn apart(line: &[u8], at: usize, how: &Writing<'_>) -> Result<(), Why> {
    let digit_after = |from: usize| {
        let next = skip_blanks(line, from);
        let not_finite = |word: &[u8]| {
            line.get(next..next + 3)
                .is_some_and(|w| w.eq_ignore_ascii_case(word))
        };
        digit(line, next)
            || (not_finite(b"nan") || not_finite(b"inf"))
                && line.get(next + 3).is_none_or(|b| !b.is_ascii_alphanumeric())
    };
    let part = match line.get(at) {
        // `5 -> 6`
        Some(b'=') if line.get(at + 1) == Some(&b'>') => digit_after(at + 2),
        // `5 -6` are two columns.
        Some(b'-') => {
            let dashes = line[at..].iter().take_while(|b| **b == b'-').count();
            let end = at + dashes + usize::from(line.get(at + dashes) == Some(&b'>'));
            !digit(line, at + 1) && digit_after(end)
        }
        Some(b'*' | b'^' | b'~') => digit_after(at + 1),
        Some(b'/') => digit_after(at + 1) && !(how.counts && ratio(line, at)) || divides_by_word(line, at),
        Some(b':') => digit_after(at + 1),
        Some(b'+') => line.get(at + 1) == Some(&b' ') && digit_after(at + 1),
        Some(b'<') => line.get(at + 1) == Some(&b'-') && digit_after(at + 2),
        Some(b'o') => line[at..].starts_with(b"of ") && !how.counts && digit_after(at + 3),
        Some(b'x' | b'X') => digit_after(at + 1),
        Some(b't') => line[at..].starts_with(b"to ") && digit_after(at + 3),
        Some(b'.') => line[at..].starts_with(b"..") && digit_after(at + 2),
        Some(0x80..) => {
            character(line, at).is_some_and(|(c, len)| "–—‒×·→…～〜".contains(c) && digit_after(at + len))
        }
        _ => false,
    };
    if part { Err(Why::NotAlone) } else { Ok(()) }
}

/// Returns whether a field is a unit of time and no name or number.
fn is_time_field(rest: &[u8]) -> bool {
    let len = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    matches!(rest.get(len), None | Some(b'|')) && unit::seconds(text(&rest[..len])).is_some()
}

/// Returns whether `/` and a whole number follow.
fn ratio(line: &[u8], at: usize) -> bool {
    let from = skip_blanks(line, at + 1);
    digit(line, from)
}

/// Returns whether a character outside ASCII may directly follow a number.
fn ends_number(c: char) -> bool {
    matches!(c, '”' | '’' | '»' | '±' | '→' | '•' | '、' | '，' | '；' | '）')
        || ('\u{2500}'..='\u{259f}').contains(&c)
}
