//! Not a subcommand: the folder for what the tool keeps between its runs.

use std::path::PathBuf;

/// `$XDG_STATE_HOME`, else `~/.local/state`; nothing where neither is an absolute path.
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
