//! `kernels`: inspects libraries, loads and checks them, and queries the driver. Each subcommand reads its inputs; `kernel`
//! decides.

pub mod check;
pub mod collectives;
pub mod driver;
pub mod inspect;

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
    /// List the contents of libraries without loading them, and check that the device code is only `sm_100a`.
    Inspect(inspect::Args),
    /// Check kernel libraries as a GPU gate does: the machine, the contents, the stamp, the self-checks.
    Check(check::Args),
    /// Find NCCL all-to-all calls on the MoE path: in sources, in a diff, in the imports of libraries.
    Collectives(collectives::Args),
    /// List the GPUs of this machine, and check whether a gate could run on them.
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
