//! Formats the changes of a text as a unified diff with context, which `git apply` accepts. Must not read files.

use std::ops::Range;

/// The unchanged lines before and after a change.
pub const CONTEXT: usize = 3;

/// A change: lines of the old text, counted from 0, and the text that replaces them.
pub type Change<'t> = (Range<usize>, &'t str);

/// Formats the hunks of changes, which are in order and apart.
pub fn hunks(before: &str, changes: &[Change<'_>]) -> String {
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let mut out = String::new();
    let mut moved = 0_isize;
    let mut rest = changes;
    while let Some((first, _)) = rest.first() {
        let near = |pair: &&[Change<'_>]| pair[1].0.start <= pair[0].0.end + 2 * CONTEXT;
        let count = 1 + rest.windows(2).take_while(near).count();
        let (here, later) = rest.split_at(count);
        let from = first.start.saturating_sub(CONTEXT);
        let mut body = String::new();
        let (mut at, mut removed, mut added) = (from, 0, 0);
        for (lines, text) in here {
            push_lines(&mut body, ' ', old[at..lines.start].iter().copied());
            push_lines(&mut body, '-', old[lines.clone()].iter().copied());
            push_lines(&mut body, '+', text.split_inclusive('\n'));
            removed += lines.len();
            added += text.split_inclusive('\n').count();
            at = lines.end;
        }
        let until = old.len().min(at + CONTEXT);
        push_lines(&mut body, ' ', old[at..until].iter().copied());
        let was = until - from;
        let is = was - removed + added;
        // A hunk without lines names the line before it.
        let number = |first: usize, count: usize| if count == 0 { first } else { first + 1 };
        let start = number(from, was);
        let new_start = number(from.saturating_add_signed(moved), is);
        out.push_str(&format!("@@ -{start},{was} +{new_start},{is} @@\n{body}"));
        moved += added as isize - removed as isize;
        rest = later;
    }
    out
}

/// Formats the change of a file like `git diff`; the old text is `None` for a new file.
pub fn between(path: &str, before: Option<&str>, after: &str) -> String {
    let lines = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let text = before.unwrap_or_default();
    let (old, new) = (lines(text), lines(after));
    if before.is_some() && old == new {
        return String::new();
    }
    let replaced: Vec<(Range<usize>, String)> =
        similar::capture_diff_slices(similar::Algorithm::Myers, &old, &new)
            .iter()
            .filter(|op| op.tag() != similar::DiffTag::Equal)
            .map(|op| (op.old_range(), new[op.new_range()].concat()))
            .collect();
    let changes: Vec<Change<'_>> = replaced
        .iter()
        .map(|(lines, text)| (lines.clone(), text.as_str()))
        .collect();
    let head = match before {
        None => format!("new file mode 100644\n--- /dev/null\n+++ b/{path}\n"),
        Some(_) => format!("--- a/{path}\n+++ b/{path}\n"),
    };
    format!("diff --git a/{path} b/{path}\n{head}{}", hunks(text, &changes))
}

/// Appends lines with the mark of their kind: a blank, `-` or `+`.
fn push_lines<'t>(out: &mut String, mark: char, lines: impl IntoIterator<Item = &'t str>) {
    for line in lines {
        out.push(mark);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}
