//! `ready`: everything that still blocks a merge, each with who can lift it and the command; with `--all` the order to merge in.

mod attested;
mod facts;
mod present;
mod published;

use std::path::PathBuf;

use crate::cmd::context::{Context, Format};
use crate::cmd::print_findings::is_private;
use crate::document::Document;
use crate::domain::attestation::Attestation;
use crate::domain::contract::Contract;
use crate::domain::evidence::Evidence;
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, Severity};
use crate::domain::ids::{CommitId, short};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::registry::Tier;
use crate::git::evil_merge;
use crate::git::merge;
use crate::git::merge_status;
use crate::github::types::Pull;
use crate::lint;
use crate::lint::claims::Evidence as Claims;
use crate::plan::ready::{self, Blocker, Waiting};

use facts::Around;
use present::{Report, Row};

/// Arguments of `ready`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Numbers of pull requests.
    #[arg(value_name = "PR", required_unless_present = "all")]
    pulls: Vec<u64>,
    /// Every open pull request, and the order of merging that keeps the most evidence.
    #[arg(long, conflicts_with = "pulls")]
    all: bool,
    /// Recorded results of Tier-B runs, beside those that were published; may be given several times.
    #[arg(long, value_name = "FILE")]
    results: Vec<PathBuf>,
    /// Count only results files that the report job signed; `gh` verifies the signatures.
    #[arg(long, requires = "results")]
    attested: bool,
}

/// Runs `ready`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(&[Format::Human, Format::Json])?;
    let mut around = Around::gather(context, &args.results, args.attested)?;
    let pulls: Vec<Pull> = if args.all {
        around.open.clone()
    } else {
        let fetch = |number: &u64| Ok(around.hub.pull(*number)?);
        args.pulls.iter().map(fetch).collect::<anyhow::Result<_>>()?
    };
    // What is carried in a comment has no signature of its own.
    for pull in pulls.iter().filter(|_| !args.attested) {
        around.read_published(pull.number)?;
    }
    let mut rows = Vec::new();
    let mut waiting = Vec::new();
    for pull in &pulls {
        let (row, contract) = judge(&around, pull)?;
        if let Some(contract) = contract {
            waiting.push(Waiting {
                pull: pull.number,
                issue: contract.nmoe.issue.clone(),
                depends_on: contract.nmoe.depends_on.clone(),
                gates: around.tier_b(&contract),
            });
        }
        rows.push(row);
    }
    let order = if args.all {
        around.order(&pulls, &waiting)?
    } else {
        Vec::new()
    };
    Report::new(rows, order).print(context)
}

fn judge(around: &Around<'_>, pull: &Pull) -> anyhow::Result<(Row, Option<Contract>)> {
    let number = pull.number;
    let mut blockers = Vec::new();
    if pull.state != "open" || pull.merged {
        let next = NextStep::manual(Who::MergeCaptain, "nothing is left to do here");
        blockers.push(Blocker::new(
            &ready::NOT_OPEN,
            format!("#{number} is not open"),
            next,
        ));
    }
    if pull.draft {
        let next = NextStep::run(
            Who::Author,
            "say that it is ready for review",
            ["gh", "pr", "ready", &number.to_string()],
        );
        blockers.push(Blocker::new(&ready::DRAFT, format!("#{number} is a draft"), next));
    }
    let (base, head) = around.commits(pull)?;
    let description = around.attestation(pull);
    let found = around.contract(&description)?;
    let contract = found.as_ref().and_then(|found| found.document.value.clone().ok());
    match &found {
        None => {
            let next = NextStep::manual(
                Who::Author,
                "write `Fixes: #N` with the number of the contract's issue into the description",
            );
            blockers.push(Blocker::new(
                &ready::NO_CONTRACT,
                "the description closes no issue with a contract",
                next,
            ));
        }
        Some(found) => {
            let errors: Vec<&Finding> = found
                .findings
                .iter()
                .filter(|f| f.severity == Severity::Error)
                .collect();
            if let Some(first) = errors.first() {
                let issue = found.issue.to_string();
                let command = ["nmoe-gates", "lint", "contract", "--issue", &issue];
                let next = NextStep::run(Who::MergeCaptain, "fix the contract", command);
                blockers.push(Blocker::new(
                    &ready::CONTRACT_FAULTY,
                    counted(&errors, first),
                    next,
                ));
            }
            for other in around.rivals(pull, found.issue) {
                let next = NextStep::run(
                    Who::MergeCaptain,
                    "close one of the two",
                    ["gh", "pr", "close", &other.to_string()],
                );
                let says = format!("#{other} closes #{} too", found.issue);
                blockers.push(Blocker::new(&ready::RIVAL_PULL, says, next));
            }
        }
    }
    blockers.extend(reviews(around, pull)?);
    blockers.extend(attestation(around, pull, &description, &head, found.as_ref()));
    let fork = around.git.text(["merge-base", &base, &head]).ok();
    if let (Some(found), Some(contract), Some(fork)) = (&found, &contract, &fork) {
        blockers.extend(scope(around, found.issue, contract, fork, &base, &head)?);
        blockers.extend(around.dependencies(contract)?);
        blockers.extend(around.hotspots(pull, contract));
    }
    for wide in evil_merge::between(&around.git, &base, &head)? {
        let abbreviated = short(&wide.commit);
        let says = format!(
            "the merge {abbreviated} changes more than conflicted hunks: {}",
            wide.paths.join(", ")
        );
        let next = NextStep::run(
            Who::Author,
            "merge again mechanically, and commit the rest on its own",
            ["git", "show", "--remerge-diff", abbreviated],
        );
        blockers.push(Blocker::new(&ready::RESOLUTION_TOO_WIDE, says, next));
    }
    let trial = merge::trial(&around.git, &base, &head)?;
    if !trial.conflicts.is_empty() {
        let says = format!(
            "it conflicts with `{}` in {}",
            pull.base.branch,
            trial.conflicts.join(", ")
        );
        let base = format!("{}/{}", around.naming.remote, pull.base.branch);
        let command = ["git", "merge", &base];
        let next = NextStep::run(Who::Author, "resolve the conflicts mechanically", command);
        blockers.push(Blocker::new(&ready::MERGE_CONFLICT, says, next));
    } else if let (Some(contract), Some(found)) = (&contract, &found) {
        let wanted = Evidence {
            head: Some(head.clone()),
            tree: Some(trial.tree.clone()),
            registry: Some(around.registry_sha256.clone()),
            contract: Some(found.sha256.clone()),
            ..Evidence::default()
        };
        let results = around.about(number, &head, &trial.tree);
        blockers.extend(ready::proven(number, contract, &around.registry, &results, |r| {
            around.stale(r, &wanted, &base)
        }));
    }
    let row = Row {
        number,
        issue: contract.as_ref().map(|c| c.nmoe.issue.clone()),
        head,
        base,
        ready: blockers.is_empty(),
        blockers,
    };
    Ok((row, contract))
}

/// The first of several errors, and how many there are.
fn counted(errors: &[&Finding], first: &Finding) -> String {
    let more = match errors.len() - 1 {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    format!("{}: {}{more}", first.code.id, first.message)
}

fn reviews(around: &Around<'_>, pull: &Pull) -> anyhow::Result<Vec<Blocker>> {
    let reviews = around.hub.reviews(pull.number)?;
    let author = pull.user.as_ref().map_or("", |user| user.login.as_str());
    let each = reviews.iter().filter_map(|review| {
        let user = review.user.as_ref()?;
        Some((
            user.login.as_str(),
            review.state.as_str(),
            review.commit_id.as_deref(),
        ))
    });
    let latest = ready::latest_reviews(each, author);
    let mut blockers = Vec::new();
    for login in latest
        .iter()
        .filter(|(_, (state, _))| *state == "CHANGES_REQUESTED")
        .map(|(login, _)| login)
    {
        let next = NextStep::manual(Who::Author, "answer the review, then ask for another look");
        blockers.push(Blocker::new(
            &ready::CHANGES_REQUESTED,
            format!("{login} asks for changes"),
            next,
        ));
    }
    let approved = latest.values().filter(|(state, _)| *state == "APPROVED");
    if !approved
        .clone()
        .any(|(_, commit)| commit.is_none_or(|c| pull.head.sha == c))
    {
        let says = match approved.count() {
            0 => "nobody has approved it".to_owned(),
            _ => "it was approved at an earlier head".to_owned(),
        };
        let next = NextStep::run(
            Who::Reviewer,
            "look at scope, invariants and public safety, then approve",
            ["gh", "pr", "review", &pull.number.to_string(), "--approve"],
        );
        blockers.push(Blocker::new(&ready::NOT_REVIEWED, says, next));
    }
    Ok(blockers)
}

fn attestation(
    around: &Around<'_>,
    pull: &Pull,
    description: &Document<Attestation>,
    head: &CommitId,
    found: Option<&facts::Found>,
) -> Vec<Blocker> {
    let claims = Claims {
        branch: Some(pull.head.branch.clone()),
        head: Some(head.to_owned()),
        ..Claims::default()
    };
    let findings = lint::attestation::lint(description, &around.facts, found.map(|f| &f.document), &claims);
    let errors: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .collect();
    let private = |f: &&&Finding| is_private(f.code) || f.code == &lint::codes::document::UNTICKED_BOX;
    let (unsafe_, faulty): (Vec<&Finding>, Vec<&Finding>) = errors.into_iter().partition(|f| private(&f));
    let mut blockers = Vec::new();
    if let Some(first) = unsafe_.first() {
        let next = NextStep::run(
            Who::Author,
            "take it out, or tick what is confirmed",
            ["gh", "pr", "edit", &pull.number.to_string()],
        );
        blockers.push(Blocker::new(&ready::NOT_PUBLIC, counted(&unsafe_, first), next));
    }
    let refresh = || {
        NextStep::join(
            Who::Author,
            "run Tier A on this head and refresh the attestation",
            "&&",
            &[
                &["nmoe-gates", "run", "--tier", "a"],
                &["nmoe-gates", "attest", "--pr", &pull.number.to_string()],
            ],
        )
    };
    if let Some(first) = faulty.first() {
        blockers.push(Blocker::new(
            &ready::ATTESTATION_FAULTY,
            counted(&faulty, first),
            refresh(),
        ));
    }
    let attested = description.value.as_ref().ok();
    let Some(contract) = found.and_then(|f| f.document.value.as_ref().ok()) else {
        return blockers;
    };
    let here = attested.filter(|a| a.nmoe_pr.pr_sha.len() >= 7 && head.starts_with(&a.nmoe_pr.pr_sha));
    let tier_a = contract.gates.required.iter().filter(|id| {
        around
            .registry
            .gates
            .get(*id)
            .is_some_and(|gate| gate.tier == Tier::A)
    });
    let missing: Vec<&str> = tier_a
        .filter(|id| !here.as_ref().is_some_and(|a| a.gates_passed.tier_a.contains(id)))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let says = format!("not attested on {}: {}", head.short(), missing.join(", "));
        blockers.push(Blocker::new(&ready::TIER_A_MISSING, says, refresh()));
    }
    blockers
}

fn scope(
    around: &Around<'_>,
    issue: u64,
    contract: &Contract,
    fork: &str,
    base: &str,
    head: &str,
) -> anyhow::Result<Vec<Blocker>> {
    let changes = crate::git::diff::between(&around.git, fork, head, false)?;
    let findings = crate::pull::scope::check(&around.git, contract, &changes, fork)?;
    let errors: Vec<&Finding> = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .collect();
    let Some(first) = errors.first() else {
        return Ok(Vec::new());
    };
    // Commit ids and no branch names: an outsider chose those.
    let next = NextStep::join(
        Who::Author,
        "take it back, or have the contract's scope changed first",
        "|",
        &[
            &[
                "gh",
                "issue",
                "view",
                &issue.to_string(),
                "--json",
                "body",
                "--jq",
                ".body",
            ],
            &[
                "nmoe-gates",
                "lint",
                "scope",
                "--contract",
                "-",
                "--base",
                base,
                "--head",
                head,
            ],
        ],
    );
    Ok(vec![Blocker::new(
        &ready::SCOPE_VIOLATED,
        counted(&errors, first),
        next,
    )])
}

/// Whether the work that ends in a commit is in the base already.
fn is_merged(around: &Around<'_>, base: &CommitId, tip: &CommitId) -> bool {
    merge_status::of_branch(&around.git, base, tip, None).is_ok_and(|status| status.is_merged())
}
