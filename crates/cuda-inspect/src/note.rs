//! Reads a note of an ELF file.

use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::FileHeader as _;
use object::read::elf::NoteIterator;
use object::read::elf::ProgramHeader as _;
use object::read::elf::SectionHeader as _;

/// Finds the first note of an owner and a type: by program headers in a linked file, by sections in an object file.
pub fn find<'a>(file: &'a [u8], owner: &[u8], note_type: u32) -> Option<&'a [u8]> {
    let header = FileHeader64::<LittleEndian>::parse(file).ok()?;
    let endian = LittleEndian;
    for segment in header.program_headers(endian, file).ok()? {
        if let Ok(Some(notes)) = segment.notes(endian, file)
            && let Some(content) = first(notes, owner, note_type)
        {
            return Some(content);
        }
    }
    for section in header.section_headers(endian, file).ok()? {
        if let Ok(Some(notes)) = section.notes(endian, file)
            && let Some(content) = first(notes, owner, note_type)
        {
            return Some(content);
        }
    }
    None
}

fn first<'a>(
    mut notes: NoteIterator<'a, FileHeader64<LittleEndian>>,
    owner: &[u8],
    note_type: u32,
) -> Option<&'a [u8]> {
    while let Ok(Some(note)) = notes.next() {
        if note.name() == owner && note.n_type(LittleEndian).0 == note_type {
            return Some(note.desc());
        }
    }
    None
}
