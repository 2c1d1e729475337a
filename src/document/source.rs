//! Defines the source of a document: its name, its text, and the conversion of byte offsets to lines and columns.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A range of bytes of the document.
pub type Span = Range<usize>;

/// A line and a column, both from 1; columns in code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    pub line: u32,
    pub column: u32,
}

/// A document as it was given. A byte-order mark at its start is not part of the text. A clone shares the text.
#[derive(Clone, Debug)]
pub struct Source(Arc<Content>);

#[derive(Debug)]
struct Content {
    name: Option<String>,
    text: String,
    lines: Vec<usize>,
    /// The number of characters before each block of bytes, so that a place on a very long line is found quickly. Counted at the
    /// first use.
    characters: OnceLock<Vec<usize>>,
    had_bom: bool,
}

/// The bytes of a block.
const BLOCK: usize = 1024;

/// Counts the characters that begin in these bytes.
fn starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

impl Content {
    fn characters(&self) -> &[usize] {
        self.characters.get_or_init(|| {
            let blocks = self.text.as_bytes().chunks(BLOCK);
            let counted = blocks.scan(0, |before, block| {
                *before += starts(block);
                Some(*before)
            });
            std::iter::once(0).chain(counted).collect()
        })
    }

    /// Returns the number of characters before an offset.
    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        self.characters()[block] + starts(&self.text.as_bytes()[block * BLOCK..offset])
    }

    /// Returns the offset of a character by its number from 0; the end of the text if there are fewer.
    fn offset_of(&self, number: usize) -> usize {
        if self.characters().last().is_none_or(|all| number >= *all) {
            return self.text.len();
        }
        let block = self
            .characters()
            .partition_point(|before| *before <= number)
            .max(1)
            - 1;
        let mut left = number - self.characters()[block];
        let bytes = &self.text.as_bytes()[block * BLOCK..];
        let is_it = |byte: &u8| {
            let is_start = byte & 0xc0 != 0x80;
            let is_it = is_start && left == 0;
            left -= usize::from(is_start && left > 0);
            is_it
        };
        let found = bytes.iter().position(is_it);
        found.map_or(self.text.len(), |at| block * BLOCK + at)
    }
}

impl Source {
    /// Makes a source. Standard input has no name.
    pub fn new(name: Option<String>, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        let had_bom = text.starts_with('\u{feff}');
        if had_bom {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let lines = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
            .collect();
        Source(Arc::new(Content {
            name,
            text,
            lines,
            characters: OnceLock::new(),
            had_bom,
        }))
    }

    /// The name as the user gave it; `None` for standard input.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Returns the text as it was given, with its byte-order mark.
    pub fn written(&self) -> String {
        let mark = if self.0.had_bom { "\u{feff}" } else { "" };
        format!("{mark}{}", self.0.text)
    }

    /// Whether a byte-order mark was removed. An edit restores it.
    pub fn had_bom(&self) -> bool {
        self.0.had_bom
    }

    /// Returns the line and column of an offset. An offset inside a character means its start, one after the end means the end.
    pub fn place(&self, offset: usize) -> LineColumn {
        let Content { text, lines, .. } = &*self.0;
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let line = lines.partition_point(|&start| start <= offset).max(1) - 1;
        let column = self.0.characters_before(offset) - self.0.characters_before(lines[line]) + 1;
        LineColumn {
            line: clamp(line + 1),
            column: clamp(column),
        }
    }

    /// Returns the offset of a line and column. A column after the end of the line means that end, a line after the last one
    /// means the end of the document.
    pub fn offset(&self, place: LineColumn) -> usize {
        let Content { text, lines, .. } = &*self.0;
        let line = place.line.max(1) as usize;
        let Some(&start) = lines.get(line - 1) else {
            return text.len();
        };
        let end = lines.get(line).map_or(text.len(), |&next| next - 1);
        let before = self.0.characters_before(start);
        self.0
            .offset_of(before + place.column.max(1) as usize - 1)
            .min(end)
    }

    /// Returns the line and column of the start and of the end of a span.
    pub fn places(&self, span: &Span) -> (LineColumn, LineColumn) {
        (self.place(span.start), self.place(span.end.max(span.start)))
    }
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_code_points_without_bom() {
        let source = Source::new(None, "\u{feff}aß\r\n→b\n");
        assert!(source.had_bom());
        assert_eq!(source.place(0), LineColumn { line: 1, column: 1 });
        assert_eq!(source.place("aß".len()), LineColumn { line: 1, column: 3 });
        assert_eq!(source.place("aß\r\n→".len()), LineColumn { line: 2, column: 2 });
        assert_eq!(source.place(usize::MAX), LineColumn { line: 3, column: 1 });
    }

    #[test]
    fn line_and_column_map_back_to_offset() {
        let source = Source::new(None, "aß→\n\nb");
        for at in [0, 1, 3, 6, 7, 8] {
            assert_eq!(source.offset(source.place(at)), at);
        }
        assert_eq!(source.offset(LineColumn { line: 1, column: 99 }), 6);
        assert_eq!(source.offset(LineColumn { line: 99, column: 1 }), 9);
    }

    #[test]
    fn places_on_long_lines_are_exact() {
        let text = "→aß".repeat(BLOCK) + "\n" + &"é".repeat(3 * BLOCK);
        let source = Source::new(None, text.clone());
        for (number, (at, _)) in text.char_indices().enumerate().step_by(97) {
            let line = text[..at].matches('\n').count();
            let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
            let column = text[start..at].chars().count() + 1;
            let place = LineColumn {
                line: clamp(line + 1),
                column: clamp(column),
            };
            assert_eq!((source.place(at), source.offset(place)), (place, at), "{number}");
        }
        let past = LineColumn {
            line: 2,
            column: u32::MAX,
        };
        assert_eq!(source.offset(past), text.len());
    }

    #[test]
    fn offset_inside_character_means_its_start() {
        assert_eq!(
            Source::new(None, "a→b").place(2),
            LineColumn { line: 1, column: 2 }
        );
    }
}
