//! Recognises what a page of HTML or Markdown does not show inside a word: tags, comments and entities.
//!
//! Must not decode; a caller removes or replaces what is recognised.

use crate::confusables::compatible;
use crate::confusables::is_ignorable;
use crate::window::after;
use crate::window::before;

/// The longest tag.
const TAG: usize = 512;

/// The longest comment, processing instruction or CDATA section.
const COMMENT: usize = 1024;

/// The longest entity. Zeros may fill up its number.
const ENTITY: usize = 64;

/// How many bytes of markup in a row are read.
const JOINT: usize = 16 << 10;

/// Elements that stand apart from the text before them, so that they do not join two parts of a word.
const BLOCKS: [&[u8]; 32] = [
    b"address", b"article", b"br", b"caption", b"dd", b"div", b"dl", b"dt", b"entry", b"h1", b"h2", b"h3",
    b"h4", b"h5", b"h6", b"hr", b"item", b"li", b"ol", b"option", b"p", b"para", b"pre", b"row", b"section",
    b"table", b"td", b"th", b"title", b"tr", b"ul", b"summary",
];

/// Returns the length of the tag, comment, processing instruction or CDATA mark that begins here and separates no words.
pub fn invisible_markup(rest: &[u8]) -> Option<usize> {
    let up_to = |from: usize, end: &[u8]| {
        let inner = rest.get(from..rest.len().min(COMMENT))?;
        Some(from + memchr::memmem::find(inner, end)? + end.len())
    };
    match *rest {
        [b'<', b'!', b'-', b'-', ..] => up_to(4, b"-->"),
        [b'<', b'?', ..] => up_to(2, b"?>"),
        [b'<', b'!', b'[', ..] if rest.starts_with(b"<![CDATA[") => Some(b"<![CDATA[".len()),
        [b']', b']', b'>', ..] => Some(3),
        [b'<', first, ..] if first == b'/' || first.is_ascii_alphabetic() => tag(rest),
        _ => None,
    }
}

/// Returns the length of a tag of an element that is not a block. A sign in quotes does not end the tag. Other signs mean that the
/// text is an expression of a program.
fn tag(rest: &[u8]) -> Option<usize> {
    let from = 1 + usize::from(rest[1] == b'/');
    let name = rest[from..].iter().take(32);
    let name = name.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':'));
    let name = rest[from..from + name.count()].to_ascii_lowercase();
    if !name.first()?.is_ascii_alphabetic() || BLOCKS.contains(&name.as_slice()) {
        return None;
    }
    let mut quote = None;
    for (at, byte) in rest.iter().enumerate().take(TAG).skip(from + name.len()) {
        match (byte, quote) {
            (b'"' | b'\'', None) => quote = Some(*byte),
            (b'>', None) => return Some(at + 1),
            (b'<' | b'&' | b'|' | b';' | b',' | b'(', None) => return None,
            (_, Some(open)) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Returns the length of the markup between two parts of a word, if markup begins here.
pub fn joint(text: &[u8], at: usize) -> Option<usize> {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || b"_-.%\\&*".contains(&b);
    if !is_part(before(text, at)) {
        return None;
    }
    let rest = &text[at..text.len().min(at + JOINT)];
    let mut length = 0;
    while let Some(next) = invisible_markup(&rest[length..]) {
        length += next;
    }
    (length > 0 && is_part(after(text, at + length))).then_some(length)
}

/// What a reader sees of an entity: the ASCII text of a character, or nothing.
pub enum Seen {
    Nothing,
    Text([u8; 4]),
}

/// Returns what the character with a number shows: an ASCII sign, or nothing if the character is invisible.
pub fn seen(number: u32) -> Option<Seen> {
    match char::from_u32(number)? {
        sign if sign.is_ascii_graphic() => Some(Seen::Text([u8::try_from(number).ok()?, 0, 0, 0])),
        sign if is_ignorable(sign) => Some(Seen::Nothing),
        sign => compatible(sign).map(Seen::Text),
    }
}

/// Reads an entity such as `&#103;`, `&#x67;`, `&#103` or `&lowbar;`. Returns its length and what it shows.
pub fn entity(rest: &[u8]) -> Option<(usize, Seen)> {
    let head = &rest[..rest.len().min(ENTITY)];
    let (digits, radix) = match *head {
        [b'&', b'#', b'x' | b'X', ..] => (3, 16),
        [b'&', b'#', ..] => (2, 10),
        [b'&', first, ..] if first.is_ascii_alphabetic() => {
            let length = head[1..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
            (head.get(length + 1) == Some(&b';')).then_some(())?;
            return Some((length + 2, seen(named(&head[1..=length])?)?));
        }
        _ => return None,
    };
    let is_digit = |b: &&u8| char::from(**b).is_digit(radix);
    let end = digits + head[digits..].iter().take_while(is_digit).count();
    let number = std::str::from_utf8(&head[digits..end]).ok()?;
    let number = u32::from_str_radix(number, radix).ok()?;
    Some((end + usize::from(head.get(end) == Some(&b';')), seen(number)?))
}

/// The number of a character that has a name, if it is invisible or a sign of names, addresses and tokens.
fn named(name: &[u8]) -> Option<u32> {
    Some(match name {
        b"period" => u32::from(b'.'),
        b"lowbar" | b"UnderBar" => u32::from(b'_'),
        b"hyphen" | b"dash" => u32::from(b'-'),
        b"commat" => u32::from(b'@'),
        b"colon" => u32::from(b':'),
        b"sol" => u32::from(b'/'),
        b"bsol" => u32::from(b'\\'),
        b"equals" => u32::from(b'='),
        b"plus" => u32::from(b'+'),
        b"percnt" => u32::from(b'%'),
        b"num" => u32::from(b'#'),
        b"quot" | b"QUOT" => u32::from(b'"'),
        b"apos" => u32::from(b'\''),
        b"shy" => 0xad,
        b"zwnj" => 0x200c,
        b"zwj" => 0x200d,
        b"lrm" => 0x200e,
        b"rlm" => 0x200f,
        b"NoBreak" => 0x2060,
        b"af" | b"ApplyFunction" => 0x2061,
        b"it" | b"InvisibleTimes" => 0x2062,
        b"ic" | b"InvisibleComma" => 0x2063,
        b"ZeroWidthSpace"
        | b"NegativeVeryThinSpace"
        | b"NegativeThinSpace"
        | b"NegativeMediumSpace"
        | b"NegativeThickSpace" => 0x200b,
        _ => return None,
    })
}

/// Whether an entity that begins here disguises a part of a word.
pub fn is_disguise(text: &[u8], at: usize) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || b"_-.%\\&".contains(&b);
    entity(&text[at..]).is_some_and(|(length, _)| {
        is_part(before(text, at)) || before(text, at) == b';' || is_part(after(text, at + length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_between_words_is_read_whole() {
        for hidden in [
            "<B>",
            "<a></a>",
            "<?x?>",
            "<![CDATA[",
            "<span title=\"a>b\">",
            "<!-- a\nb -->",
            "<!----><kbd></kbd>",
        ] {
            let text = format!("gh{hidden}p_");
            assert_eq!(joint(text.as_bytes(), 2), Some(hidden.len()), "{hidden}");
        }
        for other in [
            "Vec<u8> x",
            "a<b && c>d",
            "x</td><td>y",
            "f<T>(x)",
            "a < b",
            "c<d",
        ] {
            let at = other.find('<').unwrap();
            assert_eq!(joint(other.as_bytes(), at), None, "{other}");
        }
    }

    #[test]
    fn entities_are_read_with_zeros_and_names() {
        let shown = |text: &str| {
            entity(text.as_bytes()).map(|(length, seen)| match seen {
                Seen::Nothing => (length, 0),
                Seen::Text(text) => (length, text[0]),
            })
        };
        assert_eq!(shown("&#0000000000008203;"), Some((19, 0)));
        assert_eq!(shown("&#x67;"), Some((6, b'g')));
        assert_eq!(shown("&#103x"), Some((5, b'g')));
        assert_eq!(shown("&InvisibleTimes;"), Some((16, 0)));
        assert_eq!(shown("&str"), None);
        assert_eq!(shown("&foo;"), None);
    }
}
