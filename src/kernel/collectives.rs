//! Finds NCCL all-to-all exchanges: in sources by identifier, in libraries by imported symbol.
//!
//! Skips comments and every string that is more than one identifier. Cannot find a name that a program builds at run
//! time; the check of the imports finds those. Must not depend on how findings are printed.

use cuda_inspect::inspect::Inspection;

use crate::document::Source;
use crate::domain::finding::{Finding, Region, Severity};
use crate::domain::path_pattern::PathPattern;
use crate::git::added_lines::{self, Blobs};
use crate::git::codes::unread_file;
use crate::git::{Git, GitError};
use crate::kernel::codes::MOE_ALL_TO_ALL;
use crate::kernel::source_names::{Language, names};

/// Whether a path is scanned.
pub fn is_source(path: &str) -> bool {
    Language::of(path).is_some()
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
    let mut found = Vec::new();
    let mut blobs = Blobs::open(git)?;
    for file in added_lines::since_fork(git, base, head)? {
        let path = file.shown();
        if !is_source(&path) {
            continue;
        }
        let Some(text) = blobs.content(&file)? else {
            found.push((Source::new(Some(path.clone()), ""), vec![unread_file(&path)]));
            continue;
        };
        let source = Source::new(Some(path.clone()), String::from_utf8_lossy(&text));
        let findings = if moe.iter().any(|p| p.matches(&path)) {
            scan(&source, Severity::Error, |_, _| true)
        } else {
            scan(&source, Severity::Warning, |first, last| file.adds(first, last))
        };
        found.push((source, findings));
    }
    Ok(found)
}

/// Finds every all-to-all in a source, on the lines that `counts` selects.
pub fn scan(source: &Source, severity: Severity, counts: impl Fn(u32, u32) -> bool) -> Vec<Finding> {
    let path = source.name().unwrap_or_default();
    let Some(language) = Language::of(path) else {
        return Vec::new();
    };
    let names = names(source.text(), language);
    let grouped = names.iter().any(|name| name.text == "ncclGroupStart");
    names
        .into_iter()
        .filter_map(|found| {
            let name = found.text.as_ref();
            if !(is_exchange(name) || grouped && is_point_to_point(name)) {
                return None;
            }
            let (start, end) = source.places(&found.at);
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

/// Returns the names of an all-to-all that a library imports, or has as a string for `dlsym`.
///
/// `ncclSend` and `ncclRecv` count only if the library can group them.
pub fn used_by(library: &Inspection) -> Vec<&str> {
    let names = || {
        let all = library.imports.iter().chain(&library.nccl_strings);
        all.map(String::as_str)
    };
    let grouped = names().any(|name| name == "ncclGroupStart");
    let mut found: Vec<&str> = names()
        .filter(|name| is_exchange(name) || grouped && is_point_to_point(name))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn is_exchange(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let collective = ["all_to_all", "alltoall", "all2all"]
        .iter()
        .any(|word| lower.contains(word));
    // NCCL 2.28 and later: exchanges from the device (`ncclLLA2ASession`, `ncclGinInboxA2A…`), and one-sided calls.
    let device = lower.starts_with("nccl") && lower.contains("a2a") || name.starts_with("ncclGin");
    collective && !lower.starts_with("nvshmem")
        || device
        || matches!(
            name,
            "batch_isend_irecv"
                | "P2POp"
                | "ncclPutSignal"
                | "ncclWaitSignal"
                | "pncclPutSignal"
                | "pncclWaitSignal"
        )
}

/// Whether a call is an all-to-all if it is grouped with others of its kind.
fn is_point_to_point(name: &str) -> bool {
    let name = name.strip_prefix('p').unwrap_or(name);
    matches!(name, "ncclSend" | "ncclRecv" | "ncclGather" | "ncclScatter")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let library = |imports: &[&str], strings: &[&str]| {
            let mut library = cuda_inspect::inspect::inspect(b"", cuda_inspect::arch::Arch::SM_100A, &[]);
            library.imports = imports.iter().map(|name| (*name).to_owned()).collect();
            library.nccl_strings = strings.iter().map(|name| (*name).to_owned()).collect();
            library
        };
        let imports = [
            "ncclSend",
            "ncclGroupStart",
            "nvshmem_alltoallmem",
            "ncclAllReduce",
        ];
        assert_eq!(used_by(&library(&imports, &[])), ["ncclSend"]);
        let mangled = ["_ZN4c10d8alltoallE"];
        assert_eq!(used_by(&library(&mangled, &[])), mangled);
        assert_eq!(used_by(&library(&[], &["ncclAllToAll"])), ["ncclAllToAll"]);
        let grouped = ["ncclGather", "ncclGroupStart"];
        assert_eq!(used_by(&library(&grouped, &[])), ["ncclGather"]);
    }

    #[test]
    fn newer_exchanges_of_nccl_are_found() {
        let c = "ncclGin gin;\nncclLLA2ASession a;\nncclLLA2ACreateRequirement(b);\nncclPutSignal(c); ncclBcast(d);\n";
        assert_eq!(lines_of("a.cu", c), [(1, 1), (2, 1), (3, 1), (4, 1)]);
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
}
