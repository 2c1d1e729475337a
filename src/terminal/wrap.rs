//! Wraps text for people at 80 columns. Breaks only at spaces, so that paths, ids and commands stay whole.

use unicode_width::UnicodeWidthStr as _;

/// The width that tables and paragraphs keep to.
pub const COLUMNS: usize = 80;

/// Wraps one line. Continuation lines begin with `indent` spaces. The spaces inside a line that fits stay as they are.
pub fn wrap(line: &str, indent: usize) -> String {
    if line.width() <= COLUMNS {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len() + 16);
    let mut column = 0;
    let mut gap = 0;
    let mut is_line_empty = true;
    for word in line.split(' ') {
        let (width, spaces) = (word.width(), std::mem::take(&mut gap));
        gap = 1;
        if word.is_empty() {
            gap += spaces;
            continue;
        }
        if !is_line_empty && column + spaces + width > COLUMNS {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else {
            out.extend(std::iter::repeat_n(' ', spaces));
            column += spaces;
        }
        out.push_str(word);
        column += width;
        is_line_empty = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_spaces() {
        assert_eq!(wrap("  a   b", 4), "  a   b");
        let line = format!("  first  {}", "word ".repeat(20));
        let shown = wrap(line.trim_end(), 4);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  first  word word"), "{shown}");
        assert!(lines[1].starts_with("    word"), "{shown}");
        assert!(lines.iter().all(|line| line.width() <= COLUMNS), "{shown}");
    }

    #[test]
    fn long_words_stay_whole() {
        let path = "/x".repeat(60);
        assert_eq!(wrap(&path, 2), path);
        assert_eq!(wrap(&format!("a {path} b"), 2), format!("a\n  {path}\n  b"));
    }
}
