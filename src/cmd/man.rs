//! `man`: prints the manual pages, from the same texts as `--help`.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::cmd::context::{Context, print_data};
use crate::domain::exit::Exit;

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write `nmoe-gates.1` and one page per subcommand into this folder (default: print the first page).
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `man` for this command line.
pub fn run(context: &Context, args: &Args, command: clap::Command) -> anyhow::Result<Exit> {
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .and_then(|()| clap_mangen::generate_to(command, dir))
                .with_context(|| format!("cannot write the pages into {}", dir.display()))?;
            context.note(format_args!("wrote the pages into {}", dir.display()));
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            print_data(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Exit::Passed)
}
