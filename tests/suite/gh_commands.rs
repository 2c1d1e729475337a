//! Checks each command of `gh` that a call prints: it must work in another folder than the checkout.

use std::ffi::OsStr;
use std::sync::LazyLock;

use regex::Regex;

static COMMAND: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bgh (?:pr|issue|workflow) [a-z]+").unwrap());

/// Subcommands that print examples and text of users.
const QUOTING: &[&str] = &["explain", "lint", "init", "schema", "man", "demo", "help"];

/// Without `-R`, `gh` asks git in the current directory for the repository. A call that knows no repository is not checked.
pub fn check_gh_commands<'a>(
    mut args: impl Iterator<Item = &'a OsStr>,
    repository: Option<&OsStr>,
    output: &str,
) {
    let Some(repository) = repository.and_then(OsStr::to_str) else {
        return;
    };
    if args.any(|arg| QUOTING.iter().any(|word| arg == *word) || arg == "--help") {
        return;
    }
    for line in output.lines() {
        let commands = COMMAND.find_iter(line).count();
        let named = line.matches(&format!(" -R {repository}")).count();
        assert_eq!(named, commands, "a command of gh needs the folder: {line}");
        for (_, file) in line
            .match_indices("--body-file ")
            .map(|(at, word)| line.split_at(at + word.len()))
        {
            let file = file.trim_start_matches('\'');
            assert!(file.starts_with('/'), "a command of gh needs the folder: {line}");
        }
    }
}
