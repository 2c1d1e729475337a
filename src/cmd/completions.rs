//! `completions`: prints what a shell needs to complete the command line, and completes words for bash.
//!
//! Reads only names from the registry. Must not fail for a broken registry.

use std::ffi::OsString;
use std::path::Path;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use clap_complete::{Shell, generate};

use crate::cmd::context::{Context, print_data};
use crate::cmd::explain;
use crate::cmd::help::{self, Help};
use crate::domain::exit::Exit;
use crate::domain::registry::SINGLE;
use crate::lint::context::RegistryIndex;
use crate::policy::Revision;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &[],
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &["completions bash"],
};

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
pub fn run(context: &Context, args: &Args, mut command: clap::Command) -> anyhow::Result<Exit> {
    let text = if let Some(last) = args.words.len().checked_sub(1) {
        let repo = named_repo(&args.words).unwrap_or(&context.repo);
        let mut command = with_names(command, &Names::of(repo));
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

/// The names of a registry.
#[derive(Default)]
struct Names {
    gates: Vec<String>,
    bundles: Vec<String>,
}

impl Names {
    /// Reads the registry of a repository, as far as it can be read.
    fn of(repo: &Path) -> Self {
        let file = Revision::Checkout(repo).registry_file();
        let root = file.ok().flatten().and_then(|file| file.document.root);
        root.map(RegistryIndex::new)
            .map_or_else(Names::default, |index| Names {
                gates: index.gate_ids().map(str::to_owned).collect(),
                bundles: index.bundle_ids().chain([SINGLE]).map(str::to_owned).collect(),
            })
    }
}

/// Returns the value of `--repo` in the words of a command line.
fn named_repo(words: &[OsString]) -> Option<&Path> {
    let mut values = words
        .iter()
        .enumerate()
        .filter_map(|(at, word)| match word.to_str()? {
            "--repo" => words.get(at + 1).map(Path::new),
            word => word.strip_prefix("--repo=").map(Path::new),
        });
    values.next_back()
}

/// Adds the names that are known only at run time: gates and bundles of the registry, codes and reasons.
fn with_names(command: clap::Command, names: &Names) -> clap::Command {
    let subcommand = command.get_name().to_owned();
    command
        .mut_args(|arg| match (arg.get_long(), arg.get_id().as_str()) {
            (Some("gate"), _) => arg.add(candidates(names.gates.clone())),
            (Some("bundle"), _) => arg.add(candidates(names.bundles.clone())),
            (None, "id") if subcommand == "show" => arg.add(candidates(names.gates.clone())),
            (None, "code") if subcommand == "explain" => arg.add(candidates(explain::names())),
            _ => arg,
        })
        .mut_subcommands(|command| with_names(command, names))
}

fn candidates(names: Vec<String>) -> ArgValueCandidates {
    ArgValueCandidates::new(move || names.iter().map(CompletionCandidate::new).collect())
}
