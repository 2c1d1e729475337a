//! Lists the commands with their [`Help`], and adds it to a command line. Not a subcommand.

use clap::Command;

use crate::cmd::help::Help;
use crate::cmd::{
    attest, completions, contract, demo, doctor, explain, gates, images, init, kernels, lint, man, metrics,
    perf, plan, publish, ready, report, resolve, run, schema, start,
};

/// Every command that has no subcommands, by its words.
const PAGES: [(&str, &Help); 39] = [
    ("init", &init::HELP),
    ("doctor", &doctor::HELP),
    ("explain", &explain::HELP),
    ("schema", &schema::HELP),
    ("completions", &completions::HELP),
    ("man", &man::HELP),
    ("lint contract", &lint::contract::HELP),
    ("lint attestation", &lint::attestation::HELP),
    ("lint registry", &lint::registry::HELP),
    ("lint safety", &lint::safety::HELP),
    ("lint workflows", &lint::workflows::HELP),
    ("lint scope", &lint::scope::HELP),
    ("lint pr", &lint::pr::HELP),
    ("kernels inspect", &kernels::inspect::HELP),
    ("kernels check", &kernels::check::HELP),
    ("kernels collectives", &kernels::collectives::HELP),
    ("kernels driver", &kernels::driver::HELP),
    ("gates list", &gates::LIST_HELP),
    ("gates show", &gates::SHOW_HELP),
    ("gates resolve", &gates::RESOLVE_HELP),
    ("metrics try", &metrics::TRY_HELP),
    ("perf compare", &perf::compare::HELP),
    ("perf calibrate", &perf::calibrate::HELP),
    ("perf history record", &perf::history::RECORD_HELP),
    ("perf history show", &perf::history::SHOW_HELP),
    ("perf history check", &perf::history::CHECK_HELP),
    ("perf history steps", &perf::history::STEPS_HELP),
    ("perf history plot", &perf::history::PLOT_HELP),
    ("contract new", &contract::NEW_HELP),
    ("plan", &plan::HELP),
    ("publish", &publish::HELP),
    ("demo", &demo::HELP),
    ("report", &report::HELP),
    ("run", &run::HELP),
    ("resolve", &resolve::HELP),
    ("start", &start::HELP),
    ("attest", &attest::HELP),
    ("ready", &ready::HELP),
    ("images", &images::HELP),
];

/// Returns the help of a command; `None` for a command that has subcommands.
pub fn of(command: &str) -> Option<&'static Help> {
    PAGES
        .iter()
        .find(|(name, _)| *name == command)
        .map(|(_, help)| *help)
}

/// Adds the help to every command below this one.
pub fn add(command: Command) -> Command {
    below(command, "")
}

/// Adds the help to the commands below `path`, the words before the subcommands of `command`.
fn below(command: Command, path: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let command = match of(path) {
        Some(help) => command.arg(help.format()).after_help(help.text()),
        None if path.is_empty() => command,
        None => command.after_help(first_examples(path)),
    };
    names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |sub| below(sub, path.trim_start()))
    })
}

/// Returns the first example of each command below a command.
fn first_examples(path: &str) -> String {
    let below = PAGES
        .iter()
        .filter(|(name, _)| name.strip_prefix(path).is_some_and(|rest| rest.starts_with(' ')));
    let examples = below.filter_map(|(_, help)| help.examples.first());
    let lines: Vec<String> = examples
        .map(|example| format!("  nmoe-gates {example}"))
        .collect();
    format!("Examples:\n{}", lines.join("\n"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Returns the words of every command that has no subcommands.
    fn leaves(command: &Command, path: &str) -> Vec<String> {
        let subs: Vec<&Command> = command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
            .collect();
        match subs.as_slice() {
            [] => vec![path.trim_start().to_owned()],
            subs => subs
                .iter()
                .flat_map(|sub| leaves(sub, &format!("{path} {}", sub.get_name())))
                .collect(),
        }
    }

    /// Checks that every command has examples, and that `parse` accepts each as a call of the command.
    pub fn check_examples(command: &Command, parse: impl Fn(&[&str]) -> Result<(), clap::Error>) {
        let leaves = leaves(command, "");
        let listed: Vec<&str> = PAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(leaves, listed);
        for (name, help) in PAGES {
            assert!(!help.examples.is_empty() && help.codes.len() > 1, "{name}");
            for example in help.examples {
                assert!(
                    example
                        .split(' ')
                        .collect::<Vec<_>>()
                        .starts_with(&name.split(' ').collect::<Vec<_>>()),
                    "{name}: {example}"
                );
                let words: Vec<&str> = ["nmoe-gates"].into_iter().chain(example.split(' ')).collect();
                parse(&words).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }
}
