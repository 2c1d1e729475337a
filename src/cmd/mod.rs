//! One file per subcommand: each parses its arguments, calls one service, prints the outcome, and returns the exit code. The
//! other files help several subcommands, and the folders are parts of the subcommand of the same name.

use crate::domain::exit::{Exit, NoVerdict};
use crate::domain::next_step::NextStep;
use crate::github::error::GitHubError;
use crate::terminal::Text;

pub mod attest;
pub mod completions;
pub mod container_reaper;
pub mod context;
pub mod contract;
pub mod contract_input;
pub mod counter;
pub mod deferred;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod first_process;
pub mod form_files;
pub mod gates;
pub mod github;
pub mod help;
pub mod help_pages;
pub mod images;
pub mod init;
pub mod input_files;
pub mod kernels;
pub mod lint;
pub mod man;
pub mod metrics;
pub mod perf;
pub mod perf_baseline;
pub mod plan;
pub mod print_findings;
pub mod publish;
pub mod ready;
pub mod report;
pub mod repository_root;
pub mod resolve;
pub mod run;
pub mod run_rank;
pub mod runner_files;
pub mod schema;
pub mod start;
pub mod state_dir;
pub mod variables;
pub mod worker;

/// Prints an error on standard error, and returns the exit code.
pub fn fail(error: &anyhow::Error) -> Exit {
    if error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    {
        return Exit::Passed;
    }
    context::say(format_args!("error: {error:#}"));
    let github = error.downcast_ref::<GitHubError>();
    if error.downcast_ref::<NoVerdict>().is_some() || github.is_some_and(|e| !e.is_setting()) {
        Exit::NoVerdict
    } else {
        Exit::Unusable
    }
}

/// Formats the next steps for people: one per line, with the command at the end.
fn next_steps(next: &[NextStep]) -> Text {
    let mut out = Text::new();
    for (n, step) in next.iter().enumerate() {
        let head = if n == 0 { "next: " } else { "      " };
        let command = step.command().map(|c| format!(": {c}")).unwrap_or_default();
        out.line(format_args!(
            "{head}{}{command} ({})",
            step.what,
            step.who.as_str()
        ));
    }
    out
}
