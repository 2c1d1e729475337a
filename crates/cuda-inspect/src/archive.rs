//! Reads the members of an archive of object files (`.a`), in the format of GNU and System V.

/// The first bytes of an archive.
pub const MAGIC: &[u8] = b"!<arch>\n";

/// Length of the header of a member: name, date, owner, group, mode, size and an end mark.
const HEADER: usize = 60;

/// Returns the contents of each member, without the symbol table and the table of long names.
///
/// # Errors
/// The archive is damaged.
pub fn members(archive: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut found = Vec::new();
    let mut at = MAGIC.len();
    while at < archive.len() {
        let header = archive
            .get(at..at + HEADER)
            .ok_or("the header of a member is cut off")?;
        let size = header.get(48..58).and_then(|text| std::str::from_utf8(text).ok());
        let size: usize = size
            .and_then(|text| text.trim().parse().ok())
            .ok_or("the size of a member is not a number")?;
        let start = at + HEADER;
        let end = start.checked_add(size).ok_or("a member is cut off")?;
        let content = archive.get(start..end).ok_or("a member is cut off")?;
        // `/`, `//` and `/SYM64/` are tables; `/123` is a long name.
        let is_table = header.starts_with(b"/") && !header.get(1).is_some_and(u8::is_ascii_digit);
        if !is_table {
            found.push(content);
        }
        // Members start at even positions.
        at = end + end % 2;
    }
    Ok(found)
}
