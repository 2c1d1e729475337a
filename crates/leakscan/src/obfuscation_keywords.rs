//! The literals that occur in obfuscated text, and therefore trigger the decoding of a line. The build script reads them.

use crate::confusables::is_unreserved;

/// Literals that trigger decoding.
const INLINE: &[&str] = &[
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{2060}",
    "\u{feff}",
    "\u{ad}",
    "\u{180e}",
    "\u{2010}",
    "\u{2011}",
    "\u{2012}",
    "\u{2013}",
    "\u{2212}",
    "\u{2024}",
    "\u{ff0e}",
    "\u{3002}",
    "\u{202e}",
    "\u{200e}",
    "\u{200f}",
    "\u{2061}",
    "\u{2062}",
    "\u{2063}",
    "\u{2064}",
    "\u{34f}",
    "\u{115f}",
    "\u{1160}",
    "\u{3164}",
    "\u{ffa0}",
    "\u{9b}",
    "&period;",
    "&lowbar;",
    "&hyphen;",
    "&dash;",
    "&shy;",
    "&zwnj;",
    "&zwj;",
    "&nobreak;",
    "&zerowidthspace;",
    "&commat;",
    "&colon;",
    "&sol;",
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
    "<wbr",
    "\" + \"",
    "' + '",
    "\"+\"",
    "'+'",
    "<!--",
    "<b>",
    "</b>",
    "</i>",
    "\u{ff1a}",
    "\u{ff0d}",
    "\u{ff3f}",
    // Look-alike letters: Cyrillic and Greek.
    "\u{430}",
    "\u{435}",
    "\u{43e}",
    "\u{440}",
    "\u{441}",
    "\u{443}",
    "\u{445}",
    "\u{455}",
    "\u{456}",
    "\u{458}",
    "\u{501}",
    "\u{4bb}",
    "\u{51b}",
    "\u{51d}",
    "\u{261}",
    "\u{410}",
    "\u{412}",
    "\u{415}",
    "\u{41a}",
    "\u{41c}",
    "\u{41d}",
    "\u{41e}",
    "\u{420}",
    "\u{421}",
    "\u{422}",
    "\u{425}",
    "\u{391}",
    "\u{392}",
    "\u{395}",
    "\u{397}",
    "\u{399}",
    "\u{39a}",
    "\u{39c}",
    "\u{39d}",
    "\u{39f}",
    "\u{3a1}",
    "\u{3a4}",
    "\u{3a7}",
    "\u{3bf}",
    "\u{3b1}",
    "\u{3bd}",
    "\u{3c1}",
    "\u{406}",
    "\u{43a}",
    "\u{442}",
    "\u{43c}",
    "\u{578}",
    "\u{131}",
];

/// The first bytes of many characters: variation selectors and tags, and the control sequence introducer of terminals with
/// eight bits before a number or a letter.
const PREFIXES: &[[u8; 2]] = &[
    [0xef, 0xb8],
    [0xf3, 0xa0],
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
    // Arabic and Persian digits.
    let foreign = ('\u{660}'..='\u{669}').chain('\u{6f0}'..='\u{6f9}');
    // Full-width digits and small letters.
    let wide = ('\u{ff10}'..='\u{ff19}').chain('\u{ff41}'..='\u{ff5a}');
    out.extend(foreign.chain(wide).map(String::from));
    for digit in (b'0'..=b'9').map(char::from) {
        out.extend([format!("&#{digit}"), format!("\u{1b}[{digit}")]);
    }
    out.extend(["&#x", "\u{1b}[m", "\u{1b}[k", "\u{1b}[?"].map(str::to_owned));
    out.extend(plain().flat_map(|c| ["_", "-", "."].map(|sign| format!("\\{sign}{c}"))));
    out.extend(plain().chain(['_', '-']).map(|c| format!("{c}**")));
    for b in (0x20..0x80).filter(|&b| is_unreserved(b)) {
        out.extend([format!("%{b:02x}"), format!("\\x{b:02x}")]);
    }
    out
}
