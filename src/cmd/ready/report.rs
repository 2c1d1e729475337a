//! Prints the result of `ready`.

use serde::Serialize;

use crate::cmd::context::{Context, Format, print, print_json};
use crate::domain::exit::Exit;
use crate::domain::next_step::{NextStep, Who};
use crate::pull::merge_order::Step;
use crate::pull::readiness::Readiness;
use crate::terminal::Text;

/// The result of `ready`.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: u32,
    pulls: Vec<Readiness>,
    /// The merge order; empty without `--all`.
    order: Vec<Step>,
    next: Vec<NextStep>,
}

impl Report {
    /// Derives the next steps from the blockers.
    pub fn new(pulls: Vec<Readiness>, order: Vec<Step>) -> Self {
        let ready = pulls.iter().filter(|row| row.ready);
        let mut next: Vec<NextStep> = ready.map(merge).collect();
        for blocker in pulls.iter().flat_map(|row| &row.blockers) {
            if !next.contains(&blocker.next) {
                next.push(blocker.next.clone());
            }
        }
        Report {
            schema: 1,
            pulls,
            order,
            next,
        }
    }

    /// Prints the report; a blocker is a failure.
    pub fn print(&self, context: &Context) -> anyhow::Result<Exit> {
        if context.format == Some(Format::Json) {
            print_json(self)?;
        } else {
            print(&self.human())?;
        }
        let blocked = self.pulls.iter().any(|row| !row.ready);
        Ok(if blocked { Exit::Failed } else { Exit::Passed })
    }

    fn human(&self) -> Text {
        let mut out = Text::new();
        for row in &self.pulls {
            let issue = row.issue.as_deref().unwrap_or("?");
            let word = if row.ready { "ready" } else { "blocked" };
            out.line(format_args!("#{} (contract {issue}) is {word}", row.number));
            if row.ready {
                step(&mut out, &merge(row));
            }
            for blocker in &row.blockers {
                out.wrapped(format_args!("  {}: {}", blocker.code, blocker.message), 4);
                step(&mut out, &blocker.next);
            }
        }
        if !self.order.is_empty() {
            out.line("").line("merge in this order:");
        }
        for (n, step) in self.order.iter().enumerate() {
            let evidence = if step.conflicts {
                let others: Vec<String> = step.conflicts_with.iter().map(|n| format!("#{n}")).collect();
                match others.as_slice() {
                    [] => "it conflicts with its base".to_owned(),
                    others => format!("it conflicts with {} by then", others.join(", ")),
                }
            } else if step.evidence_stands {
                "its evidence is valid".to_owned()
            } else if step.rerun.is_empty() {
                "it needs no Tier-B gate".to_owned()
            } else {
                let gates: Vec<&str> = step.rerun.iter().map(|id| id.as_str()).collect();
                format!("run again first: {}", gates.join(", "))
            };
            out.line(format_args!(
                "  {}. #{} (contract {}): {evidence}",
                n + 1,
                step.pull,
                step.issue
            ));
        }
        out
    }
}

fn merge(row: &Readiness) -> NextStep {
    let number = row.number.to_string();
    let command = [
        "gh",
        "pr",
        "merge",
        &number,
        "--merge",
        "--match-head-commit",
        &row.head,
    ];
    NextStep::run(Who::MergeCaptain, format!("merge #{number}"), command)
}

fn step(out: &mut Text, step: &NextStep) {
    let (who, what) = (step.who.as_str(), &step.what);
    // A command stays on one line, so that it can be copied.
    match step.command() {
        Some(command) => out.line(format_args!("    {who}: {what}: {command}")),
        None => out.wrapped(format_args!("    {who}: {what}"), 6),
    };
}
