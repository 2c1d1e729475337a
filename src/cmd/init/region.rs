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
    format!("{head}{}", region(path, body))
}

/// Compares a file with the content that `init` writes now.
pub fn update(path: &str, file: &str, content: &str) -> Update {
    let lines: Vec<&str> = file.split_inclusive('\n').collect();
    let begin = lines.iter().position(|line| line.contains(BEGIN));
    let Some((begin, end)) = begin.and_then(|begin| {
        let length = lines[begin..].iter().position(|line| line.contains(END))?;
        Some((begin, begin + length))
    }) else {
        return Update::Unmarked;
    };
    let recorded = lines[begin]
        .split(BEGIN)
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    if recorded != Some(digest(&lines[begin + 1..end].concat()).as_str()) {
        return Update::Edited;
    }
    let new = format!(
        "{}{}{}",
        lines[..begin].concat(),
        region(path, &content[head(content)..]),
        lines[end + 1..].concat()
    );
    match new.lines().eq(file.lines()) {
        true => Update::Same,
        false => Update::Changed(new),
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

/// Returns a region with its marks.
fn region(path: &str, body: &str) -> String {
    let mark = |text: &str| match path.ends_with(".md") {
        true => format!("<!-- {text} -->\n"),
        false => format!("# {text}\n"),
    };
    let begin = format!(
        "{BEGIN}{} (write your own text outside of this region)",
        digest(body)
    );
    format!("{}{body}{}", mark(&begin), mark(END))
}

/// Returns the length of the lines that must stay first: the line of the interpreter, and front matter.
fn head(content: &str) -> usize {
    if content.starts_with("#!") {
        return content.find('\n').map_or(content.len(), |end| end + 1);
    }
    let front = content
        .strip_prefix("---\n")
        .and_then(|rest| rest.find("\n---\n"));
    front.map_or(0, |end| end + "---\n".len() + "\n---\n".len())
}

/// Returns the first digits of the digest. Git may change the line breaks of a file.
fn digest(body: &str) -> String {
    let lines: Vec<&str> = body.lines().collect();
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
        }
    }
}
