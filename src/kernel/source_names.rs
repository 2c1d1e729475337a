//! Finds the names in a source: identifiers, and strings that contain exactly one identifier.
//!
//! Reads a source as its compiler does, where a name can be written in several ways: compatibility characters in Python, line
//! splices, pasted tokens, digit separators and raw strings in C++, adjacent strings in both. Must not know which names matter.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

/// The syntax of comments and strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    C,
}

impl Language {
    /// Returns the language of a path, or `None` if the path is not a source.
    pub fn of(path: &str) -> Option<Language> {
        match Path::new(path)
            .extension()?
            .to_str()?
            .to_ascii_lowercase()
            .as_str()
        {
            "py" | "pyx" | "pxd" | "pxi" | "pyi" | "pyw" => Some(Language::Python),
            "c" | "cc" | "cpp" | "cxx" | "c++" | "cu" | "cuh" | "cui" | "h" | "hh" | "hpp" | "hxx"
            | "h++" | "inl" | "inc" | "def" | "ipp" | "tpp" | "tcc" | "txx" | "cppm" | "ixx" | "hip" => {
                Some(Language::C)
            }
            _ => None,
        }
    }
}

/// A name and its place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The place, from the first to the last character.
    pub at: Range<usize>,
    /// The name as the compiler reads it.
    pub text: Cow<'a, str>,
}

/// Finds the names in a source.
pub fn names(text: &str, language: Language) -> Vec<Name<'_>> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        language,
        found: Vec::new(),
        string: None,
    };
    reader.read();
    reader.found
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    language: Language,
    found: Vec<Name<'a>>,
    /// The contents of the adjacent strings that end here, with their place.
    string: Option<(Range<usize>, String)>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut at = 0;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            if let Some(length) = self.comment(rest) {
                at += length;
            } else if matches!(rest[0], b'"' | b'\'') {
                let (inside, end) = string(self.bytes, at, self.language);
                if self.is_formatted(at) {
                    self.push_expressions(inside.clone());
                }
                self.push_string(inside);
                at = end;
            } else if is_word(rest[0]) {
                at = self.word(at);
            } else {
                // Only blanks, `+` and splices can be between the parts of one string.
                if !(rest[0].is_ascii_whitespace() || matches!(rest[0], b'+' | b'\\' | b'(' | b')')) {
                    self.string = None;
                }
                at += 1;
            }
        }
    }

    /// Returns the length of a comment that begins here.
    fn comment(&self, rest: &[u8]) -> Option<usize> {
        let line = || memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        match self.language {
            Language::Python => (rest[0] == b'#').then(line),
            Language::C if rest.starts_with(b"//") => Some(spliced_line(rest)),
            Language::C if rest.starts_with(b"/*") => {
                Some(memchr::memmem::find(&rest[2..], b"*/").map_or(rest.len(), |n| n + 4))
            }
            Language::C => None,
        }
    }

    /// Whether the string that begins here has a prefix such as `f`, `rf` or `t`: its braces hold code.
    fn is_formatted(&self, quote: usize) -> bool {
        let before = &self.bytes[..quote];
        let length = before.iter().rev().take_while(|b| is_word(**b)).count();
        let prefix = &before[quote - length..];
        self.language == Language::Python
            && length <= 2
            && prefix.iter().all(|b| b"fFtTrR".contains(b))
            && prefix.iter().any(|b| b"fFtT".contains(b))
    }

    /// Adds the names in the braces of a formatted string. `{{` is a brace of the text.
    fn push_expressions(&mut self, inside: Range<usize>) {
        let (mut at, mut depth, mut start) = (inside.start, 0_usize, inside.start);
        while at < inside.end {
            match self.bytes[at] {
                b'{' if depth == 0 && self.bytes.get(at + 1) == Some(&b'{') => at += 1,
                b'"' | b'\'' if depth > 0 => {
                    at = string(self.bytes, at, self.language).1.min(inside.end);
                    continue;
                }
                b'{' => {
                    depth += 1;
                    if depth == 1 {
                        start = at + 1;
                    }
                }
                b'}' if depth > 0 => {
                    depth -= 1;
                    if depth == 0 {
                        let found = names(&self.text[start..at], self.language);
                        self.found.extend(found.into_iter().map(|name| Name {
                            at: name.at.start + start..name.at.end + start,
                            text: name.text,
                        }));
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Adds the name that begins here. Returns the position after it.
    fn word(&mut self, start: usize) -> usize {
        let mut end = start;
        loop {
            end += self.bytes[end..].iter().take_while(|b| is_word(**b)).count();
            let rest = &self.bytes[end..];
            if self.language == Language::Python {
                break;
            }
            if self.bytes[start].is_ascii_digit() && rest.len() > 1 && rest[0] == b'\'' && is_word(rest[1]) {
                end += 1;
            } else if let Some(length) = joint(rest) {
                end += length;
            } else {
                break;
            }
        }
        let word = &self.text[start..end];
        if self.language == Language::C
            && matches!(word, "R" | "LR" | "uR" | "UR" | "u8R")
            && self.bytes.get(end) == Some(&b'"')
        {
            let (inside, end) = raw_string(self.bytes, end);
            self.push_string(inside);
            return end;
        }
        // A prefix belongs to its string.
        if word.len() > 2 || !matches!(self.bytes.get(end), Some(b'"' | b'\'')) {
            self.string = None;
        }
        self.found.push(Name {
            at: start..end,
            text: read_name(word, self.language),
        });
        end
    }

    /// Adds the contents of a string, and of the adjacent strings together, where it is a name.
    fn push_string(&mut self, inside: Range<usize>) {
        let text = read_name(&self.text[inside.clone()], self.language);
        if is_name(&text) {
            self.found.push(Name {
                at: inside.clone(),
                text: text.clone(),
            });
        }
        let (at, whole) = match self.string.take() {
            Some((before, whole)) => (before.start..inside.end, whole + &text),
            None => (inside.clone(), text.into_owned()),
        };
        if at != inside && is_name(&whole) {
            self.found.push(Name {
                at: at.clone(),
                text: Cow::Owned(whole.clone()),
            });
        }
        // A longer text is not a name, and its parts need not be kept.
        self.string = (whole.len() <= 200).then_some((at, whole));
    }
}

/// Whether a text is one identifier.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_word)
}

/// Returns the length of a `//` comment, which a splice continues on the next line.
fn spliced_line(rest: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = memchr::memchr(b'\n', &rest[end..]) {
        end += length;
        let line = rest[..end].trim_ascii_end();
        if !line.ends_with(b"\\") {
            return end;
        }
        end += 1;
    }
    rest.len()
}

/// Returns the length of what joins two parts of a word: line splices, and `##` with blanks around it.
fn joint(rest: &[u8]) -> Option<usize> {
    let splices = |mut rest: &[u8]| {
        let all = rest.len();
        while let Some(after) = rest
            .strip_prefix(b"\\\n")
            .or_else(|| rest.strip_prefix(b"\\\r\n"))
        {
            rest = after;
        }
        all - rest.len()
    };
    let length = splices(rest);
    if length > 0 && rest.get(length).is_some_and(|b| is_word(*b)) {
        return Some(length);
    }
    let blanks = |rest: &[u8]| rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let before = blanks(rest);
    let after = rest.get(before..)?.strip_prefix(b"##")?;
    let length = before + 2 + blanks(after);
    rest.get(length).is_some_and(|b| is_word(*b)).then_some(length)
}

/// Returns a name as the compiler reads it.
fn read_name(word: &str, language: Language) -> Cow<'_, str> {
    match language {
        Language::Python if !word.is_ascii() => Cow::Owned(word.chars().map(compatible).collect()),
        Language::C if word.contains(['\\', '#', ' ', '\t']) && is_joined(word) => Cow::Owned(
            word.chars()
                .filter(|c| !matches!(c, '\\' | '#' | ' ' | '\t' | '\r' | '\n'))
                .collect(),
        ),
        _ => Cow::Borrowed(word),
    }
}

/// Whether a word has parts that splices or `##` join. Blanks alone join nothing.
fn is_joined(word: &str) -> bool {
    word.contains("\\\n") || word.contains("\\\r\n") || word.contains("##")
}

/// Characters that NFKC, which Python applies to identifiers, replaces by the ASCII character after them.
const COMPATIBLE: &str = "\
    ªaºoſsʰhʲjʳrʷwʸyˡlˢsˣxᴬAᴮBᴰDᴱEᴳGᴴHᴵIᴶJᴷKᴸLᴹMᴺNᴼOᴾPᴿRᵀTᵁUᵂWᵃaᵇbᵈd\
    ᵉeᵍgᵏkᵐmᵒoᵖpᵗtᵘuᵛvᵢiᵣrᵤuᵥvᶜcᶠfᶻzⁱiⁿnₐaₑeₒoₓxₕhₖkₗlₘmₙnₚpₛsₜtℂCℊg\
    ℋHℌHℍHℎhℐIℑIℒLℓlℕNℙPℚQℛRℜRℝRℤZℨZKKℬBℭCℯeℰEℱFℳMℴoℹiⅅDⅆdⅇeⅈiⅉjⅠIⅤV\
    ⅩXⅬLⅭCⅮDⅯMⅰiⅴvⅹxⅼlⅽcⅾdⅿmⱼjⱽVꟲCꟳFꟴQ︳_︴_﹍_﹎_﹏_𐞥q🯰0🯱1🯲2🯳3🯴4🯵5🯶6🯷7🯸8\
    🯹9";

/// Returns the ASCII character that Python reads for a compatibility character.
fn compatible(c: char) -> char {
    let ascii = |code: u32| char::from_u32(code).unwrap_or(c);
    match u32::from(c) {
        code @ 0xFF01..=0xFF5E => ascii(code - 0xFEE0),
        code @ 0x1D400..=0x1D6A3 => match (code - 0x1D400) % 52 {
            at @ 0..26 => ascii(at + 0x41),
            at => ascii(at - 26 + 0x61),
        },
        code @ 0x1D7CE..=0x1D7FF => ascii((code - 0x1D7CE) % 10 + 0x30),
        0..0x80 => c,
        _ => {
            let mut pairs = COMPATIBLE.chars();
            while let (Some(from), Some(to)) = (pairs.next(), pairs.next()) {
                if from == c {
                    return to;
                }
            }
            c
        }
    }
}

/// Returns the contents of the string that starts here, and the position after it.
fn string(bytes: &[u8], start: usize, language: Language) -> (Range<usize>, usize) {
    let quote = bytes[start];
    let long = language == Language::Python && bytes[start..].starts_with(&[quote; 3]);
    let width = if long { 3 } else { 1 };
    let mut at = start + width;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\n' if !long => return (start + width..at, at),
            b if b == quote
                && bytes[at..].len() >= width
                && bytes[at..at + width].iter().all(|b| *b == quote) =>
            {
                return (start + width..at, at + width);
            }
            _ => at += 1,
        }
    }
    (bytes.len()..bytes.len(), bytes.len())
}

/// Returns the contents of the raw string whose quote is here, and the position after it.
fn raw_string(bytes: &[u8], quote: usize) -> (Range<usize>, usize) {
    let nothing = (bytes.len()..bytes.len(), bytes.len());
    let Some(open) = memchr::memchr(b'(', &bytes[quote..]).map(|n| quote + n) else {
        return nothing;
    };
    let end = [b")", &bytes[quote + 1..open], b"\""].concat();
    match memchr::memmem::find(&bytes[open..], &end) {
        Some(length) => (open + 1..open + length, open + length + end.len()),
        None => nothing,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str, language: Language) -> Vec<String> {
        names(text, language)
            .into_iter()
            .map(|name| name.text.into_owned())
            .collect()
    }

    #[test]
    fn names_are_read_as_the_compiler_reads_them() {
        let c = |text| texts(text, Language::C);
        assert_eq!(c("all_to\\\n_all();"), ["all_to_all"]);
        assert_eq!(c("all_ ## to##_all"), ["all_to_all"]);
        assert_eq!(
            c("int n = 1'000; alltoall('x');"),
            ["int", "n", "1'000", "alltoall", "x"]
        );
        assert_eq!(c("R\"x(a \")\" b)x\"; alltoall();"), ["alltoall"]);
        assert_eq!(c("R\"(alltoall)\""), ["alltoall"]);
        assert_eq!(c("// one \\\ntwo\nthree"), ["three"]);
        assert_eq!(c("dlsym(h, \"all_to\" \"_all\")").last().unwrap(), "all_to_all");
        let python = |text| texts(text, Language::Python);
        assert_eq!(python("dist.all_to_\u{ff41}ll"), ["dist", "all_to_all"]);
        assert_eq!(python("\u{1d41a}l\u{2113}to\u{aa}ll"), ["alltoall"]);
        assert_eq!(
            python("getattr(dist, 'all_to' + '_all')").last().unwrap(),
            "all_to_all"
        );
        assert_eq!(python("'all_to', '_all'"), ["all_to", "_all"]);
        for text in [
            "f\"{d.alltoall(a)} x\"",
            "rf'''\n{ {1: d.alltoall} }'''",
            "T'{{no}} {d.alltoall:>{w}}'",
            "f'{d.g(\"{}\")}{d.alltoall}'",
            "f\"{'{'}{d.alltoall(a)}\"",
        ] {
            assert!(python(text).contains(&"alltoall".to_owned()), "{text}");
        }
        for text in ["f'{{alltoall}} alltoall'", "'{alltoall} x'"] {
            assert!(!python(text).contains(&"alltoall".to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_are_valid_ranges_of_any_text(text in "[a-zR_'\"#/*\\\\()\n é]{0,80}") {
            for language in [Language::Python, Language::C] {
                for name in names(&text, language) {
                    prop_assert!(text.get(name.at).is_some());
                }
            }
        }
    }
}
