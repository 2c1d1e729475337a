//! Protects the command files of the Actions runner: saves them before a gate, compares them after it, and restores changes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::domain::gate_environment::COMMAND_FILES;
use crate::system::files;

/// The largest command file that is saved; the limit of the runner is much lower.
const CAP: u64 = 4 << 20;

/// The directory where the runner keeps these files.
const FOLDER: &str = "_runner_file_commands";

/// The saved contents of the command files.
#[derive(Debug, Default)]
pub struct CommandFileGuard {
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    folders: Vec<PathBuf>,
}

impl CommandFileGuard {
    /// Saves the files that the environment names, and all files in the same directories.
    pub fn new(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let mut guard = CommandFileGuard::default();
        let named: Vec<PathBuf> = COMMAND_FILES
            .iter()
            .filter_map(|name| variable(name))
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect();
        for path in &named {
            if let Some(folder) = path.parent()
                && folder.file_name() == Some(OsStr::new(FOLDER))
                && !guard.folders.iter().any(|f| f == folder)
            {
                guard.folders.push(folder.to_owned());
            }
        }
        for path in named
            .into_iter()
            .chain(guard.folders.iter().flat_map(|f| entries(f)))
        {
            if !guard.files.iter().any(|(known, _)| *known == path) {
                let bytes = files::read_regular(&path, CAP).ok();
                guard.files.push((path, bytes));
            }
        }
        guard
    }

    /// Compares the files with their saved contents and restores changed ones. Returns whether nothing changed.
    pub fn intact(&self) -> bool {
        let mut intact = true;
        for (path, was) in &self.files {
            let now = match files::read_regular(path, CAP) {
                // The machine caused this error, not the gate.
                Err(error) if error.is_machine_fault() => continue,
                now => now.ok(),
            };
            let there = std::fs::symlink_metadata(path).is_ok();
            if now != *was || there != was.is_some() {
                intact = false;
                restore(path, was.as_deref());
            }
        }
        for path in self.folders.iter().flat_map(|f| entries(f)) {
            if !self.files.iter().any(|(known, _)| *known == path) {
                intact = false;
                restore(&path, None);
            }
        }
        intact
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|e| e.path()).collect())
        .unwrap_or_default()
}

/// Restores a file. Errors are ignored, because the change is reported in any case.
fn restore(path: &Path, bytes: Option<&[u8]>) {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let _ = std::fs::remove_dir_all(path);
        }
        Ok(meta) if !meta.is_file() || bytes.is_none() => {
            let _ = std::fs::remove_file(path);
        }
        _ => {}
    }
    if let Some(bytes) = bytes {
        let _ = files::replace(path, bytes, false);
    }
}
