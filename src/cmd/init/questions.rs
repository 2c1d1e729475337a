//! Asks the questions of `init --ask` on a terminal. Each answer has an option, so that a script can say the same.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::bail;

/// What the questions are about.
pub struct Answers {
    /// The folders of the packages to check.
    pub packages: Vec<String>,
    pub agents: bool,
    pub skill: bool,
    pub hook: bool,
}

/// Whether a person can read a question and type the answer.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for packages and optional files. An empty answer keeps what the options say.
///
/// # Errors
/// Standard input or standard error is not a terminal, or ends.
pub fn ask(answers: &mut Answers, ask_packages: bool) -> anyhow::Result<()> {
    if !can_ask() {
        bail!(
            "cannot ask questions: standard input and standard error are not a terminal\nhelp: `nmoe-gates init --package trainer --agents --skill --hook` answers without questions"
        );
    }
    if ask_packages {
        let shown = answers.packages.join(" ");
        let answer = line(&format!(
            "Folders of the packages to check, with blanks between them [{shown}]: "
        ))?;
        if !answer.is_empty() {
            answers.packages = answer.split_whitespace().map(str::to_owned).collect();
        }
    }
    answers.agents = confirm("Add a section for agents to AGENTS.md?", answers.agents)?;
    answers.skill = confirm("Add a skill file for agents to .claude/skills?", answers.skill)?;
    answers.hook = confirm("Add a git hook that checks each commit?", answers.hook)?;
    Ok(())
}

/// Asks for a yes or a no.
pub fn confirm(question: &str, default: bool) -> anyhow::Result<bool> {
    let shown = if default { "Y/n" } else { "y/N" };
    let answer = line(&format!("{question} [{shown}] "))?.to_lowercase();
    Ok(match answer.as_str() {
        "y" | "yes" => true,
        "" => default,
        _ => false,
    })
}

/// Prints a question on standard error, and reads one line.
fn line(question: &str) -> anyhow::Result<String> {
    let mut error = std::io::stderr().lock();
    error.write_all(question.as_bytes())?;
    error.flush()?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        bail!("cannot read the answer: the input ended");
    }
    Ok(answer.trim().to_owned())
}
