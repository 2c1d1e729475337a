//! SHA-256, computed independently of the program under test.
#![allow(dead_code, reason = "not every test binary uses each of these")]

use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of these bytes in lower-case hexadecimal digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
