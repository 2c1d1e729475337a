//! A decoded text that maps each of its bytes to a place in the original.

use std::ops::Range;

/// How many bytes before a match a rule reads to recognise it.
const CONTEXT: usize = 64;

/// A decoded part of a text.
pub struct DecodedText {
    /// The decoded bytes.
    pub text: Vec<u8>,
    /// For each byte: its place in the original.
    places: Vec<Range<usize>>,
    /// The decoded part of the original.
    source: Range<usize>,
}

impl DecodedText {
    /// An empty text for this part of the original.
    pub fn new(source: Range<usize>) -> Self {
        DecodedText {
            text: Vec::with_capacity(source.len()),
            places: Vec::with_capacity(source.len()),
            source,
        }
    }

    /// A decoded text of which each byte has the same place.
    pub fn from_whole(text: Vec<u8>, place: &Range<usize>) -> Self {
        let places = vec![place.clone(); text.len()];
        DecodedText {
            text,
            places,
            source: place.clone(),
        }
    }

    /// Appends a byte and its place.
    pub fn push(&mut self, byte: u8, place: Range<usize>) {
        self.text.push(byte);
        self.places.push(place);
    }

    /// Whether a span or the text before it in its line was decoded. A rule may have needed the name before a value, so a plain
    /// value after a disguised name counts.
    pub fn differs_with_context(&self, span: &Range<usize>, original: &[u8]) -> bool {
        let from = span.start.saturating_sub(CONTEXT);
        let line = memchr::memrchr(b'\n', &self.text[from..span.start]).map_or(from, |at| from + at + 1);
        self.differs(&(line..span.end), original)
    }

    /// Whether a span differs from the original, or borders on a decoded character.
    fn differs(&self, span: &Range<usize>, original: &[u8]) -> bool {
        let back = self.original_span(span);
        let apart = |at: usize| {
            let before = at.checked_sub(1).and_then(|before| self.places.get(before));
            let after = self.places.get(at);
            let end = before.map_or(self.source.start, |place| place.end);
            let start = after.map_or(self.source.end, |place| place.start);
            start != end || [before, after].into_iter().flatten().any(|place| place.len() > 1)
        };
        original[back] != self.text[span.clone()] || apart(span.start) || apart(span.end)
    }

    /// The place of a span in the original.
    pub fn original_span(&self, span: &Range<usize>) -> Range<usize> {
        let places = &self.places[span.clone()];
        let start = places.first().map_or(0, |place| place.start);
        start..places.last().map_or(start, |place| place.end)
    }
}
