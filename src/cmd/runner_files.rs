//! Not a subcommand: appends to the files by which a step tells the Actions runner its outputs and its summary.

use std::io::Write as _;

use anyhow::Context as _;

/// The file that later steps read `name=value` lines from.
pub const OUTPUT: &str = "GITHUB_OUTPUT";
/// The file that the runner shows as Markdown on the run's page.
pub const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Appends to the file that this variable names. Outside of a workflow there is none, and nothing is written.
pub fn append(variable: &str, text: &str) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write the file that {variable} names"))
}
