//! What the build script and the search for literals share: the windows of literals and their hash.

/// Folds the case of letters, and also some other bytes; the comparison afterwards is exact.
pub const FOLD: u32 = 0x2020_2020;

/// The significant bytes of a window, for short and for long literals.
pub const NEAR: u32 = 0x00ff_ffff;
/// See [`NEAR`].
pub const FAR: u32 = !0;

/// How many bits of a hash select a bit of the bitmap, and how many a bucket.
pub const BITS: u32 = 17;
/// See [`BITS`].
pub const BUCKET_BITS: u32 = 12;

/// The number of words of a bitmap.
pub const WORDS: usize = 1 << (BITS - 6);

/// A few bytes of a literal.
#[derive(Clone, Copy)]
pub struct Window {
    /// The bytes, of which a mask selects the significant ones.
    pub bytes: u32,
    /// The index of the literal.
    pub literal: u16,
    /// Where the window begins in the literal.
    pub offset: u16,
}

/// The place of a window in the bitmap.
#[inline(always)]
pub fn hash(bytes: u32) -> usize {
    (bytes.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

/// The bucket of a hash.
#[inline(always)]
pub fn bucket(hash: usize) -> usize {
    hash >> (BITS - BUCKET_BITS)
}
