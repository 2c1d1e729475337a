//! Invisible characters, characters that look like ASCII, and the characters of names.

/// Whether a character is invisible.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{ad}' | '\u{fe00}'..='\u{fe0f}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{ffa0}' | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The ASCII character that a character looks like.
pub fn confusable_ascii(c: char) -> Option<u8> {
    Some(match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' | '\u{2043}' => b'-',
        '\u{2024}' | '\u{3002}' | '\u{fe52}' => b'.',
        '\u{ff01}'..='\u{ff5e}' => u8::try_from(u32::from(c) - 0xfee0).ok()?,
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
        '\u{660}'..='\u{669}' => u8::try_from(u32::from(c) - 0x660).ok()? + b'0',
        '\u{6f0}'..='\u{6f9}' => u8::try_from(u32::from(c) - 0x6f0).ok()? + b'0',
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

/// Whether host names and tokens contain a byte.
pub fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
}
