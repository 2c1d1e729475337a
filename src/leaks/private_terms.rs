//! Reads the private terms that the environment names.
//!
//! Must not read the environment itself; the caller passes a lookup.

use std::ffi::OsString;
use std::path::PathBuf;

use leakscan::private_terms::Terms;
use leakscan::private_terms::TermsError;
use leakscan::scan::Options;

/// Holds terms, one per line.
pub const VARIABLE: &str = "NMOE_PRIVATE_TERMS";

/// Holds the path of a file of terms.
pub const FILE_VARIABLE: &str = "NMOE_PRIVATE_TERMS_FILE";

/// Begins a suppression in a text.
pub const MARKER: &str = "nmoe-gates: allow ";

/// Why the private terms cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file that [`FILE_VARIABLE`] names cannot be read.
    #[error("cannot read the file that NMOE_PRIVATE_TERMS_FILE names: {0}")]
    Unreadable(std::io::ErrorKind),
    /// A line of the list is not a term.
    #[error(transparent)]
    Terms(#[from] TermsError),
}

/// Reads the private terms from two variables: one has the list, the other names a file. Without both, the list is empty.
///
/// # Errors
/// The file cannot be read, or a line is not a term.
pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Result<Terms, Error> {
    let mut list = variable(VARIABLE)
        .map(|value| value.to_string_lossy().into_owned())
        .unwrap_or_default();
    if let Some(path) = variable(FILE_VARIABLE).filter(|path| !path.is_empty()) {
        let text = std::fs::read(PathBuf::from(path)).map_err(|e| Error::Unreadable(e.kind()))?;
        list.push('\n');
        list.push_str(&String::from_utf8_lossy(&text));
    }
    Ok(Terms::parse(&list)?)
}

/// The options of every scan: the built-in rules, the private terms, and suppressions in the text.
///
/// # Errors
/// The private terms cannot be used.
pub fn options(variable: impl Fn(&str) -> Option<OsString>) -> Result<Options, Error> {
    Ok(strict_options(variable)?.with_suppressions(MARKER))
}

/// The options of a scan in which no text can suppress a leak.
///
/// # Errors
/// The private terms cannot be used.
pub fn strict_options(variable: impl Fn(&str) -> Option<OsString>) -> Result<Options, Error> {
    Ok(Options::with_terms(from_env(variable)?))
}
