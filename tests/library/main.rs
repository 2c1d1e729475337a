//! Tests of the library's own functions: properties, references and damaged inputs.
//!
//! What a user can see of the program is tested in `tests/suite`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

// The fuzz targets import the macro of libfuzzer by this name.
extern crate self as libfuzzer_sys;

mod attest;
#[path = "../suite/documented_fixture.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod documented_fixture;
#[path = "../suite/driver.rs"]
mod driver;
#[path = "../suite/exit_codes.rs"]
mod exit_codes;
#[path = "../suite/expectation.rs"]
mod expectation;
#[path = "../suite/fake_github.rs"]
mod fake_github;
#[path = "../suite/fake_graphql.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod fake_graphql;
mod fuzz_targets;
#[path = "../suite/gh_commands.rs"]
mod gh_commands;
mod github;
mod inspect;
mod lint_properties;
mod parse_once;
mod pathspec;
mod perf_simulation;
mod perf_statistics;
mod stamp;
#[path = "../suite/statement.rs"]
mod statement;
mod subject;
#[path = "../suite/support/mod.rs"]
mod support;

/// Compiles the body of a fuzz target, and never runs it. Stands last, so that the targets find it only by their import.
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: $type:ty| $body:block) => {
        const _: fn($type) = |$input: $type| $body;
    };
}
