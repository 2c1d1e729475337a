//! Scans one text of any size: leaks with lines and columns, and the suppressions of the text itself.

use std::io;
use std::io::Read;

use crate::file_role::Role;
use crate::file_role::inline_tests;
use crate::kinds::Severity;
use crate::located::LocatedLeak;
use crate::located::Place;
use crate::located::Region;
use crate::rest::Rest;
use crate::rule::RawMatch;
use crate::scan;
use crate::scan::Options;
use crate::suppression::Suppression;
use crate::suppression::SuppressionProblem;

/// How many bytes of a large text are scanned at once.
pub(crate) const WINDOW: usize = 2 << 20;

/// How many bytes of a window the next window scans again, so that no leak is cut in two.
const OVERLAP: usize = 128 << 10;

/// How many leaks, and how many suppressions, of one text a report lists, so that memory does not grow with their number.
const LISTED: usize = 10_000;

/// The result for one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextReport {
    /// The leaks that the text does not suppress, in order.
    pub leaks: Vec<LocatedLeak>,
    /// The suppressions of the text that have no effect, in order.
    pub problems: Vec<SuppressionProblem>,
    /// What the report does not list, because the text has too much.
    pub rest: Rest,
}

impl TextReport {
    /// Counts everything that the report has.
    pub(crate) fn count(&self, rest: &mut Rest) {
        for leak in &self.leaks {
            rest.add_leaks(leak.severity, leak.kind, 1);
        }
        for problem in &self.problems {
            rest.add_problems(problem.reason, 1);
        }
        for (severity, kind, count) in &self.rest.leaks {
            rest.add_leaks(*severity, kind, *count);
        }
        for (reason, count) in &self.rest.problems {
            rest.add_problems(*reason, *count);
        }
    }
}

/// Scans a text of any size, which need not be UTF-8. The path is relative to the checkout; it is empty if the text is not a
/// file.
pub fn scan_text(path: &str, text: &[u8], options: &Options) -> TextReport {
    if let Some(text) = wide_text(text) {
        return scan_text(path, text.as_bytes(), options);
    }
    let mut windows = Windows::new(path, text, options);
    let mut from = byte_order_mark(text);
    while from < text.len() {
        let to = window_end(text, from);
        let keep = windows.scan(&text[from..to], to == text.len());
        from += keep;
    }
    windows.finish()
}

/// Scans the text that a reader returns, window by window, so that memory does not grow with the text.
///
/// # Errors
/// The reader failed.
pub fn scan_reader(path: &str, mut reader: impl Read, options: &Options) -> io::Result<TextReport> {
    let room = u64::try_from(WINDOW + 2 * OVERLAP).unwrap_or(u64::MAX);
    let mut text = Vec::new();
    reader.by_ref().take(room).read_to_end(&mut text)?;
    if text.len() as u64 == room && wide_text(&text).is_some() {
        // A UTF-16 or UTF-32 file of this size is rare, so read it whole.
        reader.read_to_end(&mut text)?;
    }
    if (text.len() as u64) != room {
        return Ok(scan_text(path, &text, options));
    }
    let mut windows = Windows::new(path, &text, options);
    text.drain(..byte_order_mark(&text));
    loop {
        let missing = room.saturating_sub(text.len() as u64);
        let read = reader.by_ref().take(missing).read_to_end(&mut text)?;
        let last = (read as u64) < missing;
        let to = window_end(&text, 0);
        let all = last && to == text.len();
        let keep = windows.scan(&text[..to], all);
        text.drain(..keep);
        if all {
            return Ok(windows.finish());
        }
    }
}

/// The length of a byte-order mark at the start.
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

/// The start of the line of an offset, or the offset itself if the line is very long.
fn line_start(bytes: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(OVERLAP / 2);
    memchr::memrchr(b'\n', &bytes[floor..at]).map_or(at, |n| floor + n + 1)
}

/// Scans a text window by window.
struct Windows<'a> {
    options: &'a Options,
    is_binary: bool,
    role: Role,
    is_rust: bool,
    leaks: Vec<LocatedLeak>,
    rest: Rest,
    suppressions: Vec<Suppression>,
    /// The bytes and lines before the window, and the characters of its first line before it.
    bytes: usize,
    lines: u32,
    column: u32,
}

impl<'a> Windows<'a> {
    /// Starts with a text whose first bytes are `head`.
    fn new(path: &str, head: &[u8], options: &'a Options) -> Self {
        Windows {
            options,
            is_binary: is_binary(head),
            role: Role::of(path),
            is_rust: path.ends_with(".rs"),
            leaks: Vec::new(),
            rest: Rest::default(),
            suppressions: Vec::new(),
            bytes: 0,
            lines: 0,
            column: 0,
        }
    }

    /// Scans a window and returns where the next one begins: after this window if it is the last, otherwise early enough
    /// that no leak is cut in two.
    fn scan(&mut self, window: &[u8], last: bool) -> usize {
        let keep = if last {
            window.len()
        } else {
            line_start(window, window.len() - OVERLAP).max(1)
        };
        let mut lines = Lines::default();
        let tests = if self.is_rust { inline_tests(window) } else { None };
        for leak in scan::scan_raw(window, self.options) {
            // The next window reports what begins in the overlap.
            if leak.span.start >= keep {
                continue;
            }
            if self.is_binary && !leak.kind.is_certain {
                // Random bytes can look like any other kind.
                continue;
            }
            let role = match tests {
                Some(from) if leak.span.start > from => Role::Tests,
                _ => self.role,
            };
            let severity = if role.lowers(leak.lowered_in) {
                Severity::Warning
            } else {
                leak.severity
            };
            if self.leaks.len() >= LISTED {
                self.rest.add_leaks(severity, leak.kind, 1);
                continue;
            }
            let place = if !self.is_binary {
                Place::Lines(self.region(window, &leak, &mut lines))
            } else {
                Place::Byte(self.bytes + leak.span.start)
            };
            self.leaks.push(LocatedLeak {
                kind: leak.kind,
                severity,
                place,
                fingerprint: scan::fingerprint(window, leak.kind, &leak.span),
            });
        }
        if tests.is_some_and(|from| from < keep) {
            self.role = Role::Tests;
        }
        let kept = &window[..keep];
        if !self.is_binary {
            self.suppressions
                .extend(Suppression::read(kept, self.lines, self.options.marker()));
            // The leaks of a suppression beyond that are reported.
            let beyond = self.suppressions.len().min(LISTED)..;
            for problem in self.suppressions.drain(beyond).filter_map(|s| s.problem()) {
                self.rest.add_problems(problem.reason, 1);
            }
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

    fn region(&self, window: &[u8], leak: &RawMatch, lines: &mut Lines) -> Region {
        let span = scan::shown_span(leak.kind, &leak.span, window);
        let mut at = |offset| {
            let (line, column) = lines.place(window, offset);
            let before = if line == 1 { self.column } else { 0 };
            (line.saturating_add(self.lines), column.saturating_add(before))
        };
        let (line, column) = at(span.start);
        let (end_line, end_column) = at(span.end);
        Region {
            line,
            column,
            end_line,
            end_column,
        }
    }

    fn finish(mut self) -> TextReport {
        Suppression::apply(&self.suppressions, &mut self.leaks);
        TextReport {
            leaks: self.leaks,
            rest: self.rest,
            problems: self
                .suppressions
                .iter()
                .filter_map(Suppression::problem)
                .collect(),
        }
    }
}

/// The number of code points: all bytes but continuation bytes.
fn characters(text: &[u8]) -> u32 {
    u32::try_from(text.iter().filter(|b| (**b & 0xc0) != 0x80).count()).unwrap_or(u32::MAX)
}

/// Counts lines and characters from the previous place, so that many places on one long line take linear time.
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

/// How many bytes of a text decide how it is read.
const SAMPLE: usize = 8 << 10;

/// Whether a text has a zero byte, and is not UTF-8 text with a few control characters. Such a character must not hide a text.
fn is_binary(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    if memchr::memchr(0, sample).is_none() {
        return false;
    }
    // The sample may end inside a character.
    let is_text = std::str::from_utf8(sample).map_or_else(|error| error.error_len().is_none(), |_| true);
    let controls = sample
        .iter()
        .filter(|b| b.is_ascii_control() && !b.is_ascii_whitespace())
        .count();
    !is_text || controls * 8 > sample.len()
}

/// A way to store each character in two or four bytes.
#[derive(Clone, Copy)]
struct Wide {
    size: usize,
    is_little: bool,
}

impl Wide {
    const ALL: [(Wide, &[u8]); 4] = [
        (Wide::new(4, true), b"\xff\xfe\0\0"),
        (Wide::new(4, false), b"\0\0\xfe\xff"),
        (Wide::new(2, true), b"\xff\xfe"),
        (Wide::new(2, false), b"\xfe\xff"),
    ];

    const fn new(size: usize, is_little: bool) -> Self {
        Wide { size, is_little }
    }

    fn units(self, bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes.chunks_exact(self.size).map(move |unit| {
            let join = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
            if self.is_little {
                unit.iter().rev().fold(0, join)
            } else {
                unit.iter().fold(0, join)
            }
        })
    }

    /// Whether most of a sample is ASCII text in this form.
    fn fits(self, sample: &[u8]) -> bool {
        let is_plain = |unit: &u32| matches!(unit, 0x20..=0x7e | 0x09 | 0x0a | 0x0d);
        let plain = self.units(sample).filter(is_plain).count();
        plain >= 4 && plain * 4 >= sample.len() / self.size * 3
    }

    fn decode(self, bytes: &[u8]) -> String {
        if self.size == 4 {
            let read = |unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
            return self.units(bytes).map(read).collect();
        }
        let units = self
            .units(bytes)
            .map(|unit| u16::try_from(unit).unwrap_or(0xfffd));
        char::decode_utf16(units)
            .map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    }
}

/// Decodes a file in UTF-16 or UTF-32, with or without a byte-order mark; `None` for another file.
pub fn wide_text(bytes: &[u8]) -> Option<String> {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    if let Some((form, mark)) = Wide::ALL.iter().find(|(_, mark)| bytes.starts_with(mark)) {
        return Some(form.decode(&bytes[mark.len()..]));
    }
    memchr::memchr(0, sample)?;
    let (form, _) = Wide::ALL.iter().find(|(form, _)| form.fits(sample))?;
    Some(form.decode(bytes))
}
