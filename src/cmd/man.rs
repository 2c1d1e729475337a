//! `man`: prints the manual pages, from the same texts as `--help`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cmd::context::{Context, print_data};
use crate::cmd::help::{self, Help};
use crate::cmd::variables::plain;
use crate::domain::exit::Exit;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &[],
    codes: help::PRINTS,
    variables: help::OF_TERMINAL,
    examples: &["man", "man --dir man1"],
};

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write `nmoe-gates.1` and one page per subcommand into this folder (default: print the first page).
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Returns the help of the command with these words.
type HelpOf = fn(&str) -> Option<&'static Help>;

/// Runs `man` for this command line.
pub fn run(context: &Context, args: &Args, command: clap::Command, help: HelpOf) -> anyhow::Result<Exit> {
    let Some(dir) = &args.dir else {
        print_data(&page(command, None)?)?;
        return Ok(Exit::Passed);
    };
    let mut command = command.disable_help_subcommand(true);
    command.build();
    std::fs::create_dir_all(dir)
        .map_err(Into::into)
        .and_then(|()| write(&command, "", help, dir))
        .with_context(|| format!("cannot write the pages into {}", dir.display()))?;
    context.note(format_args!("wrote the pages into {}", dir.display()));
    Ok(Exit::Passed)
}

/// Writes the page of a command and of each command below it. `path` is the words of the command.
fn write(command: &clap::Command, path: &str, help: HelpOf, dir: &Path) -> anyhow::Result<()> {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = format!("{path} {}", sub.get_name());
        write(sub, path.trim_start(), help, dir)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let text = page(command.clone(), help(path))?;
    Ok(std::fs::write(dir.join(format!("{name}.1")), text)?)
}

/// Returns the manual page of one command. With a help, sections replace the text at the end of `--help`.
fn page(command: clap::Command, help: Option<&Help>) -> anyhow::Result<String> {
    let mut page = Vec::new();
    let Some(help) = help else {
        Man::new(command).render(&mut page)?;
        let page = String::from_utf8_lossy(&page);
        // The text at the end of the help begins with its heading. `clap_mangen` has only one heading for such texts.
        return Ok(page
            .replacen(".SH EXTRA\nBy role:\n", ".SH \"COMMANDS BY ROLE\"\n", 1)
            .replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n", 1));
    };
    let man = Man::new(command);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    sections(help).to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Returns the sections EXAMPLES, EXIT STATUS and ENVIRONMENT.
fn sections(help: &Help) -> Roff {
    let mut roff = Roff::new();
    let entry = |roff: &mut Roff, name: &str, says: &str| {
        roff.control("TP", []).text([bold(name)]).text([roman(says)]);
    };
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    for example in help.examples {
        roff.text([roman(format!("nmoe-gates {example}"))]);
    }
    roff.control("fi", []).control("SH", ["EXIT STATUS"]);
    for (code, says) in help.exit_codes() {
        entry(&mut roff, &code.to_string(), says);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (names, says) in help.variables.iter().flat_map(|group| group.variables) {
        entry(&mut roff, &names.join(", "), &plain(says));
    }
    roff
}
