//! Checks that each call of the program ends with an exit code that the help of the command lists.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// The help of every command, by its words, from the page that `scripts/ci/generate-reference` writes and compares.
pub static PAGES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/commands.md");
    let page = std::fs::read_to_string(page).unwrap();
    let heading = Regex::new(r"(?m)^#{2,4} ([a-z -]+)\n\n```text\n").unwrap();
    let starts: Vec<_> = heading.captures_iter(&page).collect();
    let text = |found: &regex::Captures| {
        let rest = &page[found.get(0).unwrap().end()..];
        rest.split("\n```").next().unwrap().to_owned()
    };
    starts
        .iter()
        .map(|found| (found[1].to_owned(), text(found)))
        .collect()
});

/// Returns the words of the command that these arguments call; `None` if an option stands before or between them.
fn called<'a>(args: impl Iterator<Item = &'a OsStr>) -> Option<&'static str> {
    let mut path = String::new();
    for word in args {
        let next = format!("{path} {}", word.to_str()?);
        if !PAGES.contains_key(next.trim_start()) {
            break;
        }
        path = next;
    }
    let (name, help) = PAGES.get_key_value(path.trim_start())?;
    help.contains("\nExit codes:\n").then_some(name.as_str())
}

/// Returns the exit codes that the help of a command lists.
fn codes(help: &str) -> Vec<i32> {
    let section = help.split("\nExit codes:\n").nth(1).unwrap();
    let rows = section.lines().take_while(|line| !line.is_empty());
    rows.map(|row| row.split_whitespace().next().unwrap().parse().unwrap())
        .collect()
}

/// Asserts that the help of the called command lists this exit code. A defect of the program and a signal are in no list.
pub fn check_exit_code<'a>(args: impl Iterator<Item = &'a OsStr>, code: Option<i32>) {
    const DEFECT: i32 = 70;
    let (Some(name), Some(code)) = (called(args), code) else {
        return;
    };
    assert!(
        code == DEFECT || codes(&PAGES[name]).contains(&code),
        "the help of `{name}` does not list the exit code {code}"
    );
}
