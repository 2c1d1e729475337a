//! The black-box suite: drives the program under test (see `support::program`) the way a person or a workflow would.
//!
//! Nothing here may use the library: that is what `tests/library` is for. A test that takes longer than five seconds is
//! named `slow_…`, so that a filter can leave it out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod act;
mod act_get;
mod act_release;
mod action;
mod api;
mod api_faults;
mod attack;
mod attack_around;
mod attack_next;
mod attack_publish;
mod attack_run;
mod attack_secrets;
mod attest;
mod color;
mod command_line;
mod demo;
mod doctor;
mod documented;
mod documented_scene;
mod driver;
mod gates;
mod get_program;
mod held;
mod hostile_environment;
mod house;
mod images;
mod init;
mod kernel_check;
mod kernel_collectives;
mod kernel_csrc;
mod kernel_driver;
mod kernel_host;
mod kernel_inspect;
mod kernel_run;
mod kernel_static;
mod layers;
mod life;
mod life_next;
mod lint_claims;
mod lint_defects;
mod lint_documents;
mod lint_fix;
mod lint_formats;
mod lint_forms;
mod lint_incumbent;
mod lint_pr;
mod lint_workflows;
mod openapi;
mod output_escaping;
mod perf_arms;
mod perf_bench;
mod perf_health;
mod perf_records;
mod perf_stages;
mod plan;
mod publish;
mod ready;
mod release;
mod report;
mod resolve;
mod run_crash;
mod run_escape;
mod run_model;
mod run_record;
mod run_rows;
mod run_talk;
mod run_world;
mod safety;
mod scope;
mod snapshots;
mod stage;
mod start;
mod support;
mod terminal;
mod tls;
