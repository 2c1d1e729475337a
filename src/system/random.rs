//! Returns random tokens from the kernel, for names that others must not guess.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::system::digest::hex;

/// Returns 128 random bits as 32 hex digits.
///
/// # Errors
/// The kernel returns no random bytes.
pub fn token() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(hex(&bytes))
}

/// Whether a name is the start of a token with this number of digits.
pub fn is_token(name: &[u8], digits: usize) -> bool {
    name.len() == digits && name.iter().all(u8::is_ascii_hexdigit)
}
