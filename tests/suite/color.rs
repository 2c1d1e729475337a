//! Tests that every command follows the same rule for colour.

use std::io::Write as _;
use std::process::Stdio;

use regex::Regex;

use crate::run_fixture::RunFixture;
use crate::terminal::Terminal;

/// Returns what a command writes to a terminal with this environment.
fn on_a_terminal(fixture: &RunFixture, args: &[&str], env: &[(&str, &str)]) -> String {
    let (mut terminal, mut slave) = Terminal::open();
    let mut call = fixture.call(args).env("TERM", "xterm");
    for (name, value) in env {
        call = call.env(name, value);
    }
    let mut child = call
        .into_command()
        .stdin(Stdio::null())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave.try_clone().unwrap())
        .spawn()
        .unwrap();
    child.wait().unwrap();
    slave.write_all(b"END OF OUTPUT\n").unwrap();
    terminal.until(&Regex::new("END OF OUTPUT").unwrap())
}

/// `lint`, `report` and `run` once had three rules: an empty `NO_COLOR` counted in two of them, `TERM=dumb` in one.
#[test]
fn every_command_follows_one_color_rule() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:ok", "true");
    fixture.run(&["--tier", "a"]).exits(0);
    let results = fixture.results().display().to_string();
    fixture.sandbox.file("contract.yml", "nmoe:\n  issue: 01\n");
    let commands: [&[&str]; 4] = [
        &["lint", "contract", "contract.yml"],
        &["report", &results],
        &["run", "--tier", "a"],
        &["report", "--flag"],
    ];
    for command in commands {
        let colored = |env: &[(&str, &str)], extra: &[&str]| {
            let out = on_a_terminal(&fixture, &[command, extra].concat(), env);
            assert!(out.len() > 20, "{command:?}: {out:?}");
            out.contains("\u{1b}[1") || out.contains("\u{1b}[3") || out.contains("\u{1b}[4")
        };
        assert!(colored(&[], &[]), "{command:?}");
        assert!(
            colored(&[("NO_COLOR", "")], &[]),
            "an empty NO_COLOR: {command:?}"
        );
        assert!(!colored(&[("NO_COLOR", "1")], &[]), "NO_COLOR: {command:?}");
        assert!(!colored(&[("TERM", "dumb")], &[]), "TERM=dumb: {command:?}");
        assert!(
            colored(&[("NO_COLOR", "1")], &["--color", "always"]),
            "{command:?}"
        );
        assert!(!colored(&[], &["--color", "never"]), "{command:?}");
    }
}
