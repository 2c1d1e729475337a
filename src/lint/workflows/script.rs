//! Rules for scripts in workflows that cannot work: doubled backslashes that stay doubled, and a baseline that is not built.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::finding::Severity;
use crate::lint::workflows::codes;
use crate::lint::workflows::job::Step;
use crate::lint::workflows::sink::Sink;

/// A raw string in which a doubled backslash matches a backslash instead of a character class.
static RAW: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\br(?:"[^"\n]*|'[^'\n]*)\\\\[bBdDsSwW]"#).ok());
/// A doubled backslash before a letter of a line end or a character class.
static DOUBLED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\\\\[nbdsw(]").ok());

pub(super) fn judge(step: &Step, sink: &mut Sink) {
    let github_script = step
        .uses
        .as_ref()
        .is_some_and(|(uses, _)| uses.starts_with("actions/github-script@"));
    for span in &step.scripts {
        let raw = sink.source.text()[span.clone()].to_owned();
        let verbatim = github_script || raw.contains("<<'") || raw.contains("<<\"") || raw.contains("sed ");
        if verbatim {
            doubled(&raw, span.start, sink);
        }
        if let Some(at) = raw.find("worktree\", \"add").or_else(|| raw.find("worktree add")) {
            let builds = ["make", "cmake", "setup.py", "pip install", "cargo build"]
                .iter()
                .any(|b| raw[at..].contains(b));
            if !builds {
                let at = span.start + at;
                sink.push(
                    &codes::UNBUILT_BASELINE,
                    &(at..at + "worktree".len()),
                    "the script runs a baseline in a new worktree without building it",
                );
            }
        }
    }
}

fn doubled(raw: &str, start: usize, sink: &mut Sink) {
    let mut offset = start;
    for line in raw.split_inclusive('\n') {
        let hit =
            |regex: &LazyLock<Option<Regex>>| regex.as_ref().and_then(|r| r.find(line)).map(|m| m.range());
        let (found, severity, message) = match (hit(&RAW), hit(&DOUBLED)) {
            (Some(range), _) => (
                Some(range),
                Severity::Error,
                "the pattern matches a literal backslash, so the gate measures nothing",
            ),
            (None, range) => (
                range,
                Severity::Warning,
                "the doubled backslash stays doubled, so the text contains a backslash and a letter",
            ),
        };
        if let Some(range) = found {
            sink.push_as(
                &codes::DOUBLED_BACKSLASH,
                severity,
                &(offset + range.start..offset + range.end),
                message,
            );
        }
        offset += line.len();
    }
}
