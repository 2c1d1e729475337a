//! Not a subcommand: connects commands to GitHub. The repository is the one of the environment, otherwise of the checkout's remote.

use std::time::Duration;

use crate::cmd::context::Context;
use crate::git::Git;
use crate::github::api::GitHub;
use crate::github::client::Client;
use crate::github::config::ApiConfig;
use crate::github::config::Repository;

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

fn of_remote(context: &Context) -> anyhow::Result<Repository> {
    let remote = context.settings()?.naming.remote;
    Git::at(&context.repo)
        .text(["config", "--get", &format!("remote.{remote}.url")])
        .ok()
        .and_then(|url| Repository::of_remote(&url))
        .ok_or_else(|| {
            anyhow::anyhow!(
                "cannot find the repository on GitHub: the checkout has no remote `{remote}` there\nhelp: set GITHUB_REPOSITORY to `owner/name`"
            )
        })
}
