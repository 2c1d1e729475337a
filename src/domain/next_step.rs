//! Defines the next step, which an agent can execute without other knowledge.
//!
//! The command line is made from the list of arguments, so a shell never interprets text of an outsider. A command of this program
//! repeats the directories that the current invocation names, because otherwise it would read another checkout. A command of `gh` names
//! the repository, so that it works from any directory.

use std::sync::{LazyLock, OnceLock};

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

/// The directories that the user named with global options.
#[derive(Debug, Default)]
pub struct NamedDirectories {
    /// The value of `--repo`.
    pub repo: Option<String>,
    /// The value of `--subject`.
    pub subject: Option<String>,
}

static NAMED: OnceLock<NamedDirectories> = OnceLock::new();

type Find = Box<dyn FnOnce() -> Option<String> + Send>;

/// The repository for steps of `gh`, found when the first one is made.
static REPOSITORY: OnceLock<LazyLock<Option<String>, Find>> = OnceLock::new();

/// Sets how to find the repository that every `gh` step of this process names. Later calls have no effect.
pub fn name_repository(find: impl FnOnce() -> Option<String> + Send + 'static) {
    REPOSITORY.get_or_init(|| LazyLock::new(Box::new(find)));
}

/// Names the repository in a command of `gh`, which then needs no checkout.
fn with_repository(argv: &mut Vec<String>, find: impl FnOnce() -> Option<String>) {
    let words: Vec<&str> = argv.iter().take(2).map(String::as_str).collect();
    if matches!(words[..], ["gh", "pr" | "issue" | "workflow"])
        && let Some(repository) = find()
    {
        argv.extend(["-R".to_owned(), repository]);
    }
}

/// Sets the directories that every step of this process repeats. Later calls have no effect.
pub fn repeat_directories(named: NamedDirectories) {
    NAMED.get_or_init(|| named);
}

impl NamedDirectories {
    /// Adds the options to a command of this program or of git that reads a checkout, unless the command names one.
    fn complete(&self, argv: &mut Vec<String>) {
        let program = argv.first().map(String::as_str);
        let command = argv.get(1).map(String::as_str);
        let added = match (program, command) {
            (Some(PROGRAM), Some("explain" | "--repo")) => Vec::new(),
            (Some(PROGRAM), _) => self.options(),
            (Some("git"), _) => {
                let dir = self.subject.as_deref().or(self.repo.as_deref());
                let dir = dir.map(|dir| ["-C", dir].map(str::to_owned));
                dir.into_iter().flatten().collect()
            }
            _ => Vec::new(),
        };
        let at = argv.len().min(1);
        argv.splice(at..at, added);
    }

    fn options(&self) -> Vec<String> {
        let repo = self.repo.iter().map(|dir| ["--repo", dir]);
        let subject = self.subject.iter().map(|dir| ["--subject", dir]);
        repo.chain(subject).flatten().map(str::to_owned).collect()
    }
}

const PROGRAM: &str = "nmoe-gates";

/// Returns a command with the directories of this invocation.
fn completed<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut argv = argv.into_iter().map(Into::into).collect();
    if let Some(named) = NAMED.get() {
        named.complete(&mut argv);
    }
    with_repository(&mut argv, || REPOSITORY.get()?.as_deref().map(str::to_owned));
    argv
}

/// Formats a command of this program, such as `doctor`, with the directories of this invocation.
pub fn own_line(arguments: &[&str]) -> String {
    step_line(&[&[PROGRAM], arguments].concat())
}

/// Formats a command of this program or of git with the directories of this invocation.
pub fn step_line(argv: &[&str]) -> String {
    shell_line(&completed(argv.iter().copied()))
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
        NextStep::run_after_cd(who, what, completed(argv))
    }

    /// Makes a step whose command is for the directory of an earlier `cd`, and not for those of this invocation.
    pub fn run_after_cd<S: Into<String>>(
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
        let lines: Vec<String> = commands
            .iter()
            .map(|argv| shell_line(&completed(argv.iter().copied())))
            .collect();
        NextStep::line(who, what.into(), lines.join(&format!(" {operator} ")))
    }

    /// Makes a step whose last argument is the output of another command.
    pub fn substitute(who: Who, what: impl Into<String>, argv: &[&str], last: &[&str]) -> Self {
        let line = |argv: &[&str]| shell_line(&completed(argv.iter().copied()));
        NextStep::line(who, what.into(), format!("{} \"$({})\"", line(argv), line(last)))
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

    #[test]
    fn own_commands_repeat_the_named_directories() {
        let named = NamedDirectories {
            repo: Some("/a b".to_owned()),
            subject: Some("/c".to_owned()),
        };
        let complete = |line: &str| {
            let mut argv = line.split(' ').map(str::to_owned).collect();
            named.complete(&mut argv);
            shell_line(&argv)
        };
        assert_eq!(
            complete("nmoe-gates ready 7"),
            "nmoe-gates --repo '/a b' --subject /c ready 7"
        );
        assert_eq!(complete("git push origin HEAD"), "git -C /c push origin HEAD");
        for line in [
            "nmoe-gates explain leak-ip",
            "nmoe-gates --repo /d run",
            "gh pr merge 7",
        ] {
            assert_eq!(complete(line), line);
        }
    }

    #[test]
    fn commands_of_gh_name_the_repository() {
        let complete = |line: &str, repository: Option<&str>| {
            let mut argv = line.split(' ').map(str::to_owned).collect();
            with_repository(&mut argv, || repository.map(str::to_owned));
            shell_line(&argv)
        };
        for command in ["pr merge 7", "issue view 7", "workflow run x.yml"] {
            let line = format!("gh {command}");
            assert_eq!(complete(&line, Some("o/n")), format!("{line} -R o/n"));
            assert_eq!(complete(&line, None), line);
        }
        assert_eq!(complete("git push", Some("o/n")), "git push");
    }

    #[test]
    fn substituted_command_is_quoted_by_word() {
        let step = NextStep::substitute(
            Who::Author,
            "x",
            &["printf", "%s-%s", "a b"],
            &["echo", "$(id)\" c"],
        );
        let line = step.command().unwrap_or_default();
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "a b-$(id)\" c");
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
