//! Finds many literals at once, without regard to ASCII case, in one pass that costs little where none stands.
//!
//! Each literal is known by its rarest three bytes. Eight windows of the text at a time are looked up in a bitmap of 8 KiB;
//! only where one is in it are literals compared. Building it is a walk over the literals: nothing to wait for in the lint
//! of one document, where an automaton's building would be all the time spent. Literals of one or two bytes have passes
//! of their own, over their first byte.

use std::ops::Range;

/// How many bits of a hash choose a place in the bitmap.
const BITS: u32 = 16;

/// Literals that begin with the same rare bytes share a bucket.
const BUCKETS: usize = 1 << 12;

/// A set of literals, ready to be looked for.
pub struct Literals {
    literals: Vec<String>,
    /// Which hashes of three bytes belong to a literal.
    bitmap: Box<[u64; 1 << (BITS - 6)]>,
    /// For each bucket: three bytes, the literal whose they are, and where in it they stand.
    buckets: Vec<Vec<(u32, u16, u16)>>,
    /// Literals of one or two ASCII bytes, by the first.
    short: Vec<(u8, Vec<u16>)>,
    /// Literals of two bytes of which the first is beyond ASCII.
    foreign: Vec<u16>,
}

/// A literal in a text.
#[derive(Clone, Copy)]
pub struct Standing {
    /// Which literal.
    pub literal: u16,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Standing {
    /// Where it stands.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl Literals {
    /// Makes lower-case literals ready; each is known by its place in the list.
    pub fn new(literals: Vec<String>) -> Self {
        let mut set = Literals {
            bitmap: Box::new([0; 1 << (BITS - 6)]),
            buckets: vec![Vec::new(); BUCKETS],
            short: Vec::new(),
            foreign: Vec::new(),
            literals: Vec::new(),
        };
        for (index, literal) in (0u16..).zip(&literals) {
            match literal.as_bytes() {
                [] => {}
                [first, _] if !first.is_ascii() => set.foreign.push(index),
                [first] | [first, _] => match set.short.iter_mut().find(|(byte, _)| byte == first) {
                    Some((_, indexes)) => indexes.push(index),
                    None => set.short.push((*first, vec![index])),
                },
                bytes => set.insert(index, bytes),
            }
        }
        set.literals = literals;
        set
    }

    fn insert(&mut self, index: u16, literal: &[u8]) {
        let rarest = literal
            .windows(3)
            .enumerate()
            .min_by_key(|(_, window)| window.iter().map(|&b| commonness(b)).sum::<u32>());
        if let Some((offset, window)) = rarest
            && let Ok(offset) = u16::try_from(offset)
        {
            let window = u32::from_le_bytes([window[0], window[1], window[2], 0]) | FOLD;
            let hash = hash(window);
            self.bitmap[hash >> 6] |= 1 << (hash & 63);
            self.buckets[hash % BUCKETS].push((window, index, offset));
        }
    }

    /// Every place where a literal stands, overlapping ones too, in the order of their ends, the longest first.
    pub fn find(&self, text: &[u8]) -> Vec<Standing> {
        let mut standing = Vec::new();
        let mut at = 0;
        while let Some(block) = text.get(at..at + 12).and_then(|block| block.first_chunk::<12>()) {
            let [a, b, c, d, e, f, g, h, i, j, _, _] = *block;
            let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]) | u64::from(FOLD) << 32 | u64::from(FOLD);
            let high = u64::from_le_bytes([e, f, g, h, i, j, 0, 0]) | u64::from(FOLD) << 32 | u64::from(FOLD);
            let mut mask = 0u64;
            for step in 0..4 {
                mask |= self.bit(low >> (8 * step)) << step;
                mask |= self.bit(high >> (8 * step)) << (step + 4);
            }
            while mask != 0 {
                self.compare(text, at + mask.trailing_zeros() as usize, &mut standing);
                mask &= mask - 1;
            }
            at += 8;
        }
        for at in at..text.len().saturating_sub(2) {
            self.compare(text, at, &mut standing);
        }
        self.find_short(text, &mut standing);
        standing.sort_by_key(|s| (s.end, s.start));
        standing
    }

    /// Whether three bytes are some literal's.
    #[inline]
    fn bit(&self, window: u64) -> u64 {
        let hash = hash(window as u32);
        self.bitmap[hash >> 6] >> (hash & 63) & 1
    }

    fn compare(&self, text: &[u8], at: usize, standing: &mut Vec<Standing>) {
        let window = u32::from_le_bytes([text[at], text[at + 1], text[at + 2], 0]) | FOLD;
        for &(known, index, offset) in &self.buckets[hash(window) % BUCKETS] {
            if known == window
                && let Some(start) = at.checked_sub(usize::from(offset))
            {
                self.compare_one(text, start, index, standing);
            }
        }
    }

    fn compare_one(&self, text: &[u8], start: usize, index: u16, standing: &mut Vec<Standing>) {
        let literal = self.literals[usize::from(index)].as_bytes();
        let end = start + literal.len();
        if text
            .get(start..end)
            .is_some_and(|part| part.eq_ignore_ascii_case(literal))
        {
            standing.push(Standing {
                literal: index,
                start,
                end,
            });
        }
    }

    fn find_short(&self, text: &[u8], standing: &mut Vec<Standing>) {
        for (first, indexes) in &self.short {
            for at in memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text) {
                for &index in indexes {
                    self.compare_one(text, at, index, standing);
                }
            }
        }
        for (at, block) in text.chunks(64).enumerate().filter(|(_, block)| !block.is_ascii()) {
            for (offset, _) in block.iter().enumerate().filter(|(_, b)| !b.is_ascii()) {
                for &index in &self.foreign {
                    self.compare_one(text, at * 64 + offset, index, standing);
                }
            }
        }
    }
}

/// Folds the case of letters, and some other bytes together: what is looked up is compared afterwards.
const FOLD: u32 = 0x2020_2020;

/// Of the lower three bytes.
#[inline]
fn hash(window: u32) -> usize {
    ((window << 8).wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

/// How common a byte is in logs and sources, roughly, so that the rarest windows of literals are looked for.
fn commonness(b: u8) -> u32 {
    const BY_FREQUENCY: &[u8] = b"zqjxkvbwygfpumhdlcrsnioate";
    match b {
        b'a'..=b'z' => BY_FREQUENCY
            .iter()
            .position(|&letter| letter == b)
            .and_then(|place| u32::try_from(place).ok())
            .unwrap_or(26),
        b' ' | b'-' => 30,
        b'0'..=b'9' | b'.' | b'/' | b':' => 22,
        b'_' | b'=' | b'"' => 18,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_same_is_found_as_by_looking_everywhere(
            literals in proptest::collection::vec("[ab~é-]{1,6}", 1..8),
            text in "[abAB~éñ-]{0,60}",
        ) {
            let set = Literals::new(literals.clone());
            let mut found: Vec<_> = set.find(text.as_bytes()).iter().map(|s| (s.end, s.start, s.literal)).collect();
            found.sort_unstable();
            let mut expected = Vec::new();
            for (index, literal) in (0u16..).zip(&literals) {
                for start in 0..text.len() {
                    let end = start + literal.len();
                    if text.as_bytes().get(start..end).is_some_and(|p| p.eq_ignore_ascii_case(literal.as_bytes())) {
                        expected.push((end, start, index));
                    }
                }
            }
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
