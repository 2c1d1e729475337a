//! Tests the command line: help, unknown arguments, exit codes. Also tests that the driver is strict.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::driver::Sandbox;
use crate::expectation::Expectation;

#[test]
fn help_explains_exit_codes() {
    Sandbox::new()
        .gates(["explain", "exit-codes"])
        .expect()
        .stdout_matches(r"([^\n]+\n){7}")
        .check();
}

#[test]
fn unknown_argument_exits_2() {
    let sandbox = Sandbox::new();
    sandbox
        .gates(["frobnicate"])
        .expect()
        .status(2)
        .stderr_matches("error: [^\n]*'frobnicate'\n.*Usage: nmoe-gates .*")
        .check();
    sandbox
        .gates(["explain", "no-such-code"])
        .expect()
        .status(2)
        .stderr_matches("error: [^\n]*`no-such-code`.*`nmoe-gates explain`.*\n")
        .check();
}

#[test]
fn global_options_work_before_and_after_subcommand() {
    let sandbox = Sandbox::new();
    let before = sandbox
        .gates(["--color", "never", "explain", "timeout"])
        .expect()
        .stdout_any()
        .check();
    sandbox
        .gates(["explain", "timeout", "--color", "never"])
        .expect()
        .stdout(before.stdout)
        .check();
    sandbox
        .gates(["explain", "timeout", "--format", "dot"])
        .expect()
        .status(2)
        .stderr_matches("error: [^\n]*dot[^\n]*\n  help: [^\n]* human, json\n")
        .check();
}

/// A strict check is worth nothing if it accepts other output, another exit code or other files.
#[test]
fn unexpected_effects_fail_the_check() {
    let sandbox = Sandbox::new();
    let fails = |expectation: Expectation, reason: &str| {
        let fault = catch_unwind(AssertUnwindSafe(|| expectation.check())).unwrap_err();
        let fault = fault.downcast_ref::<String>().unwrap();
        assert!(fault.starts_with(reason), "{fault}");
    };
    let version = || sandbox.gates(["--version"]).expect();
    version().stdout_matches(r"nmoe-gates \S+\n").check();
    fails(version(), "standard output: expected \"\"");
    fails(
        version().stdout_matches("nmoe-gates"),
        "standard output: expected a match",
    );
    fails(version().stdout_json(), "standard output: expected JSON");
    fails(version().stdout_any().status(2), "exit code: expected 2");
    fails(
        version().stdout_any().stderr("x"),
        "standard error: expected \"x\"",
    );
    fails(version().stdout_any().writes("x", ""), "repo/x: not written");
    let pages = || {
        sandbox
            .gates(["man", "--dir", "pages"])
            .expect()
            .stderr_matches("[^\n]+ pages\n")
    };
    fails(pages(), "repo/pages/nmoe-gates-");
    pages().check();
}
