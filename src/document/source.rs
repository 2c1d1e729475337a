//! Defines the source of a document: its name, its text, and the conversion of byte offsets to lines and columns.

use std::ops::Range;
use std::sync::Arc;

/// A stretch of bytes of the whole document.
pub type Span = Range<usize>;

/// A line and a column, both from 1; columns in code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in code points.
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
    had_bom: bool,
}

impl Source {
    /// A document with this name (none for standard input) and this text.
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
            had_bom,
        }))
    }

    /// The name as the user gave it; none for standard input.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The text without a byte-order mark.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The text as it was given, with its byte-order mark.
    pub fn written(&self) -> String {
        let mark = if self.0.had_bom { "\u{feff}" } else { "" };
        format!("{mark}{}", self.0.text)
    }

    /// Whether a byte-order mark was dropped; an edit puts it back.
    pub fn had_bom(&self) -> bool {
        self.0.had_bom
    }

    /// The line and column of a byte offset; an offset past the end is the end, one inside a character is its start.
    pub fn place(&self, offset: usize) -> Place {
        let Content { text, lines, .. } = &*self.0;
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let line = lines.partition_point(|&start| start <= offset).max(1) - 1;
        let column = text[lines[line]..offset].chars().count() + 1;
        Place {
            line: clamp(line + 1),
            column: clamp(column),
        }
    }

    /// The byte offset of a line and column; past the end of a line it is that end, past the last line the document's.
    pub fn offset(&self, place: Place) -> usize {
        let Content { text, lines, .. } = &*self.0;
        let line = place.line.max(1) as usize;
        let Some(&start) = lines.get(line - 1) else {
            return text.len();
        };
        let end = lines.get(line).map_or(text.len(), |&next| next - 1);
        text[start..end]
            .char_indices()
            .nth(place.column.max(1) as usize - 1)
            .map_or(end, |(at, _)| start + at)
    }

    /// The first and last place of a stretch.
    pub fn places(&self, span: &Span) -> (Place, Place) {
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
    fn places_count_code_points_and_skip_the_bom() {
        let source = Source::new(None, "\u{feff}aß\r\n→b\n");
        assert!(source.had_bom());
        assert_eq!(source.place(0), Place { line: 1, column: 1 });
        assert_eq!(source.place("aß".len()), Place { line: 1, column: 3 });
        assert_eq!(source.place("aß\r\n→".len()), Place { line: 2, column: 2 });
        assert_eq!(source.place(usize::MAX), Place { line: 3, column: 1 });
    }

    #[test]
    fn a_place_leads_back_to_its_offset() {
        let source = Source::new(None, "aß→\n\nb");
        for at in [0, 1, 3, 6, 7, 8] {
            assert_eq!(source.offset(source.place(at)), at);
        }
        assert_eq!(source.offset(Place { line: 1, column: 99 }), 6);
        assert_eq!(source.offset(Place { line: 99, column: 1 }), 9);
    }

    #[test]
    fn an_offset_inside_a_character_is_its_start() {
        assert_eq!(Source::new(None, "a→b").place(2), Place { line: 1, column: 2 });
    }
}
