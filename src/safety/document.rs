//! One text with a name: its leaks as findings with places, and what its own lines allow.

use std::io;
use std::io::Read;
use std::ops::Range;

use super::allowance::Inline;
use super::codes;
use super::detect;
use super::detect::Leak;
use super::detect::Options;
use super::rule::line;
use crate::domain::finding::Finding;
use crate::domain::finding::Region;

/// How much of a huge text is looked at at once.
pub(super) const WINDOW: usize = 8 << 20;

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
    let mut windows = Windows::new(name, text, options);
    let mut from = byte_order_mark(text);
    while from < text.len() {
        let to = window_end(text, from);
        let keep = windows.look(&text[from..to], to == text.len());
        from += keep;
    }
    windows.finish()
}

/// Looks through what a reader gives, a window at a time, so that memory stays flat whatever its size.
///
/// # Errors
/// The reader's.
pub fn look_through(name: &str, mut reader: impl Read, options: &Options) -> io::Result<Vec<Placed>> {
    let room = u64::try_from(WINDOW + 2 * OVERLAP).unwrap_or(u64::MAX);
    let mut text = Vec::new();
    reader.by_ref().take(room).read_to_end(&mut text)?;
    if text.len() as u64 == room && utf16(&text[..2]).is_some() {
        // Every character may be two bytes: rare enough to be read whole.
        reader.read_to_end(&mut text)?;
    }
    if (text.len() as u64) != room {
        return Ok(look(name, &text, options));
    }
    let mut windows = Windows::new(name, &text, options);
    text.drain(..byte_order_mark(&text));
    loop {
        let missing = room.saturating_sub(text.len() as u64);
        let read = reader.by_ref().take(missing).read_to_end(&mut text)?;
        let last = (read as u64) < missing;
        let to = window_end(&text, 0);
        let all = last && to == text.len();
        let keep = windows.look(&text[..to], all);
        text.drain(..keep);
        if all {
            return Ok(windows.finish());
        }
    }
}

/// How long a byte-order mark at the start is.
fn byte_order_mark(text: &[u8]) -> usize {
    if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
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

/// A text that is looked through window by window.
struct Windows<'a> {
    name: &'a str,
    options: &'a Options,
    binary: bool,
    placed: Vec<Placed>,
    allowances: Vec<Inline>,
    /// The bytes and lines before the window, and the characters of its first line before it.
    bytes: usize,
    lines: u32,
    column: u32,
}

impl<'a> Windows<'a> {
    /// Of a text that begins like this.
    fn new(name: &'a str, head: &[u8], options: &'a Options) -> Self {
        Windows {
            name,
            options,
            binary: is_binary(head),
            placed: Vec::new(),
            allowances: Vec::new(),
            bytes: 0,
            lines: 0,
            column: 0,
        }
    }

    /// Looks at a window and says where the next one begins: behind it if this is the last one, and else so that nothing
    /// is cut in two.
    fn look(&mut self, window: &[u8], last: bool) -> usize {
        let keep = if last {
            window.len()
        } else {
            line_start(window, window.len() - OVERLAP).max(1)
        };
        let mut lines = Lines::default();
        for leak in detect::scan(window, self.options) {
            // What begins in the overlap is left to the next window.
            if leak.span.start < keep {
                let placed = if self.binary {
                    self.at_byte(&leak)
                } else {
                    Some(self.place(window, &leak, &mut lines))
                };
                self.placed.extend(placed);
            }
        }
        let kept = &window[..keep];
        if !self.binary {
            self.allowances.extend(Inline::read(kept, self.lines));
        }
        let passed = memchr::memchr_iter(b'\n', kept).count();
        let start = memchr::memrchr(b'\n', kept).map_or(0, |n| n + 1);
        let before = if passed == 0 { self.column } else { 0 };
        self.column = before.saturating_add(characters(&kept[start..]));
        self.lines = self
            .lines
            .saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.bytes += keep;
        keep
    }

    fn place(&self, window: &[u8], leak: &Leak, lines: &mut Lines) -> Placed {
        let span: Range<usize> = if leak.code.id == codes::PRIVATE_TERM.id {
            line(window, leak.span.clone())
        } else {
            leak.span.clone()
        };
        let mut at = |offset| {
            let (line, column) = lines.place(window, offset);
            let before = if line == 1 { self.column } else { 0 };
            (line.saturating_add(self.lines), column.saturating_add(before))
        };
        let (line, column) = at(span.start);
        let (end_line, end_column) = at(span.end);
        let region = Region {
            line,
            column,
            end_line,
            end_column,
        };
        Placed {
            finding: leak.at(region).in_path(self.name),
            fingerprint: Some(leak.fingerprint.clone()),
        }
    }

    /// Of a binary file only what can be nothing but a credential counts; a place in it is a byte.
    fn at_byte(&self, leak: &Leak) -> Option<Placed> {
        (codes::has_form(leak.code) || leak.code.id == codes::PRIVATE_TERM.id).then(|| {
            let mut finding = leak.at(Region::default()).in_path(self.name);
            finding.region = None;
            let byte = self.bytes + leak.span.start;
            finding.message = format!("{} at byte {byte} of a binary file", finding.message);
            Placed {
                finding,
                fingerprint: Some(leak.fingerprint.clone()),
            }
        })
    }

    /// What was found, less what the text's own lines allow.
    fn finish(self) -> Vec<Placed> {
        Inline::apply(self.name, &self.allowances, self.placed)
    }
}

/// How many code points a text has: every byte counts that does not go on with one.
fn characters(text: &[u8]) -> u32 {
    u32::try_from(text.iter().filter(|b| (**b & 0xc0) != 0x80).count()).unwrap_or(u32::MAX)
}

/// Counts lines and characters onward from the last place that was asked for, so that many places on one endless line
/// cost no more than the line.
#[derive(Default)]
struct Lines {
    at: usize,
    line: u32,
    column: u32,
}

impl Lines {
    fn place(&mut self, bytes: &[u8], at: usize) -> (u32, u32) {
        let passed = &bytes[at.min(self.at)..at.max(self.at)];
        let ends = u32::try_from(memchr::memchr_iter(b'\n', passed).count()).unwrap_or(u32::MAX);
        let since_start = || {
            let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |n| n + 1);
            characters(&bytes[start..at])
        };
        (self.line, self.column) = match (at < self.at, ends) {
            (true, 0) => (self.line, self.column.saturating_sub(characters(passed))),
            (true, _) => (self.line.saturating_sub(ends), since_start()),
            (false, 0) => (self.line, self.column.saturating_add(characters(passed))),
            (false, _) => (self.line.saturating_add(ends), since_start()),
        };
        self.at = at;
        (self.line.saturating_add(1), self.column.saturating_add(1))
    }
}

fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(8 << 10)]).is_some()
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
