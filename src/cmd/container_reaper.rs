//! Not a listed subcommand: removes the container of a gate whose supervisor was killed. `run --container` starts it.

use std::ffi::OsString;

use crate::domain::exit::Exit;
use crate::gate::container::reaper;

/// Keeps the container that the arguments name.
pub fn run(words: &[OsString]) -> anyhow::Result<Exit> {
    reaper::run(words, std::env::vars_os().collect(), std::io::stdin().lock())?;
    Ok(Exit::Passed)
}
