//! Finds the YAML block of an issue or pull-request body by its top-level key. The block is fenced, or is the whole file.

use crate::document::defect::ParseError;
use crate::document::markdown::{self, Fence, Outline};
use crate::document::source::{Source, Span};
use crate::document::source_map::MappedText;

/// The YAML block of a document.
#[derive(Clone, Debug)]
pub struct Block {
    pub content: MappedText,
    /// The opening fence; `None` if the whole file is the block.
    pub opening: Option<Span>,
}

/// The result of the search for a block.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub block: Option<Block>,
    /// What is wrong with the place of the block.
    pub defects: Vec<ParseError>,
    /// The Markdown around the block; empty if the whole file is the block.
    pub outline: Outline,
}

/// Finds the block that has this top-level key.
pub fn find(source: &Source, key: &str) -> Found {
    let body = MappedText::lines_of(source.text(), 0);
    if memchr::memmem::find(body.text().as_bytes(), key.as_bytes()).is_none() {
        // Without the key there cannot be a block, so the Markdown parser is not needed.
        return Found {
            defects: vec![absent(&body, key, &[])],
            block: None,
            outline: Outline::default(),
        };
    }
    let found = find_in(&body, key);
    if found.block.is_some() || !looks_escaped(body.text()) {
        return found;
    }
    let mut real = find_in(&body.unescape(), key);
    if real.block.is_none() {
        return found;
    }
    let at = body.text().find("\\n").unwrap_or(0);
    real.defects.push(ParseError {
        kind: "literal-newlines",
        span: body.span(&(at..at + 2)),
        message: "the body contains `\\n` instead of line endings".to_owned(),
        help: Some(
            "GitHub shows this as one long line; pass the body as a file (`gh … --body-file FILE`)"
                .to_owned(),
        ),
    });
    real
}

fn find_in(body: &MappedText, key: &str) -> Found {
    if is_bare(body.text(), key) {
        return Found {
            block: Some(Block {
                content: body.clone(),
                opening: None,
            }),
            defects: Vec::new(),
            outline: Outline::default(),
        };
    }
    let outline = markdown::outline(body);
    let mut defects = Vec::new();
    let mut block: Option<Block> = None;
    for fence in &outline.fences {
        if !has_key(fence.content.text(), key) || !matches!(fence.info.as_str(), "" | "yaml" | "yml") {
            continue;
        }
        if block.is_some() {
            defects.push(ParseError {
                kind: "several-blocks",
                span: fence.opening.clone(),
                message: format!("a second block with the key `{key}`"),
                help: Some("keep one; the first is used".to_owned()),
            });
            continue;
        }
        let mut content = fence.content.clone();
        if !fence.closed {
            defects.push(ParseError {
                kind: "unclosed-fence",
                span: fence.opening.clone(),
                message: "the fence of the block is never closed".to_owned(),
                help: Some("add a line with the same fence after the last line of the block".to_owned()),
            });
            content = up_to_heading(content);
        }
        block = Some(Block {
            content,
            opening: Some(fence.opening.clone()),
        });
    }
    if block.is_none() {
        defects.push(absent(body, key, &outline.fences));
    }
    Found {
        block,
        defects,
        outline,
    }
}

fn absent(body: &MappedText, key: &str, fences: &[Fence]) -> ParseError {
    let mut defect = ParseError {
        kind: "no-block",
        span: body.span(&(0..first_line(body.text()))),
        message: format!("no YAML block with the key `{key}`"),
        help: Some("put the block of the form into a fence that begins with ```yaml".to_owned()),
    };
    if let Some(fence) = fences.iter().find(|f| has_key(f.content.text(), key)) {
        defect.span = fence.opening.clone();
        defect.message = format!("the block with the key `{key}` is marked as `{}`", fence.info);
        defect.help = Some("begin it with ```yaml".to_owned());
    } else if let Some(at) = key_line(body.text(), key) {
        defect.span = body.span(&(at..at + key.len()));
        defect.message = format!("the key `{key}` is outside of a fenced block");
    }
    defect
}

fn first_line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// Returns the offset of the first line that begins with the key and a colon, at any indentation.
fn key_line(text: &str, key: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let inner = line.trim_start();
        if is_key(inner, key) {
            return Some(start + (line.len() - inner.len()));
        }
        start += line.len();
    }
    None
}

fn is_key(line: &str, key: &str) -> bool {
    let line = line.strip_prefix(['"', '\'']).unwrap_or(line);
    line.strip_prefix(key)
        .map(|rest| rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start())
        .is_some_and(|rest| rest.starts_with(':'))
}

/// Returns the lines with content, each with its indentation. Empty lines, comments, `---` and directives have none.
fn content_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .map(|line| (line.len() - line.trim_start().len(), line.trim()))
        .filter(|(_, line)| {
            !line.is_empty() && !line.starts_with('#') && *line != "---" && !line.starts_with('%')
        })
}

/// Whether a YAML text has the key at its top level.
fn has_key(text: &str, key: &str) -> bool {
    let mut lines = content_lines(text);
    let Some((indent, first)) = lines.next() else {
        return false;
    };
    let first = first.strip_prefix("--- ").unwrap_or(first);
    if let Some(inner) = first.strip_prefix('{') {
        return is_key(inner.trim_start(), key) || key_line(text, key).is_some();
    }
    is_key(first, key) || lines.any(|(i, line)| i <= indent && is_key(line, key))
}

/// Whether the whole text is YAML: its first line with content is a key, and the wanted key is at the same depth.
fn is_bare(text: &str, key: &str) -> bool {
    let Some((_, first)) = content_lines(text).next() else {
        return false;
    };
    let word = first.split([':', ' ']).next().unwrap_or_default();
    let keyish = word.trim_matches(['"', '\'']);
    let starts = first.starts_with('{')
        || first.contains(':')
            && !keyish.is_empty()
            && keyish
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
    starts && has_key(text, key) && !fenced_before_key(text, key)
}

fn fenced_before_key(text: &str, key: &str) -> bool {
    let key_at = key_line(text, key).unwrap_or(text.len());
    text[..key_at]
        .lines()
        .any(|l| l.trim_start().starts_with("```") || l.trim_start().starts_with("~~~"))
}

fn looks_escaped(text: &str) -> bool {
    let written = memchr::memmem::find_iter(text.as_bytes(), b"\\n").take(4).count();
    written > 3 && memchr::memchr_iter(b'\n', text.as_bytes()).take(40).count() < 40
}

/// Cuts an unclosed block before the next heading, where the rest of the form begins.
fn up_to_heading(content: MappedText) -> MappedText {
    let text = content.text();
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("## ") || line.starts_with("### ") {
            let mut cut = MappedText::default();
            cut.push(&text[..end], 0);
            return content.compose(cut);
        }
        end += line.len();
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> (Option<String>, Vec<&'static str>) {
        let found = find(&Source::new(None, text), "nmoe");
        (
            found.block.map(|b| b.content.text().to_owned()),
            found.defects.iter().map(|d| d.kind).collect(),
        )
    }

    const INNER: &str = "nmoe:\n  issue: 01\n";

    #[test]
    fn block_is_found_in_every_fence() {
        for text in [
            "```yaml\nnmoe:\n  issue: 01\n```\n",
            "```YAML title=x\nnmoe:\n  issue: 01\n```",
            "~~~yml\nnmoe:\n  issue: 01\n~~~\n",
            "prose\n\n````\nnmoe:\n  issue: 01\n````\nmore",
            "- item\n\n  ```yaml\n  nmoe:\n    issue: 01\n  ```\n",
            "> ```yaml\n> nmoe:\n>   issue: 01\n> ```\n",
            "  ```yaml\n  nmoe:\n    issue: 01\n  ```\n",
            "    ```yaml\n    nmoe:\n      issue: 01\n    ```\n",
            "\u{feff}```yaml\r\nnmoe:\r\n  issue: 01\r\n```\r\n",
            "```python\nnmoe: 1\n```\n\n```yaml\nother: 1\n```\n\n```yaml\nnmoe:\n  issue: 01\n```\n",
            INNER,
        ] {
            assert_eq!(kinds(text), (Some(INNER.to_owned()), vec![]), "{text:?}");
        }
    }

    #[test]
    fn text_before_key_does_not_hide_block() {
        for inner in [
            "# a comment\nnmoe: {}\n",
            "---\nnmoe: {}\n",
            "scope:\n  allow: []\nnmoe: {}\n",
            "\"nmoe\": {}\n",
            "{nmoe: {}}\n",
            "  nmoe: {}\n",
        ] {
            assert_eq!(
                kinds(&format!("x\n```yaml\n{inner}```\n")).0.as_deref(),
                Some(inner)
            );
        }
        assert_eq!(kinds("```yaml\nother:\n  nmoe: 1\n```\n").0, None);
    }

    #[test]
    fn misplaced_block_has_defect() {
        assert_eq!(kinds("nothing").1, ["no-block"]);
        assert_eq!(kinds("Some prose.\n\nnmoe:\n  issue: 1\n").1, ["no-block"]);
        assert_eq!(kinds("```json\nnmoe: 1\n```\n").1, ["no-block"]);
        let open = kinds("a\n\n```yaml\nnmoe:\n  issue: 01\n\n## Summary\n- x\n");
        assert_eq!(
            open,
            (Some("nmoe:\n  issue: 01\n\n".to_owned()), vec!["unclosed-fence"])
        );
        let two = "```yaml\nnmoe: 1\n```\n\n```yaml\nnmoe: 2\n```\n";
        assert_eq!(kinds(two).1, ["several-blocks"]);
    }

    #[test]
    fn literal_newlines_are_reported_and_decoded() {
        let text = "Summary:\\n\\n```yaml\\nnmoe:\\n  issue: 01\\n```\\n";
        let found = find(&Source::new(None, text), "nmoe");
        assert_eq!(found.defects[0].kind, "literal-newlines");
        let content = found.block.unwrap().content;
        assert_eq!(content.text(), INNER);
        let at = content.text().find("issue").unwrap();
        assert!(text[content.origin(at)..].starts_with("issue"));
    }
}
