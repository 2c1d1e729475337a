//! Defines the next step, which an agent can execute without other knowledge.
//!
//! The command line is made from the list of arguments, so a shell never interprets text of an outsider.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who can take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The person who works on the contract.
    Author,
    /// The person who reviews.
    Reviewer,
    /// The person who merges work into the base branch.
    MergeCaptain,
    /// The person who approves runs on the B200 runner.
    Maintainer,
}

impl Who {
    /// Returns the name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Who::Author => "author",
            Who::Reviewer => "reviewer",
            Who::MergeCaptain => "merge captain",
            Who::Maintainer => "maintainer",
        }
    }
}

/// The next step of the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextStep {
    /// Who can take the step.
    pub who: Who,
    /// Description of the step.
    pub what: String,
    /// The command, quoted for a POSIX shell; null if a person must decide.
    command: Option<String>,
    /// The same command as a list of arguments that needs no shell; `cd` changes the directory of the steps after it.
    #[serde(default)]
    argv: Option<Vec<String>>,
}

impl NextStep {
    /// Makes a step with a command.
    pub fn run<S: Into<String>>(
        who: Who,
        what: impl Into<String>,
        argv: impl IntoIterator<Item = S>,
    ) -> Self {
        let argv: Vec<String> = argv.into_iter().map(Into::into).collect();
        NextStep {
            who,
            what: what.into(),
            command: Some(shell_line(&argv)),
            argv: Some(argv),
        }
    }

    /// Makes a step with several commands and a shell operator between them, such as `&&` or `|`.
    pub fn join(who: Who, what: impl Into<String>, operator: &'static str, commands: &[&[&str]]) -> Self {
        let lines: Vec<String> = commands.iter().map(|argv| shell_line(argv)).collect();
        NextStep::line(who, what.into(), lines.join(&format!(" {operator} ")))
    }

    /// Makes a step whose command needs a shell. The line is static, so it cannot contain text of an outsider.
    pub fn script(who: Who, what: impl Into<String>, line: &'static str) -> Self {
        NextStep::line(who, what.into(), line.to_owned())
    }

    fn line(who: Who, what: String, line: String) -> Self {
        NextStep {
            who,
            what,
            argv: Some(vec!["sh".to_owned(), "-c".to_owned(), line.clone()]),
            command: Some(line),
        }
    }

    /// Makes a step without a command, which a person must decide.
    pub fn manual(who: Who, what: impl Into<String>) -> Self {
        NextStep {
            who,
            what: what.into(),
            command: None,
            argv: None,
        }
    }

    /// The command, quoted for a POSIX shell.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }
}

/// Writes a command as a line for a POSIX shell, and quotes the words that need it.
pub fn shell_line<S: AsRef<str>>(argv: &[S]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quoted(word.as_ref())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// Returns the words that a real shell reads from a line.
    fn words(line: &str) -> Vec<String> {
        let script = format!("p() {{ for w do printf '%s\\0' \"$w\"; done; }}; p {line}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{line:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn plain_words_stay_plain() {
        let argv = [
            "gh",
            "pr",
            "merge",
            "7",
            "--match-head-commit",
            "abc",
            "-f",
            "a=b:c",
            "",
        ];
        assert_eq!(
            shell_line(&argv),
            "gh pr merge 7 --match-head-commit abc -f a=b:c ''"
        );
    }

    #[test]
    fn joined_commands_are_quoted_by_word() {
        let step = NextStep::join(Who::Author, "x", "|", &[&["echo", "a;b"], &["cat"]]);
        assert_eq!(step.command(), Some("echo 'a;b' | cat"));
        assert_eq!(
            step.argv.as_deref(),
            Some(&["sh", "-c", "echo 'a;b' | cat"].map(str::to_owned)[..])
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        #[test]
        fn shell_reads_back_the_same_words(
            argv in prop::collection::vec("([^\\x00]|['\"\\\\$`;|&<>(){}*?~#! \n\t]){0,12}", 1..5)
        ) {
            let step = NextStep::run(Who::Author, "x", argv.clone());
            prop_assert_eq!(words(step.command().unwrap_or_default()), argv);
        }
    }
}
