//! Parses answers of the GitHub API: no input may cause a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::github::closing_keywords::{self, Site};
use nmoe_gates::github::config::Repository;
use nmoe_gates::github::types;

fn closes(description: &str) {
    let repository = Repository::parse("octo/train").expect("a name");
    closing_keywords::closes(
        description,
        Site {
            repository: &repository,
            host: "github.com",
        },
    );
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(issue) = serde_json::from_slice::<types::Issue>(bytes) {
        closes(&issue.body);
    }
    let _ = serde_json::from_slice::<types::Pull>(bytes);
    let _ = serde_json::from_slice::<Vec<types::Comment>>(bytes);
    let _ = serde_json::from_slice::<Vec<types::Review>>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        closes(text);
    }
});
