//! Defines the finding about a change that git cannot read. Must not contain the code that reads the change.

use crate::domain::finding::{Finding, codes};

codes! {
    UNREAD_FILE = "unread-file", Error,
        "a changed file that git cannot read",
        "The repository does not have the content of a file that the change adds or edits, so nothing was checked in it. The clone is incomplete, such as a partial clone, or damaged. Fetch the objects and run the lint again.",
        "git clone --filter=blob:none URL",
        "git clone URL";
}

/// Reports a changed file that git cannot read.
pub fn unread_file(path: &str) -> Finding {
    Finding::new(&UNREAD_FILE, format!("git cannot read the content of {path}"))
        .in_path(path)
        .help("Fetch the missing objects, and run the lint again.")
}
