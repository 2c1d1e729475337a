//! Marks the part of a file that `init` wrote, so that a second run can replace it and no other text. Must not read or write files.
//!
//! The first line of a region has the digest of its content. If the content has another digest, a person has edited it.

use crate::domain::ids::Sha256;

const BEGIN: &str = "nmoe-gates init: begin ";
const END: &str = "nmoe-gates init: end";

/// What a second run of `init` does with a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Update {
    /// The file has no region.
    Unmarked,
    /// A person has edited the region.
    Edited,
    /// The region is what `init` writes now.
    Same,
    /// The complete text of the file with the new region.
    Changed(String),
}

/// Returns the text of a new file: its content in a region. A first line that a program reads stays the first line.
pub fn wrap(path: &str, content: &str) -> String {
    let (head, body) = content.split_at(head(content));
    format!("{head}{}", region(path, head, body))
}

/// Compares a file with the content that `init` writes now.
pub fn update(path: &str, file: &str, content: &str) -> Update {
    let Some(parts) = Parts::of(file) else {
        return Update::Unmarked;
    };
    let (new_head, new_body) = content.split_at(head(content));
    // A section in a file of the user has no head; the head of that file is the user's.
    let own = if new_head.is_empty() {
        0
    } else {
        head(parts.before)
    };
    let (old_head, between) = parts.before.split_at(own);
    if !parts.is_intact(old_head) {
        return Update::Edited;
    }
    let region = region(path, new_head, new_body);
    let new = format!("{new_head}{between}{region}{}", parts.after);
    match new.lines().eq(file.lines()) {
        true => Update::Same,
        false => Update::Changed(new),
    }
}

/// Returns the content of the region of a file without a head; `None` if a person has edited it.
pub fn intact(file: &str) -> Option<&str> {
    let parts = Parts::of(file)?;
    parts.is_intact("").then_some(parts.body)
}

/// A file with a region.
struct Parts<'a> {
    before: &'a str,
    /// The first line of the region.
    mark: &'a str,
    body: &'a str,
    after: &'a str,
}

impl<'a> Parts<'a> {
    fn of(file: &'a str) -> Option<Self> {
        let line_of = |text: &str, mark: &str| {
            let at = text.find(mark)?;
            let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
            let end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
            Some((start, end))
        };
        let (begin, inside) = line_of(file, BEGIN)?;
        let (before, mark, rest) = (&file[..begin], &file[begin..inside], &file[inside..]);
        let (body, end) = line_of(rest, END)?;
        Some(Parts {
            before,
            mark,
            body: &rest[..body],
            after: &rest[end..],
        })
    }

    /// Whether head and body are what `init` wrote.
    fn is_intact(&self, head: &str) -> bool {
        let rest = self.mark.split(BEGIN).nth(1);
        let recorded = rest.and_then(|rest| rest.split(' ').next());
        recorded == Some(digest(head, self.body).as_str())
    }
}

/// Whether a text has a region.
pub fn is_marked(text: &str) -> bool {
    text.contains(BEGIN)
}

/// Returns a text without the marks of its region.
pub fn without_marks(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.contains(BEGIN) && !line.contains(END))
        .collect()
}

/// Returns a region with its marks. Its digest includes the head of the file.
fn region(path: &str, head: &str, body: &str) -> String {
    let mark = |text: &str| match path.ends_with(".md") {
        true => format!("<!-- {text} -->\n"),
        false => format!("# {text}\n"),
    };
    let begin = format!(
        "{BEGIN}{} (write your own text outside of this region)",
        digest(head, body)
    );
    format!("{}{body}{}", mark(&begin), mark(END))
}

/// Returns the length of the lines that must stay first: the line of the interpreter, and front matter.
fn head(content: &str) -> usize {
    let mut lines = content.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if first.starts_with("#!") {
        return first.len();
    }
    let mut length = first.len();
    if first.trim_end() == "---" {
        for line in lines {
            length += line.len();
            if line.trim_end() == "---" {
                return length;
            }
        }
    }
    0
}

/// Returns the first digits of the digest. Git may change the line breaks of a file.
fn digest(head: &str, body: &str) -> String {
    let lines: Vec<&str> = head.lines().chain(body.lines()).collect();
    let digest = Sha256::of(lines.join("\n").as_bytes()).to_string();
    digest.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_is_replaced_and_other_text_kept() {
        for (path, content) in [
            ("a.yml", "name: x\n"),
            ("a.md", "---\nname: x\n---\ntext\n"),
            ("hook", "#!/bin/sh\nset -e\n"),
        ] {
            let written = wrap(path, content);
            let stays = content.starts_with(['#', '-']);
            assert_eq!(
                written.lines().next() == content.lines().next(),
                stays,
                "{written}"
            );
            let own = written.clone() + "own\n";
            assert_eq!(update(path, &own, content), Update::Same, "{own}");
            assert_eq!(
                update(path, &own.replace('\n', "\r\n"), content),
                Update::Same,
                "{own}"
            );
            let next = content.to_owned() + "more\n";
            assert_eq!(
                update(path, &own, &next),
                Update::Changed(wrap(path, &next) + "own\n")
            );
            let last = content.lines().last().unwrap();
            let edited = own.replace(last, "mine");
            assert_eq!(update(path, &edited, &next), Update::Edited, "{edited}");
            assert_eq!(update(path, content, &next), Update::Unmarked);
            // A head is updated, and is not if a person has edited it.
            if stays {
                let first = content.lines().nth(usize::from(path == "a.md")).unwrap();
                let headed = content.replacen(first, &format!("{first}y"), 1);
                let after = wrap(path, &headed) + "own\n";
                assert_eq!(update(path, &own, &headed), Update::Changed(after.clone()));
                let edited = after.replacen(first, "mine", 1);
                assert_eq!(update(path, &edited, content), Update::Edited, "{edited}");
            }
        }
    }
}
