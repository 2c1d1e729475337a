//! Tests the defects of the first review that no other test covers, the list of all of them, and every command in a bare repository.

use regex::Regex;

use crate::driver::{Outcome, Sandbox, git};
use crate::every_command::{examples, repository};

/// The page with the defects and their tests.
const PAGE: &str = "docs/development/first-hour.md";

#[test]
fn each_defect_names_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
    let row = Regex::new(r"(?m)^\| B(\d+) \|[^|]*\| `([\w/]+)::(\w+)` \|$").unwrap();
    let rows: Vec<[&str; 3]> = row.captures_iter(&page).map(|row| row.extract().1).collect();
    let numbers: Vec<usize> = rows.iter().map(|[number, ..]| number.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=35).collect::<Vec<_>>());
    for [number, file, name] in rows {
        let path = match file.strip_prefix("src/") {
            Some(_) => format!("{file}.rs"),
            None => format!("tests/suite/{file}.rs"),
        };
        let source = std::fs::read_to_string(root.join(path)).unwrap();
        let test = Regex::new(&format!(r"#\[test\]\s+fn {name}\(\) \{{")).unwrap();
        assert!(test.is_match(&source), "B{number}: {file}::{name}");
    }
}

/// B17: reasons and topics ignored the format. B23: the error ran into its help.
#[test]
fn explain_answers_in_json_and_names_help() {
    let sandbox = Sandbox::new();
    for name in ["timeout", "exit-codes", "environment", "out-of-scope", "pending"] {
        let json = sandbox
            .gates(["explain", name, "--format", "json"])
            .run()
            .exits(0)
            .json();
        assert!(json.is_object(), "{name}: {json}");
    }
    sandbox
        .gates(["explain", "zzzz"])
        .expect()
        .status(2)
        .stderr(
            "error: cannot explain `zzzz`: no code or word has this name\n  help: `nmoe-gates explain` lists all\n",
        )
        .check();
}

/// The error of a command that needs a checkout names the bare repository, and no step that fails there, too.
#[test]
fn bare_repository_is_named_by_every_command() {
    let sandbox = repository();
    git(&sandbox.path(""), ["clone", "-q", "--bare", "repo", "bare.git"]);
    let bare = sandbox.path("bare.git");
    let here = |words: &[&str]| -> Outcome {
        let call = sandbox.gates(words).current_dir(&bare);
        call.run().any_code().any_output().any_files()
    };
    let needs_checkout: [&[&str]; 7] = [
        &["init"],
        &["gates", "list"],
        &["run", "--tier", "a"],
        &["lint", "registry"],
        &["lint", "workflows"],
        &["lint", "safety"],
        &["doctor"],
    ];
    for words in needs_checkout {
        let out = here(words);
        let said = [out.stdout.as_str(), out.stderr.as_str()].concat();
        assert_ne!(out.code(), Some(0), "{words:?}: {said}");
        assert!(said.contains("a bare repository"), "{words:?}: {said}");
        assert!(!said.contains("nmoe-gates init\n"), "{words:?}: {said}");
    }
    // The others work there, or their error is about something else that is named.
    for (name, words) in examples() {
        let out = here(&words);
        let is_named = out.stderr.starts_with("error: ") || out.code() != Some(2);
        assert!(is_named && out.code() < Some(70), "{name}: {}", out.stderr);
    }
}
