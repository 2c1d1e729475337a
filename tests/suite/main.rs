//! The black-box suite: runs the program under test (see `support::program`) as a user or a workflow does.
//!
//! The suite must not use the library; `tests/library` does. A test that takes longer than five seconds is
//! named `slow_…`, so that a filter can skip it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod act;
mod act_get;
mod act_release;
mod action;
mod attack;
mod attack_forgery;
mod attack_isolation;
mod attack_next_steps;
mod attack_publish;
mod attack_run;
mod attack_secrets;
mod attack_setup;
mod attack_workflows;
mod attest;
mod automaton;
mod color;
mod command_line;
mod completions;
mod container;
mod demo;
mod doctor;
mod documented_commands;
mod documented_fixture;
mod driver;
mod expectation;
mod fake_github;
mod first_hour;
mod gates;
mod get_program;
mod github;
mod github_faults;
mod hostile_environment;
mod images;
mod init;
mod inline_runner;
mod kernel_check;
mod kernel_collectives;
mod kernel_csrc;
mod kernel_driver;
mod kernel_host;
mod kernel_inspect;
mod kernel_run;
mod kernel_static;
mod layers;
mod lint_claims;
mod lint_defects;
mod lint_documents;
mod lint_fix;
mod lint_formats;
mod lint_forms;
mod lint_pr;
mod lint_templates;
mod lint_traps;
mod lint_workflows;
mod metrics;
mod numeric;
mod one_answer;
mod openapi;
mod output_escaping;
mod perf_bench;
mod perf_comparison;
mod perf_gpu_health;
mod perf_interruptions;
mod perf_metrics;
mod perf_records;
mod plan;
mod publish;
mod pull_fixture;
mod pull_on_github;
mod python_wheel;
mod ready;
mod ready_scale;
mod release;
mod repo_consistency;
mod repo_fixture;
mod report;
mod resolve;
mod run_crash;
mod run_environment;
mod run_escape;
mod run_fixture;
mod run_gates;
mod run_model;
mod run_progress;
mod run_record;
mod run_rehearsal;
mod run_resolution;
mod safety;
mod scope;
mod snapshots;
mod source_graph;
mod start;
mod statement;
mod support;
mod terminal;
mod tls;
mod workflow_e2e;
mod workflow_next_steps;
