//! Starts the work on a contract: checks it, claims it, and creates its branch and worktree.
//!
//! Checks everything before it creates anything, and removes what it created if a later step fails.

use crate::document::{Document as Parsed, Source};
use crate::domain::contract::Contract;
use crate::domain::finding::{Finding, Severity};
use crate::domain::ids::CommitId;
use crate::domain::next_step::{NextStep, Who};
use crate::domain::settings;
use crate::domain::suggest::{did_you_mean, nearest};
use crate::git::claims::{self, Claim, Claimed};
use crate::lint;
use crate::plan::contracts::{self, Document};
use crate::plan::{self, Facts, Item, codes, natural};
use crate::workspace::main_worktree::MainWorktree;

/// What to start.
pub struct Request<'a> {
    /// The contract id.
    pub id: &'a str,
    /// The open contracts.
    pub documents: &'a [Document],
    /// The ids that the user declared as merged.
    pub done: &'a [String],
    /// Returns those of the contracts that are closed as completed on GitHub.
    pub completed: &'a dyn Fn(&[&str]) -> anyhow::Result<Vec<String>>,
    pub hotspots: &'a settings::Hotspots,
    /// The command that prints the plan of these contracts.
    pub plan_command: Vec<String>,
    /// Check everything, and create nothing.
    pub dry_run: bool,
}

/// The result of a start.
pub enum Outcome {
    /// Nothing was created.
    Refused {
        findings: Vec<Finding>,
        next: Vec<NextStep>,
    },
    /// Nothing prevents the start. Nothing was created, because of `dry_run`.
    Possible { item: Item },
    /// Branch, worktree and claim exist.
    Started {
        item: Item,
        base: CommitId,
        claim: String,
        warnings: Vec<Finding>,
    },
}

/// Starts the work on a contract.
///
/// # Errors
/// git or the remote fails.
pub fn start(
    main: &MainWorktree,
    request: &Request<'_>,
    facts: &lint::LintContext,
) -> anyhow::Result<Outcome> {
    let (items, mut findings, parsed) = contracts::read_with(request.documents, request.id);
    let Some((item, n)) = items.iter().find(|(item, _)| item.issue == request.id) else {
        findings.push(unknown(request.id, &items));
        let command = request.plan_command.clone();
        let next = vec![NextStep::run(Who::Author, "list the contracts", command)];
        return Ok(Outcome::Refused { findings, next });
    };
    let document = &request.documents[*n];
    let findings = contract_errors(parsed, document, facts);
    if !findings.is_empty() {
        let command = document.lint_command();
        let next = vec![NextStep::run(Who::MergeCaptain, "fix the contract", command)];
        return Ok(Outcome::Refused { findings, next });
    }

    // The lock decides between processes of this clone, and the remote decides between clones.
    let _locked = main.lock()?;
    let remote = &main.naming.remote;
    claims::fetch(&main.git, remote)?;
    let (findings, next) = blockers(main, request, item, &items)?;
    if !findings.is_empty() {
        return Ok(Outcome::Refused { findings, next });
    }
    let base = main.base()?;
    if request.dry_run {
        return Ok(Outcome::Possible { item: item.clone() });
    }
    // The last question that can fail, before anything is claimed.
    let warnings = shared_hotspots(main, request, item, &items)?;
    let claim = match claims::claim(&main.git, remote, request.id, &base)? {
        Claimed::Won(claim) => claim,
        Claimed::Lost => {
            claims::fetch(&main.git, remote)?;
            let (finding, next) = claimed(main, request, item)?;
            let findings = vec![finding];
            return Ok(Outcome::Refused { findings, next });
        }
    };
    if let Err(error) = main.create(item, &base, &document.text, document.number) {
        main.rollback(item, &base);
        claims::release(&main.git, remote, request.id, &claim)?;
        return Err(error);
    }
    let item = item.clone();
    Ok(Outcome::Started {
        item,
        base,
        claim,
        warnings,
    })
}

/// Returns a warning for each exclusive hotspot that this contract shares with a claimed one.
fn shared_hotspots(
    main: &MainWorktree,
    request: &Request<'_>,
    item: &Item,
    items: &[(Item, usize)],
) -> anyhow::Result<Vec<Finding>> {
    let claimed = claims::listed(&main.git, claims::CLAIMS)?;
    let others: Vec<Item> = items
        .iter()
        .map(|(other, _)| other.clone())
        .filter(|other| other.issue == item.issue || claimed.contains_key(&other.issue))
        .collect();
    let index = others.iter().enumerate();
    let index = index.map(|(n, other)| (other.issue.clone(), n)).collect();
    let spots = plan::hotspots::find(&others, &Facts::default(), request.hotspots, &index);
    let shared = spots
        .shared
        .iter()
        .filter(|spot| spot.exclusive && spot.contracts.contains(&item.issue));
    let warning = |spot: &plan::Hotspot| {
        let with: Vec<&str> = spot
            .contracts
            .iter()
            .map(String::as_str)
            .filter(|id| *id != item.issue)
            .collect();
        let message = format!(
            "`{}` is also changed by {}, which is claimed",
            spot.path,
            with.join(", ")
        );
        Finding::new(&codes::HOTSPOT_TAKEN, message)
            .in_path(&item.path)
            .help("one of the two is merged first, and the other resolves the conflicts")
    };
    Ok(shared.map(warning).chain(spots.finding(&others)).collect())
}

/// Releases the claim of a contract, and returns it; `None` if the contract is not claimed. With `dry_run` the claim stays.
///
/// # Errors
/// git or the remote fails.
pub fn release(main: &MainWorktree, id: &str, dry_run: bool) -> anyhow::Result<Option<Claim>> {
    let _locked = main.lock()?;
    claims::fetch(&main.git, &main.naming.remote)?;
    let claim = claims::of(&main.git, id)?;
    if let Some(claim) = claim.as_ref().filter(|_| !dry_run) {
        claims::release(&main.git, &main.naming.remote, id, &claim.id)?;
    }
    Ok(claim)
}

fn unknown(id: &str, items: &[(Item, usize)]) -> Finding {
    let mut known: Vec<&str> = items.iter().map(|(item, _)| item.issue.as_str()).collect();
    known.sort_by(|a, b| natural(a, b));
    let meant = nearest(id, known.iter().copied());
    let more = if known.len() > 10 { ", …" } else { "" };
    known.truncate(10);
    let help = match (meant, known.as_slice()) {
        (Some(meant), _) => did_you_mean(meant),
        (None, []) => "there are no contracts".to_owned(),
        (None, known) => format!("there are: {}{more}", known.join(", ")),
    };
    Finding::new(&codes::UNKNOWN_CONTRACT, format!("there is no contract `{id}`")).help(help)
}

/// Returns the errors of the contract itself. `parsed` is the document, if it was parsed already.
fn contract_errors(
    parsed: Option<Parsed<Contract>>,
    document: &Document,
    facts: &lint::LintContext,
) -> Vec<Finding> {
    let source = || Source::new(Some(document.name.clone()), document.text.as_str());
    let parsed = parsed.unwrap_or_else(|| Parsed::parse(source()));
    let mut findings = lint::contract::lint(&parsed, facts);
    findings.retain(|finding| finding.severity == Severity::Error);
    findings
}

/// Returns everything that prevents the start, with next steps.
fn blockers(
    main: &MainWorktree,
    request: &Request<'_>,
    item: &Item,
    items: &[(Item, usize)],
) -> anyhow::Result<(Vec<Finding>, Vec<NextStep>)> {
    let mut findings = Vec::new();
    let mut next = Vec::new();
    let mut add = |finding: Finding, step: NextStep| {
        findings.push(finding);
        if !next.contains(&step) {
            next.push(step);
        }
    };
    let done = claims::listed(&main.git, claims::DONE)?;
    let is_done = |id: &String| done.contains_key(id) || request.done.contains(id);
    let closed: Vec<&str> = item
        .depends_on
        .iter()
        .filter(|id| !is_done(id) && items.iter().all(|(other, _)| other.issue != **id))
        .map(String::as_str)
        .collect();
    let completed = match closed.as_slice() {
        [] => Vec::new(),
        closed => (request.completed)(closed)?,
    };
    for id in &item.depends_on {
        if is_done(id) {
            continue;
        }
        let open = items.iter().find(|(other, _)| other.issue == *id);
        let message = match open {
            Some((other, _)) if main.is_merged(other)? => continue,
            Some((other, _)) => format!(
                "contract {id} is not merged, and {} depends on it ({})",
                item.issue, other.path
            ),
            None if completed.contains(id) => continue,
            None => format!(
                "contract {id} may not be merged, and {} depends on it",
                item.issue
            ),
        };
        let finding = Finding::new(&codes::DEPENDENCY_OPEN, message)
            .in_path(&item.path)
            .help(format!("if {id} is merged, use `--done {id}`"));
        add(
            finding,
            NextStep::run(
                Who::Author,
                "choose a contract that can be started",
                request.plan_command.clone(),
            ),
        );
    }
    if done.contains_key(&item.issue) {
        let finding = Finding::new(
            &codes::ALREADY_MERGED,
            format!("contract {} is merged", item.issue),
        );
        add(
            finding,
            NextStep::run(
                Who::Author,
                "choose another contract",
                request.plan_command.clone(),
            ),
        );
    } else if claims::of(&main.git, &item.issue)?.is_some() {
        let (finding, steps) = claimed(main, request, item)?;
        steps.into_iter().for_each(|step| add(finding.clone(), step));
        findings.dedup();
    }
    let clean = || {
        NextStep::run(
            Who::Author,
            "remove what is merged",
            ["nmoe-gates", "start", "--clean"],
        )
    };
    for name in main.branches(item)? {
        let finding = Finding::new(&codes::BRANCH_EXISTS, format!("the branch `{name}` exists"));
        findings.push(finding.help("continue on this branch, or merge or delete it first"));
        if !next.contains(&clean()) {
            next.push(clean());
        }
    }
    if let Some(name) = main.branch_above(item)? {
        let message = format!(
            "the branch `{name}` exists, so git cannot have `{}`",
            main.branch(item)
        );
        let help = format!("rename or delete `{name}`, or set `naming.branch` in the settings");
        findings.push(Finding::new(&codes::BRANCH_EXISTS, message).help(help));
        let step = NextStep::manual(Who::MergeCaptain, format!("rename or delete the branch `{name}`"));
        next.push(step);
    }
    let worktree = main.worktree(item);
    let branch = main.branch(item);
    if !worktree.exists() && main.git.commit(&format!("refs/heads/{branch}"))?.is_some() {
        let path = worktree.display().to_string();
        // git still knows a worktree whose folder was removed by hand.
        let command = ["git", "worktree", "add", "--force", &path, &branch];
        next.insert(0, NextStep::run(Who::Author, "continue on the branch", command));
    }
    if worktree.exists() {
        let shown = main.naming.worktree_of(&item.issue, &item.slug);
        findings.push(Finding::new(&codes::WORKTREE_EXISTS, format!("`{shown}` exists")));
        let step = NextStep::run(
            Who::Author,
            "continue there",
            ["cd".to_owned(), worktree.display().to_string()],
        );
        next.push(step);
    }
    Ok((findings, next))
}

fn claimed(
    main: &MainWorktree,
    request: &Request<'_>,
    item: &Item,
) -> anyhow::Result<(Finding, Vec<NextStep>)> {
    let id = &item.issue;
    let by = claims::of(&main.git, id)?
        .map(|claim| format!(" by {} since {}", claim.who, claim.when))
        .unwrap_or_default();
    let finding = Finding::new(&codes::CLAIMED, format!("contract {id} is claimed{by}"))
        .help("choose another contract, or ask the person who claimed it to release it");
    let release = ["nmoe-gates", "start", id, "--release"];
    let next = vec![
        NextStep::run(
            Who::Author,
            "choose another contract",
            request.plan_command.clone(),
        ),
        NextStep::run(
            Who::MergeCaptain,
            "if the claim was abandoned: free the contract",
            release,
        ),
    ];
    Ok((finding, next))
}
