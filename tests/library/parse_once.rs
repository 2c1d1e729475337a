//! Checks that no command parses a contract, an attestation or a registry twice.
//!
//! The parsers record what they read only in this process. So this test binary runs each command itself: [`command`] is the
//! child process.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use nmoe_gates::cli;
use nmoe_gates::document::parse_log;
use serde_json::json;

use crate::documented_fixture::{DocumentedFixture, State};

/// Writes a program that runs a command line in this test binary and stores the parsed texts in `parsed.json`.
fn recorder(fixture: &DocumentedFixture) -> String {
    let program = fixture.root().join("record");
    let binary = std::env::current_exe().unwrap();
    // `run` starts a worker from its own file, except as the worker of the calling shell.
    let script = format!(
        "#!/bin/sh\ncase $1 in run) supervisor=--supervisor-pid=$PPID;; esac\n\
         export RECORDED_LINE=\"$supervisor $*\" RECORD='{}'\n\
         exec '{}' --exact parse_once::command --ignored --nocapture\n",
        fixture.root().join("parsed.json").display(),
        binary.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.display().to_string()
}

#[test]
#[ignore = "the child process of `no_command_parses_a_document_twice`"]
fn command() {
    let Ok(line) = std::env::var("RECORDED_LINE") else {
        return;
    };
    parse_log::enable();
    let exit = cli::main(
        std::iter::once("nmoe-gates")
            .chain(line.split_whitespace())
            .map(Into::into),
    );
    let record = json!({"exit": format!("{exit:?}"), "texts": parse_log::take()});
    std::fs::write(std::env::var("RECORD").unwrap(), record.to_string()).unwrap();
}

/// Makes the merge of pull request 12, here and on GitHub.
fn merge(fixture: &mut DocumentedFixture) {
    fixture.does("git commit-tree 'HEAD^{tree}' -p origin/master -p HEAD -m Merge > ../merge");
    fixture.does("git rev-parse origin/master HEAD 'HEAD^{tree}' > ../commits");
    let read =
        |name: &str| std::fs::read_to_string(fixture.root().join("nmoe-worktrees").join(name)).unwrap();
    let (merge, commits) = (read("merge").trim().to_owned(), read("commits"));
    let commits: Vec<&str> = commits.lines().collect();
    let commit = json!({
        "sha": merge, "tree": {"sha": commits[2]}, "parents": [{"sha": commits[0]}, {"sha": commits[1]}],
    });
    let mut state = fixture.api().state();
    state.refs.insert("pull/12/merge".to_owned(), merge.clone());
    state.commits.insert(merge, commit);
}

#[test]
fn no_command_parses_a_document_twice() {
    let mut fixture = DocumentedFixture::new(State::Worked);
    let record = recorder(&fixture);
    merge(&mut fixture);
    fixture.does("nmoe-gates resolve --pr 12 --gate cpu:import --output resolution.json");
    fixture.does("git checkout -q --detach \"$(cat ../merge)\"");
    fixture.does("nmoe-gates run --resolution resolution.json --gate cpu:import --results ~/parts.json");
    let lines = [
        (
            "gates resolve --contract issue.md",
            None,
            ["nmoe:", "[gates."].as_slice(),
        ),
        ("lint scope --contract issue.md", None, &["nmoe:"]),
        (
            "run --contract issue.md --gate cpu:import --results ../../home/third.json",
            None,
            &["nmoe:", "[gates."],
        ),
        ("plan issue.md", None, &["nmoe:"]),
        (
            "start 03a --contract issue.md --dry-run",
            None,
            &["nmoe:", "[gates."],
        ),
        ("lint contract issue.md", None, &["nmoe:", "[gates."]),
        (
            "lint attestation pr.md --contract issue.md",
            None,
            &["nmoe:", "nmoe_pr:", "[gates."],
        ),
        (
            "lint attestation pr.md --contract issue.md --results ../../home/parts.json",
            None,
            &["nmoe:", "nmoe_pr:", "[gates."],
        ),
        ("lint registry", None, &["[gates."]),
        ("lint pr", Some("pull_request"), &["nmoe:", "nmoe_pr:", "[gates."]),
        (
            "resolve --pr 12 --gate cpu:import",
            None,
            &["nmoe:", "nmoe_pr:", "[gates."],
        ),
        (
            "run --resolution resolution.json --gate cpu:import --results ../../home/again.json",
            None,
            &["nmoe:", "[gates."],
        ),
        (
            "publish ../../home/parts.json --pr 12 --resolution resolution.json --dry-run",
            None,
            &["[gates."],
        ),
        (
            "attest pr.md --contract issue.md",
            None,
            &["nmoe:", "nmoe_pr:", "[gates."],
        ),
        (
            "attest --verify pr.md --contract issue.md",
            None,
            &["nmoe:", "nmoe_pr:", "[gates."],
        ),
        ("ready 12", None, &["nmoe:", "nmoe_pr:", "[gates."]),
        ("ready --all", None, &["nmoe:", "nmoe_pr:", "[gates."]),
        (
            "ready 12 --results ../../home/parts.json",
            None,
            &["nmoe:", "nmoe_pr:", "[gates."],
        ),
        ("plan", None, &["nmoe:"]),
        ("doctor", None, &["[gates."]),
        ("gates list", None, &["[gates."]),
        ("gates show cpu:import", None, &["[gates."]),
        (
            "contract new 09 --slug x --allow nmoe/train.py",
            None,
            &["[gates."],
        ),
        ("lint workflows", None, &[]),
        ("report ../../home/parts.json", None, &["[gates."]),
    ];
    for (line, event, documents) in lines {
        let left = fixture.line(&format!("'{record}' {line}"), event);
        let record = std::fs::read_to_string(fixture.root().join("parsed.json"));
        let record: serde_json::Value =
            serde_json::from_str(&record.unwrap_or_else(|error| panic!("{line}: {error}\n{}", left.said)))
                .unwrap();
        std::fs::remove_file(fixture.root().join("parsed.json")).unwrap();
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for text in record["texts"].as_array().unwrap() {
            *times.entry(text.as_str().unwrap()).or_default() += 1;
        }
        for document in documents {
            let parsed = times.keys().any(|text| text.contains(document));
            assert!(parsed, "{line} parsed no `{document}`\n{}", left.said);
        }
        for (text, times) in times {
            assert_eq!(times, 1, "{line} parsed this more than once:\n{text}");
        }
    }
}
