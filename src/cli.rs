//! Parses the command line: global options and the list of subcommands.
//!
//! The arguments of a subcommand are in its own file under `cmd/`. Must not contain the logic of a command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::cmd;
use crate::cmd::context::{Context, Format};
use crate::cmd::deferred::{self, Deferred};
use crate::cmd::help::GLOBAL_OPTIONS;
use crate::cmd::help_pages;
use crate::domain::exit::Exit;
use crate::domain::next_step::{NamedDirectories, name_repository, repeat_directories};
use crate::gate::container::reaper;
use crate::system::{files, panics};

/// The commands by the person who uses them, in the order of the work.
const ROLES: &str = "By role:
  set up         init, doctor, completions, man
  author         contract, start, lint, run, attest, ready
  merge captain  plan, ready
  maintainer     resolve, run, publish, gates, images, kernels, metrics, perf
  reader         report, explain, schema, demo

Exit codes: `nmoe-gates explain exit-codes`; variables: `nmoe-gates explain environment`";

/// Lint contracts and attestations, run gates on a B200, and publish the results.
#[derive(Debug, Parser)]
#[command(
    name = "nmoe-gates",
    bin_name = "nmoe-gates",
    version,
    max_term_width = 120,
    propagate_version = true,
    after_help = ROLES
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every subcommand accepts, before or after its name.
#[derive(Debug, Args)]
struct Global {
    /// Policy checkout: registry, settings, templates (default: the repository of the current directory).
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL_OPTIONS)]
    repo: Option<PathBuf>,
    /// Directory to test (default: the value of --repo).
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL_OPTIONS)]
    subject: Option<PathBuf>,
    /// Output format. The help of each command lists its formats.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, hide_possible_values = true, help_heading = GLOBAL_OPTIONS)]
    format: Option<Format>,
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = When::Auto, help_heading = GLOBAL_OPTIONS)]
    color: When,
    /// Print fewer messages. Given twice, print only the result.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose", help_heading = GLOBAL_OPTIONS)]
    quiet: u8,
    /// Print more messages.
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = GLOBAL_OPTIONS)]
    verbose: u8,
}

/// Arguments that help, completions and manual pages do not show.
///
/// [`parse`] adds them, and no other function, because the generators of completions ignore `hide`.
struct Unlisted {
    global: UnlistedGlobal,
    run: cmd::run::Unlisted,
    explain: cmd::explain::Unlisted,
}

#[derive(Debug, Args)]
struct UnlistedGlobal {
    /// Process id of the supervisor. The program passes this to its own worker.
    #[arg(long, hide = true, value_name = "PID")]
    supervisor_pid: Option<i32>,
    /// Descriptor that takes records for the supervisor.
    #[arg(long, hide = true, value_name = "FD")]
    records: Option<i32>,
}

/// Parses a command line, including the unlisted arguments.
fn parse(args: &[OsString]) -> Result<(Cli, Unlisted), clap::Error> {
    let command = deferred::only_called(args, || {
        UnlistedGlobal::augment_args(Cli::command())
            .mut_subcommand("run", deferred::describe_called::<cmd::run::Unlisted>)
            .mut_subcommand("explain", deferred::describe_called::<cmd::explain::Unlisted>)
    });
    let matches = command
        .try_get_matches_from(args)
        .map_err(|error| with_pages(args, error))?;
    let unlisted = Unlisted {
        global: UnlistedGlobal::from_arg_matches(&matches)?,
        run: of_subcommand(&matches, "run")?,
        explain: of_subcommand(&matches, "explain")?,
    };
    Ok((Cli::from_arg_matches(&matches)?, unlisted))
}

/// Returns the help of a command line with what [`help_pages`] adds. Only a call that prints help describes these texts.
fn with_pages(args: &[OsString], error: clap::Error) -> clap::Error {
    let is_help = |kind| {
        matches!(
            kind,
            ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        )
    };
    if !is_help(error.kind()) {
        return error;
    }
    let command = deferred::only_called(args, described);
    let complete = command.try_get_matches_from(args).err();
    complete.filter(|help| is_help(help.kind())).unwrap_or(error)
}

/// Returns the complete command line, for help, completions and manual pages.
fn described() -> clap::Command {
    help_pages::add(Cli::command())
}

/// Returns the arguments of one subcommand, or the defaults if another subcommand was called.
fn of_subcommand<A: FromArgMatches + Default>(matches: &ArgMatches, name: &str) -> Result<A, clap::Error> {
    let matches = matches.subcommand_matches(name);
    matches.map_or_else(|| Ok(A::default()), A::from_arg_matches)
}

/// The values of `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl When {
    /// Returns whether to use colour; `None` to decide by the stream.
    fn choice(self) -> Option<bool> {
        match self {
            When::Auto => None,
            When::Always => Some(true),
            When::Never => Some(false),
        }
    }
}

/// Returns the value of `--color` on a command line that asks for help or cannot be parsed.
fn color_of(args: &[OsString]) -> When {
    let words = args.iter().map(|word| word.to_str().unwrap_or_default());
    let own: Vec<&str> = words.take_while(|word| *word != "--").collect();
    let values = own.iter().enumerate().filter_map(|(at, word)| match *word {
        "--color" => own.get(at + 1).copied(),
        _ => word.strip_prefix("--color="),
    });
    values
        .filter_map(|value| When::from_str(value, false).ok())
        .next_back()
        .unwrap_or(When::Auto)
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add the missing files to a repository: registry, settings, issue forms, workflows. Run again, update what it wrote.
    Init(Deferred<cmd::init::Args>),
    /// Check this machine and this repository, and print a fix for each problem.
    Doctor(Deferred<cmd::doctor::Args>),
    /// Explain a finding code, a reason code, or `exit-codes`.
    Explain(Deferred<cmd::explain::Args>),
    /// Print the JSON Schema of a document.
    Schema(Deferred<cmd::schema::Args>),
    /// Print the completion script for a shell.
    Completions(Deferred<cmd::completions::Args>),
    /// Print the manual page. With --dir, write one page per subcommand.
    Man(Deferred<cmd::man::Args>),
    /// Validate contracts, attestations and the registry.
    Lint(Deferred<cmd::lint::Args>),
    /// Inspect and check kernel libraries, and list the GPUs.
    Kernels(Deferred<cmd::kernels::Args>),
    /// List gates, show one gate, or resolve a selection of gates.
    Gates(Deferred<cmd::gates::Args>),
    /// Print what is read from a log, and what is not.
    Metrics(Deferred<cmd::metrics::Args>),
    /// Compare throughput from logs, calibrate the noise of a gate, and manage the history.
    Perf(Deferred<cmd::perf::Args>),
    /// Write a contract: print a filled one from flags.
    Contract(Deferred<cmd::contract::Args>),
    /// Plan the open contracts: waves that can run in parallel, hotspots, and the critical path.
    Plan(Deferred<cmd::plan::Args>),
    /// Publish results on their pull request: one comment and one commit status.
    Publish(Deferred<cmd::publish::Args>),
    /// Run the complete workflow in a sample repository.
    Demo(Deferred<cmd::demo::Args>),
    /// Render recorded results as text, Markdown, HTML or a machine-readable format.
    Report(Deferred<cmd::report::Args>),
    /// Run gates under supervision and record the results.
    Run(Deferred<cmd::run::Args>),
    /// Resolve the inputs of a Tier-B run: commits, contract, gates, and cost.
    Resolve(Deferred<cmd::resolve::Args>),
    /// Start a contract: claim it and create its branch and worktree. With --clean, remove merged ones.
    Start(Deferred<cmd::start::Args>),
    /// Fill the attestation of a pull request from recorded results, or compare it with them.
    Attest(Deferred<cmd::attest::Args>),
    /// Print what blocks a merge and how to fix it. With --all, print the merge order.
    Ready(Deferred<cmd::ready::Args>),
    /// Print which images a change must rebuild, in which order, and why.
    Images(Deferred<cmd::images::Args>),
}

/// Returns the absolute path, so that a printed command works in every directory.
fn absolute(dir: &Path) -> String {
    let full = files::absolute(dir);
    full.display().to_string()
}

/// Runs one command line and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    panics::exit_on_panic(cmd::context::print_panic);
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(exit) = cmd::first_process::run(&args) {
        return exit.unwrap_or_else(|error| cmd::fail(&error));
    }
    if args.get(1).is_some_and(|name| name == reaper::SUBCOMMAND) {
        return cmd::container_reaper::run(&args[2..]).unwrap_or_else(|error| cmd::fail(&error));
    }
    let args = match args.get(1).is_some_and(|name| name == cmd::run_rank::SUBCOMMAND) {
        true => match cmd::run_rank::command_line(&args[0], &args[2..]) {
            Ok(line) => line,
            Err(error) => return cmd::fail(&error),
        },
        false => args,
    };
    let (cli, unlisted) = match parse(&args) {
        Ok(parsed) => parsed,
        Err(error) => {
            return cmd::context::command_line(&error, color_of(&args).choice());
        }
    };
    let global = cli.global;
    // `run` reports a missing subject itself, because its results must say that the run was refused.
    let subject = global
        .subject
        .as_ref()
        .filter(|_| !matches!(cli.command, Command::Run(_)));
    for (option, directory) in [("--repo", global.repo.as_ref()), ("--subject", subject)] {
        if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
            return cmd::fail(&anyhow!(
                "cannot use {option} {}: there is no such directory",
                directory.display()
            ));
        }
    }
    repeat_directories(NamedDirectories {
        repo: global.repo.as_deref().map(absolute),
        subject: global.subject.as_deref().map(absolute),
    });
    let repo = global.repo.unwrap_or_else(cmd::repository_root::find);
    let context = Context {
        subject: global.subject.unwrap_or_else(|| repo.clone()),
        repo,
        format: global.format,
        color: global.color.choice(),
        verbosity: i16::from(global.verbose) - i16::from(global.quiet),
        args: args.into_iter().skip(1).collect(),
        supervisor_pid: unlisted.global.supervisor_pid,
        records: unlisted.global.records,
    };
    let of_steps = context.clone();
    name_repository(move || cmd::github::for_gh(&of_steps));
    let outcome = match cli.command {
        Command::Init(args) => cmd::init::run(&context, &args, &described()),
        Command::Doctor(args) => cmd::doctor::run(&context, &args),
        Command::Explain(args) => cmd::explain::run(&context, &args, &unlisted.explain),
        Command::Schema(args) => cmd::schema::run(&context, &args),
        Command::Completions(args) => cmd::completions::run(&context, &args, described()),
        Command::Man(args) => cmd::man::run(&context, &args, described(), help_pages::of),
        Command::Lint(args) => cmd::lint::run(&context, &args),
        Command::Kernels(args) => cmd::kernels::run(&context, &args),
        Command::Gates(args) => cmd::gates::run(&context, &args),
        Command::Metrics(args) => cmd::metrics::run(&context, &args),
        Command::Perf(args) => cmd::perf::run(&context, &args),
        Command::Contract(args) => cmd::contract::run(&context, &args),
        Command::Plan(args) => cmd::plan::run(&context, &args),
        Command::Publish(args) => cmd::publish::run(&context, &args),
        Command::Resolve(args) => cmd::resolve::run(&context, &args),
        Command::Demo(args) => cmd::demo::run(&context, &args),
        Command::Report(args) => cmd::report::run(&context, &args),
        Command::Run(args) => cmd::run::run(&context, &args, &unlisted.run),
        Command::Start(args) => cmd::start::run(&context, &args),
        Command::Attest(args) => cmd::attest::run(&context, &args),
        Command::Ready(args) => cmd::ready::run(&context, &args),
        Command::Images(args) => cmd::images::run(&context, &args),
    };
    outcome.unwrap_or_else(|error| cmd::fail(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_every_command_are_accepted() {
        help_pages::tests::check_examples(&Cli::command(), |words| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            parse(&words).map(drop)
        });
    }
}
