//! Finds the value of a name: assignments of many languages, and notations that keep the name and the value apart.
//!
//! Knows nothing of secrets.

use std::ops::Range;

use crate::window::after;
use crate::window::around;
use crate::window::before;

/// A value, and how it follows its name.
pub struct Assigned {
    /// The place of the value, without its quotes.
    pub value: Range<usize>,
    /// Whether the value has quotes.
    pub quoted: bool,
    /// `name=value` without blanks, as in a shell, a URL or an environment file.
    pub tight: bool,
    /// `--name value`.
    pub flag: bool,
}

/// The value of the name at this place.
pub fn of_name(text: &[u8], name: &Range<usize>) -> Option<Assigned> {
    value_after(text, name)
        .or_else(|| value_before(text, name))
        .or_else(|| compared_value(text, name))
}

/// Finds a value after its name.
fn value_after(text: &[u8], name: &Range<usize>) -> Option<Assigned> {
    let mut at = name.end;
    let quote = matches!(after(text, at), b'"' | b'\'' | b'`' | b']');
    while matches!(after(text, at), b'"' | b'\'' | b'`' | b'\\' | b']') && at < name.end + 3 {
        at += 1;
    }
    let is_entry = is_name_of_entry(text, name.start);
    if is_entry && after(text, at) == b'>' {
        // `<property name="password">value</property>`
        return Some(Assigned {
            quoted: true,
            ..Assigned::new(text, at + 1, false)
        });
    }
    if is_entry && let Some(value) = value_of_entry(text, at) {
        return Some(Assigned::new(text, value, false));
    }
    let gap = blanks(text, at);
    at += gap;
    let rest = &text[at..];
    let length = match rest {
        [b'?', b'?', b'=', ..] | [b'|', b'|', b'=', ..] | [b':', b':', b'=', ..] => 3,
        [b':', b'=', ..] | [b'=', b'>', ..] | [b'?', b'=', ..] | [b'+', b'=', ..] => 2,
        [b'=', b'=', b'=', ..] | [b'!', b'=', b'=', ..] if is_quoted(text, at + 3) => 3,
        [b'=', b'=', ..] | [b'!', b'=', ..] if is_quoted(text, at + 2) => 2,
        [b'=', b'=', ..] | [b'=', b'~', ..] | [b':', b':', ..] | [b'!', ..] => return None,
        [b'=' | b':', ..] => 1,
        [b'|', ..] if gap > 0 => 1,
        [b',', ..] if quote => 1,
        [b, ..] if gap > 0 && b.is_ascii_graphic() && is_option(text, name.end) => 0,
        [b'i', b's', b' ', ..] if gap > 0 => 2,
        _ => return None,
    };
    at += length;
    if length > 0
        && matches!(rest[length - 1], b'=' | b':')
        && let Some(value) = next_line(text, at, name)
    {
        return whole_line(text, value);
    }
    let gap_after = blanks(text, at);
    let tight = gap == 0 && gap_after == 0 && length == 1 && rest.first() == Some(&b'=');
    Some(Assigned {
        flag: length == 0,
        ..Assigned::new(text, at + gap_after, tight)
    })
}

impl Assigned {
    fn new(text: &[u8], at: usize, tight: bool) -> Self {
        let (value, quoted) = value(text, at);
        Assigned {
            value,
            quoted,
            tight,
            flag: false,
        }
    }
}

/// Whether a quoted text begins here, after blanks.
fn is_quoted(text: &[u8], at: usize) -> bool {
    matches!(after(text, at + blanks(text, at)), b'"' | b'\'')
}

fn blanks(text: &[u8], at: usize) -> usize {
    let is_blank = |b: &&u8| matches!(b, b' ' | b'\t');
    text[at..].iter().take(8).take_while(is_blank).count()
}

/// Where a value begins that the next line contains: after `|` and `>` of YAML, an open parenthesis, a backslash, or an
/// indentation that is deeper than that of the name.
fn next_line(text: &[u8], at: usize, name: &Range<usize>) -> Option<usize> {
    let at = at + blanks(text, at);
    let sign = text[at..]
        .iter()
        .take(3)
        .take_while(|b| b"|>(\\+-123456789".contains(b))
        .count();
    let opens = sign == 0 || matches!(text[at], b'|' | b'>' | b'(' | b'\\');
    let end = at + sign + blanks(text, at + sign);
    let end = end + usize::from(after(text, end) == b'\r');
    if !opens || text.get(end) != Some(&b'\n') {
        return None;
    }
    let row = &text[end + 1..text.len().min(end + 1 + 64)];
    let indent = row.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let own = memchr::memrchr(b'\n', &text[name.start.saturating_sub(256)..name.start])
        .map_or(name.start.saturating_sub(256), |line| {
            name.start.saturating_sub(256) + line + 1
        });
    let own_indent = text[own..name.start]
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    (indent > own_indent || after(text, at) == b'\\').then_some(end + 1 + indent)
}

/// The value of a line that contains nothing else.
fn whole_line(text: &[u8], at: usize) -> Option<Assigned> {
    let assigned = Assigned::new(text, at, false);
    let end = assigned.value.end + usize::from(assigned.quoted);
    let rest = &text[end.min(text.len())..text.len().min(end + 8)];
    let rest = rest.split(|b| *b == b'\n').next().unwrap_or_default();
    rest.iter().all(|b| b" \t\r,;)".contains(b)).then_some(assigned)
}

/// Whether the name is itself the value of `name=`, `key:` or a similar field: the value is in the next field.
fn is_name_of_entry(text: &[u8], start: usize) -> bool {
    let lead = &text[start.saturating_sub(24)..start];
    let lead = lead
        .strip_suffix(b"\\\"")
        .or(lead.strip_suffix(b"\""))
        .or(lead.strip_suffix(b"'"))
        .unwrap_or(lead);
    let lead = lead.trim_ascii_end();
    let Some(lead) = lead.strip_suffix(b"=").or(lead.strip_suffix(b":")) else {
        return false;
    };
    let lead = lead.trim_ascii_end();
    let lead = lead
        .strip_suffix(b"\\\"")
        .or(lead.strip_suffix(b"\""))
        .or(lead.strip_suffix(b"'"))
        .unwrap_or(lead);
    let field = lead
        .rsplit(|b| !b.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    [&b"name"[..], b"key", b"id", b"variable", b"variablename"]
        .iter()
        .any(|known| field.eq_ignore_ascii_case(known))
}

/// Where the value begins in the field after the name: `, value: V`, ` value="V"`, or a line `value: V`.
fn value_of_entry(text: &[u8], at: usize) -> Option<usize> {
    let ceiling = text.len().min(at + 64);
    let skip = |from: usize, signs: &[u8]| {
        from + text[from.min(ceiling)..ceiling]
            .iter()
            .take_while(|b| signs.contains(b))
            .count()
    };
    let field = skip(at, b" \t\r\n,;");
    if field == at {
        return None;
    }
    let field = skip(field, b"\"'\\");
    let end = field
        + text[field..ceiling]
            .iter()
            .take_while(|b| b.is_ascii_alphabetic())
            .count();
    if ![&b"value"[..], b"val", b"defaultvalue"]
        .iter()
        .any(|known| text[field..end].eq_ignore_ascii_case(known))
    {
        return None;
    }
    let sign = skip(skip(end, b"\"'\\"), b" ");
    matches!(after(text, sign), b'=' | b':').then(|| skip(sign + 1, b" "))
}

/// Finds a value in the field before the name: `value: V`, then `name: NAME`.
fn value_before(text: &[u8], name: &Range<usize>) -> Option<Assigned> {
    if !is_name_of_entry(text, name.start) {
        return None;
    }
    let floor = name.start.saturating_sub(256);
    let lead = &text[floor..name.start];
    // The field of the name begins after the last line end or comma.
    let field = memchr::memrchr2(b'\n', b',', lead)?;
    let known = lead[..field].to_ascii_lowercase();
    let at = memchr::memmem::rfind(&known, b"value")? + b"value".len();
    let at = at
        + lead[at..field]
            .iter()
            .take_while(|b| matches!(b, b'"' | b'\'' | b'\\'))
            .count();
    let at = at + usize::from(matches!(lead.get(at), Some(b':' | b'=')));
    let assigned = Assigned::new(text, floor + at + blanks(text, floor + at), false);
    let end = assigned.value.end + usize::from(assigned.quoted);
    (end <= floor + field && text[end..floor + field].trim_ascii().is_empty()).then_some(assigned)
}

/// Finds a quoted value that is compared with the name: `"value" == name`.
fn compared_value(text: &[u8], name: &Range<usize>) -> Option<Assigned> {
    let floor = name.start.saturating_sub(160);
    let lead = text[floor..name.start].trim_ascii_end();
    let lead = lead.strip_suffix(b"==")?;
    let lead = lead.strip_suffix(b"=").unwrap_or(lead).trim_ascii_end();
    let (&quote, value) = lead
        .split_last()
        .filter(|(last, _)| matches!(**last, b'"' | b'\''))?;
    let start = memchr::memrchr2(quote, b'\n', value).filter(|&at| value[at] == quote)? + 1;
    Some(Assigned {
        value: floor + start..floor + value.len(),
        quoted: true,
        tight: false,
        flag: false,
    })
}

/// Whether the word that ends here began with `--`.
fn is_option(text: &[u8], end: usize) -> bool {
    let word = around(text, end..end, 48, |b| {
        b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
    });
    text[word].starts_with(b"--")
}

/// The value that begins here, and whether it is quoted.
fn value(text: &[u8], at: usize) -> (Range<usize>, bool) {
    let mut start = at;
    while matches!(after(text, start), b'\\' | b'b' | b'r' | b'f' | b'u')
        && matches!(after(text, start + 1), b'"' | b'\'')
    {
        start += 1;
    }
    let opening = after(text, start);
    let ceiling = text.len().min(start + 600);
    if matches!(opening, b'"' | b'\'' | b'`') {
        start += 1;
        let end = text[start.min(ceiling)..ceiling]
            .iter()
            .position(|&b| b == opening || b == b'\n')
            .map_or(ceiling, |n| start + n);
        let end = if end > start && before(text, end) == b'\\' {
            end - 1
        } else {
            end
        };
        return (start..end.max(start), true);
    }
    let length = text[start.min(ceiling)..ceiling]
        .iter()
        .position(|&b| {
            b.is_ascii_whitespace()
                || matches!(
                    b,
                    b'"' | b'\'' | b'`' | b',' | b';' | b'|' | b'<' | b'>' | b')' | b']' | b'}'
                )
        })
        .unwrap_or(ceiling - start.min(ceiling));
    (start..start + length, false)
}
