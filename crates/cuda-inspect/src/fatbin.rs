//! Parses NVIDIA's fat binary container: the bytes of a section into entries. Decides nothing about the entries.
//!
//! NVIDIA does not document the layout. The offsets were found in files of CUDA 12.9 and 13.x, and a script of the workspace
//! compares the results with `cuobjdump`. All reads check bounds, because the bytes may be hostile.

use serde::Serialize;

/// First bytes of a blob: magic, version 1, header size 16.
pub const MAGIC: [u8; 8] = [0x50, 0xED, 0x55, 0xBA, 0x01, 0x00, 0x10, 0x00];

const BLOB_HEADER: usize = 16;

/// The most entries of a section, and of all sections, so that the report of a hostile library stays far below 1 GiB.
pub const MOST_ENTRIES: usize = 1 << 17;
const ENTRY_HEADER: usize = 64;

/// The content of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Text that the driver compiles for the GPU of the machine.
    Ptx,
    /// Machine code for one architecture.
    Cubin,
    /// Intermediate code for link-time optimisation.
    Lto,
    /// Intermediate code of CUDA Tile, which the driver compiles.
    Tile,
    /// A kind that this crate does not know.
    Unknown,
}

/// How an entry's payload is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not compressed.
    None,
    /// An LZ4 block.
    Lz4,
    /// A Zstandard frame.
    Zstd,
}

/// An entry with its stored payload.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Offset of the entry's header in the section.
    pub offset: usize,
    /// What the entry contains.
    pub kind: EntryKind,
    /// SM number, such as 100.
    pub sm: u32,
    /// Whether the header has the flag for `a`.
    pub arch_specific: bool,
    /// Whether the header has the flag for `f`.
    pub family: bool,
    /// How the payload is stored.
    pub compression: Compression,
    /// Unpacked size according to the header.
    pub size: u64,
    /// The stored payload, without padding.
    pub payload: &'a [u8],
}

/// A container that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {offset:#x}: {why}")]
pub struct Malformed {
    /// Offset in the section.
    pub offset: usize,
    /// Why.
    pub why: &'static str,
}

/// Parses all entries of all blobs of a section. Between blobs, only zero padding is valid.
///
/// # Errors
/// The section is malformed.
pub fn entries(section: &[u8]) -> Result<Vec<Entry<'_>>, Malformed> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(padding) = section
        .get(at..)
        .and_then(|rest| rest.iter().position(|b| *b != 0))
    {
        // Blobs are aligned to 8 bytes, so padding precedes a blob.
        at += padding;
        let bad = |why| Malformed { offset: at, why };
        let header = section
            .get(at..at + BLOB_HEADER)
            .ok_or(bad("a blob's header is cut off"))?;
        if header.get(..8) != Some(&MAGIC) {
            return Err(bad("neither padding nor a container of the known version"));
        }
        let size = u64_at(header, 8).ok_or(bad("a blob's header is cut off"))?;
        let start = at + BLOB_HEADER;
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| start.checked_add(size))
            .filter(|end| *end <= section.len())
            .ok_or(bad("a blob is larger than its section"))?;
        let mut inside = start;
        while inside < end {
            if found.len() == MOST_ENTRIES {
                return Err(bad("the section has more entries than any known library"));
            }
            let (entry, next) = entry(section, inside, end)?;
            found.push(entry);
            inside = next;
        }
        at = end;
    }
    Ok(found)
}

/// Returns the size of the container at the beginning of these bytes, with its header.
pub fn size_of_blob(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u64_at(bytes, 8)?).ok()?.checked_add(BLOB_HEADER)
}

fn entry(section: &[u8], at: usize, end: usize) -> Result<(Entry<'_>, usize), Malformed> {
    let bad = |why| Malformed { offset: at, why };
    let header = section
        .get(at..end)
        .filter(|rest| rest.len() >= ENTRY_HEADER)
        .ok_or(bad("an entry's header is cut off"))?;
    let short = bad("an entry's header is cut off");
    let kind = match u16_at(header, 0).ok_or(short.clone())? {
        1 => EntryKind::Ptx,
        2 => EntryKind::Cubin,
        8 => EntryKind::Lto,
        0x80 => EntryKind::Tile,
        _ => EntryKind::Unknown,
    };
    let header_size = u32_at(header, 4).ok_or(short.clone())? as usize;
    let stored = u64_at(header, 8).ok_or(short.clone())?;
    let packed = u32_at(header, 16).ok_or(short.clone())?;
    let sm = u32_at(header, 28).ok_or(short.clone())?;
    let flags = u64_at(header, 40).ok_or(short.clone())?;
    let raw = u64_at(header, 56).ok_or(short)?;
    if header_size < ENTRY_HEADER {
        return Err(bad("an entry's header is smaller than any known"));
    }
    let start = at
        .checked_add(header_size)
        .filter(|start| *start <= end)
        .ok_or(bad("an entry's header is larger than its blob"))?;
    let next = usize::try_from(stored)
        .ok()
        .and_then(|stored| start.checked_add(stored))
        .filter(|next| *next <= end)
        .ok_or(bad("an entry is larger than its blob"))?;
    let payload = section
        .get(start..next)
        .ok_or(bad("an entry is larger than its blob"))?;
    let compression = match flags & 0xA000 {
        0 => Compression::None,
        0x2000 => Compression::Lz4,
        0x8000 => Compression::Zstd,
        _ => return Err(bad("an entry claims two compressions at once")),
    };
    let (payload, size) = match compression {
        Compression::None => (payload, stored),
        Compression::Lz4 | Compression::Zstd => (
            payload
                .get(..packed as usize)
                .ok_or(bad("an entry's compressed size is larger than its payload"))?,
            raw,
        ),
    };
    Ok((
        Entry {
            offset: at,
            kind,
            sm,
            arch_specific: flags & 0x10_0000 != 0,
            family: flags & 0x20_0000 != 0,
            compression,
            size,
            payload,
        },
        next,
    ))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_entries_is_bounded() {
        let section = |count: usize| {
            let mut header = [0; ENTRY_HEADER];
            header[0] = 2;
            header[4] = 64;
            let size = (count * ENTRY_HEADER) as u64;
            [MAGIC.as_slice(), &size.to_le_bytes(), &header.repeat(count)].concat()
        };
        let count = |section: &[u8]| entries(section).map(|found| found.len());
        assert_eq!(count(&section(MOST_ENTRIES)), Ok(MOST_ENTRIES));
        assert!(count(&section(MOST_ENTRIES + 1)).is_err());
    }
}
