//! What every command gets: the checkouts, the format, how much to say, and the two ways to say it.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::domain::settings::{self, Settings};

/// Every format there is; each command takes some of them.
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

/// The global options, as a command sees them.
#[derive(Clone, Debug)]
pub struct Context {
    /// Policy checkout.
    pub repo: PathBuf,
    /// Checkout under test.
    pub subject: PathBuf,
    /// Format that was asked for.
    pub format: Option<Format>,
    /// Colour: forced on, forced off, or decided by the stream.
    pub color: Option<bool>,
    /// How much to say: −1 quiet, 0, 1 verbose, …
    pub talk: i16,
    /// The arguments that this process was called with, without its name.
    pub args: Vec<OsString>,
    /// The process that keeps this one, where one does.
    pub kept_by: Option<i32>,
}

impl Context {
    /// The format to use, if this command has it; `human` where none was asked for.
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
            "--format {} is not for this command; it has {}",
            name(&format),
            known.iter().map(name).collect::<Vec<_>>().join(", ")
        )
    }

    /// The settings of the policy checkout; defaults where there is no file.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let path = self.repo.join(settings::PATH);
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("cannot use {}", path.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Where the registry is.
    pub fn registry_path(&self) -> PathBuf {
        self.repo.join("configs/gates/gates.toml")
    }

    /// Says something about the work on standard error, unless the user asked for quiet.
    pub fn note(&self, line: &str) {
        if self.talk >= 0 {
            say(line);
        }
    }
}

/// Prints data to standard output.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Says a line on standard error; a closed one is nobody listening.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Reads a document the user named; `-` is standard input.
pub fn read_input(path: &Path) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        return std::io::read_to_string(std::io::stdin().lock()).context("cannot read standard input");
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
