//! Finds NCCL all-to-all exchanges: in sources by identifier, in libraries by imported symbol.
//!
//! Skips comments and every string that is more than one identifier. Cannot find a name that a program builds at run
//! time; the check of the imports finds those. Must not depend on how findings are printed.

use std::ops::Range;
use std::path::Path;

use crate::document::Source;
use crate::domain::finding::{Finding, Region, Severity};
use crate::domain::path_pattern::PathPattern;
use crate::git::{Git, GitError, added_lines};
use crate::kernel::codes::MOE_ALL_TO_ALL;

/// The syntax of comments and strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Python,
    C,
}

/// Returns the language of a path, or `None` if the path is not scanned.
fn language(path: &str) -> Option<Language> {
    match Path::new(path).extension()?.to_str()? {
        "py" | "pyx" => Some(Language::Python),
        "c" | "cc" | "cpp" | "cu" | "cuh" | "h" | "hpp" | "inl" => Some(Language::C),
        _ => None,
    }
}

/// Whether a path is scanned.
pub fn is_source(path: &str) -> bool {
    language(path).is_some()
}

/// Scans the sources that changed between the merge base with `base` and `head`, as they are at `head`.
///
/// In a changed file of `moe`, the MoE path, every all-to-all is an error, also on unchanged lines. In any other file, an
/// all-to-all on an added line is a warning.
///
/// # Errors
/// A git command fails.
pub fn in_change(
    git: &Git,
    base: &str,
    head: &str,
    moe: &[PathPattern],
) -> Result<Vec<(Source, Vec<Finding>)>, GitError> {
    let changed = added_lines::since_fork(git, base, head)?;
    let mut found = Vec::new();
    let sources = changed.iter().filter(|file| is_source(&file.path));
    added_lines::contents(git, head, sources, |file, text| {
        let source = Source::new(Some(file.path.clone()), String::from_utf8_lossy(text));
        let findings = if moe.iter().any(|p| p.matches(&file.path)) {
            scan(&source, Severity::Error, |_, _| true)
        } else {
            scan(&source, Severity::Warning, |first, last| file.adds(first, last))
        };
        found.push((source, findings));
    })?;
    Ok(found)
}

/// Finds every all-to-all in a source, on the lines that `counts` selects.
pub fn scan(source: &Source, severity: Severity, counts: impl Fn(u32, u32) -> bool) -> Vec<Finding> {
    let path = source.name().unwrap_or_default();
    let Some(language) = language(path) else {
        return Vec::new();
    };
    let names = names(source.text(), language);
    let grouped = names
        .iter()
        .any(|at| &source.text()[at.clone()] == "ncclGroupStart");
    names
        .into_iter()
        .filter_map(|at| {
            let name = &source.text()[at.clone()];
            if !(is_exchange(name) || grouped && is_point_to_point(name)) {
                return None;
            }
            let (start, end) = source.places(&at);
            if !counts(start.line, end.line) {
                return None;
            }
            let finding = Finding::new(&MOE_ALL_TO_ALL, format!("`{name}` is an all-to-all through NCCL"))
                .severity(severity)
                .in_path(path)
                .help("exchange rows by direct writes (RDEP) instead")
                .at(Region {
                    line: start.line,
                    column: start.column,
                    end_line: end.line,
                    end_column: end.column,
                });
            Some(finding)
        })
        .collect()
}

/// Returns the imports of a library that are an all-to-all.
///
/// `ncclSend` and `ncclRecv` count only if the library can group them.
pub fn imported(imports: &[String]) -> Vec<&str> {
    let grouped = imports.iter().any(|name| name == "ncclGroupStart");
    imports
        .iter()
        .map(String::as_str)
        .filter(|name| is_exchange(name) || grouped && is_point_to_point(name))
        .collect()
}

fn is_exchange(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let collective = ["all_to_all", "alltoall", "all2all"]
        .iter()
        .any(|word| lower.contains(word));
    collective && !lower.starts_with("nvshmem") || matches!(name, "batch_isend_irecv" | "P2POp")
}

fn is_point_to_point(name: &str) -> bool {
    matches!(name, "ncclSend" | "ncclRecv")
}

/// Finds the names in a source: identifiers, and strings that contain exactly one identifier.
fn names(text: &str, language: Language) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let line_end = || at + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        if language == Language::Python && rest[0] == b'#'
            || language == Language::C && rest.starts_with(b"//")
        {
            at = line_end();
        } else if language == Language::C && rest.starts_with(b"/*") {
            at += memchr::memmem::find(&rest[2..], b"*/").map_or(rest.len(), |n| n + 4);
        } else if matches!(rest[0], b'"' | b'\'') {
            let (inside, end) = string(bytes, at, language);
            if !inside.is_empty() && bytes[inside.clone()].iter().all(|b| is_word(*b)) {
                found.push(inside);
            }
            at = end;
        } else if is_word(rest[0]) {
            let length = rest.iter().take_while(|b| is_word(**b)).count();
            found.push(at..at + length);
            at += length;
        } else {
            at += 1;
        }
    }
    found
}

/// Returns the contents of the string that starts here, and the position after it.
fn string(bytes: &[u8], start: usize, language: Language) -> (Range<usize>, usize) {
    let quote = bytes[start];
    let long = language == Language::Python && bytes[start..].starts_with(&[quote; 3]);
    let width = if long { 3 } else { 1 };
    let mut at = start + width;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\n' if !long => return (start + width..at, at),
            b if b == quote
                && bytes[at..].len() >= width
                && bytes[at..at + width].iter().all(|b| *b == quote) =>
            {
                return (start + width..at, at + width);
            }
            _ => at += 1,
        }
    }
    (bytes.len()..bytes.len(), bytes.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(path: &str, text: &str) -> Vec<(u32, u32)> {
        let source = Source::new(Some(path.to_owned()), text);
        let found = scan(&source, Severity::Error, |_, _| true);
        found
            .iter()
            .filter_map(|f| f.region)
            .map(|r| (r.line, r.column))
            .collect()
    }

    #[test]
    fn comments_and_long_strings_are_skipped() {
        let python = "# all_to_all_single\n\"\"\"no all_to_all here\"\"\"\ndist.all_to_all_single(a, b)\nx = 'the all_to_all of old'\ngetattr(dist, 'all_to_all')\n";
        assert_eq!(lines_of("nmoe/moe.py", python), [(3, 6), (5, 16)]);
        let c = "// ncclAllToAll\n/* alltoall */ int a; ncclAlltoAll(x);\nputs(\"no alltoall\");\n";
        assert_eq!(lines_of("nmoe/csrc/rdep.cu", c), [(2, 23)]);
        assert_eq!(lines_of("README.md", "all_to_all"), []);
    }

    #[test]
    fn sends_count_only_in_groups() {
        let alone = "ncclSend(a); ncclRecv(b);\n";
        assert_eq!(lines_of("a.cu", alone), []);
        assert_eq!(
            lines_of("a.cu", &format!("ncclGroupStart();\n{alone}")),
            [(2, 1), (2, 14)]
        );
        let imports = [
            "ncclSend",
            "ncclGroupStart",
            "nvshmem_alltoallmem",
            "ncclAllReduce",
        ]
        .map(str::to_owned);
        assert_eq!(imported(&imports), ["ncclSend"]);
        assert_eq!(
            imported(&["_ZN4c10d8alltoallE".to_owned()]),
            ["_ZN4c10d8alltoallE"]
        );
    }

    #[test]
    fn code_after_a_string_is_scanned() {
        assert_eq!(lines_of("a.py", "x = 'it\\'s'; all_to_all()\n"), [(1, 14)]);
        assert_eq!(
            lines_of("a.py", "x = '''a\n'b' all_to_all\n'''; all_to_all()\n"),
            [(3, 6)]
        );
        assert_eq!(lines_of("a.cu", "char c = '\"'; alltoall();\n"), [(1, 15)]);
        assert_eq!(lines_of("a.cu", "int n = 1'000'000; alltoall();\n"), [(1, 20)]);
    }

    proptest! {
        #[test]
        fn names_are_valid_ranges_of_any_text(text in "[a-z_'\"#/*\\\\\n é]{0,80}") {
            for language in [Language::Python, Language::C] {
                for at in names(&text, language) {
                    prop_assert!(text.get(at).is_some());
                }
            }
        }
    }
}
