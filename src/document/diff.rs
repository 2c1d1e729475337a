//! Formats the lines of a unified diff. Must not read files or compare texts.

/// Appends lines with the mark of their kind: a blank, `-` or `+`.
pub fn push_lines<'t>(out: &mut String, mark: char, lines: impl IntoIterator<Item = &'t str>) {
    for line in lines {
        out.push(mark);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}
