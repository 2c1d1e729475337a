//! Not a subcommand: how commands reach GitHub. The repository comes from the environment, else from the checkout's remote.

use std::time::Duration;

use crate::cmd::NoJudgement;
use crate::cmd::context::Context;
use crate::git::Git;
use crate::github::api::GitHub;
use crate::github::client::Client;
use crate::github::config::ApiConfig;
use crate::github::config::Repository;
use crate::github::error::GitHubError;

/// The repository that this checkout and environment are about.
pub fn hub(context: &Context) -> anyhow::Result<GitHub> {
    of(
        context,
        ApiConfig::from_env(|name| std::env::var(name).ok()).map_err(fault)?,
    )
}

/// The same, which waits no longer than this between tries.
pub fn hub_within(context: &Context, patience: Duration) -> anyhow::Result<GitHub> {
    let access = ApiConfig::from_env(|name| std::env::var(name).ok()).map_err(fault)?;
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
    Ok(GitHub::new(Client::new(access).map_err(fault)?, repository))
}

/// The error of a command whose request failed: exit 2 where a setting cannot be used, else exit 3.
pub fn fault(fault: GitHubError) -> anyhow::Error {
    if fault.is_setting() {
        anyhow::Error::new(fault)
    } else {
        anyhow::Error::new(NoJudgement(fault.to_string()))
    }
}

fn of_remote(context: &Context) -> anyhow::Result<Repository> {
    let remote = context.settings()?.naming.remote;
    Git::at(&context.repo)
        .text(["config", "--get", &format!("remote.{remote}.url")])
        .ok()
        .and_then(|url| Repository::of_remote(&url))
        .ok_or_else(|| {
            anyhow::anyhow!(
                "which repository on GitHub? Set GITHUB_REPOSITORY to `owner/name`, or give the checkout a remote `{remote}`"
            )
        })
}
