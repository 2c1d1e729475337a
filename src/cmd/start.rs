//! `start`: from a contract to a branch and a worktree that nobody else has; `start --clean` takes away what is merged.
//!
//! Everything is checked before anything is made, and what was made is taken back when a later step fails.

mod clean;
mod present;
mod site;

use std::path::PathBuf;

use anyhow::bail;

use crate::cmd::context::{Context, Format};
use crate::cmd::lint::gather;
use crate::cmd::plan::{completed, contracts_of};
use crate::document::Source;
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, Severity};
use crate::domain::next_step::{NextStep, Who};
use crate::git::claims::{self, Claimed};
use crate::lint;
use crate::plan::contracts::{self, Document};
use crate::plan::{Item, codes, natural};

use present::Report;
use site::Site;

/// Arguments of `start`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Contract id, such as `03a`.
    #[arg(value_name = "ID", required_unless_present = "clean")]
    id: Option<String>,
    /// Contracts: files, or folders with all below them; GitHub's open issues where absent.
    #[arg(long, value_name = "DIR|FILE")]
    contract: Vec<PathBuf>,
    /// A contract that is merged already; may be given several times.
    #[arg(long, value_name = "ID")]
    done: Vec<String>,
    /// Give the contract up: take the claim back. Branch and worktree stay.
    #[arg(long, conflicts_with = "clean")]
    release: bool,
    /// Remove branches, worktrees and claims of contracts that are merged, squashed ones too. Unmerged or uncommitted work stays.
    #[arg(long, conflicts_with_all = ["id", "contract", "done"])]
    clean: bool,
    /// With --clean: only say what would be removed.
    #[arg(long, requires = "clean")]
    dry_run: bool,
}

/// Runs `start`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(&[Format::Human, Format::Json])?;
    let settings = context.settings()?;
    let site = Site::find(&context.repo, settings.naming)?;
    let Some(id) = args.id.as_deref() else {
        return clean::run(context, &site, args.dry_run);
    };
    if args.release {
        return release(context, &site, id);
    }
    let documents = contracts_of(context, &args.contract)?;
    let (items, findings) = contracts::read(&documents);
    let Some((item, at)) = items.iter().find(|(item, _)| item.issue == id) else {
        let mut findings = findings;
        findings.push(unknown(id, &items));
        let next = NextStep::run(Who::Author, "see which contracts there are", plan_command(args));
        return Report::refused(id, &findings, vec![next]).print(context);
    };
    let document = &documents[*at];

    let mut findings = faults(context, document)?;
    if findings.is_empty() {
        findings.extend(unusable(item));
    }
    if !findings.is_empty() {
        let next = NextStep::run(Who::MergeCaptain, "fix the contract", document.lint_command());
        return Report::refused(id, &findings, vec![next]).print(context);
    }

    // One at a time in this clone; between clones the remote decides.
    let _alone = site.lock()?;
    claims::fetch(&site.git, &site.naming.remote)?;
    let (findings, next) = obstacles(context, args, &site, item, &items)?;
    if !findings.is_empty() {
        return Report::refused(id, &findings, next).print(context);
    }
    let base = site.base()?;
    let claim = match claims::claim(&site.git, &site.naming.remote, id, &base)? {
        Claimed::Won(claim) => claim,
        Claimed::Lost => {
            claims::fetch(&site.git, &site.naming.remote)?;
            let (finding, next) = claimed(&site, item)?;
            return Report::refused(id, &[finding], next).print(context);
        }
    };
    if let Err(error) = site.build(item, &base, &document.text) {
        site.tear_down(item, &base);
        claims::release(&site.git, &site.naming.remote, id, &claim)?;
        return Err(error);
    }
    Report::started(&site, item, &base, &claim).print(context)
}

fn plan_command(args: &Args) -> Vec<String> {
    let paths = args.contract.iter().map(|p| p.display().to_string());
    ["nmoe-gates", "plan"]
        .map(str::to_owned)
        .into_iter()
        .chain(paths)
        .collect()
}

fn unknown(id: &str, items: &[(Item, usize)]) -> Finding {
    let mut known: Vec<&str> = items.iter().map(|(item, _)| item.issue.as_str()).collect();
    known.sort_by(|a, b| natural(a, b));
    known.truncate(10);
    let help = match known.as_slice() {
        [] => "there is no contract at all".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    };
    Finding::new(&codes::UNKNOWN_CONTRACT, format!("there is no contract `{id}`")).help(help)
}

/// What is wrong with the contract itself.
fn faults(context: &Context, document: &Document) -> anyhow::Result<Vec<Finding>> {
    let source = Source::new(Some(document.name.clone()), document.text.as_str());
    let mut findings = lint::contract::lint(
        &crate::document::Document::parse(source),
        &gather::facts(context)?,
    );
    findings.retain(|finding| finding.severity == Severity::Error);
    Ok(findings)
}

fn unusable(item: &Item) -> Option<Finding> {
    let fits = |text: &str| {
        !text.is_empty()
            && !text.starts_with(['.', '-'])
            && !text.ends_with(['.', '-'])
            && !text.contains("..")
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    (!fits(&item.issue) || !fits(&item.slug)).then(|| {
        let message = format!("`{}` and `{}` cannot name a branch", item.issue, item.slug);
        Finding::new(&codes::UNUSABLE_NAME, message).in_path(&item.path)
    })
}

/// Everything that stands in the way, with the step that lifts each.
fn obstacles(
    context: &Context,
    args: &Args,
    site: &Site,
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
    let done = claims::listed(&site.git, claims::DONE)?;
    let mut closed = None;
    for id in &item.depends_on {
        if done.contains_key(id) || args.done.contains(id) {
            continue;
        }
        let open = items.iter().find(|(other, _)| other.issue == *id);
        let message = match open {
            Some((other, _)) if site.is_merged(other)? => continue,
            Some((other, _)) => format!(
                "contract {id} is not merged, and {} depends on it ({})",
                item.issue, other.path
            ),
            None => {
                let merged: &Vec<String> = match &closed {
                    Some(merged) => merged,
                    None => closed.insert(completed(context, &args.contract)?),
                };
                if merged.contains(id) {
                    continue;
                }
                format!(
                    "contract {id} is not known to be merged, and {} depends on it",
                    item.issue
                )
            }
        };
        let finding = Finding::new(&codes::DEPENDENCY_OPEN, message)
            .in_path(&item.path)
            .help(format!("if {id} is merged, say `--done {id}`"));
        add(
            finding,
            NextStep::run(
                Who::Author,
                "take a contract that can be started",
                plan_command(args),
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
            NextStep::run(Who::Author, "take another contract", plan_command(args)),
        );
    } else if claims::of(&site.git, &item.issue)?.is_some() {
        let (finding, steps) = claimed(site, item)?;
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
    for name in site.branches(item)? {
        let finding = Finding::new(&codes::BRANCH_EXISTS, format!("the branch `{name}` exists"));
        findings.push(finding.help("go on there, or have it merged or deleted first"));
        if !next.contains(&clean()) {
            next.push(clean());
        }
    }
    let worktree = site.worktree(item);
    if worktree.exists() {
        let shown = site.naming.worktree_of(&item.issue, &item.slug);
        findings.push(Finding::new(&codes::WORKTREE_EXISTS, format!("`{shown}` exists")));
        let step = NextStep::run(Who::Author, "go on there", ["cd", shown.as_str()]);
        next.push(step);
    }
    Ok((findings, next))
}

fn claimed(site: &Site, item: &Item) -> anyhow::Result<(Finding, Vec<NextStep>)> {
    let id = &item.issue;
    let by = claims::of(&site.git, id)?
        .map(|claim| format!(" by {} since {}", claim.who, claim.when))
        .unwrap_or_default();
    let finding = Finding::new(&codes::CLAIMED, format!("contract {id} is claimed{by}"))
        .help("take another one, or ask whoever claimed it to give it up");
    let give_up = ["nmoe-gates", "start", id, "--release"];
    let next = vec![
        NextStep::run(Who::Author, "take another contract", ["nmoe-gates", "plan"]),
        NextStep::run(
            Who::MergeCaptain,
            "if the claim was abandoned: free the contract",
            give_up,
        ),
    ];
    Ok((finding, next))
}

fn release(context: &Context, site: &Site, id: &str) -> anyhow::Result<Exit> {
    let _alone = site.lock()?;
    claims::fetch(&site.git, &site.naming.remote)?;
    let Some(claim) = claims::of(&site.git, id)? else {
        bail!("contract {id} is not claimed");
    };
    claims::release(&site.git, &site.naming.remote, id, &claim.id)?;
    let next = NextStep::run(Who::Author, "start it again", ["nmoe-gates", "start", id]);
    Report::released(id, &claim.id, next).print(context)
}
