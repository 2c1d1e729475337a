//! States the complete effect of a call in one expression: exit code, standard output, standard error and files.
//!
//! The default is exit code 0, no output and no changed file. Everything that differs from the statement fails the test.
#![allow(dead_code, reason = "not every test binary uses each of these")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use crate::driver::{Call, Outcome};

/// A call with its expected effect.
#[must_use = "`check` runs the call"]
pub struct Expectation {
    call: Call,
    status: i32,
    stdout: Output,
    stderr: Output,
    files: BTreeMap<String, Output>,
}

/// The expectation of a text.
enum Output {
    Text(String),
    Pattern(Regex),
    Json,
    Any,
}

/// The files below a folder by relative path, without the repositories' own records.
type Files = BTreeMap<String, Vec<u8>>;

impl Expectation {
    /// Expects exit code 0, no output and no changed file.
    pub fn new(call: Call) -> Self {
        Expectation {
            call,
            status: 0,
            stdout: Output::Text(String::new()),
            stderr: Output::Text(String::new()),
            files: BTreeMap::new(),
        }
    }

    /// Expects this exit code.
    pub fn status(self, status: i32) -> Self {
        Expectation { status, ..self }
    }

    /// Expects exactly this standard output.
    pub fn stdout(self, text: impl Into<String>) -> Self {
        let stdout = Output::Text(text.into());
        Expectation { stdout, ..self }
    }

    /// Expects standard output that this pattern matches completely; `.` also matches line ends.
    pub fn stdout_matches(self, pattern: &str) -> Self {
        let stdout = Output::pattern(pattern);
        Expectation { stdout, ..self }
    }

    /// Expects one JSON document on standard output, which the test compares by [`Outcome::json`].
    pub fn stdout_json(self) -> Self {
        let stdout = Output::Json;
        Expectation { stdout, ..self }
    }

    /// Expects some standard output, which the test compares with a snapshot.
    pub fn stdout_any(self) -> Self {
        let stdout = Output::Any;
        Expectation { stdout, ..self }
    }

    /// Expects exactly this standard error.
    pub fn stderr(self, text: impl Into<String>) -> Self {
        let stderr = Output::Text(text.into());
        Expectation { stderr, ..self }
    }

    /// Expects standard error that this pattern matches completely; `.` also matches line ends.
    pub fn stderr_matches(self, pattern: &str) -> Self {
        let stderr = Output::pattern(pattern);
        Expectation { stderr, ..self }
    }

    /// Expects that the call creates or changes this file of the checkout, with this content.
    pub fn writes(mut self, path: &str, content: impl Into<String>) -> Self {
        self.files
            .insert(format!("repo/{path}"), Output::Text(content.into()));
        self
    }

    /// Runs the call and asserts the complete effect.
    #[track_caller]
    pub fn check(self) -> Outcome {
        let root = self.call.root().to_owned();
        let before = files(&root);
        let out = self.call.run();
        let after = files(&root);
        let mut faults = Vec::new();
        if out.code() != Some(self.status) {
            faults.push(format!(
                "exit code: expected {}, found {:?}",
                self.status,
                out.code()
            ));
        }
        faults.extend(self.stdout.fault("standard output", &out.stdout));
        faults.extend(self.stderr.fault("standard error", &out.stderr));
        let changed: BTreeSet<&String> = before
            .keys()
            .chain(after.keys())
            .filter(|path| before.get(*path) != after.get(*path))
            .collect();
        for path in &changed {
            match (self.files.get(*path), after.get(*path)) {
                (Some(expected), Some(content)) => {
                    faults.extend(expected.fault(path, &String::from_utf8_lossy(content)));
                }
                (_, None) => faults.push(format!("{path}: removed")),
                (None, Some(_)) => faults.push(format!("{path}: written, but not expected")),
            }
        }
        for path in self.files.keys().filter(|path| !changed.contains(path)) {
            faults.push(format!("{path}: not written"));
        }
        assert!(
            faults.is_empty(),
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            faults.join("\n"),
            out.stdout,
            out.stderr
        );
        out.any_code().any_output().any_files()
    }
}

impl Output {
    fn pattern(pattern: &str) -> Self {
        Output::Pattern(Regex::new(&format!("(?s)^(?:{pattern})$")).unwrap())
    }

    /// Describes how the found text differs from the expected text.
    fn fault(&self, name: &str, found: &str) -> Option<String> {
        match self {
            Output::Text(text) if text != found => {
                Some(format!("{name}: expected {text:?}, found {found:?}"))
            }
            Output::Pattern(pattern) if !pattern.is_match(found) => {
                Some(format!("{name}: expected a match of {pattern}, found {found:?}"))
            }
            Output::Json => serde_json::from_str::<serde_json::Value>(found)
                .err()
                .map(|error| format!("{name}: expected JSON: {error}")),
            Output::Any if found.is_empty() => Some(format!("{name}: expected output, found none")),
            _ => None,
        }
    }
}

/// Reads the files below a folder. Content of links is their target; special files have no content.
fn files(root: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                if entry.file_name() != ".git" {
                    folders.push(path);
                }
                continue;
            }
            let content = if kind.is_symlink() {
                std::fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if kind.is_file() {
                std::fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, content);
        }
    }
    found
}
