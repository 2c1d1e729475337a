//! Tokens whose format identifies the issuer: prefix, alphabet, length.

use crate::checksum::looks_github;
use crate::false_positives::is_plausible_secret;
use crate::false_positives::looks_random;
use crate::rule::Rule;
use crate::window::before;
use crate::window::starts_with_capital;

include!(concat!(env!("OUT_DIR"), "/tokens.rs"));

fn is_random_with_percent(token: &[u8]) -> bool {
    token.contains(&b'%') && looks_random(token)
}

fn follows_no_hyphen(text: &[u8], at: usize) -> bool {
    before(text, at) != b'-'
}

/// Whether a dot and hexadecimal digits follow the id of a token, as in Airtable's `pat` and 14 characters.
fn has_dot_after_id(text: &[u8], at: usize) -> bool {
    let rest = text.get(at + 17..at + 26);
    rest.is_some_and(|rest| rest[0] == b'.' && rest[1..].iter().all(u8::is_ascii_hexdigit))
}

fn continues_with_hex(text: &[u8], at: usize) -> bool {
    text.get(at + 5).is_some_and(u8::is_ascii_hexdigit)
}

/// Whether an upper-case token has enough distinct characters not to be a word.
fn has_many_characters(token: &[u8]) -> bool {
    is_plausible_secret(token) && distinct(token) >= 9
}

/// Whether a token mixes upper and lower case enough to be random without digits.
fn mixed_letters(token: &[u8]) -> bool {
    let capitals = token.iter().filter(|b| b.is_ascii_uppercase()).count();
    let body = token.rsplit(|b| *b == b'_').next().unwrap_or_default();
    looks_random(token)
        || is_plausible_secret(token) && capitals >= 6 && crate::false_positives::entropy(body) >= 3.5
}

fn mixed_case_and_digit(token: &[u8]) -> bool {
    looks_random(token)
        && token.iter().any(u8::is_ascii_digit)
        && token.iter().any(u8::is_ascii_uppercase)
        && token.iter().any(u8::is_ascii_lowercase)
}

fn distinct(token: &[u8]) -> usize {
    let mut seen = [false; 256];
    token.iter().for_each(|&b| seen[usize::from(b)] = true);
    seen.iter().filter(|&&s| s).count()
}
