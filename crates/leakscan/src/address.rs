//! Addresses of private networks: RFC 1918, carrier-grade NAT, IPv6 unique-local and link-local.
//!
//! A version number can have the same format as an IPv4 address, so the rules examine the text around it.

use crate::false_positives::always;
use crate::false_positives::listed;
use crate::kinds::PRIVATE_ADDRESS;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::is_word;

include!(concat!(env!("OUT_DIR"), "/address.rs"));

fn precedes_zero(text: &[u8], at: usize) -> bool {
    after(text, at + 1) == b'0'
}

/// Addresses that name a whole range.
const RANGES: &[&[u8]] = &[
    b"10.0.0.0",
    b"172.16.0.0",
    b"192.168.0.0",
    b"100.64.0.0",
    b"172.17.0.0",
    // Defaults of cluster networks.
    b"10.244.0.0",
    b"10.96.0.0",
    b"10.42.0.0",
    b"10.43.0.0",
];

/// Whether four numbers are an address of a private network.
pub fn is_private(octets: [u8; 4]) -> bool {
    match octets {
        [10, ..] | [192, 168, ..] => true,
        [172, second, ..] => (16..32).contains(&second),
        [100, second, ..] => (64..128).contains(&second),
        _ => false,
    }
}

/// Whether a host is a private IPv4 address written as one number, or with octal, hexadecimal or padded numbers.
pub fn is_private_number(host: &[u8]) -> bool {
    // A leading zero marks an octal number in some programs, and pads a decimal number in others.
    std::str::from_utf8(host).is_ok_and(|text| [8, 10].iter().any(|&zero| is_private_in(text, zero)))
}

fn is_private_in(text: &str, zero: u32) -> bool {
    let number = |part: &str| -> Option<u32> {
        let lower = part.to_ascii_lowercase();
        if let Some(digits) = lower.strip_prefix("0x") {
            u32::from_str_radix(digits, 16).ok()
        } else if part.len() > 1 && part.starts_with('0') {
            u32::from_str_radix(part, zero).ok()
        } else {
            part.parse().ok()
        }
    };
    let parts: Vec<&str> = text.split('.').collect();
    match parts.as_slice() {
        [whole] if whole.len() >= 9 => number(whole).is_some_and(|n| is_private(n.to_be_bytes())),
        [a, b, c, d] if parts.iter().any(|p| p.len() > 1 && p.starts_with('0')) => {
            let octets = [a, b, c, d].map(|p| number(p).and_then(|n| u8::try_from(n).ok()));
            matches!(octets, [Some(a), Some(b), Some(c), Some(d)] if is_private([a, b, c, d]))
        }
        _ => false,
    }
}

/// Parses four decimal numbers joined by dots at the start of a text. Also returns their length.
pub fn octets(text: &[u8]) -> Option<([u8; 4], usize)> {
    let mut out = [0u8; 4];
    let mut at = 0;
    for (index, place) in out.iter_mut().enumerate() {
        if index > 0 {
            (text.get(at) == Some(&b'.')).then_some(())?;
            at += 1;
        }
        let digits = text[at..]
            .iter()
            .take(4)
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits == 0 || digits > 3 || (digits > 1 && text[at] == b'0') {
            return None;
        }
        let number = text[at..at + digits]
            .iter()
            .fold(0u16, |n, b| n * 10 + u16::from(b - b'0'));
        *place = u8::try_from(number).ok()?;
        at += digits;
    }
    Some((out, at))
}

fn ipv4(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let before = hit.before();
    if before.is_ascii_alphanumeric() || before == b'.' {
        return;
    }
    let start = hit.span.start;
    found.count_work(16);
    let Some((numbers, length)) = octets(&hit.text[start..]) else {
        return;
    };
    let end = start + length;
    if !is_private(numbers) || !(ends_address(&hit.text[end..]) || ends_capture(&hit.text[end..])) {
        return;
    }
    let address = &hit.text[start..end];
    if RANGES.contains(&address) && after(hit.text, end) != b':' {
        return;
    }
    found.skip_to(end);
    if is_heading(hit, end) || is_coordinate(hit, end) {
        return;
    }
    let counted = listed("rev revision version", last_word(hit.lead().trim_ascii_end()));
    if numbers[0] == 10 && is_version(hit, end) || counted {
        return;
    }
    if numbers[3] == 0 && after(hit.text, end) == b'/' {
        // A whole network, such as the default of a bridge.
        found.warn(&PRIVATE_ADDRESS, start..end);
    } else {
        found.report(&PRIVATE_ADDRESS, start..end);
    }
}

/// Whether a number is that of a section, in the text of a link: `[10.2.1.4 Numbers](`.
fn is_heading(hit: &Hit<'_>, end: usize) -> bool {
    let tail = &hit.text[end..hit.line().end];
    hit.before() == b'['
        && tail.first() == Some(&b' ')
        && tail.get(1).is_some_and(u8::is_ascii_alphabetic)
        && memchr::memmem::find(tail, b"](").is_some()
}

/// Whether a number is one of a list of coordinates, as in the path of an SVG image.
fn is_coordinate(hit: &Hit<'_>, end: usize) -> bool {
    let is_number = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let lead = hit.lead();
    let Some(list) = lead.strip_suffix(b",").or(lead.strip_suffix(b"-")) else {
        return false;
    };
    let length = list.iter().rev().take_while(|b| is_number(b)).count();
    let number = &list[list.len() - length..];
    after(hit.text, end) == b',' && length > 0 && octets(number).is_none()
}

/// Whether an address can end here. `-rc1`, `+cuda`, `_1` or a fifth number continue a version; a hyphen can continue a range
/// of addresses.
fn ends_address(rest: &[u8]) -> bool {
    match rest {
        [b'.', digit, ..] => !digit.is_ascii_digit(),
        [b'-', tail @ ..] => octets(tail).is_some() || !tail.first().is_some_and(u8::is_ascii_alphanumeric),
        [b'+' | b'~', ..] => false,
        [b, ..] => !is_word(*b),
        [] => true,
    }
}

/// Whether a port follows as in the output of tcpdump: `.29500 > ` or `.29500: `.
fn ends_capture(rest: &[u8]) -> bool {
    let port = rest.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    rest.first() == Some(&b'.')
        && (2..=5).contains(&port)
        && [&b" >"[..], b": "]
            .iter()
            .any(|sign| rest[1 + port..].starts_with(sign))
}

/// Words that mark the next number as a version.
const VERSION_WORDS: &str = "version versions v ver release released releases package packages driver toolkit cuda cudnn nccl cublas \
    cusparse cufft curand cusolver npp nvjpeg nvcc nvrtc tensorrt firmware fw build kernel openssl glibc python \
    torch macos windows ios android chrome safari mariadb postgresql postgres gcc clang upgrade upgraded since \
    patch revision rev pkg wheel debian ubuntu java jdk isa sdk requires required than section chapter nsight oid";

/// How many bytes to each side tell a version from an address, so that a long line of addresses takes little time for each.
const CONTEXT: usize = 160;

fn is_version(hit: &Hit<'_>, end: usize) -> bool {
    let lead = hit.lead();
    let lead = &lead[lead.len().saturating_sub(CONTEXT)..];
    let trimmed = lead.trim_ascii_end();
    // `name==10.2.1.3`, `>= 10.2.1.3`, `lib.so-10.…`; the caller has rejected `(v10…`.
    let joined = trimmed.len() == lead.len();
    if trimmed.ends_with("§".as_bytes()) {
        return true;
    }
    if joined && matches!(trimmed.last(), Some(b'-' | b'_' | b'+' | b'~')) {
        return !lead.ends_with(b"--")
            && octets(&lead[lead.len().saturating_sub(16)..]).is_none()
            && !range_before(lead);
    }
    if trimmed.ends_with(b"==")
        || trimmed.ends_with(b">=")
        || trimmed.ends_with(b"<=")
        || trimmed.ends_with(b"~=")
        || trimmed.ends_with(b"!=")
    {
        return true;
    }
    let tail = &hit.text[end..hit.line().end.min(end + CONTEXT)];
    if [&b" (amd64"[..], b" (arm64", b" amd64", b" x86_64", b" (x86"]
        .iter()
        .any(|arch| tail.starts_with(arch))
    {
        return true;
    }
    // A heading of a changelog, and a table with the name of the package.
    let heading = trimmed
        .strip_suffix(b"[")
        .is_some_and(|marks| marks.starts_with(b"#"));
    let package = [b"-", &hit.text[hit.span.start..end], b"."].concat();
    if heading || memchr::memmem::find(tail, &package).is_some() {
        return true;
    }
    let lower = trimmed.to_ascii_lowercase();
    if lower.ends_with(b"version>")
        || ["bump", "upgrad", "downgrad"]
            .iter()
            .any(|verb| memchr::memmem::find(&lower, verb.as_bytes()).is_some())
    {
        return true;
    }
    let word = last_word(before_number(trimmed));
    if word.is_empty() {
        return false;
    }
    let lower = word.to_ascii_lowercase();
    listed(VERSION_WORDS, &lower)
        || lower.ends_with(b"version")
        || ((!joined || trimmed.ends_with(b"\""))
            && (lower.starts_with(b"lib") || lower.starts_with(b"nvidia-") || lower.starts_with(b"cuda-")))
}

/// The text before a number, without quotes and signs, and without an older number and an arrow.
fn before_number(lead: &[u8]) -> &[u8] {
    let signs = |b: &u8| matches!(b, b'"' | b'\'' | b'=' | b':' | b' ' | b'(');
    let without_signs = |text: &'_ [u8]| text.iter().rposition(|b| !signs(b)).map_or(0, |at| at + 1);
    let bare = &lead[..without_signs(lead)];
    let Some(older) = [&b"->"[..], b"=>", "→".as_bytes()]
        .iter()
        .find_map(|arrow| bare.strip_suffix(*arrow))
    else {
        return bare;
    };
    let older = older.trim_ascii_end();
    let number = older
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let older = &older[..older.len() - number];
    &older[..without_signs(older)]
}

fn range_before(lead: &[u8]) -> bool {
    let from = lead.len().saturating_sub(16);
    lead[from..lead.len() - 1].iter().filter(|b| **b == b'.').count() == 3
}

/// The last word of a text, including hyphens.
fn last_word(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .rposition(|&b| !(is_word(b) || b == b'-'))
        .map_or(0, |at| at + 1);
    &text[start..]
}

/// Whether the colon at an offset may end the first group of a private address: `fc00:`, `fd12:`, `fe80:`.
fn ends_private_group(text: &[u8], at: usize) -> bool {
    text[..at].last_chunk::<4>().is_some_and(|[f, kind, ..]| {
        f.eq_ignore_ascii_case(&b'f') && matches!(kind | 0x20, b'c' | b'd' | b'e')
    })
}

/// Whether an IPv6 address contains a private IPv4 address.
fn maps_private(address: &[u8]) -> bool {
    std::str::from_utf8(address)
        .ok()
        .and_then(|text| text.parse::<std::net::Ipv6Addr>().ok())
        .and_then(|address| address.to_ipv4_mapped())
        .is_some_and(|address| is_private(address.octets()))
}

/// Whether the colon before an address follows the name of an interface: `eth0:fd00:…`.
fn follows_interface(lead: &[u8]) -> bool {
    let name = last_word(lead.strip_suffix(b":").unwrap_or_default());
    name.last().is_some_and(u8::is_ascii_digit)
        && [&b"eth"[..], b"en", b"ib", b"bond", b"mlx"]
            .iter()
            .any(|kind| name.starts_with(kind))
}

/// Finds an IPv6 address from its first colon.
fn ipv6(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let Some(start) = hit.span.start.checked_sub(4) else {
        return;
    };
    let before = crate::window::before(hit.text, start);
    let interface = before == b':' && follows_interface(&hit.text[hit.line().start..start]);
    if is_word(before) || before == b':' && !interface || before == b'-' || before == b'.' {
        return;
    }
    let head = &hit.text[start..hit.text.len().min(start + 5)];
    if head.len() < 5 || !head[..4].iter().all(u8::is_ascii_hexdigit) || head[4] != b':' {
        return;
    }
    let link_local = head[1].eq_ignore_ascii_case(&b'e');
    if link_local && !head.eq_ignore_ascii_case(b"fe80:") || hit.lead().starts_with(b"use ") {
        return;
    }
    let length = hit.text[start..]
        .iter()
        .take(46)
        .take_while(|b| b.is_ascii_hexdigit() || **b == b':' || **b == b'.')
        .count();
    found.count_work(length);
    let mut end = start + length;
    // In the output of tcpdump, a dot precedes the port.
    if let Some(point) = memchr::memrchr(b'.', &hit.text[start..end])
        && memchr::memchr(b'.', &hit.text[start..start + point]).is_none()
    {
        end = start + point;
    }
    let network = hit.text[..end].ends_with(b"::");
    while end > start && matches!(hit.text[end - 1], b':' | b'.') {
        end -= 1;
    }
    // `fd00::` names the whole range, with or without a short prefix.
    let text = &hit.text[start..end];
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    // The network of a site: longer than the range, and not used in documentation.
    let own = network
        && text.split(':').count() >= 3
        && !text.starts_with("fd12:3456:789a")
        && !text.starts_with("fd00:ec2")
        && format!("{text}::").parse::<std::net::Ipv6Addr>().is_ok();
    if is_word(after(hit.text, end)) || !own && text.parse::<std::net::Ipv6Addr>().is_err() {
        return;
    }
    found.skip_to(end);
    found.report(&PRIVATE_ADDRESS, start..end);
}

/// Finds `0x0a010203`, if the line mentions a connection or a port follows the number.
fn hexadecimal(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let start = hit.span.start;
    let digits = hit.text[start + 2..]
        .iter()
        .take(9)
        .take_while(|b| b.is_ascii_hexdigit())
        .count();
    let end = start + 2 + digits;
    found.count_work(digits + 2);
    if digits != 8 || is_word(hit.before()) || is_word(after(hit.text, end)) {
        return;
    }
    let Some(number) = std::str::from_utf8(&hit.text[start + 2..end])
        .ok()
        .and_then(|d| u32::from_str_radix(d, 16).ok())
    else {
        return;
    };
    if !is_private(number.to_be_bytes()) {
        return;
    }
    let port = after(hit.text, end) == b':' && hit.text.get(end + 1).is_some_and(u8::is_ascii_digit);
    let lead = hit.lead().to_ascii_lowercase();
    let speaks = [
        "connect", "addr", "host", "peer", "ping", "ssh", "//", "inet", "ip ",
    ]
    .iter()
    .any(|word| memchr::memmem::find(&lead, word.as_bytes()).is_some());
    if port || (speaks && !lead.contains(&b';')) {
        found.report(&PRIVATE_ADDRESS, start..end);
    }
}
