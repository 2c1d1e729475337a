//! Computes digests, and formats them and other bytes as lower-case hex digits.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of the bytes as 64 lower-case hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns the HMAC-SHA-256 of the bytes (RFC 2104) as 64 lower-case hex digits. Computing it needs the key.
pub fn keyed(key: &[u8], bytes: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let part = |pad: u8, bytes: &[u8]| {
        let start = block.map(|byte| byte ^ pad);
        Sha256::new().chain_update(start).chain_update(bytes).finalize()
    };
    hex(&part(0x5c, &part(0x36, bytes)))
}

/// Formats bytes as lower-case hex digits, two per byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Whether a text consists of lower-case hex digits and has one of these lengths.
pub fn is_hex(text: &[u8], lengths: &[usize]) -> bool {
    lengths.contains(&text.len())
        && text
            .iter()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases 2 and 6 of RFC 4231.
    #[test]
    fn keyed_digest_agrees_with_rfc() {
        assert_eq!(
            keyed(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            keyed(&[0xaa; 131], message),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
