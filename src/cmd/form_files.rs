//! Finds the issue form and the pull-request template of a checkout, where GitHub looks for them.
//!
//! Must not write files.

use std::path::Path;

/// The issue form that `init` writes.
pub const ISSUE_FORM: &str = ".github/ISSUE_TEMPLATE/work_item.yml";
/// The pull-request template that `init` writes.
const PULL_REQUEST_TEMPLATE: &str = ".github/pull_request_template.md";
/// The folders where GitHub looks for a pull-request template, and its file name in any case.
const FOLDERS: [&str; 3] = [".github", "", "docs"];
const NAME: &str = "pull_request_template.md";

/// Returns the path of the pull-request template: that of the checkout, or the one that `init` writes.
pub fn pull_request_template(repo: &Path) -> String {
    let in_folder = |folder: &str| {
        let entries = std::fs::read_dir(repo.join(folder))
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let name = names
            .filter(|name| name.eq_ignore_ascii_case(NAME) && repo.join(folder).join(name).is_file())
            .min()?;
        Some(match folder {
            "" => name,
            folder => format!("{folder}/{name}"),
        })
    };
    FOLDERS
        .into_iter()
        .find_map(in_folder)
        .unwrap_or_else(|| PULL_REQUEST_TEMPLATE.to_owned())
}

/// Returns the paths of both forms.
pub fn paths(repo: &Path) -> [String; 2] {
    [ISSUE_FORM.to_owned(), pull_request_template(repo)]
}
