//! `completions`: prints what a shell needs to complete the command line, and completes words for bash.
//!
//! Reads only names from the registry. Must not fail for a broken registry.

use std::ffi::OsString;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use clap_complete::{Shell, generate};

use crate::cmd::context::{Context, print_data};
use crate::cmd::explain;
use crate::domain::exit::Exit;
use crate::domain::paths;
use crate::domain::registry::SINGLE;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the script for this shell.
    #[arg(value_enum)]
    shell: Shell,
    /// Print the completions of the last of these words, one per line. The first word is the program. The bash script calls this.
    #[arg(last = true, value_name = "WORD")]
    words: Vec<OsString>,
}

/// The bash script asks the program, because a generated script cannot know gate ids.
const BASH: &str = include_str!("../../templates/completions.bash");

/// Runs `completions` for this command line.
pub fn run(_context: &Context, args: &Args, mut command: clap::Command) -> anyhow::Result<Exit> {
    let text = if let Some(last) = args.words.len().checked_sub(1) {
        let mut command = with_names(command);
        let dir = std::env::current_dir().ok();
        complete(&mut command, args.words.clone(), last, dir.as_deref())?
            .iter()
            .map(|found| format!("{}\n", found.get_value().to_string_lossy()))
            .collect()
    } else if args.shell == Shell::Bash {
        BASH.to_owned()
    } else {
        let mut script = Vec::new();
        generate(args.shell, &mut command, "nmoe-gates", &mut script);
        String::from_utf8_lossy(&script).into_owned()
    };
    print_data(&text)?;
    Ok(Exit::Passed)
}

/// Adds the names that are known only at run time: gates and bundles of the registry, codes and reasons.
fn with_names(command: clap::Command) -> clap::Command {
    let subcommand = command.get_name().to_owned();
    command
        .mut_args(|arg| match (arg.get_long(), arg.get_id().as_str()) {
            (Some("gate"), _) => arg.add(candidates(|| registry_names("gates"))),
            (Some("bundle"), _) => arg.add(candidates(|| {
                let mut names = registry_names("bundles");
                names.push(SINGLE.to_owned());
                names
            })),
            (None, "id") if subcommand == "show" => arg.add(candidates(|| registry_names("gates"))),
            (None, "code") if subcommand == "explain" => arg.add(candidates(explain::names)),
            _ => arg,
        })
        .mut_subcommands(with_names)
}

fn candidates(names: fn() -> Vec<String>) -> ArgValueCandidates {
    ArgValueCandidates::new(move || names().into_iter().map(CompletionCandidate::new).collect())
}

/// Returns the keys of a table of the registry of the current directory, or of the nearest parent that has one.
fn registry_names(table: &str) -> Vec<String> {
    let read = || {
        let dir = std::env::current_dir().ok()?;
        let path = dir
            .ancestors()
            .map(|dir| dir.join(paths::REGISTRY))
            .find(|path| path.is_file())?;
        let registry: toml::Table = toml::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
        Some(registry.get(table)?.as_table()?.keys().cloned().collect())
    };
    read().unwrap_or_default()
}
