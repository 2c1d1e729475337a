//! `lint pr`: lints the description, the contract, the scope, the proposed registry and the public safety of a pull request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cmd::context::{self, Context};
use crate::cmd::github::{self, How};
use crate::cmd::help::{self, Help};
use crate::cmd::lint::gather;
use crate::cmd::print_findings;
use crate::domain::exit::Exit;
use crate::domain::ids::CommitId;
use crate::git::{Git, revisions};
use crate::github::config::Repository;
use crate::github::event::{self, Subject};
use crate::github::types::{Pull, Side};
use crate::leaks::private_terms;
use crate::leaks::scan_diff::Rules;
use crate::pull::change_lint::{self, Agreed, ChangeLint};
use crate::pull::snapshot::Snapshot;
use crate::workspace::stored_contract;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::VERDICTS,
    variables: help::OF_EVENT_AND_SCAN,
    examples: &["lint pr", "lint pr --pr 12", "lint pr --body pr.md"],
};

/// Arguments of `lint pr`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of the pull request (default: the pull request of the current event, or the one that a merge queue tests).
    #[arg(long, value_name = "N")]
    pr: Option<u64>,
    /// Check this description and the commits of the checkout instead of a pull request. The contract is --contract, or the one
    /// that `start` stored in this worktree.
    #[arg(long, value_name = "FILE", conflicts_with = "pr")]
    body: Option<PathBuf>,
    /// File with the contract (default: the issue that the description closes).
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
}

/// Runs `lint pr`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let snapshot = snapshot(context, args)?;
    let facts = gather::facts(context)?;
    let strict = private_terms::strict_options(context::variable)?;
    let is_approved = || {
        let pull = &snapshot.pull;
        // `--body` describes a pull request that does not exist, so it has no approval.
        Ok(args.body.is_none()
            && change_lint::is_approved(&github::connect_with(context, of_base(pull))?, pull)?)
    };
    let lint = ChangeLint {
        snapshot: &snapshot,
        facts: &facts,
        policy: context.policy(),
        subject: &context.subject,
        moe: &context.settings()?.moe.path,
        rules: Rules {
            open: &facts.leaks,
            strict: &strict,
        },
        is_approved: &is_approved,
        messages: context,
    };
    let (documents, findings) = lint.run(agreed(context, args, &snapshot)?)?;
    print_findings::print_all(context, &documents, &findings)
}

/// Connects to the repository that a pull request belongs to, unless the environment names another.
fn of_base(pull: &Pull) -> How<'static> {
    let base = pull.base.repo.as_ref();
    How {
        repository: base.and_then(|repo| Repository::parse(&repo.full_name)),
        ..How::default()
    }
}

fn snapshot(context: &Context, args: &Args) -> anyhow::Result<Snapshot> {
    if let Some(path) = &args.body {
        return before_it_exists(context, path);
    }
    let number = match args.pr {
        Some(number) => number,
        None => match event::subject(|name| std::env::var(name).ok())? {
            Subject::Pull(pull) => return Ok(Snapshot::new(as_now(context, *pull))),
            Subject::Queued(group) => group.pull,
        },
    };
    Ok(Snapshot::fetch(&github::connect(context)?, number)?)
}

/// Takes the description as it is now: a run that is started again gets the event of its first attempt. Without a token or an answer
/// the event counts.
fn as_now(context: &Context, pull: Pull) -> Pull {
    let how = How {
        retry_budget: Some(Duration::ZERO),
        ..of_base(&pull)
    };
    let github = github::connect_with(context, how).ok();
    let github = github.filter(|github| github.git_credential().is_some());
    match github.and_then(|github| github.pull(pull.number).ok()) {
        Some(now) => Pull {
            body: now.body,
            draft: now.draft,
            ..pull
        },
        None => pull,
    }
}

/// Describes the pull request that this checkout and a description would make.
fn before_it_exists(context: &Context, path: &Path) -> anyhow::Result<Snapshot> {
    let git = Git::at(&context.subject);
    let naming = context.settings()?.naming;
    let side = |branch: String, sha: CommitId| Side {
        branch,
        sha,
        repo: None,
    };
    let base = revisions::base(&git, &naming)?;
    let head = revisions::known(&git, "HEAD")?;
    let branch = git.text(["branch", "--show-current"])?;
    let pull = Pull {
        number: 0,
        title: String::new(),
        body: context::read_input(path)?,
        state: "open".to_owned(),
        draft: false,
        merged: false,
        mergeable: None,
        merge_commit_sha: None,
        user: None,
        base: side(naming.base.into(), revisions::merge_base(&git, &base, &head)?),
        head: side(branch, head),
    };
    Ok(Snapshot::named(pull, gather::shown(path)))
}

/// Returns the contract: the file that the user named, otherwise the contract of the pull request.
fn agreed(context: &Context, args: &Args, snapshot: &Snapshot) -> anyhow::Result<Agreed> {
    let stored = || stored_contract::find(&Git::at(&context.subject)).filter(|_| args.body.is_some());
    if let Some(path) = &args.contract.clone().or_else(stored) {
        return Ok(Agreed::of_document(gather::source(path)?));
    }
    let github = github::connect_with(context, of_base(&snapshot.pull))?;
    Ok(Agreed::of_issue(snapshot, &github)?)
}
