//! Decompresses the payload of an entry, within a budget, so that a small file cannot exhaust memory.

use std::borrow::Cow;
use std::io::Read as _;

use crate::fatbin::{Compression, Entry};

/// The maximum unpacked size of all entries of a library, in bytes.
pub const BUDGET: u64 = 1 << 30;

/// The maximum unpacked size of one entry, in bytes. An entry is freed before the next one is unpacked.
const LARGEST: u64 = 512 << 20;

/// The maximum window of a Zstandard frame, in bytes.
const WINDOW: u64 = 128 << 20;

/// Why a payload could not be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// The library would unpack to more than [`BUDGET`].
    #[error("it would unpack to more than {} MiB", BUDGET >> 20)]
    TooLarge,
    /// The entry would unpack to more than any known entry.
    #[error("it alone would unpack to more than {} MiB", LARGEST >> 20)]
    LargeEntry,
    /// The compressed bytes are damaged.
    #[error("its compressed bytes are damaged")]
    Damaged,
    /// The unpacked size differs from the size in the header.
    #[error("it unpacks to another size than its header claims")]
    WrongSize,
}

/// Decompresses a payload and subtracts its size from the budget.
///
/// # Errors
/// The payload is too large or damaged.
pub fn unpack<'a>(entry: &Entry<'a>, budget: &mut u64) -> Result<Cow<'a, [u8]>, UnpackError> {
    *budget = budget.checked_sub(entry.size).ok_or(UnpackError::TooLarge)?;
    if entry.compression != Compression::None && entry.size > LARGEST {
        return Err(UnpackError::LargeEntry);
    }
    let size = usize::try_from(entry.size).map_err(|_| UnpackError::TooLarge)?;
    let bytes = match entry.compression {
        Compression::None => Cow::Borrowed(entry.payload),
        Compression::Lz4 => {
            // LZ4 grows data at most 255-fold. Reject a larger claim before the allocation.
            if size / 255 > entry.payload.len() {
                return Err(UnpackError::WrongSize);
            }
            let mut bytes = vec![0; size];
            let written = lz4_flex::block::decompress_into(entry.payload, &mut bytes)
                .map_err(|_| UnpackError::Damaged)?;
            bytes.truncate(written);
            Cow::Owned(bytes)
        }
        Compression::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(entry.payload, WINDOW)
                .map_err(|_| UnpackError::Damaged)?;
            let mut bytes = Vec::new();
            // Doubling the room would need twice the memory. One byte more shows that the size is wrong.
            bytes
                .try_reserve_exact(size + 1)
                .map_err(|_| UnpackError::TooLarge)?;
            decoder
                .take(entry.size.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|_| UnpackError::Damaged)?;
            Cow::Owned(bytes)
        }
    };
    if bytes.len() == size {
        Ok(bytes)
    } else {
        Err(UnpackError::WrongSize)
    }
}
