//! `completions`: prints the script that lets a shell complete the command line.

use clap_complete::Shell;

use crate::cmd::context::{Context, print_data};
use crate::domain::exit::Exit;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the script for this shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs `completions` for this command line.
pub fn run(_context: &Context, args: &Args, mut command: clap::Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "nmoe-gates", &mut script);
    print_data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Passed)
}
