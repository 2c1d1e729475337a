//! Finds the files that a Dockerfile copies from the build context, and reports those that do not rebuild the image.
//!
//! A file that is copied and not listed changes the image without a rebuild. Must not read files: callers pass the text.

use std::collections::HashMap;

use crate::document::{Source, Span};
use crate::domain::finding::{Finding, Region};
use crate::domain::path_pattern::PathPattern;
use crate::domain::settings::Image;
use crate::plan::codes::COPY_OUTSIDE_IMAGES;

/// A file or folder of the build context that an instruction copies.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    /// The path relative to the context; empty for the complete context.
    pub path: String,
    /// Where the instruction is.
    pub span: Span,
}

/// Returns the findings about one Dockerfile of an image. `files` are the paths of all files of the checkout.
pub fn unlisted(image: &Image, dockerfile: &Source, files: &[String]) -> Vec<Finding> {
    let found = copied(dockerfile.text());
    let outside = found.iter().filter_map(|copied| {
        if image.code.iter().any(|code| normalised(code) == copied.path) {
            return None;
        }
        Some((copied, uncovered(image, &copied.path, files)?))
    });
    outside
        .map(|(copied, example)| {
            let message = format!(
                "the image `{}` copies `{example}`, which does not rebuild it",
                image.name
            );
            Finding {
                help: Some(format!(
                    "add the file to `files` of the image `{}` in configs/nmoe-gates.toml, or to `code` if every run uses its own",
                    image.name
                )),
                path: dockerfile.name().map(str::to_owned),
                region: Some(Region::of(dockerfile, &copied.span)),
                ..Finding::new(&COPY_OUTSIDE_IMAGES, message)
            }
        })
        .collect()
}

/// Returns a file that is copied and not in the list of the image. A source without files is its own example.
fn uncovered(image: &Image, path: &str, files: &[String]) -> Option<String> {
    let listed = |file: &str| image.files.iter().any(|pattern| pattern.matches(file));
    let pattern = PathPattern::new(path).ok();
    let below = |file: &str| path.is_empty() || pattern.as_ref().is_some_and(|p| p.matches(file));
    let mut copied = files.iter().filter(|file| below(file)).peekable();
    if copied.peek().is_none() {
        return (!listed(path)).then(|| path.to_owned());
    }
    copied.find(|file| !listed(file)).cloned()
}

/// Lists what the COPY and ADD instructions take from the build context. Values of ARG and ENV are inserted.
pub fn copied(text: &str) -> Vec<Copied> {
    let mut values: HashMap<String, String> = HashMap::new();
    let mut found = Vec::new();
    for (span, line) in instructions(text) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        match word.to_ascii_uppercase().as_str() {
            "ARG" | "ENV" => {
                for pair in rest.split_whitespace() {
                    if let Some((name, value)) = pair.split_once('=') {
                        let value = expanded(value.trim_matches(['"', '\'']), &values);
                        values.insert(name.to_owned(), value);
                    }
                }
            }
            "COPY" | "ADD" => {
                found.extend(sources(&expanded(rest, &values)).into_iter().map(|path| Copied {
                    path,
                    span: span.clone(),
                }))
            }
            _ => {}
        }
    }
    found
}

/// Joins continued lines and drops comments. Each instruction comes with its place.
fn instructions(text: &str) -> Vec<(Span, String)> {
    let mut all: Vec<(Span, String)> = Vec::new();
    let (mut at, mut continues) = (0, false);
    for line in text.split_inclusive('\n') {
        let span = at..at + line.trim_end().len();
        at += line.len();
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (part, more) = match trimmed.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (trimmed, false),
        };
        match all.last_mut().filter(|_| continues) {
            Some((whole, joined)) => {
                whole.end = span.end;
                joined.push(' ');
                joined.push_str(part.trim());
            }
            None => all.push((span, part.trim().to_owned())),
        }
        continues = more;
    }
    all
}

/// Returns the sources of the arguments of COPY or ADD: all but the last word. Other stages, URLs and inline texts are left out.
fn sources(arguments: &str) -> Vec<String> {
    let mut rest = arguments.trim_start();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        if flag.starts_with("from=") {
            return Vec::new();
        }
        rest = after.trim_start();
    }
    let words: Vec<String> = if rest.starts_with('[') {
        serde_json::from_str(rest).unwrap_or_default()
    } else {
        rest.split_whitespace().map(str::to_owned).collect()
    };
    let Some((_, sources)) = words.split_last() else {
        return Vec::new();
    };
    sources
        .iter()
        .filter(|source| !source.contains("://") && !source.starts_with("<<") && !source.starts_with("git@"))
        .map(|source| normalised(source))
        .collect()
}

/// Removes `./`, a leading `/` and a trailing `/`. The complete context is the empty path.
fn normalised(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_matches('/');
    if path == "." {
        String::new()
    } else {
        path.to_owned()
    }
}

/// Inserts the values of `$NAME`, `${NAME}` and `${NAME:-default}`. An unknown name stays as it is.
fn expanded(text: &str, values: &HashMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, default, length) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, _)) => {
                let (name, default) = match inner.split_once(":-") {
                    Some((name, default)) => (name, Some(default)),
                    None => (inner, None),
                };
                (name, default, inner.len() + 3)
            }
            None => {
                let end = after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                (&after[..end], None, end + 1)
            }
        };
        match values.get(name).map(String::as_str).or(default) {
            Some(value) => out.push_str(value),
            None => out.push_str(&rest[at..at + length]),
        }
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_the_context_are_listed() {
        let text = "ARG LIST=docker/a.txt\nFROM x AS one\nCOPY --chown=1:1 ./src/ \\\n  # why\n  Cargo.toml /out/\n\
                    COPY --from=one /x /y\nCOPY ${LIST} $LIST ${NONE:-b.txt} $OTHER/c /z\nADD https://example.com/x /x\nADD [\"a b\", \"/y\"]\nCOPY . .\n";
        let paths: Vec<_> = copied(text).into_iter().map(|c| c.path).collect();
        assert_eq!(
            paths,
            [
                "src",
                "Cargo.toml",
                "docker/a.txt",
                "docker/a.txt",
                "b.txt",
                "$OTHER/c",
                "a b",
                ""
            ]
        );
    }

    #[test]
    fn place_of_a_continued_instruction_is_complete() {
        let text = "FROM x\nCOPY a \\\n  b /y\nRUN z\n";
        assert_eq!(&text[copied(text)[0].span.clone()], "COPY a \\\n  b /y");
    }
}
