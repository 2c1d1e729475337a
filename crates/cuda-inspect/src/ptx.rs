//! Finds PTX, which is text, in any bytes, and lists its kernels.

use memchr::memmem;

/// Finds the positions of `.target sm_…`. Between the two words can be blanks and comments, as for the assembler.
pub fn targets(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memmem::find_iter(bytes, b".target").filter(|at| {
        let rest = bytes.get(at + 7..).unwrap_or_default();
        blank(rest)
            .is_some_and(|length| length > 0 && rest.get(length..).is_some_and(|r| r.starts_with(b"sm_")))
    })
}

/// Returns the length of the blanks and comments at the beginning; `None` if a comment has no end.
fn blank(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        if rest.starts_with(b"/*") {
            at += memmem::find(rest.get(2..)?, b"*/")? + 4;
        } else if rest.starts_with(b"//") {
            at += memchr::memchr(b'\n', rest)? + 1;
        } else if rest.first().is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        } else {
            return Some(at);
        }
    }
}

/// Lists the kernels that a PTX text declares.
pub fn kernels(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    text.match_indices(".entry")
        .filter_map(|(at, word)| {
            let name: String = text
                .get(at + word.len()..)?
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
                .collect();
            (!name.is_empty()).then_some(name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ptx_kernels_are_listed() {
        let text = b".version 9.0\n.target sm_100a\n.visible .entry scale(\n.param .u64 p) .entry\n  add$1 (";
        assert_eq!(kernels(text), ["scale", "add$1"]);
    }

    #[test]
    fn targets_are_found_behind_blanks_and_comments() {
        for text in [
            ".target sm_90",
            ".target\tsm_90",
            ".target  sm_90",
            ".target/* */sm_90",
            ".target // a\n sm_90",
        ] {
            assert_eq!(targets(text.as_bytes()).next(), Some(0), "{text:?}");
        }
        for text in [".targetsm_90", ".target x", ".target /* sm_90", ".target"] {
            assert_eq!(targets(text.as_bytes()).next(), None, "{text:?}");
        }
    }
}
