//! Invisible characters, and characters that stand for ASCII: by Unicode's own classes, and by their look.

use crate::unicode_tables::ACCENTED;
use crate::unicode_tables::INVISIBLE;
use crate::unicode_tables::LOOK_ALIKES;
use crate::unicode_tables::MARKS;
use crate::unicode_tables::PLAIN;

fn is_in(c: char, ranges: &[(u32, u32)]) -> bool {
    let number = u32::from(c);
    let place = ranges.partition_point(|(_, last)| *last < number);
    ranges.get(place).is_some_and(|(first, _)| *first <= number)
}

/// Whether a reader does not see a character beyond ASCII.
pub fn is_invisible(c: char) -> bool {
    is_in(c, INVISIBLE)
}

/// Whether a character beyond ASCII adds nothing to the letters of a word: it is invisible, or marks the letter before.
pub fn is_ignorable(c: char) -> bool {
    is_in(c, INVISIBLE) || is_mark(c)
}

/// Whether a character marks the letter before it.
pub fn is_mark(c: char) -> bool {
    is_in(c, MARKS)
}

/// The ASCII character that a character stands for or looks like.
pub fn confusable_ascii(c: char) -> Option<u8> {
    match compatible(c) {
        Some([sign, 0, ..]) => Some(sign),
        Some(_) => None,
        None => look_alike(c),
    }
}

/// The ASCII character that a character looks like in some font: the look-alikes of Unicode in addition to [`confusable_ascii`]. The scan
/// of texts does not use them, because many are common letters, such as the katakana letter that looks like a slash.
pub fn look_alike_ascii(c: char) -> Option<u8> {
    let listed = || {
        let place = LOOK_ALIKES
            .binary_search_by_key(&u32::from(c), |known| known.0)
            .ok()?;
        u8::try_from(LOOK_ALIKES[place].1).ok()
    };
    confusable_ascii(c).or_else(listed)
}

/// The ASCII text that a character stands for; zeros fill it up. An accented letter stands for its letter.
pub fn plain_text(c: char) -> Option<[u8; 4]> {
    let accented = || {
        let place = ACCENTED
            .binary_search_by_key(&u32::from(c), |known| known.0)
            .ok()?;
        u8::try_from(ACCENTED[place].1).ok()
    };
    compatible(c).or_else(|| look_alike(c).or_else(accented).map(|sign| [sign, 0, 0, 0]))
}

/// The ASCII text of a character that Unicode calls compatible with it, such as wide, bold or circled letters, and of the digits of all
/// scripts; zeros fill it up.
pub fn compatible(c: char) -> Option<[u8; 4]> {
    let place = PLAIN.binary_search_by_key(&u32::from(c), |known| known.0).ok()?;
    Some(PLAIN[place].1)
}

/// The ASCII character that a character looks like.
fn look_alike(c: char) -> Option<u8> {
    Some(match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2043}' => b'-',
        '\u{3002}' => b'.',
        'а' | 'α' | 'ɑ' => b'a',
        'е' | 'ҽ' => b'e',
        'о' | 'ο' => b'o',
        'р' | 'ρ' => b'p',
        'с' | 'ϲ' => b'c',
        'у' | 'γ' => b'y',
        'х' | 'χ' => b'x',
        'ѕ' => b's',
        'і' | 'ι' | 'ı' => b'i',
        'ј' => b'j',
        'ԁ' => b'd',
        'һ' => b'h',
        'ԛ' => b'q',
        'ԝ' => b'w',
        'ɡ' => b'g',
        'ո' => b'n',
        'ν' => b'v',
        'к' => b'k',
        'т' => b't',
        'м' => b'm',
        'А' | 'Α' => b'A',
        'В' | 'Β' => b'B',
        'Е' | 'Ε' => b'E',
        'К' | 'Κ' => b'K',
        'М' | 'Μ' => b'M',
        'Н' | 'Η' => b'H',
        'О' | 'Ο' => b'O',
        'Р' | 'Ρ' => b'P',
        'С' => b'C',
        'Т' | 'Τ' => b'T',
        'Х' | 'Χ' => b'X',
        'І' | 'Ι' => b'I',
        _ => return None,
    })
}
