//! One text with a name: its leaks as findings with places, and what its own lines allow.

use std::ops::Range;

use super::allowance::Inline;
use super::codes;
use super::detect;
use super::detect::Leak;
use super::detect::Options;
use super::rule::line;
use crate::model::finding::Finding;
use crate::model::finding::Region;

/// How much of a huge text is looked at at once.
const WINDOW: usize = 8 << 20;

/// How much of a window is looked at again with the next one, so that nothing is cut in two.
const OVERLAP: usize = 128 << 10;

/// A leak, or something wrong with an allowance, at a place in a named text.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The finding, with its path and region.
    pub finding: Finding,
    /// The leak's fingerprint; none where the finding is about an allowance.
    pub fingerprint: Option<String>,
}

/// Looks through a text that may be of any size and need not be UTF-8.
pub fn look(name: &str, text: &[u8], options: &Options) -> Vec<Placed> {
    if let Some(text) = utf16(text) {
        return look(name, text.as_bytes(), options);
    }
    let bytes = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if is_binary(bytes) {
        return in_binary(name, bytes, options);
    }
    let mut placed = Vec::new();
    let mut lines = Lines::default();
    let mut from = 0;
    while from < bytes.len() {
        let to = window_end(bytes, from);
        let last = to == bytes.len();
        // What begins in the overlap is left to the next window.
        let keep = if last {
            to
        } else {
            line_start(bytes, to - OVERLAP).max(from + 1)
        };
        for leak in detect::scan(&bytes[from..to], options) {
            if from + leak.span.start < keep {
                placed.push(place(name, bytes, &shifted(leak, from), &mut lines));
            }
        }
        from = if last { to } else { keep };
    }
    Inline::apply(name, bytes, placed)
}

fn window_end(bytes: &[u8], from: usize) -> usize {
    if bytes.len() - from <= WINDOW + OVERLAP {
        bytes.len()
    } else {
        line_start(bytes, from + WINDOW)
    }
}

/// The start of the line of an offset; the offset itself where the line is endless.
fn line_start(bytes: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(OVERLAP / 2);
    memchr::memrchr(b'\n', &bytes[floor..at]).map_or(at, |n| floor + n + 1)
}

fn shifted(leak: Leak, by: usize) -> Leak {
    Leak {
        span: leak.span.start + by..leak.span.end + by,
        ..leak
    }
}

/// Counts lines onward from the last place that was asked for.
#[derive(Default)]
struct Lines {
    at: usize,
    line: u32,
}

impl Lines {
    fn place(&mut self, bytes: &[u8], at: usize) -> (u32, u32) {
        if at < self.at {
            *self = Lines::default();
        }
        let passed = memchr::memchr_iter(b'\n', &bytes[self.at..at]).count();
        self.line = self
            .line
            .saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.at = at;
        let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |n| n + 1);
        // Code points: every byte that does not go on with one.
        let column = bytes[start..at].iter().filter(|b| (**b & 0xc0) != 0x80).count();
        (self.line + 1, u32::try_from(column + 1).unwrap_or(u32::MAX))
    }
}

fn place(name: &str, bytes: &[u8], leak: &Leak, lines: &mut Lines) -> Placed {
    let span: Range<usize> = if leak.code.id == codes::PRIVATE_TERM.id {
        line(bytes, leak.span.clone())
    } else {
        leak.span.clone()
    };
    let (line, column) = lines.place(bytes, span.start);
    let (end_line, end_column) = lines.place(bytes, span.end);
    let region = Region {
        line,
        column,
        end_line,
        end_column,
    };
    Placed {
        finding: leak.at(region).in_path(name),
        fingerprint: Some(leak.fingerprint.clone()),
    }
}

fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(8 << 10)]).is_some()
}

/// Of a binary file only what can be nothing but a credential counts; a place in it is a byte.
fn in_binary(name: &str, bytes: &[u8], options: &Options) -> Vec<Placed> {
    bytes
        .chunks(WINDOW)
        .enumerate()
        .flat_map(|(index, chunk)| {
            detect::scan(chunk, options)
                .into_iter()
                .map(move |leak| shifted(leak, index * WINDOW))
        })
        .filter(|leak| codes::has_form(leak.code) || leak.code.id == codes::PRIVATE_TERM.id)
        .map(|leak| {
            let mut finding = leak.at(Region::default()).in_path(name);
            finding.region = None;
            finding.message = format!("{} at byte {} of a binary file", finding.message, leak.span.start);
            Placed {
                finding,
                fingerprint: Some(leak.fingerprint),
            }
        })
        .collect()
}

/// The text of a UTF-16 file with a byte-order mark.
fn utf16(bytes: &[u8]) -> Option<String> {
    let little = match bytes.get(..2)? {
        [0xff, 0xfe] => true,
        [0xfe, 0xff] => false,
        _ => return None,
    };
    let read = |pair: &[u8; 2]| {
        if little {
            u16::from_le_bytes(*pair)
        } else {
            u16::from_be_bytes(*pair)
        }
    };
    let units: Vec<u16> = bytes[2..].as_chunks::<2>().0.iter().map(read).collect();
    Some(String::from_utf16_lossy(&units))
}
