//! Defines text that was cut out of a document or decoded from it, and maps its offsets back to the document.

use crate::document::source::Span;

/// A text with a map from its offsets to those of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappedText {
    text: String,
    /// Pairs of an offset in the text and an offset in the document, both ascending. Between two pairs the offsets run in parallel.
    pieces: Vec<(usize, usize)>,
}

impl MappedText {
    /// Maps a text that begins at an offset of the document. Each `\r\n` becomes `\n`.
    pub fn lines_of(text: &str, at: usize) -> Self {
        let mut mapped = MappedText::default();
        let mut start = 0;
        for end in memchr::memmem::find_iter(text.as_bytes(), b"\r\n") {
            mapped.push(&text[start..end], at + start);
            start = end + 1;
        }
        mapped.push(&text[start..], at + start);
        mapped
    }

    /// Appends text from an offset of the document.
    pub fn push(&mut self, text: &str, origin: usize) {
        if text.is_empty() {
            return;
        }
        let continues = self
            .pieces
            .last()
            .is_some_and(|&(start, from)| from + (self.text.len() - start) == origin);
        if !continues {
            self.pieces.push((self.text.len(), origin));
        }
        self.text.push_str(text);
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the offset in the document of an offset in the text.
    pub fn origin(&self, offset: usize) -> usize {
        let at = self.pieces.partition_point(|&(start, _)| start <= offset);
        match at.checked_sub(1).and_then(|i| self.pieces.get(i)) {
            Some(&(start, from)) => from + (offset - start),
            None => self.pieces.first().map_or(offset, |&(_, from)| from),
        }
    }

    /// Returns the span in the document of a span in the text. A gap in the document inside the span is included.
    pub fn span(&self, span: &Span) -> Span {
        let start = self.origin(span.start);
        if span.end <= span.start {
            return start..start;
        }
        start..self.origin(span.end - 1) + 1
    }

    /// Returns the span in the document of the whole text.
    pub fn full_span(&self) -> Span {
        self.span(&(0..self.text.len()))
    }

    /// Maps a text that was cut out of this one to the document.
    pub fn compose(&self, inner: MappedText) -> MappedText {
        let mut pieces = Vec::with_capacity(inner.pieces.len());
        for (i, &(start, from)) in inner.pieces.iter().enumerate() {
            let end = inner.pieces.get(i + 1).map_or(inner.text.len(), |p| p.0);
            pieces.push((start, self.origin(from)));
            let first = self.pieces.partition_point(|&(s, _)| s <= from);
            for &(at, origin) in &self.pieces[first..] {
                if at >= from + (end - start) {
                    break;
                }
                pieces.push((start + (at - from), origin));
            }
        }
        MappedText {
            text: inner.text,
            pieces,
        }
    }

    /// Decodes the escape sequences `\n`, `\r\n`, `\t` and `\"` in the text.
    pub fn unescape(&self) -> MappedText {
        let mut out = MappedText::default();
        let (text, mut start) = (self.text.as_str(), 0);
        for at in memchr::memchr_iter(b'\\', text.as_bytes()) {
            if at < start {
                continue;
            }
            let (meant, len) = match text.as_bytes().get(at + 1) {
                Some(b'n') => ("\n", 2),
                Some(b'r') if text[at..].starts_with("\\r\\n") => ("\n", 4),
                Some(b't') => ("\t", 2),
                Some(b'"') => ("\"", 2),
                Some(b'\\') => ("\\", 2),
                _ => continue,
            };
            out.push(&text[start..at], start);
            out.push(meant, at);
            start = at + len;
        }
        out.push(&text[start..], start);
        self.compose(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_map_back_through_crlf_and_escapes() {
        let doc = "a\r\nb\\nc\\n  d";
        let lines = MappedText::lines_of(doc, 0);
        assert_eq!(lines.text(), "a\nb\\nc\\n  d");
        let real = lines.unescape();
        assert_eq!(real.text(), "a\nb\nc\n  d");
        for (text, place) in [("a", 0), ("b", 3), ("c", 6), ("d", 11)] {
            let at = real.text().find(text).unwrap();
            assert_eq!(real.origin(at), place, "{text}");
            assert_eq!(&doc[real.span(&(at..at + 1))], text);
        }
    }

    #[test]
    fn offsets_of_nested_cuts_map_back() {
        let doc = "x: 1\r\n  y: 2\r\n  z: 3\r\n";
        let lines = MappedText::lines_of(doc, 0);
        let mut inner = MappedText::default();
        let y = lines.text().find("y").unwrap();
        let z = lines.text().find("z").unwrap();
        inner.push(&lines.text()[y..y + 5], y);
        inner.push(&lines.text()[z..z + 4], z);
        let whole = lines.compose(inner);
        assert_eq!(whole.text(), "y: 2\nz: 3");
        assert_eq!(whole.origin(0), doc.find('y').unwrap());
        assert_eq!(whole.origin(5), doc.find('z').unwrap());
        assert_eq!(
            whole.full_span(),
            doc.find('y').unwrap()..doc.find('3').unwrap() + 1
        );
    }
}
