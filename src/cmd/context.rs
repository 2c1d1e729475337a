//! Defines the global options for commands, and the functions that print to standard output and standard error.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::domain::exit::Exit;
use crate::domain::messages::Messages;
use crate::domain::paths;
use crate::domain::registry::Registry;
use crate::domain::settings::Settings;
use crate::policy::{Loaded, Revision};
use crate::terminal::{Text, color, escape};

/// All output formats. Each command accepts some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Format {
    Human,
    Json,
    Github,
    Sarif,
    Junit,
    Terminal,
    Summary,
    Comment,
    Html,
    InToto,
    Matrix,
    Mermaid,
    Dot,
}

/// The global options.
#[derive(Clone, Debug)]
pub struct Context {
    /// The policy checkout.
    pub repo: PathBuf,
    /// The checkout under test.
    pub subject: PathBuf,
    /// The requested format.
    pub format: Option<Format>,
    /// Whether to use colour; `None` to decide by the stream.
    pub color: Option<bool>,
    /// How many messages to print: −1 quiet, 0 normal, 1 verbose, …
    pub verbosity: i16,
    /// The arguments of this process, without the program name.
    pub args: Vec<OsString>,
    /// The process id of the supervisor; `None` without a supervisor.
    pub supervisor_pid: Option<i32>,
    /// The descriptor for records to the supervisor.
    pub records: Option<i32>,
}

impl Context {
    /// Returns the requested format if the command accepts it; `human` by default.
    pub fn format(&self, known: &[Format]) -> anyhow::Result<Format> {
        let format = self.format.unwrap_or(Format::Human);
        if known.contains(&format) {
            return Ok(format);
        }
        let name = |f: &Format| {
            f.to_possible_value()
                .map(|v| v.get_name().to_owned())
                .unwrap_or_default()
        };
        bail!(
            "cannot print --format {}: this command has no such format\nhelp: choose one of {}",
            name(&format),
            known.iter().map(name).collect::<Vec<_>>().join(", ")
        )
    }

    /// The policy checkout, as a revision to read files from.
    pub fn policy(&self) -> Revision<'_> {
        Revision::Checkout(&self.repo)
    }

    /// Loads the settings of the policy checkout; the defaults if the file does not exist.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        self.policy().settings()
    }

    /// Returns the budget of the policy checkout for comparisons, percent, if its settings can be read.
    pub fn budget_pct(&self) -> Option<f64> {
        self.settings().ok().map(|settings| settings.perf.budget_pct)
    }

    /// Loads the registry of the policy checkout.
    pub fn registry(&self) -> anyhow::Result<Loaded<Registry>> {
        self.policy().registry()
    }

    /// Returns the path of the registry.
    pub fn registry_path(&self) -> PathBuf {
        self.repo.join(paths::REGISTRY)
    }

    /// Prints a message to standard error, unless `--quiet` was given.
    pub fn note(&self, message: impl Display) {
        if self.verbosity >= 0 {
            say(message);
        }
    }

    /// Whether to use colour on this stream.
    pub fn color(&self, stream: &impl IsTerminal) -> bool {
        color::enabled(self.color, stream.is_terminal(), |name| std::env::var_os(name))
    }
}

impl Messages for Context {
    fn note(&self, message: &str) {
        Context::note(self, message);
    }

    fn warn(&self, message: &str) {
        say(message);
    }
}

/// Prints text for a person to standard output.
pub fn print(text: &Text) -> std::io::Result<()> {
    print_data(text.as_str())
}

/// Prints a value as indented JSON; hidden characters in its strings are escaped.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_data(&escape::json(&(serde_json::to_string_pretty(value)? + "\n")))?;
    Ok(())
}

/// Prints a value as one line of JSON, escaped like [`print_json`].
pub fn print_json_line(value: &impl Serialize) -> anyhow::Result<()> {
    print_data(&escape::json(&(serde_json::to_string(value)? + "\n")))?;
    Ok(())
}

/// Prints data for another program to standard output, unchanged: a patch, XML, a graph, a document of the user.
pub fn print_data(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a message to standard error. Lines after the first are indented.
pub fn say(message: impl Display) {
    let mut text = Text::new();
    text.message(message);
    say_text(&text);
}

/// Prints the report of a panic, which has no hidden characters, to standard error.
pub fn print_panic(report: std::fmt::Arguments<'_>) {
    // If standard error is closed, the exit code still shows the panic.
    let _ = std::io::stderr().lock().write_fmt(report);
}

/// Returns a variable of the environment, for services that read none themselves.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Prints text for a person to standard error.
pub fn say_text(text: &Text) {
    // If standard error is closed, the message has no reader.
    let _ = std::io::stderr().lock().write_all(text.as_str().as_bytes());
}

/// Prints the output of the command-line parser: help, the version, or an error that quotes the arguments. `color` is the choice of
/// the user.
pub fn command_line(error: &clap::Error, color: Option<bool>) -> Exit {
    let is_error = error.use_stderr();
    let env = |name: &str| std::env::var_os(name);
    let color = match is_error {
        true => color::enabled(color, std::io::stderr().is_terminal(), env),
        false => color::enabled(color, std::io::stdout().is_terminal(), env),
    };
    let rendered = error.render();
    let mut text = Text::new();
    match color {
        true => text.rendered(&rendered.ansi().to_string(), true),
        false => text.rendered(&rendered.to_string(), false),
    };
    if is_error {
        say_text(&text);
        return Exit::Unusable;
    }
    // If standard output is closed, the help has no reader.
    let _ = print(&text);
    Exit::Passed
}

/// Reads a file that the user named; `-` is standard input.
pub fn read_input(path: &Path) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        return std::io::read_to_string(std::io::stdin().lock()).context("cannot read standard input");
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
