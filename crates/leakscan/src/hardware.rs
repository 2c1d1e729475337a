//! Identities of hardware: GPU UUIDs, MAC addresses, InfiniBand GUIDs, serial numbers, machine ids.

use crate::kinds::HARDWARE_ID;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::before;
use crate::window::is_word;

include!(concat!(env!("OUT_DIR"), "/hardware.rs"));

/// Whether a hyphen or a dot between hexadecimal digits follows soon.
fn has_other_mac(text: &[u8], at: usize) -> bool {
    let is_pair = |pair: &[u8]| pair.iter().all(u8::is_ascii_hexdigit);
    text[at..text.len().min(at + 32)]
        .windows(5)
        .any(|part| matches!(part[2], b'-' | b'.') && is_pair(&part[..2]) && is_pair(&part[3..]))
}

/// Whether the next pair of digits ends in a colon too, which is rare.
fn may_be_mac(text: &[u8], at: usize) -> bool {
    text.get(at + 3) == Some(&b':')
}

fn has_four_digits(text: &[u8], at: usize) -> bool {
    let near = &text[at..text.len().min(at + 64)];
    near.iter().filter(|b| b.is_ascii_digit()).count() >= 4
}

fn follows_word(text: &[u8], at: usize) -> bool {
    matches!(before(text, at), b' ' | b'_' | b'-') || before(text, at).is_ascii_alphabetic()
}

/// Finds six pairs of hexadecimal digits from the first colon.
fn mac(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let Some(start) = hit.span.start.checked_sub(2) else {
        return;
    };
    let Some(address) = text.get(start..start + 17) else {
        return;
    };
    // Check the other colons first, because this check is cheap.
    if address[5] != b':' || address[8] != b':' {
        return;
    }
    found.count_work(17);
    let formed = address.iter().enumerate().all(|(at, b)| {
        if at % 3 == 2 {
            *b == b':'
        } else {
            b.is_ascii_hexdigit()
        }
    });
    let (left, right) = (before(text, start), after(text, start + 17));
    if !formed
        || is_word(left)
        || left == b':'
        || left == b'-'
        || is_word(right)
        || (right == b':' && text.get(start + 18).is_some_and(u8::is_ascii_hexdigit))
    {
        return;
    }
    // A date with a time has no letters. Addresses without letters are rare.
    let letters = address.iter().any(u8::is_ascii_alphabetic);
    let documentation = address[..14].eq_ignore_ascii_case(b"00:00:5e:00:53")
        || address[..8].eq_ignore_ascii_case(b"de:ad:be")
        || address.eq_ignore_ascii_case(b"aa:bb:cc:dd:ee:ff")
        || address.eq_ignore_ascii_case(b"00:11:22:33:44:55")
        || address[..14] == *b"01:23:45:67:89"
        || address.eq_ignore_ascii_case(b"cc:bb:aa:33:22:11");
    let blank = address.iter().all(|b| matches!(b, b'0' | b':'))
        || address.iter().all(|b| matches!(b, b'f' | b'F' | b':'));
    if letters && !documentation && !blank {
        found.report(&HARDWARE_ID, start..start + 17);
    }
}

fn is_identity(id: &[u8]) -> bool {
    let hex = id.strip_prefix(b"0x").unwrap_or(id);
    let first = hex.first().copied().unwrap_or(b'0');
    let zeros = hex.iter().filter(|b| **b == b'0').count();
    hex.iter().any(|b| *b != first && *b != b'-' && *b != b':')
        && zeros * 4 < hex.len() * 3
        && !hex.starts_with(b"01234567")
        && !hex.starts_with(b"12345678")
}

fn is_serial(id: &[u8]) -> bool {
    let digits = id.iter().filter(|b| b.is_ascii_digit()).count();
    // Serial numbers of certificates and of packages have only digits. Those of GPUs have 13 digits.
    digits >= 3
        && (digits != id.len() || (10..=13).contains(&digits))
        && is_identity(id)
        && !crate::generic_secrets::is_uuid(id)
}
