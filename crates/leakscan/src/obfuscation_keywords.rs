//! The ASCII literals that occur in obfuscated text, and therefore trigger the decoding of a line. The build script reads them.
//! Characters beyond ASCII, control characters, tags and entities need no literal: [`crate::hidden`] looks at each of them.

use crate::unreserved::is_unreserved;

/// Literals that trigger decoding.
const INLINE: &[&str] = &[
    "\\u00",
    "\\u20",
    "\\ufeff",
    "\\u{",
    // A link in a terminal, and a character set.
    "\u{1b}]8;",
    "\u{1b}(b",
    "[.]",
    "(.)",
    "[dot]",
    "(dot)",
    "[at]",
    "(at)",
    "%25",
    // Prefixes of tokens in quoted-printable.
    "=67=68",
    "=68=66",
    "=41=4b",
    "=73=6b",
    "%2f",
    "%3a",
    "%40",
    "%3d",
    "{.}",
    "[:]",
    "hxxp",
    " dot ",
    "\" + \"",
    "' + '",
    "\"+\"",
    "'+'",
];

/// The control sequence introducer of terminals with eight bits before a number or a letter.
const PREFIXES: &[[u8; 2]] = &[
    [0x9b, b'0'],
    [0x9b, b'1'],
    [0x9b, b'2'],
    [0x9b, b'3'],
    [0x9b, b'4'],
    [0x9b, b'7'],
    [0x9b, b'9'],
    [0x9b, b'm'],
    [0x9b, b'K'],
];

/// All literals that trigger decoding of a line: [`INLINE`], [`PREFIXES`], and the escapes of letters, digits and the signs in
/// names.
pub fn keywords() -> impl Iterator<Item = Vec<u8>> {
    let prefixes = PREFIXES.iter().map(|prefix| prefix.to_vec());
    texts().into_iter().map(String::into_bytes).chain(prefixes)
}

fn texts() -> Vec<String> {
    let plain = || (b'0'..=b'9').chain(b'a'..=b'z').map(char::from);
    let mut out: Vec<String> = INLINE.iter().map(|&literal| literal.to_owned()).collect();
    for digit in (b'0'..=b'9').map(char::from) {
        out.push(format!("\u{1b}[{digit}"));
    }
    out.extend(["\u{1b}[m", "\u{1b}[k", "\u{1b}[?"].map(str::to_owned));
    out.extend(plain().flat_map(|c| ["_", "-", "."].map(|sign| format!("\\{sign}{c}"))));
    out.extend(plain().chain(['_', '-']).map(|c| format!("{c}**")));
    for b in (0x20..0x80).filter(|&b| is_unreserved(b)) {
        out.extend([format!("%{b:02x}"), format!("\\x{b:02x}")]);
    }
    out
}
