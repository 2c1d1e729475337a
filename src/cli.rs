//! The command line: global options and the list of subcommands. What a subcommand takes stands in its own file under `cmd/`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::cmd;
use crate::cmd::context::{Context, Format};
use crate::domain::exit::Exit;
use crate::system::panics;

/// Contracts, attestations and gates: lint them, run them on a B200, publish a table that can be trusted.
#[derive(Debug, Parser)]
#[command(name = "nmoe-gates", version, max_term_width = 120, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every subcommand takes, before or after its name.
#[derive(Debug, Args)]
struct Global {
    /// Policy checkout: registry, settings, templates.
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// Checkout under test; the policy checkout where absent.
    #[arg(long, global = true, value_name = "DIR")]
    subject: Option<PathBuf>,
    /// How to print the outcome; each command names what it can.
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    format: Option<Format>,
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    color: When,
    /// Say less; twice: nothing but the outcome.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    quiet: u8,
    /// Say more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

/// Arguments that help, completions and manual pages do not show.
///
/// They are added where a command line is parsed and nowhere else: the generators of completions ignore `hide`.
struct Unlisted {
    global: UnlistedGlobal,
    run: cmd::run::Unlisted,
    explain: cmd::explain::Unlisted,
}

#[derive(Debug, Args)]
struct UnlistedGlobal {
    /// Given by the program to itself.
    #[arg(long, hide = true, value_name = "PID")]
    kept_by: Option<i32>,
}

/// Parses a command line, arguments that are not listed included.
fn parse(args: &[OsString]) -> Result<(Cli, Unlisted), clap::Error> {
    let matches = UnlistedGlobal::augment_args(Cli::command())
        .mut_subcommand("run", cmd::run::Unlisted::augment_args)
        .mut_subcommand("explain", cmd::explain::Unlisted::augment_args)
        .try_get_matches_from(args)?;
    let unlisted = Unlisted {
        global: UnlistedGlobal::from_arg_matches(&matches)?,
        run: of_subcommand(&matches, "run")?,
        explain: of_subcommand(&matches, "explain")?,
    };
    Ok((Cli::from_arg_matches(&matches)?, unlisted))
}

/// Arguments of one subcommand; the defaults where another was called.
fn of_subcommand<A: FromArgMatches + Default>(matches: &ArgMatches, name: &str) -> Result<A, clap::Error> {
    let matches = matches.subcommand_matches(name);
    matches.map_or_else(|| Ok(A::default()), A::from_arg_matches)
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add what a repository lacks to work by contracts: registry, settings, forms, workflows. Never overwrites.
    Init(cmd::init::Args),
    /// Say what is missing on this machine and in this repository, each with its remedy.
    Doctor(cmd::doctor::Args),
    /// Explain a code of a finding, a reason of a verdict, or `exit-codes`.
    Explain(cmd::explain::Args),
    /// Print the JSON Schema of a document.
    Schema(cmd::schema::Args),
    /// Print a shell's completions.
    Completions(cmd::completions::Args),
    /// Print the manual page; with --dir write one for every subcommand.
    Man(cmd::man::Args),
    /// Validate contracts, attestations and the registry.
    Lint(cmd::lint::Args),
    /// Look into kernel libraries, check them, ask the driver what GPUs there are.
    Kernels(cmd::kernels::Args),
    /// List the registry's gates, show one, or resolve a selection.
    Gates(cmd::gates::Args),
    /// Compare throughput from logs, calibrate a gate's noise, keep the history.
    Perf(cmd::perf::Args),
    /// Plan the open contracts: waves that can run in parallel, hotspots, the critical path.
    Plan(cmd::plan::Args),
    /// Put results onto their pull request: one comment, one commit status.
    Publish(cmd::publish::Args),
    /// Go the whole way in a sample repository.
    Demo(cmd::demo::Args),
    /// Render recorded results for people and for machines.
    Report(cmd::report::Args),
    /// Run gates under full supervision and record what came of it.
    Run(cmd::run::Args),
    /// Decide once what a Tier-B run of a pull request is about: commits, contract, gates, cost.
    Resolve(cmd::resolve::Args),
    /// Start a contract: claim it, make its branch and worktree; or clean up what is merged.
    Start(cmd::start::Args),
    /// Fill the attestation of a pull request from what was really run, or hold it against that.
    Attest(cmd::attest::Args),
    /// Say what still blocks a merge, who can lift it and how; with --all the order to merge in.
    Ready(cmd::ready::Args),
    /// Say which images a change calls for, in which order, and why.
    Images(cmd::images::Args),
}

/// Runs one command line; the exit code is all that is left of it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    panics::end_the_process();
    let args: Vec<OsString> = args.into_iter().collect();
    let (cli, unlisted) = match parse(&args) {
        Ok(parsed) => parsed,
        Err(error) => {
            return cmd::context::command_line(&error);
        }
    };
    let global = cli.global;
    let context = Context {
        subject: global.subject.unwrap_or_else(|| global.repo.clone()),
        repo: global.repo,
        format: global.format,
        color: match global.color {
            When::Auto => None,
            When::Always => Some(true),
            When::Never => Some(false),
        },
        talk: i16::from(global.verbose) - i16::from(global.quiet),
        args: args.into_iter().skip(1).collect(),
        kept_by: unlisted.global.kept_by,
    };
    let outcome = match cli.command {
        Command::Init(args) => cmd::init::run(&context, &args),
        Command::Doctor(args) => cmd::doctor::run(&context, &args),
        Command::Explain(args) => cmd::explain::run(&context, &args, &unlisted.explain),
        Command::Schema(args) => cmd::schema::run(&context, &args),
        Command::Completions(args) => cmd::completions::run(&context, &args, Cli::command()),
        Command::Man(args) => cmd::man::run(&context, &args, Cli::command()),
        Command::Lint(args) => cmd::lint::run(&context, &args),
        Command::Kernels(args) => cmd::kernels::run(&context, &args),
        Command::Gates(args) => cmd::gates::run(&context, &args),
        Command::Perf(args) => cmd::perf::run(&context, &args),
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
