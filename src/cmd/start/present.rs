//! What came of `start`, for people and for agents.

use serde::Serialize;

use crate::cmd::context::{Context, Format, print, print_json};
use crate::cmd::start::site::Site;
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, FindingJson, Severity};
use crate::domain::next_step::{NextStep, Who};
use crate::plan::Item;
use crate::terminal::Text;

/// What `start` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    issue: String,
    started: bool,
    branch: Option<String>,
    worktree: Option<String>,
    base: Option<String>,
    claim: Option<String>,
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
            findings: findings.iter().map(FindingJson::from).collect(),
            next,
        }
    }

    /// Nothing was made.
    pub fn refused(issue: &str, findings: &[Finding], next: Vec<NextStep>) -> Self {
        Report::new(issue, findings, next)
    }

    /// A claim was taken back.
    pub fn released(issue: &str, claim: &str, next: NextStep) -> Self {
        Report {
            claim: Some(claim.to_owned()),
            ..Report::new(issue, &[], vec![next])
        }
    }

    /// Branch and worktree are there.
    pub fn started(site: &Site, item: &Item, base: &str, claim: &str) -> Self {
        let worktree = site.worktree(item).display().to_string();
        let next = vec![
            NextStep::run(
                Who::Author,
                "go to the worktree and do the work",
                ["cd", &worktree],
            ),
            NextStep::run(
                Who::Author,
                "before each commit: stay in scope",
                ["nmoe-gates", "lint", "scope"],
            ),
            NextStep::run(
                Who::Author,
                "prove it on this machine",
                ["nmoe-gates", "run", "--tier", "a"],
            ),
            // Beside the worktree: inside, it would be a change that nobody means to commit.
            NextStep::run(
                Who::Author,
                "commit, and write down what was proven",
                ["nmoe-gates", "attest", "--write", &format!("{worktree}.md")],
            ),
        ];
        Report {
            started: true,
            branch: Some(site.branch(item)),
            worktree: Some(worktree),
            base: Some(base.to_owned()),
            claim: Some(claim.to_owned()),
            ..Report::new(&item.issue, &[], next)
        }
    }

    /// Prints it; a refusal is a judged failure.
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
            out.line(format_args!("error[{}]: {}", finding.code, finding.message));
            if let Some(help) = &finding.help {
                out.line(format_args!("  help: {help}"));
            }
        }
        out.append(&crate::cmd::next_steps(&self.next));
        out
    }
}
