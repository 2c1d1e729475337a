//! Finds the folder for the state that the tool keeps between runs. Not a subcommand.

use std::path::PathBuf;

/// Returns a folder below `$XDG_STATE_HOME` or `~/.local/state`, or nothing if neither is an absolute path.
pub fn state_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("nmoe-gates"))
}
