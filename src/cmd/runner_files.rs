//! Appends to the files of the Actions runner: the outputs and the summary of a step. Not a subcommand.

use std::io::Write as _;

use anyhow::Context as _;

/// Later steps read `name=value` lines from the file in this variable.
pub const OUTPUT: &str = "GITHUB_OUTPUT";
/// The runner shows the file in this variable as Markdown on the page of the run.
pub const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Appends to the file that this variable names. Does nothing outside of a workflow, where the variable is not set.
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
