//! Not a subcommand: how commands reach GitHub. The repository comes from the environment, else from the checkout's remote.

use std::time::Duration;

use crate::cmd::NoJudgement;
use crate::cmd::context::Context;
use crate::git::Git;
use crate::github::access::Access;
use crate::github::access::Repository;
use crate::github::api::Hub;
use crate::github::client::Client;
use crate::github::fault::Fault;

/// The repository that this checkout and environment are about.
pub fn hub(context: &Context) -> anyhow::Result<Hub> {
    of(
        context,
        Access::from_env(|name| std::env::var(name).ok()).map_err(fault)?,
    )
}

/// The same, which waits no longer than this between tries.
pub fn hub_within(context: &Context, patience: Duration) -> anyhow::Result<Hub> {
    let access = Access::from_env(|name| std::env::var(name).ok()).map_err(fault)?;
    of(context, Access { patience, ..access })
}

fn of(context: &Context, access: Access) -> anyhow::Result<Hub> {
    let repository = match &access.repository {
        Some(repository) => repository.clone(),
        None => of_remote(context)?,
    };
    Ok(Hub::new(Client::new(access).map_err(fault)?, repository))
}

/// The error of a command whose request failed: exit 2 where a setting cannot be used, else exit 3.
pub fn fault(fault: Fault) -> anyhow::Error {
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
