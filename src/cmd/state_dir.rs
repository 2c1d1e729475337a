//! Finds the folder for the state that the tool keeps between runs. Not a subcommand.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::system::files;

/// Returns the folder below `$XDG_STATE_HOME` or `~/.local/state`. The folder may be absent.
///
/// # Errors
/// Neither is an absolute path, or the folder belongs to another user, who could replace what is stored there.
pub fn state_dir() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .context(
            "cannot find the state directory: neither XDG_STATE_HOME nor HOME is set\nhelp: set one of them to an absolute path, or name a file with --results",
        )?
        .join("nmoe-gates");
    files::own_or_absent(&state)?;
    Ok(state)
}
