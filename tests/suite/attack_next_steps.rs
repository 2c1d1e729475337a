//! Attacks through the commands in `next`: a user who pastes a printed command into a shell must not run text of an outsider.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::attack::attack;
use crate::driver::git;
use crate::repo_fixture::{RepoFixture, commit, write};
use crate::support::contract::contract;

/// Runs a line in a shell that has no program but `touch`, and returns the files that it made.
fn paste(fixture: &RepoFixture, line: &str) -> Vec<String> {
    let dir = tempfile::TempDir::new_in(fixture.sandbox.path("tmp")).unwrap();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let touch = ["/bin/touch", "/usr/bin/touch"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    std::os::unix::fs::symlink(touch.unwrap(), bin.join("touch")).unwrap();
    let status = Command::new("/bin/bash")
        .args(["-c", line])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", &bin)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    status.unwrap();
    let names = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut made: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    made.retain(|name| name != "bin");
    made
}

/// Collects every command in this JSON with its arguments.
fn steps(value: &Value, found: &mut Vec<(String, Vec<String>)>) {
    match value {
        Value::Object(map) => {
            if let (Some(command), Some(argv)) = (map.get("command"), map.get("argv")) {
                let argv = argv
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|w| w.as_str().unwrap().to_owned());
                found.extend(
                    command
                        .as_str()
                        .map(|command| (command.to_owned(), argv.collect())),
                );
            }
            map.values().for_each(|value| steps(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| steps(value, found)),
        _ => {}
    }
}

/// Returns commands in human output: after `next:` or a colon, and in backticks.
fn printed(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    for line in text.lines() {
        found.extend(line.match_indices(": ").map(|(at, _)| {
            let command = &line[at + 2..];
            command
                .rsplit_once(" (")
                .map_or(command, |(command, _)| command)
                .to_owned()
        }));
    }
    found.retain(|command| {
        ["nmoe-gates ", "gh ", "git ", "cd "]
            .iter()
            .any(|start| command.starts_with(start))
    });
    found
}

#[test]
fn t12_pasted_next_command_runs_no_injection() {
    const ID: &str = "00$(touch made-by-id)";
    const DEPENDENCY: &str = "04; touch made-by-dependency";
    const BRANCH: &str = "issue/01-x;touch${IFS}made-by-branch;#";
    let fixture = RepoFixture::begin();
    let repo = fixture.sandbox.repo();
    let quoted = |text: &str| format!("'{text}'");
    fixture.api.issue(
        20,
        "Work",
        &contract(&quoted(ID), "evil").allow("docs/**").issue_body(),
    );
    fixture.api.issue(
        21,
        "Work",
        &contract("21", "evil")
            .depends_on(&quoted(DEPENDENCY))
            .allow("docs/**")
            .issue_body(),
    );
    git(&repo, ["checkout", "-qb", "work"]);
    write(&repo, "nmoe/train.py", "A\n");
    commit(&repo);
    git(
        &repo,
        ["push", "-q", "origin", &format!("HEAD:refs/heads/{BRANCH}")],
    );
    let head = git(&repo, ["rev-parse", "HEAD"]).trim().to_owned();
    fixture.api.pull(11, BRANCH, &head, &"0".repeat(40), "Fixes: #21");
    git(&repo, ["checkout", "-q", "master"]);
    let folder = "contracts;touch made-by-folder";
    for (name, id, depends) in [
        ("a", quoted("03"), quoted("02")),
        ("b", quoted(ID), String::new()),
    ] {
        fixture.sandbox.file(
            &format!("{folder}/{name} `touch made-by-file`.md"),
            contract(&id, "x")
                .depends_on(&depends)
                .allow("docs/**")
                .issue_body(),
        );
    }
    let commands: [&[&str]; 8] = [
        &["plan"],
        &["plan", folder],
        &["ready", "11"],
        &["ready", "--all"],
        &["start", ID],
        &["start", "03", "--contract", folder],
        &["start", "21"],
        &[
            "attest",
            "--contract",
            &format!("{folder}/a `touch made-by-file`.md"),
            "--write",
            "body;touch made-by-body;.md",
        ],
    ];
    let mut found = Vec::new();
    for command in commands {
        let json = fixture.call(&repo, &[command, &["--format", "json"]].concat());
        steps(&json.any_code().any_files().json(), &mut found);
        let human = fixture.call(&repo, command).any_code().any_files();
        for line in printed(&(human.stdout + &human.stderr)) {
            assert_eq!(paste(&fixture, &line), Vec::<String>::new(), "{line}");
        }
    }
    assert!(found.len() >= 10, "{found:#?}");
    for (command, argv) in &found {
        assert!(!argv.is_empty(), "{command}");
        assert_eq!(paste(&fixture, command), Vec::<String>::new(), "{command}");
    }
    let through = |made: &str| {
        found
            .iter()
            .any(|(command, _)| paste(&fixture, command).iter().any(|name| name == made))
    };
    for (what, naive, made) in [
        (
            "a contract id in a command",
            format!("nmoe-gates start {ID}"),
            "made-by-id",
        ),
        (
            "a dependency in a command",
            format!("nmoe-gates start {DEPENDENCY}"),
            "made-by-dependency",
        ),
        (
            "a branch in a command",
            format!("nmoe-gates lint scope --head {BRANCH}"),
            "made-by-branch",
        ),
    ] {
        attack(what, paste(&fixture, &naive) == [made], through(made));
    }
}
