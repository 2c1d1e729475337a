//! Not a subcommand: connects commands to GitHub. The repository is the one of the environment, otherwise of the checkout's remote.

use std::time::Duration;

use crate::cmd::context::Context;
use crate::git::Git;
use crate::github::api::GitHub;
use crate::github::client::Client;
use crate::github::config::ApiConfig;
use crate::github::config::Repository;
use crate::github::workflow_run::WorkflowRun;
use crate::report::links::Links;

/// Returns the repository of this checkout and environment.
pub fn connect(context: &Context) -> anyhow::Result<GitHub> {
    of(context, ApiConfig::from_env(|name| std::env::var(name).ok())?)
}

/// Like [`connect`], but retries no longer than `patience`.
pub fn connect_within(context: &Context, patience: Duration) -> anyhow::Result<GitHub> {
    let access = ApiConfig::from_env(|name| std::env::var(name).ok())?;
    of(
        context,
        ApiConfig {
            retry_budget: patience,
            ..access
        },
    )
}

fn of(context: &Context, access: ApiConfig) -> anyhow::Result<GitHub> {
    let repository = match &access.repository {
        Some(repository) => repository.clone(),
        None => of_remote(context)?,
    };
    Ok(GitHub::new(Client::new(access)?, repository))
}

/// Returns the pages of this workflow run. Outside of a workflow, the repository is the one of a remote on github.com.
pub fn links(context: &Context) -> Links {
    const SERVER: &str = "github.com";
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

fn of_remote(context: &Context) -> anyhow::Result<Repository> {
    let remote = context.settings()?.naming.remote;
    remote_url(context)
        .and_then(|url| Repository::of_remote(&url))
        .ok_or_else(|| {
            anyhow::anyhow!(
                "cannot find the repository on GitHub: the checkout has no remote `{remote}` there\nhelp: set GITHUB_REPOSITORY to `owner/name`"
            )
        })
}
