//! Not a subcommand: connects commands to GitHub. The repository is the one of the environment, otherwise of the checkout's remote.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;

use crate::cmd::context::{self, Context};
use crate::cmd::state_dir::state_dir;
use crate::domain::next_step::{NextStep, Who};
use crate::git::Git;
use crate::github::api::GitHub;
use crate::github::client::Client;
use crate::github::config::ApiConfig;
use crate::github::config::Repository;
use crate::github::workflow_run::{self, WorkflowRun};
use crate::report::links::Links;

const SERVER: &str = "github.com";

/// How a command connects.
#[derive(Default)]
pub struct How<'a> {
    /// The longest time of retries (default: that of the environment).
    pub retry_budget: Option<Duration>,
    /// The repository that an event names (default: that of the checkout's remote).
    pub repository: Option<Repository>,
    /// Continues the help of an unknown repository with what needs no repository.
    pub instead: &'a str,
}

/// Returns the repository of this checkout and environment.
pub fn connect(context: &Context) -> anyhow::Result<GitHub> {
    connect_with(context, How::default())
}

/// Like [`connect`].
pub fn connect_with(context: &Context, how: How<'_>) -> anyhow::Result<GitHub> {
    let mut access = ApiConfig::from_env(|name| std::env::var(name).ok())?;
    if let Some(retry_budget) = how.retry_budget {
        access.retry_budget = retry_budget;
    }
    let repository = match access.repository.clone().or(how.repository) {
        Some(repository) => repository,
        None => of_remote(context, how.instead)?,
    };
    let client = Client::new(access)?;
    let client = match answers() {
        Some(folder) => client.storing(&folder, &repository),
        None => client,
    };
    Ok(GitHub::new(client, repository))
}

/// Returns the repository as `gh` takes it after `-R`: with its host, unless that is github.com. `None` if it is unknown.
pub fn for_gh(context: &Context) -> Option<String> {
    let access = ApiConfig::from_env(|name| std::env::var(name).ok()).ok()?;
    let host = access.base.web_host().to_owned();
    let repository = access.repository.or_else(|| of_remote(context, "").ok())?;
    match host.as_str() {
        SERVER => Some(repository.to_string()),
        host => Some(format!("{host}/{repository}")),
    }
}

/// Returns a branch of the checkout's remote as `gh` takes it: with its owner, if the remote is a fork of the repository.
pub fn head_for_gh(context: &Context, branch: &str) -> String {
    let named = std::env::var("GITHUB_REPOSITORY").ok();
    let named = named.and_then(|text| Repository::parse(text.trim()));
    match (of_remote(context, "").ok(), named) {
        // GitHub ignores case in names.
        (Some(remote), Some(named)) if !remote.owner.eq_ignore_ascii_case(&named.owner) => {
            format!("{}:{branch}", remote.owner)
        }
        _ => branch.to_owned(),
    }
}

/// Makes a step of the author whose last argument is the number of the pull request from a branch.
pub fn with_number(context: &Context, branch: &str, what: &str, argv: &[&str]) -> NextStep {
    let head = head_for_gh(context, branch);
    let number = ["gh", "pr", "view", &head, "--json", "number", "--jq", ".number"];
    NextStep::substitute(Who::Author, what, argv, &number)
}

/// Returns the folder for answers of GitHub. The token of a workflow is valid for one job, so nothing is kept there.
fn answers() -> Option<PathBuf> {
    if workflow_run::in_actions(context::variable) {
        return None;
    }
    Some(state_dir().ok()?.join("answers"))
}

/// Returns the pages of this workflow run. Outside of a workflow, the repository is the one of a remote on github.com.
pub fn links(context: &Context) -> Links {
    let workflow = WorkflowRun::from_env(|name| std::env::var(name).ok());
    let of_remote = || {
        let url = remote_url(context)?;
        let is_served = url.contains(&format!("{SERVER}/")) || url.contains(&format!("@{SERVER}:"));
        let repository = Repository::of_remote(&url).filter(|_| is_served)?;
        Some(format!("https://{SERVER}/{repository}"))
    };
    Links {
        run: workflow.id,
        repository: workflow.repository.or_else(of_remote),
        ..Links::default()
    }
}

fn remote_url(context: &Context) -> Option<String> {
    let remote = context.settings().ok()?.naming.remote;
    let key = format!("remote.{remote}.url");
    Git::at(&context.repo).text(["config", "--get", &key]).ok()
}

fn of_remote(context: &Context, instead: &str) -> anyhow::Result<Repository> {
    let remote = context.settings()?.naming.remote;
    let url = remote_url(context);
    if let Some(repository) = url.as_deref().and_then(Repository::of_remote) {
        return Ok(repository);
    }
    let cause = match url {
        Some(_) => format!("the address of the remote `{remote}` names none"),
        None => format!("the checkout has no remote `{remote}`"),
    };
    bail!(
        "cannot find the repository on GitHub: {cause}\nhelp: set GITHUB_REPOSITORY to `owner/name`{instead}"
    )
}
