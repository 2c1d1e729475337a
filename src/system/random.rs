//! Randomness from the kernel, for names and tokens that nobody may guess.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::system::digest::hex;

/// 128 random bits as 32 hex digits.
///
/// # Errors
/// The kernel has no randomness to give.
pub fn token() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(hex(&bytes))
}
