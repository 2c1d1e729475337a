//! A decoded text that maps each of its bytes to a place in the original.

use std::ops::Range;

/// A decoded part of a text.
pub struct DecodedText {
    /// The decoded bytes.
    pub text: Vec<u8>,
    /// For each byte: its place in the original.
    places: Vec<Range<usize>>,
}

impl DecodedText {
    /// An empty text with room for this many bytes.
    pub fn new(capacity: usize) -> Self {
        DecodedText {
            text: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
        }
    }

    /// A decoded text of which each byte has the same place.
    pub fn from_whole(text: Vec<u8>, place: &Range<usize>) -> Self {
        let places = vec![place.clone(); text.len()];
        DecodedText { text, places }
    }

    /// Appends a byte and its place.
    pub fn push(&mut self, byte: u8, place: Range<usize>) {
        self.text.push(byte);
        self.places.push(place);
    }

    /// Whether a span differs from the original, or borders on a decoded character.
    pub fn differs(&self, span: &Range<usize>, original: &[u8]) -> bool {
        let back = self.original_span(span);
        let apart = |at: usize| {
            let beside = at.checked_sub(1).and_then(|before| self.places.get(before..=at));
            beside.is_some_and(|beside| {
                beside[1].start != beside[0].end || beside.iter().any(|place| place.len() > 1)
            })
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
