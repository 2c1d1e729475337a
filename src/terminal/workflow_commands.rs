//! Disarms workflow commands in output, in a stream and with constant memory.
//!
//! The Actions runner splits lines at `\n`, `\r` and `\r\n`. It accepts `::command::` at the start of a line, after white
//! space, and `##[command]` anywhere in a line. The runner ignores some invisible characters when it compares, so this
//! module compares only printable ASCII. It inserts a `\` into each command and does not change any other byte.
//! Must not depend on gates.

use std::borrow::Cow;

use memchr::memchr2_iter;

/// Disarms all workflow commands in a complete text.
pub fn disarm(text: &str) -> Cow<'_, str> {
    if !text.contains(':') && !text.contains('[') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    Neutraliser::default().push(text.as_bytes(), &mut out);
    // The neutraliser inserts only ASCII, so the text is still UTF-8.
    String::from_utf8(out).map_or_else(|e| Cow::Owned(e.to_string()), Cow::Owned)
}

/// Disarms workflow commands in a stream. Keeps the state between two calls of [`Neutraliser::push`].
#[derive(Clone, Debug)]
pub struct Neutraliser {
    /// The current line has no printable character yet.
    blank: bool,
    /// Number of `#` at the end of the input so far, at most 2.
    hashes: u8,
    /// The last byte ended a line, or there was no input.
    at_line_start: bool,
}

impl Default for Neutraliser {
    fn default() -> Self {
        Neutraliser {
            blank: true,
            hashes: 0,
            at_line_start: true,
        }
    }
}

fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e)
}

/// Whether the runner may ignore a character with this byte between two `#`.
fn may_hide(byte: u8) -> bool {
    !printable(byte) && !matches!(byte, b' ' | b'\t' | b'\n')
}

impl Neutraliser {
    /// Appends `input` to `out` with all workflow commands disarmed.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut copied = 0;
        for at in memchr2_iter(b':', b'[', input) {
            let before = &input[..at];
            let live = match input[at] {
                b':' => self.opens_line(before),
                _ => self.hashes_before(before) == 2,
            };
            if live {
                out.extend_from_slice(&input[copied..at]);
                out.push(b'\\');
                copied = at;
            }
        }
        out.extend_from_slice(&input[copied..]);
        if let Some(&last) = input.last() {
            (self.blank, self.hashes) = (self.opens_line(input), self.hashes_before(input));
            self.at_line_start = ends_line(last);
        }
    }

    /// Whether the input so far ends with a line ending.
    pub fn at_line_start(&self) -> bool {
        self.at_line_start
    }

    /// Whether a byte after `before` would be the first printable byte of its line.
    fn opens_line(&self, before: &[u8]) -> bool {
        match before.iter().rev().find(|&&b| ends_line(b) || printable(b)) {
            Some(&byte) => ends_line(byte),
            None => self.blank,
        }
    }

    /// Counts the `#` at the end of `before`, at most 2. Skips hidden characters.
    fn hashes_before(&self, before: &[u8]) -> u8 {
        let mut count = 0;
        for &byte in before.iter().rev() {
            match byte {
                b'#' if count == 1 => return 2,
                b'#' => count = 1,
                _ if may_hide(byte) => {}
                _ => return count,
            }
        }
        (count + self.hashes).min(2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pass(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut neutraliser, mut out) = (Neutraliser::default(), Vec::new());
        for piece in pieces {
            neutraliser.push(piece, &mut out);
        }
        out
    }

    /// Characters that string comparison in .NET ignores: control characters and some invisible characters.
    fn ignorable(c: char) -> bool {
        matches!(c, '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    }

    /// Finds commands in the same way as the runner, but treats every command name as registered.
    fn commands(output: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(output)
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        let mut found = Vec::new();
        for line in text.split('\n') {
            let visible: String = line.chars().filter(|c| !ignorable(*c)).collect();
            if let Some(rest) = visible.trim_start().strip_prefix("::")
                && rest.contains("::")
            {
                found.push(line.to_owned());
            }
            if let Some(at) = visible.find("##[")
                && visible[at..].contains(']')
            {
                found.push(line.to_owned());
            }
        }
        found
    }

    #[test]
    fn hidden_commands_are_disarmed() {
        for line in [
            "::error::x",
            "  \t::warning file=a::x",
            "\u{a0}\u{2003}::add-mask::x",
            "progress\r::set-output name=a::b",
            "##[error]x",
            "text ##[add-path]/evil",
            "\u{feff}::stop-commands::t",
            ":\u{ad}:error::x",
            "#\u{200b}#[warning]x",
            "#\0#[warning]x",
            "###[group]x",
            "\0::error::x",
        ] {
            assert!(
                !commands(line.as_bytes()).is_empty(),
                "the test parser does not find {line:?}"
            );
            let out = pass(&[line.as_bytes()]);
            assert!(
                commands(&out).is_empty(),
                "{line:?} is not disarmed: {:?}",
                String::from_utf8_lossy(&out)
            );
        }
    }

    #[test]
    fn ordinary_output_is_unchanged() {
        for line in [
            "std::vector<int> a; x[0] # [1]\n",
            "## heading [link]\n",
            "12:30:01 step 1\n",
            "a\0\u{ff}\n",
        ] {
            assert_eq!(pass(&[line.as_bytes()]), line.as_bytes());
        }
        assert_eq!(pass(&[b"::a::b\n#", b"#", b"[x]"]), b"\\::a::b\n##\\[x]");
    }

    fn adversarial_input() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b":".to_vec()),
            Just(b"::".to_vec()),
            Just(b"#".to_vec()),
            Just(b"##[".to_vec()),
            Just(b"[".to_vec()),
            Just(b"]".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b" ".to_vec()),
            Just(b"\t".to_vec()),
            Just(b"\\".to_vec()),
            Just(b"error".to_vec()),
            Just("\u{ad}".into()),
            Just("\u{a0}".into()),
            Just(b"\0".to_vec()),
            any::<u8>().prop_map(|b| vec![b]),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|p| p.concat())
    }

    proptest! {
        #[test]
        fn no_input_contains_a_command_afterwards(input in adversarial_input(), cut in any::<prop::sample::Index>()) {
            let at = cut.index(input.len() + 1);
            let out = pass(&[&input[..at], &input[at..]]);
            prop_assert!(commands(&out).is_empty(), "{:?}", String::from_utf8_lossy(&out));
            prop_assert_eq!(&out, &pass(&[&input]), "the output depends on the cut");
            // Without the inserted `\`, the output equals the input.
            let mut rest = input.as_slice();
            for &byte in &out {
                match rest.split_first() {
                    Some((&next, tail)) if next == byte => rest = tail,
                    _ => prop_assert_eq!(byte, b'\\'),
                }
            }
            prop_assert!(rest.is_empty());
        }
    }
}
