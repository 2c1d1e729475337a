//! Looks at the characters of a line whose bytes need not be text.
//!
//! Knows neither numbers nor names.

/// Skips blanks and tabs; a line has no other ends.
pub fn skip_blanks(line: &[u8], mut at: usize) -> usize {
    loop {
        match line.get(at) {
            Some(b' ' | b'\t') => at += 1,
            Some(0x80..) => match wide_blank(line, at) {
                Some(len) => at += len,
                None => return at,
            },
            _ => return at,
        }
    }
}

/// The length of a blank outside ASCII.
pub fn wide_blank(line: &[u8], at: usize) -> Option<usize> {
    if *line.get(at)? < 0x80 {
        return None;
    }
    character(line, at).and_then(|(c, len)| c.is_whitespace().then_some(len))
}

/// Whether a digit stands here.
pub fn digit(line: &[u8], at: usize) -> bool {
    line.get(at).is_some_and(u8::is_ascii_digit)
}

/// Returns the character at this place and its length, or `None` at the end and for bytes that are not UTF-8.
pub fn character(line: &[u8], at: usize) -> Option<(char, usize)> {
    let rest = line.get(at..(at + 4).min(line.len()))?;
    let valid = match std::str::from_utf8(rest) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&rest[..error.valid_up_to()]).ok()?,
    };
    valid.chars().next().map(|c| (c, c.len_utf8()))
}

/// Text of bytes that are ASCII, or letters of a unit.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
