//! Evaluates the state of a pull request itself: whether it is open, and whether it is a draft.

use crate::domain::next_step::{NextStep, Who};
use crate::github::types::Pull;
use crate::pull::blocker::{self, Blocker};

/// Returns a blocker if the pull request is closed, and one if it is a draft.
pub fn blockers(pull: &Pull) -> Vec<Blocker> {
    let number = pull.number;
    let mut blockers = Vec::new();
    if pull.state != "open" || pull.merged {
        let (message, next) = match pull.merged {
            true => (
                format!("#{number} is merged"),
                NextStep::run(
                    Who::Author,
                    "remove branch, worktree and claim of what is merged",
                    ["nmoe-gates", "start", "--clean"],
                ),
            ),
            false => (
                format!("#{number} is closed"),
                NextStep::run(
                    Who::Author,
                    "reopen it if the work goes on",
                    ["gh", "pr", "reopen", &number.to_string()],
                ),
            ),
        };
        blockers.push(Blocker::new(&blocker::NOT_OPEN, message, next));
    }
    if pull.draft {
        let next = NextStep::run(
            Who::Author,
            "mark it as ready for review",
            ["gh", "pr", "ready", &number.to_string()],
        );
        let message = format!("#{number} is a draft");
        blockers.push(Blocker::new(&blocker::DRAFT, message, next));
    }
    blockers
}
