//! Prints the result of `start`, for people and for agents.

use std::path::Path;

use serde::Serialize;

use crate::cmd::context::{Context, Format, print, print_json};
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, FindingJson, Severity};
use crate::domain::next_step::{NextStep, Who};
use crate::plan::Item;
use crate::terminal::Text;
use crate::workspace::clean::Row;
use crate::workspace::main_worktree::MainWorktree;

/// The result of `start`.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    issue: String,
    started: bool,
    branch: Option<String>,
    worktree: Option<String>,
    base: Option<String>,
    claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<String>,
    findings: Vec<FindingJson>,
    next: Vec<NextStep>,
}

impl Report {
    fn new(issue: &str, findings: &[Finding], next: Vec<NextStep>) -> Self {
        Report {
            schema: 1,
            issue: issue.to_owned(),
            started: false,
            branch: None,
            worktree: None,
            base: None,
            claim: None,
            would: None,
            findings: findings.iter().map(FindingJson::from).collect(),
            next,
        }
    }

    /// Reports that nothing was created.
    pub fn refused(issue: &str, findings: &[Finding], next: Vec<NextStep>) -> Self {
        Report::new(issue, findings, next)
    }

    /// Reports that a claim was released.
    pub fn released(issue: &str, claim: &str, next: NextStep) -> Self {
        Report {
            claim: Some(claim.to_owned()),
            ..Report::new(issue, &[], vec![next])
        }
    }

    /// Reports what a call without `--dry-run` would do.
    pub fn planned(issue: &str, would: String) -> Self {
        Report {
            would: Some(would),
            ..Report::new(issue, &[], Vec::new())
        }
    }

    /// Reports that branch and worktree exist.
    pub fn started(main: &MainWorktree, item: &Item, base: &str, claim: &str, warnings: &[Finding]) -> Self {
        let tree = main.worktree(item);
        let worktree = tree.display().to_string();
        let submodules = tree.join(".gitmodules").exists().then(|| {
            NextStep::run_after_cd(
                Who::Author,
                "check out the submodules in the worktree",
                ["git", "submodule", "update", "--init", "--recursive"],
            )
        });
        let mut next = vec![
            NextStep::run(
                Who::Author,
                "go to the worktree and do the work",
                ["cd", &worktree],
            ),
            NextStep::run_after_cd(
                Who::Author,
                "before each commit: check the staged change",
                ["nmoe-gates", "lint", "scope", "--cached"],
            ),
            NextStep::manual(Who::Author, "commit the work"),
            NextStep::run_after_cd(
                Who::Author,
                "run Tier A on the commit",
                ["nmoe-gates", "run", "--tier", "a"],
            ),
            // The file is next to the worktree. Inside, it would be an uncommitted change.
            NextStep::run_after_cd(
                Who::Author,
                "write the attestation",
                ["nmoe-gates", "attest", "--write", &format!("{worktree}.md")],
            ),
        ];
        if let Some(step) = submodules {
            next.insert(1, step);
        }
        Report {
            started: true,
            branch: Some(main.branch(item)),
            worktree: Some(worktree),
            base: Some(base.to_owned()),
            claim: Some(claim.to_owned()),
            ..Report::new(&item.issue, warnings, next)
        }
    }

    /// Prints the report; a refusal is a failure.
    pub fn print(&self, context: &Context) -> anyhow::Result<Exit> {
        if context.format == Some(Format::Json) {
            print_json(self)?;
        } else {
            print(&self.human())?;
        }
        let refused = self.findings.iter().any(|f| f.severity == Severity::Error);
        Ok(if refused { Exit::Failed } else { Exit::Passed })
    }

    fn human(&self) -> Text {
        let mut out = Text::new();
        match (&self.branch, &self.worktree, &self.claim) {
            _ if self.would.is_some() => {
                out.line(self.would.as_deref().unwrap_or_default());
            }
            (Some(branch), Some(worktree), _) => {
                out.line(format_args!(
                    "started {}: branch {branch} in {worktree}",
                    self.issue
                ));
            }
            (_, _, Some(_)) => {
                out.line(format_args!("{} is free again", self.issue));
            }
            _ => {
                out.line(format_args!("{} was not started", self.issue));
            }
        }
        for finding in &self.findings {
            let word = finding.severity.as_str();
            out.line(format_args!("{word}[{}]: {}", finding.code, finding.message));
            if let Some(help) = &finding.help {
                out.line(format_args!("  help: {help}"));
            }
        }
        out.append(&crate::cmd::next_steps(&self.next));
        out
    }
}

/// The result of `start --clean`.
#[derive(Debug, Serialize)]
pub struct CleanReport {
    schema: u32,
    dry_run: bool,
    branches: Vec<Row>,
    next: Vec<NextStep>,
}

impl CleanReport {
    /// `top` is the main worktree.
    pub fn new(dry_run: bool, branches: Vec<Row>, top: &Path) -> Self {
        let next = match branches.iter().any(|row| row.is_here) {
            true => vec![
                NextStep::run(
                    Who::Author,
                    "leave the worktree",
                    ["cd".to_owned(), top.display().to_string()],
                ),
                NextStep::run_after_cd(
                    Who::Author,
                    "remove what is merged",
                    ["nmoe-gates", "start", "--clean"],
                ),
            ],
            false => Vec::new(),
        };
        CleanReport {
            schema: 1,
            dry_run,
            branches,
            next,
        }
    }

    pub fn print(&self, context: &Context) -> anyhow::Result<Exit> {
        match context.format {
            Some(Format::Json) => print_json(self)?,
            _ => print(&self.human())?,
        }
        Ok(Exit::Passed)
    }

    fn human(&self) -> Text {
        let mut out = Text::new();
        for row in &self.branches {
            let word = match (row.removed, self.dry_run) {
                (true, false) => "removed",
                (true, true) => "would remove",
                (false, _) => "kept",
            };
            out.line(format_args!("{word} {}: {}", row.branch, row.why));
        }
        if self.branches.is_empty() {
            out.line("there is no branch of a contract");
        }
        out.append(&crate::cmd::next_steps(&self.next));
        out
    }
}
