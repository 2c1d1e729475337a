//! The characters of names. The build script reads this file too.

/// Whether host names and tokens contain a byte.
pub fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
}
