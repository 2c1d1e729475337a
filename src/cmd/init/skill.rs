//! Renders the skill file of `init --skill`: how an agent works on an issue, from the section of AGENTS.md and the program's own tables.
//!
//! Must not contain text that another table has: commands, exit codes and finding codes are read from their tables.

use minijinja::context;

use crate::cmd::explain;
use crate::cmd::init::render::render;
use crate::domain::exit::Exit;

const TEMPLATE: &str = include_str!("../../../templates/init/SKILL.md");

/// Returns the skill file for this command line. `agents` is the section of AGENTS.md.
pub fn text(command: &clap::Command, agents: &str) -> anyhow::Result<String> {
    let commands: Vec<(String, String)> = command
        .get_subcommands()
        .filter(|subcommand| subcommand.get_name() != "help")
        .map(|subcommand| {
            let about = subcommand.get_about().map(ToString::to_string);
            (subcommand.get_name().to_owned(), about.unwrap_or_default())
        })
        .collect();
    let exit_codes: Vec<(u8, &str)> = Exit::TABLE
        .iter()
        .map(|(exit, says)| (exit.code(), *says))
        .collect();
    render(
        TEMPLATE,
        context! {
            version => env!("CARGO_PKG_VERSION"),
            work => agents.trim_end(),
            commands => commands,
            exit_codes => exit_codes,
            families => explain::families(),
        },
    )
}
