//! Turns raw output into plain text while it streams by: UTF-16 becomes UTF-8, terminal sequences vanish.
//!
//! Knows no metric and no line.

use memchr::memchr3;

/// How output is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, or any encoding that has ASCII in it.
    Utf8,
    /// UTF-16, little-endian.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
}

/// So many bytes tell UTF-16 without a byte order mark from other encodings.
const TELLING: usize = 32;

/// Decodes UTF-16; other output passes through.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    encoding: Option<Encoding>,
    /// Bytes that do not tell the encoding yet, or half a character.
    pending: Vec<u8>,
    decoded: Vec<u8>,
}

impl Decoder {
    /// The encoding, once known.
    pub fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    /// The next stretch as UTF-8; `last` if nothing follows.
    pub fn decode<'a>(&'a mut self, output: &'a [u8], last: bool) -> &'a [u8] {
        let pending = std::mem::take(&mut self.pending);
        self.decoded.clear();
        if pending.is_empty() && self.encoding == Some(Encoding::Utf8) {
            return output;
        }
        let mut bytes = pending;
        bytes.extend_from_slice(output);
        let encoding = match self.encoding {
            Some(encoding) => encoding,
            None if bytes.len() < TELLING && !last && could_be_utf16(&bytes) => {
                self.pending = bytes;
                return &[];
            }
            None => *self.encoding.insert(encoding(&bytes)),
        };
        let unit = match encoding {
            Encoding::Utf8 => {
                self.decoded = bytes;
                return &self.decoded;
            }
            Encoding::Utf16Le => u16::from_le_bytes,
            Encoding::Utf16Be => u16::from_be_bytes,
        };
        let (pairs, rest) = bytes.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        let mut left = rest.to_vec();
        if let Some(high) = units
            .last()
            .filter(|u| (0xd800..0xdc00).contains(*u))
            .filter(|_| !last)
        {
            let both = if encoding == Encoding::Utf16Le {
                high.to_le_bytes()
            } else {
                high.to_be_bytes()
            };
            left.splice(0..0, both);
            units.pop();
        }
        self.pending = left;
        for c in char::decode_utf16(units) {
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            if c != '\u{feff}' {
                let mut buffer = [0; 4];
                self.decoded
                    .extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            }
        }
        &self.decoded
    }
}

/// Whether more bytes are needed: nothing yet speaks against UTF-16.
fn could_be_utf16(bytes: &[u8]) -> bool {
    bytes.len() < 2
        || bytes.starts_with(&[0xff, 0xfe])
        || bytes.starts_with(&[0xfe, 0xff])
        || bytes.contains(&0)
}

fn encoding(bytes: &[u8]) -> Encoding {
    match bytes {
        [0xff, 0xfe, ..] => return Encoding::Utf16Le,
        [0xfe, 0xff, ..] => return Encoding::Utf16Be,
        _ => {}
    }
    let (pairs, _) = bytes[..bytes.len().min(TELLING)].as_chunks::<2>();
    let zeros = |at: usize| pairs.iter().filter(|p| p[at] == 0 && p[1 - at] != 0).count();
    // Mostly ASCII in two bytes each.
    if pairs.len() >= 4 && zeros(1) * 4 >= pairs.len() * 3 {
        Encoding::Utf16Le
    } else if pairs.len() >= 4 && zeros(0) * 4 >= pairs.len() * 3 {
        Encoding::Utf16Be
    } else {
        Encoding::Utf8
    }
}

/// Where the text is in a terminal escape sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Outside of any.
    None,
    /// After ESC.
    Begun,
    /// `ESC [`: to a final byte.
    Control,
    /// `ESC ]` and its like: to BEL or `ESC \`.
    Text,
    /// After an ESC inside of such a text.
    Closing,
}

impl Escape {
    /// The output without escape sequences; the output itself where there are none. A sequence that moves the cursor leaves a blank:
    /// what stands before it and after it is not one number.
    pub fn strip<'a>(&mut self, output: &'a [u8], clean: &'a mut Vec<u8>) -> &'a [u8] {
        if *self == Escape::None && memchr::memchr(0x1b, output).is_none() {
            return output;
        }
        let mut rest = output;
        while let Some((&byte, tail)) = rest.split_first() {
            if *self == Escape::None {
                let plain = memchr::memchr(0x1b, rest).unwrap_or(rest.len());
                clean.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
                if !rest.is_empty() {
                    *self = Escape::Begun;
                    rest = &rest[1..];
                }
                continue;
            }
            *self = match (*self, byte) {
                // A line's end ends a sequence that was never finished.
                (_, b'\n' | b'\r') => {
                    clean.push(byte);
                    Escape::None
                }
                (Escape::Begun, b'[') => Escape::Control,
                (Escape::Begun, b']' | b'P' | b'X' | b'^' | b'_') => Escape::Text,
                (Escape::Begun, 0x20..=0x2f) => Escape::Begun,
                (Escape::Control, 0x20..=0x3f) => Escape::Control,
                (Escape::Control, b'm' | b'K') => Escape::None,
                (Escape::Control, _) => {
                    clean.push(b' ');
                    Escape::None
                }
                (Escape::Text, 0x1b) => Escape::Closing,
                (Escape::Text, 0x07) => Escape::None,
                (Escape::Text, _) => {
                    let end = memchr3(0x1b, 0x07, b'\n', tail).unwrap_or(tail.len());
                    rest = &tail[end..];
                    continue;
                }
                _ => Escape::None,
            };
            rest = tail;
        }
        clean
    }
}
