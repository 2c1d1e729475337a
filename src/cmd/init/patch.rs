//! Formats the change of a file like `git diff`, with one hunk. Must not read or write files.

use crate::document::diff::push_lines;

/// The unchanged lines before and after a change.
const CONTEXT: usize = 3;

/// Returns the patch from one text of a file to another; `None` for a file that does not exist.
pub fn between(path: &str, before: Option<&str>, after: &str) -> String {
    let old: Vec<&str> = before.unwrap_or_default().split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    if before.is_some() && old == new {
        return String::new();
    }
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(rest)
        .take_while(|(a, b)| a == b)
        .count();
    let (from, until) = (same.saturating_sub(CONTEXT), tail.saturating_sub(CONTEXT));
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let start = |count: usize| if count == 0 { from } else { from + 1 };
    let (removed, added) = (old.len() - until - from, new.len() - until - from);
    let head = match before {
        None => format!("new file mode 100644\n--- /dev/null\n+++ b/{path}\n"),
        Some(_) => format!("--- a/{path}\n+++ b/{path}\n"),
    };
    let mut patch = format!(
        "diff --git a/{path} b/{path}\n{head}@@ -{},{removed} +{},{added} @@\n",
        start(removed),
        start(added)
    );
    for (mark, lines) in [
        (' ', &old[from..same]),
        ('-', &old[same..old_end]),
        ('+', &new[same..new_end]),
        (' ', &old[old_end..old.len() - until]),
    ] {
        push_lines(&mut patch, mark, lines.iter().copied());
    }
    patch
}
