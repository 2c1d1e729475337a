//! Tests progress output: a heartbeat in a log, and a temporary line on a terminal. A gate waits on a FIFO until the test has
//! seen the expected output.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use regex::Regex;
use rustix::fs::{CWD, Mode};

use crate::run_fixture::RunFixture;
use crate::terminal::Terminal;

/// Creates a fixture with a gate that is silent until the test writes to the FIFO, and then prints `spoken`.
fn mute() -> (RunFixture, PathBuf) {
    let fixture = RunFixture::new();
    let fifo = fixture.sandbox.path("home/go");
    rustix::fs::mkfifoat(CWD, &fifo, Mode::from(0o600)).unwrap();
    let waits = format!("read -r word <'{}'; echo \"$word\"", fifo.display());
    fixture.gate_with("cpu:mute", &waits, "timeout_s = 300");
    (fixture, fifo)
}

fn command(fixture: &RunFixture, args: &[&str]) -> Command {
    fixture
        .call(&[&["run", "--tier", "a"], args].concat())
        .into_command()
}

/// Lets the gate continue.
fn speak(fifo: &PathBuf) {
    File::options()
        .write(true)
        .open(fifo)
        .unwrap()
        .write_all(b"spoken\n")
        .unwrap();
}

#[track_caller]
fn passes(mut child: Child) {
    assert!(child.wait().unwrap().success());
}

#[test]
fn silent_gate_prints_heartbeat() {
    let (fixture, fifo) = mute();
    let mut child = command(&fixture, &["--heartbeat", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let beat =
        Regex::new(r"^cpu:mute: running for [1-9][0-9]* s of 300 s, no output for [1-9][0-9]* s$").unwrap();
    assert_eq!(lines.next().unwrap(), "run      cpu:mute");
    for _ in 0..2 {
        let line = lines.next().unwrap();
        assert!(beat.is_match(&line), "{line}");
    }
    speak(&fifo);
    let rest: Vec<String> = lines.collect();
    let ended = rest
        .iter()
        .position(|line| line.starts_with("pass     cpu:mute"))
        .unwrap();
    assert!(rest[..ended].iter().all(|line| beat.is_match(line)), "{rest:?}");
    assert!(!rest[ended..].iter().any(|line| beat.is_match(line)), "{rest:?}");
    passes(child);
}

#[test]
fn disabled_heartbeat_prints_nothing() {
    // The gate ends after more than the shortest heartbeat; only elapsed time can test this.
    for args in [&["--heartbeat", "0"][..], &["--heartbeat", "1", "-q"]] {
        let fixture = RunFixture::new();
        fixture.gate("cpu:mute", "sleep 1.2");
        let run = fixture.run(&[&["--tier", "a"], args].concat()).exits(0);
        let out = run.out.any_output();
        assert!(!out.stderr.contains("running for"), "{args:?}: {}", out.stderr);
    }
    let fixture = RunFixture::new();
    fixture.gate("cpu:mute", "true");
    fixture
        .run(&["--tier", "a", "--heartbeat", "-1"])
        .exits(2)
        .reports("error: unexpected argument '-1' found");
}

#[test]
fn terminal_shows_temporary_progress_line() {
    let (fixture, fifo) = mute();
    let (mut terminal, slave) = Terminal::open();
    let child = command(&fixture, &[])
        .stdin(Stdio::null())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave)
        .spawn()
        .unwrap();
    let counts = Regex::new("\r\x1b\\[Kcpu:mute: [1-9][0-9]* s of 300 s").unwrap();
    let first = terminal.until(&counts);
    assert!(first.ends_with("run      cpu:mute\r\n"), "{first:?}");
    // The line is overwritten, not repeated.
    let between = terminal.until(&counts);
    assert_eq!(between, "");
    speak(&fifo);
    // The progress line is removed before the gate's output, which begins at the start of a line.
    let before = terminal.until(&Regex::new("\r\x1b\\[Kspoken\r\n").unwrap());
    assert_eq!(counts.replace_all(&before, ""), "");
    let after = terminal.until(&Regex::new("pass     cpu:mute").unwrap());
    assert!(
        !after.contains(" s of 300 s") || after.ends_with("\r\x1b[K"),
        "{after:?}"
    );
    terminal.until(&Regex::new("Gates: tier a|Gates").unwrap());
    passes(child);
}
