//! Returns the libraries that the registry preloads into the processes of a gate, after a check of their digests.
//!
//! Only the registry of the base decides: `LD_PRELOAD` of the change or of the environment never reaches a gate.

use std::ffi::{OsStr, OsString};

use crate::domain::ids::Sha256;
use crate::domain::registry::{Gate, Registry, Target};
use crate::kernel::snapshot::Snapshot;

/// Returns the value of `LD_PRELOAD` for the GPU gates of a target; `None` if the registry names no library.
pub fn value(target: &Target) -> Option<OsString> {
    let paths: Vec<_> = target
        .preload
        .iter()
        .map(|library| library.path.as_os_str())
        .collect();
    (!paths.is_empty()).then(|| paths.join(OsStr::new(":")))
}

/// Checks that every library that a gate, or the gate that it compares, preloads has the digest in the registry, and a path that the
/// loader reads as one.
///
/// # Errors
/// States which library is missing or has another digest.
pub fn check(registry: &Registry, gate: &Gate) -> Result<(), String> {
    let compared = gate.compare_gate.as_deref().and_then(|id| registry.gates.get(id));
    if !std::iter::once(gate).chain(compared).any(Gate::needs_target) {
        return Ok(());
    }
    for library in &registry.target().preload {
        let path = library.path.display();
        // The loader separates libraries with colons and blanks.
        let plain = |text: &str| text.starts_with('/') && !text.contains([':', ' ', '\t', '\n']);
        if !library.path.to_str().is_some_and(plain) {
            return Err(format!(
                "preload: {path} is not an absolute path without blanks and colons"
            ));
        }
        let file =
            Snapshot::take(&library.path).map_err(|error| format!("cannot preload {path}: {error}"))?;
        let found = Sha256::of(file.bytes());
        if found != library.sha256 {
            return Err(format!(
                "preload: {path} has SHA-256 {found}; the registry allows {}",
                library.sha256
            ));
        }
    }
    Ok(())
}
