//! Finds the merge of a pull request with the current tip of its base branch.
//!
//! GitHub remakes a test merge only after a push, after a change of the merge base, or after 12 hours, and computes it in the
//! background. So `refs/pull/N/merge` counts only if its parents are the tip and the head. Otherwise the same merge is made here,
//! with fixed author and dates, so that every job that makes it gets the same id. Pages of GitHub:
//! <https://github.blog/changelog/2026-02-19-changes-to-test-merge-commit-generation-for-pull-requests>,
//! <https://docs.github.com/rest/guides/using-the-rest-api-to-interact-with-your-git-database#checking-mergeability-of-pull-requests>.

use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::domain::exit::NoVerdict;
use crate::domain::ids::CommitId;
use crate::domain::messages::Messages;
use crate::domain::resolution::Resolution;
use crate::git::{Git, merge};
use crate::github::api::GitHub;
use crate::policy::Revision;
use crate::pull::snapshot::{Merge, Snapshot};

/// How often GitHub is asked whether the pull request merges cleanly, and the pause between two requests.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(2);

/// A local repository, in which a merge can be made.
#[derive(Clone, Copy)]
pub struct Checkout<'a> {
    pub git: &'a Git,
    /// The name of the remote that has the pull request.
    pub remote: &'a str,
}

/// Finds the merge, or makes it.
///
/// # Errors
/// There is a conflict, the head changes at the same time, or GitHub does not answer.
pub fn find(
    github: &GitHub,
    snapshot: &Snapshot,
    checkout: Checkout<'_>,
    messages: &dyn Messages,
) -> anyhow::Result<Merge> {
    let (number, head) = (snapshot.pull.number, &snapshot.pull.head.sha);
    let mut mergeable = snapshot.pull.mergeable;
    for attempt in 1..=TRIES {
        let base = base_tip(github, snapshot)?;
        let latest = snapshot.latest_merge(github)?;
        if let Some(merge) = latest.filter(|merge| merge.head == *head && merge.base == base) {
            return Ok(merge);
        }
        match mergeable {
            Some(false) => return Err(conflict(number).into()),
            Some(true) => break,
            None if attempt == TRIES => break,
            None => {}
        }
        messages.warn("GitHub is still checking whether the pull request merges cleanly; asking again");
        github.pause(PAUSE);
        let now = github.pull(number)?;
        if now.head.sha != *head {
            let message = format!(
                "cannot resolve: the head of pull request {number} changed meanwhile\nhelp: run the command again"
            );
            return Err(NoVerdict(message).into());
        }
        mergeable = now.mergeable;
    }
    let base = base_tip(github, snapshot)?;
    make(github, number, &base, head, checkout).map_err(|error| {
        if error.is::<NoVerdict>() {
            return error;
        }
        let message = format!(
            "cannot use GitHub's merge of pull request {number}: it is not with the current base, and it cannot be made here: {error:#}\nhelp: update the branch of the pull request, or try again later"
        );
        NoVerdict(message).into()
    })
}

/// Merges the base branch into the branch of a pull request, and waits for the new head.
///
/// # Errors
/// GitHub refuses, because of a conflict or a missing permission, or does not end in time.
pub fn update_branch(github: &GitHub, number: u64, messages: &dyn Messages) -> anyhow::Result<()> {
    let before = github.pull(number)?.head.sha;
    github.update_branch(number, &before)?;
    for _ in 0..TRIES {
        if github.pull(number)?.head.sha != before {
            return Ok(());
        }
        messages.warn("GitHub is still updating the branch; asking again");
        github.pause(PAUSE);
    }
    let message = format!(
        "cannot see the updated branch of pull request {number} yet\nhelp: run the command again without `--update-branch`"
    );
    Err(NoVerdict(message).into())
}

/// Returns the tip of the base branch now. The base in a pull request is that of its last push.
fn base_tip(github: &GitHub, snapshot: &Snapshot) -> anyhow::Result<CommitId> {
    let branch = &snapshot.pull.base.branch;
    github
        .branch_tip(branch)?
        .with_context(|| format!("cannot find the base: GitHub has no branch `{branch}`"))
}

fn conflict(number: u64) -> NoVerdict {
    NoVerdict(format!(
        "cannot merge pull request {number}: it conflicts with its base, so there is nothing to test\nhelp: rebase it"
    ))
}

/// Makes the merge of a base and the head of a pull request in a local repository; fetches what is missing.
///
/// # Errors
/// There is a conflict, or git fails.
pub fn make(
    github: &GitHub,
    pull: u64,
    base: &CommitId,
    head: &CommitId,
    checkout: Checkout<'_>,
) -> anyhow::Result<Merge> {
    let git = checkout.git;
    let shallow = git.text(["rev-parse", "--is-shallow-repository"])? == "true";
    if shallow || git.commit(base)?.is_none() || git.commit(head)?.is_none() {
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        if shallow {
            args.push("--unshallow");
        }
        // Fetch by id, as actions/checkout does: the branches may have moved.
        args.extend(["--end-of-options", checkout.remote, base, head]);
        match github.git_credential() {
            Some((key, value)) => git.with_setting(key, value).bytes(args)?,
            None => git.bytes(args)?,
        };
    }
    match merge::commit(git, base, head)? {
        Some((commit, tree)) => Ok(Merge {
            commit: Some(commit),
            base: base.clone(),
            head: head.clone(),
            tree,
            local: true,
        }),
        None => Err(conflict(pull).into()),
    }
}

/// Returns where the files of a resolved merge are read: on GitHub, or in the local repository, where the merge is made again.
///
/// # Errors
/// GitHub does not answer, or the merge cannot be made or differs from the resolved one.
pub fn revision<'r>(
    github: &'r GitHub,
    resolution: &'r Resolution,
    checkout: Checkout<'r>,
) -> anyhow::Result<Revision<'r>> {
    match github.commit(&resolution.merge) {
        Ok(_) => return Ok(Revision::GitHub(github, &resolution.merge)),
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error.into()),
    }
    let made = make(
        github,
        resolution.pull,
        &resolution.base,
        &resolution.head,
        checkout,
    )?;
    same_merge(resolution, made.commit.as_ref())?;
    Ok(Revision::Commit(checkout.git, &resolution.merge))
}

fn same_merge(resolution: &Resolution, made: Option<&CommitId>) -> anyhow::Result<()> {
    if made != Some(&resolution.merge) {
        bail!(
            "cannot use the resolution: the merge of its commits is not the one that was resolved\nhelp: resolve again"
        );
    }
    Ok(())
}

/// Makes the resolved merge in a checkout of the resolved head, and checks it out. Another checkout is left alone.
///
/// # Errors
/// The merge differs from the resolved one, or git fails.
pub fn check_out(git: &Git, resolution: &Resolution) -> anyhow::Result<()> {
    let here = git.commit("HEAD")?;
    if here.as_ref() != Some(&resolution.head) || resolution.head == resolution.merge {
        return Ok(());
    }
    let made = merge::commit(git, &resolution.base, &resolution.head)
        .context("cannot make the merge that was resolved\nhelp: check out the head with `fetch-depth: 0`")?;
    same_merge(resolution, made.as_ref().map(|(commit, _)| commit))?;
    git.bytes(["checkout", "--quiet", "--detach", &resolution.merge])?;
    Ok(())
}
