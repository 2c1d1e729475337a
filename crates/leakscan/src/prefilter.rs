//! Finds many literals in one pass, without regard to ASCII case.
//!
//! The rarest bytes of each literal are its window. The search looks up eight places of the text at a time in bitmaps that fit
//! the L1 cache, and compares literals only where a bitmap has a hit. A literal of five bytes or more has two adjacent windows
//! of four bytes, so that every second place is enough. The set is built in one pass over the literals: to build an automaton
//! takes longer than to scan a document.

use std::ops::Range;

/// A set of literals, prepared for the search.
pub struct Literals {
    literals: Vec<Vec<u8>>,
    /// The windows of literals of three or four bytes, for every place.
    near: Windows,
    /// The windows of longer literals, for every second place.
    far: Windows,
    /// Literals of two bytes, as a number, in order.
    foreign: Vec<(u16, u16)>,
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
    /// Prepares lower-case literals. The literals must be distinct. They have at least three bytes, or two bytes of which the
    /// first is not ASCII.
    pub fn new(literals: Vec<Vec<u8>>) -> Self {
        let (mut near, mut far, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        for (index, literal) in (0u16..).zip(&literals) {
            let bytes = literal.as_slice();
            match *bytes {
                [first, second] if !first.is_ascii() => {
                    foreign.push((u16::from_le_bytes([first, second]), index))
                }
                [] | [_] | [_, _] => debug_assert!(false, "{literal:?} would never be found"),
                [_, _, _] | [_, _, _, _] => near.push(Window::rarest(bytes, index, 3)),
                _ => {
                    let first = Window::rarest(bytes, index, 5);
                    far.extend([first.sized(bytes, 4), first.next().sized(bytes, 4)]);
                }
            }
        }
        foreign.sort_unstable();
        Literals {
            literals,
            near: Windows::new(NEAR, near),
            far: Windows::new(FAR, far),
            foreign,
        }
    }

    /// Finds all occurrences of all literals, including overlaps, in the order of their ends, the longest first.
    pub fn find(&self, text: &[u8]) -> Vec<Match> {
        let mut matches = Vec::new();
        let mut at = 0;
        while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            let block = Block::of(block);
            if (self.near.even(block) | self.near.odd(block)) & 1 != 0 {
                self.compare_hits::<1>(&self.near, block, at, text, &mut matches);
            }
            if self.far.even(block) & 1 != 0 {
                self.compare_hits::<2>(&self.far, block, at, text, &mut matches);
            }
            at += 8;
        }
        for at in at..text.len().saturating_sub(2) {
            let window = text[at..]
                .iter()
                .take(4)
                .rev()
                .fold(0, |w, &b| w << 8 | u32::from(b));
            self.compare(&self.near, window | FOLD, at, text, &mut matches);
            self.compare(&self.far, window | FOLD, at, text, &mut matches);
        }
        self.find_foreign(text, &mut matches);
        matches.sort_unstable_by_key(|s| (s.end, s.start, s.literal));
        matches.dedup_by_key(|s| (s.end, s.start, s.literal));
        matches
    }

    /// Compares literals at the places of a block that have a hit in the bitmap.
    #[inline(never)]
    fn compare_hits<const STEP: usize>(
        &self,
        windows: &Windows,
        block: Block,
        at: usize,
        text: &[u8],
        matches: &mut Vec<Match>,
    ) {
        for offset in (0..8).step_by(STEP) {
            let window = block.window(offset);
            if windows.bit(window) & 1 != 0 {
                self.compare(windows, window, at + offset, text, matches);
            }
        }
    }

    fn compare(&self, windows: &Windows, window: u32, at: usize, text: &[u8], matches: &mut Vec<Match>) {
        for found in windows.of(window) {
            if let Some(start) = at.checked_sub(usize::from(found.offset)) {
                let literal = &self.literals[usize::from(found.literal)];
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

    fn find_foreign(&self, text: &[u8], matches: &mut Vec<Match>) {
        for (at, block) in (0..).step_by(64).zip(text.chunks(64)) {
            if block.is_ascii() {
                continue;
            }
            for start in at..at + block.len() {
                if text[start] >= 0x80
                    && let Some(&[first, second]) = text.get(start..start + 2)
                {
                    let pair = u16::from_le_bytes([first, second]);
                    if let Ok(place) = self.foreign.binary_search_by_key(&pair, |known| known.0) {
                        matches.push(Match {
                            literal: self.foreign[place].1,
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

/// Folds the case of letters, and also some other bytes; the comparison afterwards is exact.
const FOLD: u32 = 0x2020_2020;

/// The significant bytes of a window, for short and for long literals.
const NEAR: u32 = 0x00ff_ffff;
const FAR: u32 = !0;

/// How many bits of a hash select a bit of the bitmap, and how many a bucket.
const BITS: u32 = 17;
const BUCKET_BITS: u32 = 12;

/// A few bytes of a literal.
#[derive(Clone, Copy)]
struct Window {
    bytes: u32,
    literal: u16,
    offset: u16,
}

impl Window {
    /// The window at the rarest bytes of a literal.
    fn rarest(bytes: &[u8], literal: u16, length: usize) -> Self {
        let (offset, _) = (0u16..)
            .zip(bytes.windows(length))
            .min_by_key(|(_, window)| commonness(window))
            .unwrap_or_default();
        Window {
            bytes: 0,
            literal,
            offset,
        }
        .sized(bytes, length.min(4))
    }

    /// The same window with this number of bytes.
    fn sized(mut self, bytes: &[u8], length: usize) -> Self {
        self.bytes = bytes[usize::from(self.offset)..]
            .iter()
            .take(length)
            .rev()
            .fold(0, |all, &b| all << 8 | u32::from(b));
        self
    }

    /// The window at the next byte.
    fn next(mut self) -> Self {
        self.offset += 1;
        self
    }
}

/// Windows by their bytes.
struct Windows {
    /// The significant bytes.
    mask: u32,
    /// Has a bit for each hash of a window.
    bitmap: Box<[u64; 1 << (BITS - 6)]>,
    /// All windows by bucket, and the start of each bucket.
    windows: Vec<Window>,
    starts: Vec<u16>,
}

impl Windows {
    fn new(mask: u32, mut windows: Vec<Window>) -> Self {
        let mut bitmap = Box::new([0; 1 << (BITS - 6)]);
        let mut starts = vec![0u16; (1 << BUCKET_BITS) + 1];
        for window in &mut windows {
            window.bytes = (window.bytes | FOLD) & mask;
            let hash = hash(window.bytes);
            bitmap[hash >> 6] |= 1 << (hash & 63);
            starts[bucket(hash) + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        // Sort by bucket; the order within a bucket does not matter.
        let mut free = starts.clone();
        let mut bucketed = windows.clone();
        for window in windows {
            let place = &mut free[bucket(hash(window.bytes))];
            bucketed[usize::from(*place)] = window;
            *place += 1;
        }
        Windows {
            mask,
            bitmap,
            windows: bucketed,
            starts,
        }
    }

    /// The bit of the bitmap in the lowest bit; the other bits are undefined.
    #[inline(always)]
    fn bit(&self, window: u32) -> u64 {
        let hash = hash(window & self.mask);
        self.bitmap[hash >> 6] >> (hash & 63)
    }

    /// Whether any even place of a block has a hit, in the lowest bit. Not a loop, because the compiler does not unroll loops
    /// when it optimises for size.
    #[inline(always)]
    fn even(&self, block: Block) -> u64 {
        self.bit(block.window(0))
            | self.bit(block.window(2))
            | self.bit(block.window(4))
            | self.bit(block.window(6))
    }

    /// Whether any odd place has a hit.
    #[inline(always)]
    fn odd(&self, block: Block) -> u64 {
        self.bit(block.window(1))
            | self.bit(block.window(3))
            | self.bit(block.window(5))
            | self.bit(block.window(7))
    }

    /// The windows with these bytes.
    #[inline]
    fn of(&self, window: u32) -> impl Iterator<Item = &Window> {
        let bytes = window & self.mask;
        let bucket = bucket(hash(bytes));
        self.windows[usize::from(self.starts[bucket])..usize::from(self.starts[bucket + 1])]
            .iter()
            .filter(move |window| window.bytes == bytes)
    }
}

#[inline(always)]
fn hash(bytes: u32) -> usize {
    (bytes.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

#[inline(always)]
fn bucket(hash: usize) -> usize {
    hash >> (BITS - BUCKET_BITS)
}

/// Estimates how common a few bytes are in logs and sources.
fn commonness(window: &[u8]) -> u32 {
    let mut sum = 0;
    let mut before = 0;
    for &byte in window {
        sum += u32::from(BYTES[usize::from(byte)]);
        if before != 0 && PAIRS[usize::from(before & 31)] >> (byte & 31) & 1 != 0 && byte.is_ascii_lowercase()
        {
            sum += 12;
        }
        before = if byte.is_ascii_lowercase() { byte } else { 0 };
    }
    sum
}

/// How common each byte is.
static BYTES: [u8; 256] = {
    let by_frequency = b"zqjxkvbwygfpumhdlcrsnioate";
    let mut table = [6; 256];
    let mut place = 0;
    while place < by_frequency.len() {
        table[by_frequency[place] as usize] = place as u8;
        place += 1;
    }
    let rest: [(&[u8], u8); 3] = [(b" -", 30), (b"0123456789./:", 22), (b"_=\"", 18)];
    let mut row = 0;
    while row < rest.len() {
        let mut n = 0;
        while n < rest[row].0.len() {
            table[rest[row].0[n] as usize] = rest[row].1;
            n += 1;
        }
        row += 1;
    }
    table
};

/// Common pairs of letters: for each first letter, a bit for each second letter.
static PAIRS: [u32; 32] = {
    let common =
        b"thheinerreonatndtiesortedisitalarstntosengnghaasouveiolecomehirideroicneearacelichllbemasiom\
        urecctstininraprsulautfounrsetlossarrattypacpodeptmpamadunte";
    let mut table = [0; 32];
    let mut n = 0;
    while n + 1 < common.len() {
        table[(common[n] & 31) as usize] |= 1 << (common[n + 1] & 31);
        n += 2;
    }
    table
};

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
            let set = Literals::new(literals.iter().map(|literal| literal.clone().into_bytes()).collect());
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
