//! Finds many literals at once, without regard to ASCII case, in one pass that costs little where none stands.
//!
//! Each literal is known by its rarest few bytes. Eight places of the text at a time are looked up in bitmaps that fit the
//! nearest cache; only where one of them hits are literals compared. A literal of five bytes or more is known by two
//! windows of four bytes side by side, so that every second place is enough. Building it all is a walk over the literals:
//! nothing to wait for in the lint of one document, where an automaton's building would be all the time spent.

use std::ops::Range;

/// A set of literals, ready to be looked for.
pub struct Literals {
    literals: Vec<String>,
    /// The windows of literals of three or four bytes, looked for at every place.
    near: Windows,
    /// The windows of longer literals, looked for at every second place.
    far: Windows,
    /// Literals of two bytes beyond ASCII, as one number, in order.
    foreign: Vec<(u16, u16)>,
}

/// A literal in a text.
#[derive(Clone, Copy)]
pub struct Match {
    /// Which literal.
    pub literal: u16,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Match {
    /// Where it stands.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl Literals {
    /// Makes lower-case literals ready; each is known by its place in the list. They differ; each has at least three bytes, or is
    /// one character beyond ASCII.
    pub fn new(literals: Vec<String>) -> Self {
        let (mut near, mut far, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        for (index, literal) in (0u16..).zip(&literals) {
            let bytes = literal.as_bytes();
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

    /// Every place where a literal stands, overlapping ones too, in the order of their ends, the longest first.
    pub fn find(&self, text: &[u8]) -> Vec<Match> {
        let mut standing = Vec::new();
        let mut at = 0;
        while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            let block = Block::of(block);
            if (self.near.even(block) | self.near.odd(block)) & 1 != 0 {
                self.look::<1>(&self.near, block, at, text, &mut standing);
            }
            if self.far.even(block) & 1 != 0 {
                self.look::<2>(&self.far, block, at, text, &mut standing);
            }
            at += 8;
        }
        for at in at..text.len().saturating_sub(2) {
            let window = text[at..]
                .iter()
                .take(4)
                .rev()
                .fold(0, |w, &b| w << 8 | u32::from(b));
            self.compare(&self.near, window | FOLD, at, text, &mut standing);
            self.compare(&self.far, window | FOLD, at, text, &mut standing);
        }
        self.find_foreign(text, &mut standing);
        standing.sort_unstable_by_key(|s| (s.end, s.start, s.literal));
        standing.dedup_by_key(|s| (s.end, s.start, s.literal));
        standing
    }

    /// Looks at those places of a block that the bitmap knows.
    #[inline(never)]
    fn look<const STEP: usize>(
        &self,
        windows: &Windows,
        block: Block,
        at: usize,
        text: &[u8],
        standing: &mut Vec<Match>,
    ) {
        for offset in (0..8).step_by(STEP) {
            let window = block.window(offset);
            if windows.bit(window) & 1 != 0 {
                self.compare(windows, window, at + offset, text, standing);
            }
        }
    }

    fn compare(&self, windows: &Windows, window: u32, at: usize, text: &[u8], standing: &mut Vec<Match>) {
        for found in windows.of(window) {
            if let Some(start) = at.checked_sub(usize::from(found.offset)) {
                let literal = self.literals[usize::from(found.literal)].as_bytes();
                let end = start + literal.len();
                if text
                    .get(start..end)
                    .is_some_and(|part| part.eq_ignore_ascii_case(literal))
                {
                    standing.push(Match {
                        literal: found.literal,
                        start,
                        end,
                    });
                }
            }
        }
    }

    fn find_foreign(&self, text: &[u8], standing: &mut Vec<Match>) {
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
                        standing.push(Match {
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

/// Sixteen bytes of the text, of which the first eight are places to look at.
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

    /// The four bytes from an offset below eight on.
    #[inline(always)]
    fn window(self, offset: usize) -> u32 {
        if offset < 4 {
            (self.low >> (8 * offset)) as u32
        } else {
            (self.high >> (8 * (offset - 4))) as u32
        }
    }
}

/// Folds the case of letters, and some other bytes together: what is looked up is compared afterwards.
const FOLD: u32 = 0x2020_2020;

/// The bytes of a window that count, for short literals and for long ones.
const NEAR: u32 = 0x00ff_ffff;
const FAR: u32 = !0;

/// How many bits of a hash choose a place in a bitmap, and how many a bucket.
const BITS: u32 = 17;
const BUCKET_BITS: u32 = 12;

/// A few bytes of a literal by which it is known.
#[derive(Clone, Copy)]
struct Window {
    bytes: u32,
    literal: u16,
    offset: u16,
}

impl Window {
    /// Where the rarest bytes of a literal begin.
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

    /// The same window with its bytes read.
    fn sized(mut self, bytes: &[u8], length: usize) -> Self {
        self.bytes = bytes[usize::from(self.offset)..]
            .iter()
            .take(length)
            .rev()
            .fold(0, |all, &b| all << 8 | u32::from(b));
        self
    }

    /// The window one byte on.
    fn next(mut self) -> Self {
        self.offset += 1;
        self
    }
}

/// Windows by their bytes.
struct Windows {
    /// The bytes that count.
    mask: u32,
    /// Which hashes belong to a window.
    bitmap: Box<[u64; 1 << (BITS - 6)]>,
    /// All windows by their buckets, and where each bucket begins.
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
        // Bucket by bucket; within one, any order will do.
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

    /// The bitmap's answer in the lowest bit; the others mean nothing.
    #[inline(always)]
    fn bit(&self, window: u32) -> u64 {
        let hash = hash(window & self.mask);
        self.bitmap[hash >> 6] >> (hash & 63)
    }

    /// Whether the bitmap knows any of the even places of a block, in the lowest bit. Written out: a loop would not be
    /// unrolled where the compiler aims at size.
    #[inline(always)]
    fn even(&self, block: Block) -> u64 {
        self.bit(block.window(0))
            | self.bit(block.window(2))
            | self.bit(block.window(4))
            | self.bit(block.window(6))
    }

    /// Whether the bitmap knows any of the odd places.
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

/// How common a few bytes are in logs and sources, roughly, so that the rarest windows of literals are looked for.
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

/// Pairs of letters that are common: for each first letter a bit for each second one.
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
        fn the_same_is_found_as_by_looking_everywhere(
            literals in proptest::collection::btree_set("é|[ab~é-]{3,8}", 1..8),
            text in "[abAB~éñ-]{0,90}",
        ) {
            let literals: Vec<String> = literals.into_iter().collect();
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
