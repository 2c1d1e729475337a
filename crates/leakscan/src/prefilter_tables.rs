//! Prepares a set of literals for the search: the build script for the program, and tests for sets of their own.
//!
//! The set is prepared at build time, because to prepare it takes longer than to scan a document.

use crate::prefilter_windows::BUCKET_BITS;
use crate::prefilter_windows::FAR;
use crate::prefilter_windows::FOLD;
use crate::prefilter_windows::NEAR;
use crate::prefilter_windows::WORDS;
use crate::prefilter_windows::Window;
use crate::prefilter_windows::bucket;
use crate::prefilter_windows::hash;

/// A prepared set of literals.
pub struct Tables {
    /// All literals in a row.
    pub text: Vec<u8>,
    /// Where each literal begins in the text, and where the last one ends.
    pub starts: Vec<u16>,
    /// The windows of literals of three or four bytes, for every place.
    pub near: WindowTables,
    /// The windows of longer literals, for every second place.
    pub far: WindowTables,
    /// Literals of two bytes, as a number, in order.
    pub pairs: Vec<(u16, u16)>,
}

/// Windows by their bytes.
pub struct WindowTables {
    /// Has a bit for each hash of a window.
    pub bitmap: [u64; WORDS],
    /// All windows by bucket.
    pub windows: Vec<Window>,
    /// The start of each bucket.
    pub starts: Vec<u16>,
}

impl Tables {
    /// Prepares lower-case literals. The literals must be distinct. They have at least three bytes, or two bytes of which the
    /// first is not ASCII.
    pub fn new(literals: &[Vec<u8>]) -> Self {
        let (mut near, mut far, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut text, mut starts) = (Vec::new(), vec![0u16]);
        for (index, literal) in (0u16..).zip(literals) {
            let bytes = literal.as_slice();
            match *bytes {
                [first, second] if !first.is_ascii() => {
                    pairs.push((u16::from_le_bytes([first, second]), index))
                }
                [] | [_] | [_, _] => panic!("{literal:?} would never be found"),
                [_, _, _] | [_, _, _, _] => near.push(Window::rarest(bytes, index, 3)),
                _ => {
                    let first = Window::rarest(bytes, index, 5);
                    far.extend([first.sized(bytes, 4), first.next().sized(bytes, 4)]);
                }
            }
            text.extend_from_slice(bytes);
            starts.push(u16::try_from(text.len()).unwrap_or(u16::MAX));
        }
        assert!(
            text.len() < usize::from(u16::MAX),
            "the literals need longer offsets"
        );
        pairs.sort_unstable();
        Tables {
            text,
            starts,
            near: WindowTables::new(NEAR, near),
            far: WindowTables::new(FAR, far),
            pairs,
        }
    }
}

impl WindowTables {
    fn new(mask: u32, mut windows: Vec<Window>) -> Self {
        let mut bitmap = [0; WORDS];
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
        WindowTables {
            bitmap,
            windows: bucketed,
            starts,
        }
    }
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
