//! Sets a commit status so that the newest workflow run wins, for every order in which the publishers write.
//!
//! GitHub only adds statuses, and the newest of a context is current. So each status names its run in its address, and a
//! publisher that finds the status of a newer run below the current one sets that status again. Must not depend on gates.

use crate::domain::ids::CommitId;
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::github::types::{State, Status};

/// The number of a workflow run and of its attempt; a later run has larger numbers.
pub type RunNumber = (u64, u64);

/// The most rounds of reading and writing before the publisher gives up.
const ROUNDS: usize = 20;

/// For how long a publisher may be between its status and its comment.
const RECENT: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// The status that a publisher wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The name of the status.
    pub context: &'a str,
    pub state: State,
    /// One line of text.
    pub line: &'a str,
    /// The page of the run, which [`run_of`] understands; or another page, or none.
    pub target: Option<&'a str>,
}

/// Which status is current.
#[derive(Clone, Debug)]
pub enum Settled {
    /// The wanted status is new.
    Set,
    /// The wanted status was current already.
    Unchanged,
    /// The status of a newer run is current.
    Newer(Status),
}

/// Returns the run that the page of a workflow run names: `…/actions/runs/7/attempts/1`.
pub fn run_of(address: &str) -> Option<RunNumber> {
    let (_, rest) = address.split_once("/actions/runs/")?;
    let (run, attempt) = rest.split_once("/attempts/")?;
    Some((run.parse().ok()?, attempt.parse().ok()?))
}

/// Returns the status of the newest run in this context, among those that this login created. Other workflows have the same login,
/// so a run must be real.
pub fn newest(
    statuses: &[Status],
    context: &str,
    login: &str,
    is_real: &dyn Fn(RunNumber) -> bool,
) -> Option<Status> {
    let mut ours = statuses
        .iter()
        .filter(|status| status.is(context, login) && status.run().is_none_or(is_real));
    // The list has the newest status first, and of equal runs the first status counts.
    let mut best = ours.find(|status| status.run().is_some())?;
    for status in ours {
        if status.run() > best.run() {
            best = status;
        }
    }
    Some(best.clone())
}

/// Whether an older run set its status so shortly before this run that it may still write its comment.
pub fn is_contested(statuses: &[Status], context: &str, login: &str, mine: RunNumber) -> bool {
    let time = |status: &Status| status.created_at.as_deref()?.parse::<jiff::Timestamp>().ok();
    let ours = || statuses.iter().filter(|status| status.is(context, login));
    let Some(own) = ours().find(|status| status.run() == Some(mine)).and_then(time) else {
        return false;
    };
    let mut older = ours().filter(|status| status.run().is_some_and(|run| run < mine));
    older.any(|status| time(status).is_some_and(|then| own.duration_since(then).abs() < RECENT))
}

impl Status {
    fn is(&self, context: &str, login: &str) -> bool {
        self.context == context && self.creator.as_ref().is_some_and(|user| user.login == login)
    }

    /// Returns the run that created the status.
    pub fn run(&self) -> Option<RunNumber> {
        run_of(self.target_url.as_deref()?)
    }
}

impl Wanted<'_> {
    /// Sets this status, unless a newer run has set one; then ensures that the status of the newest run is current.
    ///
    /// A status without a run comes from a person at a prompt, and replaces every other one. `login` is the user of the token:
    /// the statuses of others are not repeated, since they would become statuses of this user.
    ///
    /// # Errors
    /// GitHub does not answer or refuses, or other publishers keep changing the status.
    pub fn settle(
        &self,
        github: &GitHub,
        commit: &CommitId,
        login: &str,
        is_real: &dyn Fn(RunNumber) -> bool,
    ) -> Result<Settled, GitHubError> {
        let mine = self.target.and_then(run_of);
        let mut written = false;
        for _ in 0..ROUNDS {
            let statuses = github.statuses(commit)?;
            let current = statuses.iter().find(|status| status.context == self.context);
            let newer = newest(&statuses, self.context, login, is_real)
                .filter(|status| mine.is_some() && status.run() > mine);
            let wanted = match &newer {
                None => *self,
                Some(newer) => Wanted {
                    context: self.context,
                    state: State::of(&newer.state),
                    line: &newer.description,
                    target: newer.target_url.as_deref(),
                },
            };
            // A status of another program, or of a person at a prompt, was set after the newer run. It stays.
            let later =
                newer.is_some() && current.is_some_and(|c| !c.is(self.context, login) || c.run().is_none());
            if later || current.is_some_and(|status| wanted.is_set(status)) {
                return Ok(match newer {
                    Some(newer) => Settled::Newer(newer),
                    None if written => Settled::Set,
                    None => Settled::Unchanged,
                });
            }
            github.set_status(commit, wanted.context, wanted.state, wanted.line, wanted.target)?;
            written = true;
        }
        Err(GitHubError::contended_status(commit))
    }

    fn is_set(&self, status: &Status) -> bool {
        status.state == self.state.as_str()
            && status.description == crate::github::api::status_line(self.line)
            && status.target_url.as_deref() == self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::types::User;

    fn status(run: Option<u64>, login: &str) -> Status {
        Status {
            context: "c".to_owned(),
            state: "success".to_owned(),
            description: String::new(),
            target_url: run.map(|run| format!("https://h/o/n/actions/runs/{run}/attempts/1")),
            creator: Some(User {
                login: login.to_owned(),
            }),
            created_at: None,
        }
    }

    #[test]
    fn newest_run_of_the_same_login_counts() {
        assert_eq!(run_of("https://h/o/n/actions/runs/7/attempts/2"), Some((7, 2)));
        assert_eq!(run_of("https://h/o/n/pull/5#issuecomment-1"), None);
        let all = [
            status(None, "me"),
            status(Some(3), "me"),
            status(Some(9), "other"),
            status(Some(5), "me"),
        ];
        let found = |context, is_real: &dyn Fn(RunNumber) -> bool| {
            newest(&all, context, "me", is_real).and_then(|s| s.run())
        };
        assert_eq!(found("c", &|_| true), Some((5, 1)));
        assert_eq!(found("c", &|run| run.0 < 5), Some((3, 1)));
        assert_eq!(found("d", &|_| true), None);
    }

    #[test]
    fn older_run_a_moment_ago_is_contested() {
        let at = |run, time: &str| Status {
            created_at: Some(time.to_owned()),
            ..status(Some(run), "me")
        };
        let mut all = [at(2, "2026-01-01T00:00:20Z"), at(1, "2026-01-01T00:00:10Z")];
        assert!(is_contested(&all, "c", "me", (2, 1)));
        assert!(!is_contested(&all, "c", "me", (1, 1)), "the other is newer");
        all[1] = at(1, "2025-12-31T23:00:00Z");
        assert!(!is_contested(&all, "c", "me", (2, 1)));
    }
}
