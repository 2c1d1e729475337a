//! Not a listed subcommand: the first process of a gate's container. `run --container` starts it.

use std::os::fd::AsFd as _;

use crate::domain::exit::Exit;
use crate::gate::container::init::{self, Streams};

/// Runs the task that standard input brings.
pub fn run() -> anyhow::Result<Exit> {
    init::run(Streams {
        input: std::io::stdin().as_fd().try_clone_to_owned()?,
        output: std::io::stdout().as_fd().try_clone_to_owned()?,
        reports: std::io::stderr().as_fd().try_clone_to_owned()?,
    })?;
    Ok(Exit::Passed)
}
