//! The parts of a call's effect. Each part remembers whether the test stated it, and fails the test when it is dropped unstated.
#![allow(dead_code, reason = "not every test binary uses each of these")]

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Add, Deref};
use std::panic::Location;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use regex::Regex;

/// Parts of standard error that repeat the exit code, the results or what the fake GitHub received. A test need not state them.
static ROUTINE: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        // The summary of a lint.
        r"(?:no findings|\d+ (?:error|warning|note)s?(?:, \d+ (?:error|warning|note)s?)*)(?: in \d+ documents?)?",
        // The progress of a run, its report, and the path of its results.
        r"run      \S+",
        r"(?:pass|fail|inconclusive|invalid|cancelled|not_run|pending) +\S+(?:  .*)?",
        r"(?s:Gates(?:: [^\n]+)? — .*?\nresults: [^\n]*)",
        r"results: .*",
        // The end of a message about the command line.
        r"(?:  tip|Usage): .*",
        r"For more information, try '--help'\.",
        // The address of a published comment.
        r"the comment is .*: https://.*",
    ];
    Regex::new(&format!("(?m)^(?:{})$", parts.join("|"))).unwrap()
});

/// The call that a part belongs to, and the line of the test that made the last statement about it.
#[derive(Debug)]
pub struct Place {
    command: String,
    at: Mutex<&'static Location<'static>>,
}

impl Place {
    #[track_caller]
    pub fn of(command: &Command) -> Self {
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        Place {
            command: args.join(" "),
            at: Mutex::new(Location::caller()),
        }
    }

    pub fn now_at(&self, at: &'static Location<'static>) {
        *self.at.lock().unwrap() = at;
    }

    /// Fails the test, unless it has failed already.
    fn fail(&self, what: &str) {
        if !std::thread::panicking() {
            let at = *self.at.lock().unwrap();
            panic!(
                "{at}: the test does not state {what}\nof `nmoe-gates {}`",
                self.command
            );
        }
    }
}

/// The exit code of a call.
#[derive(Debug)]
pub struct Status {
    pub code: Option<i32>,
    pub stated: Cell<bool>,
    pub call: Arc<Place>,
}

impl Status {
    pub fn new(code: Option<i32>, call: &Arc<Place>) -> Self {
        Status {
            code,
            stated: Cell::new(false),
            call: Arc::clone(call),
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        if !self.stated.get() {
            self.call.fail(&format!("the exit code {:?}", self.code));
        }
    }
}

/// One output of a call. It is stated when the test has read it. [`Output::contains`] states only the lines with the text.
#[derive(Debug)]
pub struct Output {
    name: &'static str,
    text: String,
    pub stated: Cell<bool>,
    lines: RefCell<BTreeSet<usize>>,
    call: Arc<Place>,
}

impl Output {
    pub fn new(name: &'static str, bytes: &[u8], call: &Arc<Place>) -> Self {
        Output {
            name,
            text: String::from_utf8_lossy(bytes).into_owned(),
            stated: Cell::new(false),
            lines: RefCell::default(),
            call: Arc::clone(call),
        }
    }

    /// Whether the output contains a text. On standard error this states only the lines that contain the text.
    pub fn contains(&self, text: impl AsRef<str>) -> bool {
        let text = text.as_ref();
        let found = self.text.contains(text);
        if self.name == "standard output" {
            self.stated.set(self.stated.get() || found);
            return found;
        }
        for (at, _) in self.text.match_indices(text) {
            let first = self.text[..at].matches('\n').count();
            let more = text.trim_end().matches('\n').count();
            // Later lines of a message are indented.
            let rest = self.text.lines().skip(first + more + 1);
            let indented = rest.take_while(|line| line.starts_with("  ")).count();
            self.lines.borrow_mut().extend(first..=first + more + indented);
        }
        found
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self
    }

    /// The lines that the test does not state.
    fn unstated(&self) -> String {
        let lines = self.lines.borrow();
        let routine: Vec<_> = ROUTINE.find_iter(&self.text).map(|found| found.range()).collect();
        let mut start = 0;
        let mut unstated = String::new();
        for (n, line) in self.text.split_inclusive('\n').enumerate() {
            let is_routine =
                self.name == "standard error" && routine.iter().any(|range| range.contains(&start));
            if !lines.contains(&n) && !is_routine && line != "\n" {
                unstated.push('\n');
                unstated.push_str(line.trim_end());
            }
            start += line.len();
        }
        unstated
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let unstated = self.unstated();
        if !self.stated.get() && !unstated.is_empty() {
            self.call.fail(&format!("{}:{unstated}", self.name));
        }
    }
}

impl Deref for Output {
    type Target = str;

    fn deref(&self) -> &str {
        self.stated.set(true);
        &self.text
    }
}

impl AsRef<[u8]> for Output {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq<str> for Output {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Output {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq<String> for Output {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl PartialEq<Output> for String {
    fn eq(&self, other: &Output) -> bool {
        **self == **other
    }
}

impl PartialEq<Output> for Cow<'_, str> {
    fn eq(&self, other: &Output) -> bool {
        **self == **other
    }
}

impl PartialEq for Output {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Add<&Output> for Output {
    type Output = String;

    fn add(self, other: &Output) -> String {
        format!("{self}{other}")
    }
}

impl From<Output> for String {
    fn from(output: Output) -> Self {
        output.as_str().to_owned()
    }
}

impl From<Output> for Vec<u8> {
    fn from(output: Output) -> Self {
        output.as_bytes().to_vec()
    }
}

/// The files that a call changed.
#[derive(Debug)]
pub struct Changes {
    pub paths: Vec<String>,
    pub stated: Cell<bool>,
    call: Arc<Place>,
}

impl Changes {
    pub fn new(paths: Vec<String>, call: &Arc<Place>) -> Self {
        Changes {
            paths,
            stated: Cell::new(false),
            call: Arc::clone(call),
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if !self.stated.get() && !self.paths.is_empty() {
            self.call.fail(&format!("the changed files {:?}", self.paths));
        }
    }
}

/// The files of the checkout and of the folder for temporary files, with what changes when their content changes.
#[derive(Default)]
pub struct Files(BTreeMap<String, (u64, std::time::SystemTime)>);

impl Files {
    /// Lists the files of a sandbox, without the records of git.
    pub fn below(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.join("repo"), root.join("tmp")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(meta) = entry.path().symlink_metadata() else {
                    continue;
                };
                if !meta.is_dir() {
                    let name = entry.path().strip_prefix(root).unwrap().display().to_string();
                    files.insert(name, (meta.len(), meta.modified().unwrap()));
                } else if entry.file_name() != ".git" {
                    folders.push(entry.path());
                }
            }
        }
        Files(files)
    }

    /// Names the files that differ.
    pub fn changes(&self, after: &Files) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.0.get(*name) != after.0.get(*name))
            .cloned()
            .collect()
    }
}
