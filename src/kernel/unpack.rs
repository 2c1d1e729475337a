//! From an entry's stored payload to its bytes, within a budget: a small file must not become a large one unasked.

use std::borrow::Cow;
use std::io::Read as _;

use crate::kernel::container::{Compression, Entry};

/// Most bytes that one library may unpack to, all entries together.
pub const BUDGET: u64 = 1 << 30;

/// Most memory that a Zstandard frame may ask for as its window.
const WINDOW: u64 = 128 << 20;

/// Why a payload could not be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpackable {
    /// The library would unpack to more than [`BUDGET`].
    #[error("it would unpack to more than {} MiB", BUDGET >> 20)]
    TooLarge,
    /// The compressed bytes are damaged.
    #[error("its compressed bytes are damaged")]
    Damaged,
    /// What came out has another size than the header claims.
    #[error("it unpacks to another size than its header claims")]
    WrongSize,
}

/// Unpacks a payload and takes its size from the budget.
pub fn unpack<'a>(entry: &Entry<'a>, budget: &mut u64) -> Result<Cow<'a, [u8]>, Unpackable> {
    *budget = budget.checked_sub(entry.size).ok_or(Unpackable::TooLarge)?;
    let size = usize::try_from(entry.size).map_err(|_| Unpackable::TooLarge)?;
    let bytes = match entry.compression {
        Compression::None => Cow::Borrowed(entry.payload),
        Compression::Lz4 => {
            // LZ4 cannot grow more than 255-fold, so a larger claim is false before anything is allocated.
            if size / 255 > entry.payload.len() {
                return Err(Unpackable::WrongSize);
            }
            let mut bytes = vec![0; size];
            let written = lz4_flex::block::decompress_into(entry.payload, &mut bytes)
                .map_err(|_| Unpackable::Damaged)?;
            bytes.truncate(written);
            Cow::Owned(bytes)
        }
        Compression::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(entry.payload, WINDOW)
                .map_err(|_| Unpackable::Damaged)?;
            let mut bytes = Vec::new();
            decoder
                .take(entry.size.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|_| Unpackable::Damaged)?;
            Cow::Owned(bytes)
        }
    };
    if bytes.len() == size {
        Ok(bytes)
    } else {
        Err(Unpackable::WrongSize)
    }
}
