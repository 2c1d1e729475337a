//! Does anything exchange rows through an NCCL all-to-all? In sources by identifier, in libraries by what they import.
//!
//! Reads code only: comments are skipped, and so is every string that is more than a bare name. It cannot see a name that
//! is put together at run time; the imports of the library that was built are the second look.

use std::ops::Range;
use std::path::Path;

use crate::document::Source;
use crate::domain::finding::{Finding, Region, Severity};
use crate::domain::path_pattern::PathPattern;
use crate::git::{Git, GitError, added};
use crate::kernel::codes::MOE_ALL_TO_ALL;

/// Files where rows go between experts.
pub const MOE_PATH: [&str; 6] = [
    "nmoe/moe.py",
    "nmoe/rdep.py",
    "nmoe/model.py",
    "nmoe/blockscaled/**",
    "nmoe/csrc/**",
    "nmoe-csrc/**",
];

/// How a language marks what is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Python,
    C,
}

/// The language of a path, where it is one that is looked at.
fn language(path: &str) -> Option<Language> {
    match Path::new(path).extension()?.to_str()? {
        "py" | "pyx" => Some(Language::Python),
        "c" | "cc" | "cpp" | "cu" | "cuh" | "h" | "hpp" | "inl" => Some(Language::C),
        _ => None,
    }
}

/// Whether a path is looked at at all.
pub fn is_source(path: &str) -> bool {
    language(path).is_some()
}

/// The patterns of the MoE path, compiled.
pub fn moe_path() -> Vec<PathPattern> {
    MOE_PATH
        .iter()
        .filter_map(|text| PathPattern::new(text).ok())
        .collect()
}

/// What the commits up to `head` bring with them since they left `base`: in a source of the MoE path that they touch, every
/// all-to-all is an error, whoever wrote it; in any other source, one on an added line is a warning. Each source is given
/// as it is at `head`.
///
/// # Errors
/// git cannot be run or refuses.
pub fn in_change(git: &Git, base: &str, head: &str) -> Result<Vec<(Source, Vec<Finding>)>, GitError> {
    let path = moe_path();
    let changed = added::since_fork(git, base, head)?;
    let mut found = Vec::new();
    let sources = changed.iter().filter(|file| is_source(&file.path));
    added::contents(git, head, sources, |file, text| {
        let source = Source::new(Some(file.path.clone()), String::from_utf8_lossy(text));
        let findings = if path.iter().any(|p| p.matches(&file.path)) {
            scan(&source, Severity::Error, |_, _| true)
        } else {
            scan(&source, Severity::Warning, |first, last| file.adds(first, last))
        };
        found.push((source, findings));
    })?;
    Ok(found)
}

/// Every all-to-all of a source on lines that count.
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

/// The imports of a library that are an all-to-all; `ncclSend` and `ncclRecv` count where they can be grouped.
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

/// The names in the code of a text: identifiers, and strings that are nothing but an identifier.
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

/// What stands in the string that begins here, and where it ends.
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
    fn code_counts_and_comments_do_not() {
        let python = "# all_to_all_single\n\"\"\"no all_to_all here\"\"\"\ndist.all_to_all_single(a, b)\nx = 'the all_to_all of old'\ngetattr(dist, 'all_to_all')\n";
        assert_eq!(lines_of("nmoe/moe.py", python), [(3, 6), (5, 16)]);
        let c = "// ncclAllToAll\n/* alltoall */ int a; ncclAlltoAll(x);\nputs(\"no alltoall\");\n";
        assert_eq!(lines_of("nmoe/csrc/rdep.cu", c), [(2, 23)]);
        assert_eq!(lines_of("README.md", "all_to_all"), []);
    }

    #[test]
    fn sends_count_where_they_are_grouped() {
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
    fn a_string_is_not_left_too_late() {
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
        fn any_text_is_read(text in "[a-z_'\"#/*\\\\\n é]{0,80}") {
            for language in [Language::Python, Language::C] {
                for at in names(&text, language) {
                    prop_assert!(text.get(at).is_some());
                }
            }
        }
    }
}
