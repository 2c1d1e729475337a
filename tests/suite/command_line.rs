//! The command line itself: help, unknown words, exit codes.

use crate::driver::Place;

#[test]
fn exit_codes_are_explained() {
    let out = Place::new().gates(["explain", "exit-codes"]).run().exits(0);
    assert_eq!(out.stdout.lines().count(), 7, "{}", out.stdout);
}

#[test]
fn an_unknown_word_is_unusable_and_says_so() {
    let out = Place::new().gates(["frobnicate"]).run().exits(2);
    assert!(out.stderr.contains("frobnicate"), "{}", out.stderr);
    Place::new().gates(["explain", "no-such-code"]).run().exits(2);
}

#[test]
fn global_options_stand_before_and_after_the_subcommand() {
    Place::new()
        .gates(["--color", "never", "explain", "timeout"])
        .run()
        .exits(0);
    Place::new()
        .gates(["explain", "timeout", "--color", "never"])
        .run()
        .exits(0);
    let out = Place::new()
        .gates(["explain", "timeout", "--format", "dot"])
        .run()
        .exits(2);
    assert!(out.stderr.contains("it has human"), "{}", out.stderr);
}
