//! Returns the libraries that the registry preloads into the processes of a gate, after a check of their digests.
//!
//! Only the registry of the base decides: `LD_PRELOAD` of the change or of the environment never reaches a gate.

use std::ffi::OsString;

use crate::domain::ids::Sha256;
use crate::domain::registry::Target;
use crate::kernel::snapshot::Snapshot;

/// Returns the value of `LD_PRELOAD` for the GPU gates of a target; `None` if the registry names no library.
///
/// # Errors
/// States which library is missing or has another digest.
pub fn value(target: &Target) -> Result<Option<OsString>, String> {
    let mut value = OsString::new();
    for library in &target.preload {
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
        if !value.is_empty() {
            value.push(":");
        }
        value.push(&library.path);
    }
    Ok((!value.is_empty()).then_some(value))
}
