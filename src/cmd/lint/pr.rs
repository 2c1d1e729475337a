//! `lint pr`: lints the description, the contract, the scope, the proposed registry and the public safety of a pull request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cmd::context::{self, Context};
use crate::cmd::github::{self, How};
use crate::cmd::help::{self, Help};
use crate::cmd::lint::attestation::scope as scope_of;
use crate::cmd::lint::{gather, safety};
use crate::cmd::print_findings;
use crate::document::{Document, Source, Span};
use crate::domain::contract::Contract;
use crate::domain::exit::Exit;
use crate::domain::finding::Finding;
use crate::domain::ids::CommitId;
use crate::domain::paths;
use crate::git::{Git, revisions};
use crate::github::batch::Batch;
use crate::github::config::Repository;
use crate::github::event::{self, Subject};
use crate::github::types::{Pull, Side};
use crate::kernel::collectives;
use crate::leaks::private_terms;
use crate::lint::attestation_evidence::AttestationEvidence;
use crate::lint::codes::attestation::NO_CONTRACT;
use crate::lint::codes::contract::INVALID_GLOB;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::registry::RegistryContext;
use crate::lint::{self, LintContext};
use crate::policy::Revision;
use crate::pull::approvals::Approvals;
use crate::pull::contract::{ContractOf, Issue};
use crate::pull::snapshot::Snapshot;
use crate::pull::standing::Writers;
use crate::system::files;
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
    let pull = &snapshot.pull;
    let facts = gather::facts(context)?;
    let (contract, mut findings) = contract(context, args, &snapshot)?;
    if let Some(contract) = &contract {
        findings.extend(lint::contract::lint(contract, &facts));
    }
    let git = Git::at(&context.subject);
    let has_commit = |sha: &str| git.commit(sha).ok().flatten().is_some();
    // A shallow checkout has only one commit, so the existence of other commits cannot be checked.
    let complete = git
        .text(["rev-parse", "--is-shallow-repository"])
        .is_ok_and(|said| said == "false");
    let evidence = AttestationEvidence {
        branch: Some(pull.head.branch.clone()),
        head: Some(pull.head.sha.clone()),
        has_commit: complete.then_some(&has_commit),
        results: Vec::new(),
    };
    findings.extend(lint::attestation::lint(
        &snapshot.description,
        &facts,
        contract.as_ref(),
        &evidence,
    ));
    match &contract {
        Some(contract) if complete => {
            let (base, head) = (&pull.base.sha, &pull.head.sha);
            let known = has_commit(base) && has_commit(head);
            if known {
                let outside = scope_of(&git, contract, base, head)?;
                findings.extend(
                    outside
                        .into_iter()
                        // The lint of the contract has reported its patterns, with their place.
                        .filter(|f| f.code.id != INVALID_GLOB.id && !findings.contains(f))
                        .collect::<Vec<_>>(),
                );
            } else {
                context.note("note: the checkout lacks the commits of the event, so the scope is not checked; fetch them");
            }
        }
        Some(_) => context.note(
            "note: the checkout has no history, so the scope is not checked; fetch the complete history",
        ),
        None => {}
    }
    let mut documents: Vec<Source> = contract.map(|contract| contract.source).into_iter().collect();
    if complete && has_commit(&pull.base.sha) && has_commit(&pull.head.sha) {
        let (base, head) = (&pull.base.sha, &pull.head.sha);
        // `--body` describes a pull request that does not exist, so it has no approval.
        findings.extend(safety::of_change(context, base, head, &pull.head.branch, || {
            Ok(args.body.is_none() && is_approved(context, pull)?)
        })?);
        for (source, found) in collectives::in_change(&git, base, head, &context.settings()?.moe.path)? {
            if !found.is_empty() {
                findings.extend(found);
                documents.push(source);
            }
        }
    }
    findings.extend(proposed_registry(context, &facts, &mut documents)?);
    if pull.draft {
        lint::attestation::downgrade_for_draft(&mut findings);
    }
    documents.insert(0, snapshot.description.source);
    print_findings::print_all(context, &documents, &findings)
}

/// Whether a person who may write to the repository approved the head of a pull request.
fn is_approved(context: &Context, pull: &Pull) -> anyhow::Result<bool> {
    let github = github::connect_with(context, of_base(pull))?;
    let batch = Batch::default();
    Ok(Approvals::fetch(&Writers::new(&github, &batch), pull)?.approved)
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
        patience: Some(Duration::ZERO),
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
        base: side(naming.base, revisions::merge_base(&git, &base, &head)?),
        head: side(branch, head),
    };
    Ok(Snapshot::named(pull, gather::shown(path)))
}

/// Returns the contract: the file that the user named, otherwise the contract of the pull request.
fn contract(
    context: &Context,
    args: &Args,
    snapshot: &Snapshot,
) -> anyhow::Result<(Option<Document<Contract>>, Vec<Finding>)> {
    let stored = || stored_contract::find(&Git::at(&context.subject)).filter(|_| args.body.is_some());
    if let Some(path) = &args.contract.clone().or_else(stored) {
        return Ok((Some(Document::parse(gather::source(path)?)), Vec::new()));
    }
    let body = &snapshot.description.source;
    let no_contract = |span: &Span, message: String, help: &str| {
        let mut diagnostics = Diagnostics::new(body);
        diagnostics.report(&NO_CONTRACT, span, message).help = Some(help.to_owned());
        Ok((None, diagnostics.finish()))
    };
    let github = github::connect_with(context, of_base(&snapshot.pull))?;
    match snapshot.contract(&github, |number| Issue::read(&github, number))? {
        ContractOf::Found(issue) => Ok((Some(issue.document.clone()), Vec::new())),
        ContractOf::NoIssue => no_contract(
            &(0..0),
            "the description closes no issue".to_owned(),
            "write `Fixes: #N` with the number of the contract's issue",
        ),
        // The number is wrong, or the token may not read the issue. The rest of the description is still checked.
        ContractOf::Missing(reference) => no_contract(
            &reference.span,
            format!(
                "there is no issue #{}, or the token may not read it",
                reference.number
            ),
            "give the number of the contract's issue; a workflow needs `issues: read`",
        ),
    }
}

/// Lints the registry of the change, if it differs from the registry of the policy checkout.
fn proposed_registry(
    context: &Context,
    facts: &LintContext,
    documents: &mut Vec<Source>,
) -> anyhow::Result<Vec<Finding>> {
    let policy = context.policy().file(paths::REGISTRY);
    let proposed = Revision::Checkout(&context.subject).file(paths::REGISTRY);
    let (Ok(Some(policy)), Ok(Some(proposed))) = (policy, proposed) else {
        return Ok(Vec::new());
    };
    let Some(proposed) = String::from_utf8(proposed)
        .ok()
        .filter(|text| policy != text.as_bytes())
    else {
        return Ok(Vec::new());
    };
    let source = Source::new(Some(paths::REGISTRY.to_owned()), proposed);
    let has_file = |file: &str| files::contains(&context.subject, file);
    let around = RegistryContext {
        has_file: Some(&has_file),
        base: facts.registry.as_ref(),
        leaks: private_terms::options(context::variable)?,
    };
    let findings = lint::registry::lint(&Document::parse(source.clone()), &around);
    documents.push(source);
    Ok(findings)
}
