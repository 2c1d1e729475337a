//! Describes the workflow run of this process, and where GitHub shows workflow runs.
//!
//! Must not read the environment itself; the caller passes a lookup.

use std::ffi::OsString;

/// Whether this process runs in GitHub Actions, where other people read the log. The runner sets `GITHUB_ACTIONS` to `true`.
pub fn in_actions(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// The workflow run of this process; all parts are `None` outside of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowRun {
    pub id: Option<u64>,
    pub attempt: Option<u64>,
    /// The page of the repository.
    pub repository: Option<String>,
}

impl WorkflowRun {
    /// Reads the variables that a runner sets. A value with unexpected characters is ignored.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| variable(name)?.parse().ok();
        let plain = |text: &String| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._/:".contains(&b))
        };
        let server = variable("GITHUB_SERVER_URL").filter(|url| url.starts_with("https://") && plain(url));
        let repository = variable("GITHUB_REPOSITORY").filter(plain);
        WorkflowRun {
            id: number("GITHUB_RUN_ID"),
            attempt: number("GITHUB_RUN_ATTEMPT"),
            repository: server
                .zip(repository)
                .map(|(server, repository)| format!("{server}/{repository}")),
        }
    }

    /// Returns the number of this run and of its attempt; a later run has larger numbers.
    pub fn number(&self) -> Option<(u64, u64)> {
        self.id.zip(self.attempt)
    }

    /// Returns the page of this run and attempt. A commit status links to it, so that it names its run.
    pub fn page(&self) -> Option<String> {
        let (id, attempt) = self.number()?;
        Some(format!("{}/attempts/{attempt}", self.url(id)?))
    }

    /// Returns the page of a workflow run.
    pub fn url(&self, id: u64) -> Option<String> {
        let repository = self.repository.as_ref()?;
        Some(format!("{repository}/actions/runs/{id}"))
    }
}
