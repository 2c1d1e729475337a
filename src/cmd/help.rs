//! Defines what the help and the manual page of a command say after its options: examples, formats, exit codes, environment. Not a subcommand.
//!
//! Each command has one [`Help`] in its own file. Must not name a command.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ValueEnum as _};

use crate::cmd::context::Format;
use crate::cmd::variables::{GITHUB, Group, HOOKS, KERNELS, RUNS, STATE, TERMINAL, TERMS, WORKFLOWS};
use crate::domain::exit::Exit;

/// The heading of the options that every command accepts.
pub const GLOBAL_OPTIONS: &str = "Global options";

/// What the help of one command says after its options.
#[derive(Debug)]
pub struct Help {
    /// The formats that the command can print. Empty if the command ignores `--format`.
    pub formats: &'static [Format],
    /// The exit codes of the command.
    pub codes: &'static [Exit],
    /// The environment variables that the command reads.
    pub variables: &'static [&'static Group],
    /// Command lines that show the usual use, without the name of the program and without quotes.
    pub examples: &'static [&'static str],
}

/// Text for people, or one JSON object.
pub const TEXT_OR_JSON: &[Format] = &[Format::Human, Format::Json];

/// Exit codes of a command that only prints or writes.
pub const PRINTS: &[Exit] = &[Exit::Passed, Exit::Unusable];
/// Exit codes of a check that reads only this machine.
pub const CHECKS: &[Exit] = &[Exit::Passed, Exit::Failed, Exit::Unusable];
/// Exit codes of a command that needs an answer of GitHub, a remote or a driver.
pub const ASKS: &[Exit] = &[Exit::Passed, Exit::Unusable, Exit::NoVerdict];
/// Exit codes of a command that gives a verdict.
pub const VERDICTS: &[Exit] = &[Exit::Passed, Exit::Failed, Exit::Unusable, Exit::NoVerdict];
/// Exit codes of a command that runs gates.
pub const RUNS_GATES: &[Exit] = &[
    Exit::Passed,
    Exit::Failed,
    Exit::Unusable,
    Exit::NoVerdict,
    Exit::Interrupted,
    Exit::Terminated,
];

/// Variables of a command that reads no others.
pub const OF_TERMINAL: &[&Group] = &[&TERMINAL];
/// Variables of a command that sends requests to GitHub.
pub const OF_GITHUB: &[&Group] = &[&GITHUB, &STATE, &TERMINAL];
/// Variables of a command that reads the event of a workflow and sends requests to GitHub.
pub const OF_EVENT: &[&Group] = &[&WORKFLOWS, &GITHUB, &STATE, &TERMINAL];
/// Variables of a command that reads only the event of a workflow.
pub const OF_EVENT_FILE: &[&Group] = &[&WORKFLOWS, &TERMINAL];
/// Variables of a command that does both, and scans for private data.
pub const OF_EVENT_AND_SCAN: &[&Group] = &[&WORKFLOWS, &GITHUB, &STATE, &TERMS, &TERMINAL];
/// Variables of a command that scans for private data.
pub const OF_SCAN: &[&Group] = &[&TERMS, &HOOKS, &TERMINAL];
/// Variables of a command that scans for private data and sends requests to GitHub.
pub const OF_SCAN_AND_GITHUB: &[&Group] = &[&TERMS, &HOOKS, &GITHUB, &STATE, &TERMINAL];
/// Variables of a command that reads the results of the last run.
pub const OF_RESULTS: &[&Group] = &[&STATE, &GITHUB, &TERMINAL];
/// Variables of a command that loads kernels.
pub const OF_KERNELS: &[&Group] = &[&KERNELS, &TERMINAL];
/// Variables of a command that measures a gate and publishes nothing.
pub const OF_MEASUREMENT: &[&Group] = &[&RUNS, &STATE, &KERNELS, &TERMINAL];
/// Variables of a command that runs gates.
pub const OF_RUN: &[&Group] = &[&RUNS, &STATE, &TERMS, &KERNELS, &WORKFLOWS, &GITHUB, &TERMINAL];

impl Help {
    /// Returns the end of the help text.
    pub fn text(&self) -> String {
        let mut text = "Examples:\n".to_owned();
        for example in self.examples {
            text.push_str(&format!("  nmoe-gates {example}\n"));
        }
        text.push_str("\nExit codes:\n");
        for (code, says) in self.exit_codes() {
            text.push_str(&format!("  {code:<3}  {says}\n"));
        }
        let names: Vec<&str> = self.variables.iter().flat_map(|group| group.names()).collect();
        text.push_str(&format!(
            "\nEnvironment (`nmoe-gates explain environment`):\n  {}",
            names.join(", ")
        ));
        text
    }

    /// Returns the exit codes with their meaning.
    pub fn exit_codes(&self) -> impl Iterator<Item = (u8, &'static str)> {
        let rows = Exit::TABLE.iter().filter(|(exit, _)| self.codes.contains(exit));
        rows.map(|(exit, says)| (exit.code(), *says))
    }

    /// Returns the option `--format` with the formats of this command.
    pub fn format(&self) -> Arg {
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .hide(self.formats.is_empty())
            .help_heading(GLOBAL_OPTIONS)
            .help("Output format (default: human)")
            .value_parser(PossibleValuesParser::new(
                self.formats.iter().filter_map(Format::to_possible_value),
            ))
    }
}
