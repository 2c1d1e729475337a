//! Finds a value by its name: `name: 1`, `name=1`, `"name": 1`, `name (tok/s): 1`, `name in s=1`.
//!
//! Does not parse numbers. Returns where a number should begin.

use std::ops::Range;

use memchr::memmem::Finder;

use crate::gate::metrics::text::skip_blanks;
use crate::gate::metrics::unit::Unit;

/// Longest unit between a name and its value.
const UNIT: usize = 24;

/// A name to look for.
#[derive(Clone, Debug)]
pub struct Label {
    finder: Finder<'static>,
    words: Vec<Vec<u8>>,
    unit: Option<String>,
}

/// What a name in a line means.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    /// A value follows, perhaps after a unit.
    Value {
        /// Where it begins.
        at: usize,
        /// Its unit, as the log has it.
        unit: Option<Range<usize>>,
    },
    /// No `:` or `=` follows the name.
    Mention {
        /// Its end.
        end: usize,
    },
    /// It is a part of another name.
    Other,
}

impl Label {
    /// A name, blanks in it as wide as the log has them, for a metric with this unit.
    pub fn new(name: &str, unit: Option<&str>) -> Label {
        let words: Vec<Vec<u8>> = name.split_whitespace().map(|w| w.as_bytes().to_vec()).collect();
        let first = words.first().cloned().unwrap_or_default();
        Label {
            finder: Finder::new(&first).into_owned(),
            words,
            unit: unit.map(str::to_owned),
        }
    }

    /// Where its first word stands next.
    pub fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        self.finder.find(text.get(from..)?).map(|at| from + at)
    }

    /// Whether a whole text is this name, perhaps with its own unit in brackets.
    pub fn is(&self, text: &[u8]) -> bool {
        let Some(end) = self.end(text, 0) else {
            return false;
        };
        end == text.len()
            || self
                .bracket(text, skip_blanks(text, end))
                .is_some_and(|(unit, end)| {
                    let unit = String::from_utf8_lossy(&text[unit]).into_owned();
                    let same = |declared: &str| {
                        Unit::declared(&unit).convert(1.0, &Unit::declared(declared)) == Some(1.0)
                    };
                    end == text.len() && self.unit.as_deref().is_none_or(same)
                })
    }

    /// The unit in the brackets of a column header, if the metric declares none.
    pub fn unit_in(&self, header: &[u8]) -> Option<String> {
        let end = self.end(header, 0).filter(|_| self.unit.is_none())?;
        let (unit, _) = self.bracket(header, skip_blanks(header, end))?;
        Some(String::from_utf8_lossy(&header[unit]).into_owned())
    }

    /// Whether the name of a value begins right here.
    pub fn begins(&self, text: &[u8]) -> bool {
        self.end(text, 0)
            .is_some_and(|end| matches!(text.get(skip_blanks(text, end)), Some(b':' | b'=')))
    }

    /// What the name at this place means.
    pub fn at(&self, line: &[u8], start: usize) -> Named {
        let before = start.checked_sub(1).map(|i| line[i]);
        let glued = before
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b >= 0x80 && !after_sign(line, start))
            // `val-loss`, but not `- loss`.
            || before == Some(b'-') && start >= 2 && line[start - 2].is_ascii_alphanumeric();
        let Some(end) = self.end(line, start).filter(|_| !glued) else {
            return Named::Other;
        };
        if line
            .get(end)
            .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        {
            return Named::Other;
        }
        let mention = Named::Mention { end };
        let mut at = skip_quote(line, end);
        let mut unit = None;
        if let Some((inside, close)) = self.bracket(line, skip_blanks(line, at)) {
            unit = Some(inside);
            at = skip_quote(line, close);
        } else if let Some((inside, close)) = self.worded(line, at) {
            unit = Some(inside);
            at = skip_quote(line, close);
        }
        at = skip_blanks(line, at);
        let assigned = match line.get(at..) {
            Some([b':', b'=', ..]) => 2,
            Some([b':', b':', ..] | [b'=', b'=' | b'~', ..]) => return mention,
            Some([b':', ..]) => 1,
            // `--name=1` is an option of a command that the log shows.
            Some([b'=', ..]) if before != Some(b'-') => 1,
            _ => return mention,
        };
        let at = skip_blanks(line, at + assigned);
        if at < line.len() {
            Named::Value { at, unit }
        } else {
            mention
        }
    }

    /// The end of the name, where it begins at `start`.
    fn end(&self, line: &[u8], start: usize) -> Option<usize> {
        let mut at = start;
        for (nth, word) in self.words.iter().enumerate() {
            if nth > 0 {
                let next = skip_blanks(line, at);
                if next == at {
                    return None;
                }
                at = next;
            }
            at += line.get(at..)?.starts_with(word).then_some(word.len())?;
        }
        Some(at)
    }

    /// A unit in brackets at `at`, and the end of the brackets.
    fn bracket(&self, line: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
        let close = match line.get(at)? {
            b'(' => b')',
            b'[' => b']',
            _ => return None,
        };
        let len = line[at + 1..].iter().take(UNIT).position(|b| *b == close)?;
        let inside = at + 1..at + 1 + len;
        self.is_unit(&line[inside.clone()])
            .then(|| (inside.clone(), inside.end + 1))
    }

    /// ` in s` before the sign.
    fn worded(&self, line: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
        let from = skip_blanks(line, at);
        if from == at || !line[from..].starts_with(b"in ") {
            return None;
        }
        let start = from + 3;
        let len = line[start..]
            .iter()
            .take(UNIT)
            .position(|b| matches!(b, b':' | b'=' | b'"' | b'\'' | b' '))?;
        let inside = start..start + len;
        self.is_unit(&line[inside.clone()])
            .then(|| (inside.clone(), inside.end))
    }

    fn is_unit(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| {
            self.unit
                .as_deref()
                .is_some_and(|unit| unit.eq_ignore_ascii_case(text.trim()))
                || Unit::known(text).is_some()
        })
    }
}

/// A closing quote, also one that a backslash escapes.
fn skip_quote(line: &[u8], at: usize) -> usize {
    match line.get(at..) {
        Some([b'"' | b'\'' | b'`', ..]) => at + 1,
        Some([b'\\', b'"' | b'\'', ..]) => at + 2,
        _ => at,
    }
}

/// Whether the sign outside ASCII before `start` is none of a word: a box, a blank, an arrow.
fn after_sign(line: &[u8], start: usize) -> bool {
    let from = start.saturating_sub(4);
    let tail = (from..start).find_map(|i| std::str::from_utf8(&line[i..start]).ok());
    tail.and_then(|t| t.chars().next_back())
        .is_some_and(|c| !c.is_alphanumeric())
}
