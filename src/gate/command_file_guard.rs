//! The runner's command files while a gate runs: remembered before, compared after, put back where they were touched.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::domain::gate_environment::COMMAND_FILES;
use crate::system::files;

/// Largest command file that is remembered; the runner's own limit is far below.
const CAP: u64 = 4 << 20;

/// The folder that the runner keeps these files in.
const FOLDER: &str = "_runner_file_commands";

/// What the files held.
#[derive(Debug, Default)]
pub struct CommandFileGuard {
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    folders: Vec<PathBuf>,
}

impl CommandFileGuard {
    /// Remembers the files that the runner told us of, and all that lie beside them.
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

    /// Whether all is as it was; what is not is put back.
    pub fn intact(&self) -> bool {
        let mut intact = true;
        for (path, was) in &self.files {
            let now = match files::read_regular(path, CAP) {
                // The machine's trouble is nobody's doing.
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

/// Puts a file back; what cannot be put back is still reported as touched.
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
