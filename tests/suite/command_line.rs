//! Tests the command line: help, unknown arguments, exit codes.

use crate::driver::Sandbox;

#[test]
fn help_explains_exit_codes() {
    let out = Sandbox::new().gates(["explain", "exit-codes"]).run().exits(0);
    assert_eq!(out.stdout.lines().count(), 7, "{}", out.stdout);
}

#[test]
fn unknown_argument_exits_2() {
    let out = Sandbox::new().gates(["frobnicate"]).run().exits(2);
    assert!(out.stderr.contains("frobnicate"), "{}", out.stderr);
    Sandbox::new().gates(["explain", "no-such-code"]).run().exits(2);
}

#[test]
fn global_options_work_before_and_after_subcommand() {
    Sandbox::new()
        .gates(["--color", "never", "explain", "timeout"])
        .run()
        .exits(0);
    Sandbox::new()
        .gates(["explain", "timeout", "--color", "never"])
        .run()
        .exits(0);
    let out = Sandbox::new()
        .gates(["explain", "timeout", "--format", "dot"])
        .run()
        .exits(2);
    assert!(out.stderr.contains("it has human"), "{}", out.stderr);
}
