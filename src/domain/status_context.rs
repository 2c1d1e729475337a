//! Names the commit statuses of this tool.

/// The start of each name.
pub const PREFIX: &str = "nmoe-gates/";

/// Returns the name of the commit status of a publication.
pub fn status_context(key: &str) -> String {
    format!("{PREFIX}{key}")
}
