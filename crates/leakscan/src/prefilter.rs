//! Finds many literals in one pass, without regard to ASCII case.
//!
//! The rarest bytes of each literal are its window. The search looks up eight places of the text at a time in bitmaps that fit
//! the L1 cache, and compares literals only where a bitmap has a hit. A literal of five bytes or more has two adjacent windows
//! of four bytes, so that every second place is enough.

use std::ops::Range;

use crate::prefilter_windows::FAR;
use crate::prefilter_windows::FOLD;
use crate::prefilter_windows::NEAR;
use crate::prefilter_windows::WORDS;
use crate::prefilter_windows::Window;
use crate::prefilter_windows::bucket;
use crate::prefilter_windows::hash;

/// A set of literals, prepared for the search at build time.
pub struct Literals {
    /// All literals in a row.
    pub text: &'static [u8],
    /// Where each literal begins in the text, and where the last one ends.
    pub starts: &'static [u16],
    /// The windows of literals of three or four bytes, for every place.
    pub near: Windows,
    /// The windows of longer literals, for every second place.
    pub far: Windows,
    /// Literals of two bytes, as a number, in order.
    pub pairs: &'static [(u16, u16)],
}

/// A literal in a text.
#[derive(Clone, Copy)]
pub struct Match {
    /// The index of the literal.
    pub literal: u16,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

impl Match {
    /// The place.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl Literals {
    fn literal(&self, index: u16) -> &'static [u8] {
        let index = usize::from(index);
        &self.text[usize::from(self.starts[index])..usize::from(self.starts[index + 1])]
    }

    /// Finds all occurrences of all literals, including overlaps, in the order of their ends, the longest first.
    pub fn find(&self, text: &[u8]) -> Vec<Match> {
        let mut matches = Vec::new();
        let mut at = 0;
        while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            let block = Block::of(block);
            if (self.near.even(NEAR, block) | self.near.odd(NEAR, block)) & 1 != 0 {
                self.compare_hits::<1>(NEAR, &self.near, block, at, text, &mut matches);
            }
            if self.far.even(FAR, block) & 1 != 0 {
                self.compare_hits::<2>(FAR, &self.far, block, at, text, &mut matches);
            }
            at += 8;
        }
        for at in at..text.len().saturating_sub(2) {
            let window = text[at..]
                .iter()
                .take(4)
                .rev()
                .fold(0, |w, &b| w << 8 | u32::from(b));
            self.compare(NEAR, &self.near, window | FOLD, at, text, &mut matches);
            self.compare(FAR, &self.far, window | FOLD, at, text, &mut matches);
        }
        self.find_pairs(text, &mut matches);
        matches.sort_unstable_by_key(|s| (s.end, s.start, s.literal));
        matches.dedup_by_key(|s| (s.end, s.start, s.literal));
        matches
    }

    /// Compares literals at the places of a block that have a hit in the bitmap.
    #[inline(never)]
    fn compare_hits<const STEP: usize>(
        &self,
        mask: u32,
        windows: &Windows,
        block: Block,
        at: usize,
        text: &[u8],
        matches: &mut Vec<Match>,
    ) {
        for offset in (0..8).step_by(STEP) {
            let window = block.window(offset);
            if windows.bit(mask, window) & 1 != 0 {
                self.compare(mask, windows, window, at + offset, text, matches);
            }
        }
    }

    fn compare(
        &self,
        mask: u32,
        windows: &Windows,
        window: u32,
        at: usize,
        text: &[u8],
        matches: &mut Vec<Match>,
    ) {
        for found in windows.of(mask, window) {
            if let Some(start) = at.checked_sub(usize::from(found.offset)) {
                let literal = self.literal(found.literal);
                let end = start + literal.len();
                if text
                    .get(start..end)
                    .is_some_and(|part| part.eq_ignore_ascii_case(literal))
                {
                    matches.push(Match {
                        literal: found.literal,
                        start,
                        end,
                    });
                }
            }
        }
    }

    fn find_pairs(&self, text: &[u8], matches: &mut Vec<Match>) {
        for (at, block) in (0..).step_by(64).zip(text.chunks(64)) {
            if block.is_ascii() {
                continue;
            }
            for start in at..at + block.len() {
                if text[start] >= 0x80
                    && let Some(&[first, second]) = text.get(start..start + 2)
                {
                    let pair = u16::from_le_bytes([first, second]);
                    if let Ok(place) = self.pairs.binary_search_by_key(&pair, |known| known.0) {
                        matches.push(Match {
                            literal: self.pairs[place].1,
                            start,
                            end: start + 2,
                        });
                    }
                }
            }
        }
    }
}

/// Sixteen bytes of the text. The first eight are places to look up.
#[derive(Clone, Copy)]
struct Block {
    low: u64,
    high: u64,
}

impl Block {
    #[inline(always)]
    fn of(bytes: &[u8; 16]) -> Self {
        let all = u128::from_le_bytes(*bytes);
        let fold = u64::from(FOLD) << 32 | u64::from(FOLD);
        Block {
            low: all as u64 | fold,
            high: (all >> 32) as u64 | fold,
        }
    }

    /// The four bytes at an offset below eight.
    #[inline(always)]
    fn window(self, offset: usize) -> u32 {
        if offset < 4 {
            (self.low >> (8 * offset)) as u32
        } else {
            (self.high >> (8 * (offset - 4))) as u32
        }
    }
}

/// Windows by their bytes, of which a mask selects the significant ones.
pub struct Windows {
    /// Has a bit for each hash of a window.
    pub bitmap: &'static [u64; WORDS],
    /// All windows by bucket.
    pub windows: &'static [Window],
    /// The start of each bucket.
    pub starts: &'static [u16],
}

impl Windows {
    /// The bit of the bitmap in the lowest bit; the other bits are undefined.
    #[inline(always)]
    fn bit(&self, mask: u32, window: u32) -> u64 {
        let hash = hash(window & mask);
        self.bitmap[hash >> 6] >> (hash & 63)
    }

    /// Whether any even place of a block has a hit, in the lowest bit. Not a loop, because the compiler does not unroll loops
    /// when it optimises for size.
    #[inline(always)]
    fn even(&self, mask: u32, block: Block) -> u64 {
        self.bit(mask, block.window(0))
            | self.bit(mask, block.window(2))
            | self.bit(mask, block.window(4))
            | self.bit(mask, block.window(6))
    }

    /// Whether any odd place has a hit.
    #[inline(always)]
    fn odd(&self, mask: u32, block: Block) -> u64 {
        self.bit(mask, block.window(1))
            | self.bit(mask, block.window(3))
            | self.bit(mask, block.window(5))
            | self.bit(mask, block.window(7))
    }

    /// The windows with these bytes.
    #[inline]
    fn of(&self, mask: u32, window: u32) -> impl Iterator<Item = &Window> {
        let bytes = window & mask;
        let bucket = bucket(hash(bytes));
        self.windows[usize::from(self.starts[bucket])..usize::from(self.starts[bucket + 1])]
            .iter()
            .filter(move |window| window.bytes == bytes)
    }
}

#[cfg(test)]
impl Literals {
    /// Prepares a set for the rest of the test.
    pub fn prepared(literals: &[Vec<u8>]) -> Self {
        let tables = crate::prefilter_tables::Tables::new(literals);
        let windows = |tables: crate::prefilter_tables::WindowTables| Windows {
            bitmap: Box::leak(Box::new(tables.bitmap)),
            windows: tables.windows.leak(),
            starts: tables.starts.leak(),
        };
        Literals {
            text: tables.text.leak(),
            starts: tables.starts.leak(),
            near: windows(tables.near),
            far: windows(tables.far),
            pairs: tables.pairs.leak(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn search_equals_brute_force(
            literals in proptest::collection::btree_set("é|[ab~é-]{3,8}", 1..8),
            text in "[abAB~éñ-]{0,90}",
        ) {
            let literals: Vec<String> = literals.into_iter().collect();
            let bytes: Vec<Vec<u8>> = literals.iter().map(|literal| literal.clone().into_bytes()).collect();
            let set = Literals::prepared(&bytes);
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
