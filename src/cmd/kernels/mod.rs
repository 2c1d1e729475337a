//! `kernels`: look into libraries, load and check them, ask the driver. Each subcommand gathers; `kernel` decides.

mod check;
mod collectives;
mod driver;
mod inspect;

use clap::Subcommand;

use crate::cmd::context::Context;
use crate::domain::exit::Exit;

/// Arguments of `kernels`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what libraries hold, without loading them, and say whether that is `sm_100a` and nothing else.
    Inspect(inspect::Args),
    /// Check kernel libraries as a GPU gate would: the machine, what they hold, how fresh they are, their self-checks.
    Check(check::Args),
    /// Look for an NCCL all-to-all on the MoE path: in sources, in a diff, in what libraries import.
    Collectives(collectives::Args),
    /// Ask the driver what GPUs there are, and whether a gate could run on them.
    Driver(driver::Args),
}

/// Runs `kernels`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Inspect(args) => inspect::run(context, args),
        Command::Check(args) => check::run(context, args),
        Command::Collectives(args) => collectives::run(context, args),
        Command::Driver(args) => driver::run(context, args),
    }
}
