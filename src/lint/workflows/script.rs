//! Scripts inside workflows that cannot do what they say: backslashes doubled where nothing takes one away, and a
//! baseline that is run without being built.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::finding::Severity;
use crate::lint::workflows::codes;
use crate::lint::workflows::job::Step;
use crate::lint::workflows::sink::Sink;

/// A raw string whose doubled backslash asks for a backslash where a class was meant.
static RAW: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\br(?:"[^"\n]*|'[^'\n]*)\\\\[bBdDsSwW]"#).ok());
/// A doubled backslash before a letter that stands for a line end or a class.
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
                    "the script runs a baseline in a new worktree and builds nothing there",
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
                "the pattern asks for a backslash, so it matches nothing and the gate cannot measure",
            ),
            (None, range) => (
                range,
                Severity::Warning,
                "nothing takes one of the two backslashes away: the text will hold a backslash and a letter",
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
