//! `perf`: a verdict from logs that already exist, the noise of identical code, and the history of what was measured.

pub mod calibrate;
pub mod compare;
pub mod history;

use clap::Subcommand;

use crate::cmd::context::Context;
use crate::domain::exit::Exit;

/// Arguments of `perf`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare two sets of logs or recorded results, without running anything.
    Compare(compare::Args),
    /// Measure identical code in pairs, and store its noise.
    Calibrate(calibrate::Args),
    /// Record comparisons by commit, find the commits that changed a metric, and draw the history.
    History(history::Args),
}

/// Runs `perf`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        Command::Compare(args) => compare::run(context, args),
        Command::Calibrate(args) => calibrate::run(context, args),
        Command::History(args) => history::run(context, args),
    }
}
