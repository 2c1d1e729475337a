//! `start`: claims a contract and creates its branch and worktree. With `--clean`, removes those of merged contracts.

mod report;

use std::path::PathBuf;

use anyhow::bail;

use crate::cmd::context::Context;
use crate::cmd::github;
use crate::cmd::help::{self, Help};
use crate::cmd::lint::gather;
use crate::cmd::plan::{completed, contracts_of, untrusted};
use crate::domain::exit::Exit;
use crate::domain::next_step::{NextStep, Who};
use crate::github::config::Repository;
use crate::workspace::clean;
use crate::workspace::main_worktree::MainWorktree;
use crate::workspace::start::{self, Outcome, Request};

use report::{CleanReport, Report};

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::VERDICTS,
    variables: help::OF_GITHUB,
    examples: &[
        "start 03a",
        "start 03a --contract contracts",
        "start --clean --dry-run",
    ],
};

/// Arguments of `start`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Contract id, such as `03a`.
    #[arg(value_name = "ID", required_unless_present = "clean")]
    id: Option<String>,
    /// Contracts: files, or folders with all files below them (default: the open issues on GitHub).
    #[arg(long, value_name = "DIR|FILE")]
    contract: Vec<PathBuf>,
    /// A contract that is already merged. Can be given several times.
    #[arg(long, value_name = "ID")]
    done: Vec<String>,
    /// Release the claim of the contract. Branch and worktree stay.
    #[arg(long, conflicts_with = "clean")]
    release: bool,
    /// Remove branches, worktrees and claims of merged or squashed contracts. Unmerged and uncommitted work stays.
    #[arg(long, conflicts_with_all = ["id", "contract", "done"])]
    clean: bool,
    /// Print what would be created, released or removed, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs `start`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let main = MainWorktree::find(&context.repo, context.settings()?.naming)?;
    let Some(id) = args.id.as_deref() else {
        let here = std::env::current_dir().unwrap_or_default();
        let branches = clean::clean(&main, &here, args.dry_run)?;
        return CleanReport::new(args.dry_run, branches, main.git.dir()).print(context);
    };
    if args.release {
        let Some(claim) = start::release(&main, id, args.dry_run)? else {
            bail!("cannot release contract {id}: it is not claimed");
        };
        let report = match args.dry_run {
            true => Report::planned(
                id,
                format!(
                    "would release {id}, which {} claimed on {}",
                    claim.who, claim.when
                ),
            ),
            false => {
                let next = NextStep::run(Who::Author, "start it again", ["nmoe-gates", "start", id]);
                Report::released(id, &claim.id, next)
            }
        };
        return report.print(context);
    }
    let request = Request {
        id,
        documents: &contracts_of(context, &args.contract, ", or name a file with `--contract FILE`")?,
        done: &args.done,
        dry_run: args.dry_run,
        completed: &|ids| completed(context, &args.contract, ids),
        hotspots: &context.settings()?.hotspots,
        plan_command: plan_command(args),
    };
    if args.contract.is_empty() {
        name_other_repository(context, &main)?;
    }
    match start::start(&main, &request, &gather::facts(context)?)? {
        Outcome::Refused { findings, next } => Report::refused(id, &findings, next),
        Outcome::Possible { item } => {
            let (branch, worktree) = (main.branch(&item), main.worktree(&item));
            let would = format!("would start {id}: branch {branch} in {}", worktree.display());
            Report::planned(id, would)
        }
        Outcome::Started {
            item,
            base,
            claim,
            mut warnings,
        } => {
            let document = request
                .documents
                .iter()
                .position(|document| document.name == item.path);
            match untrusted(context, request.documents, document.into_iter()) {
                Ok(found) => warnings.extend(found.into_values()),
                // The work has begun, so this must not end as an error.
                Err(error) => context.note(format_args!("cannot say whether the contract counts: {error:#}")),
            }
            Report::started(&main, &item, &base, &claim, &warnings)
        }
    }
    .print(context)
}

/// Says where the claim is, if that is not where the contracts are: another fork does not see the claim.
fn name_other_repository(context: &Context, main: &MainWorktree) -> anyhow::Result<()> {
    let remote = &main.naming.remote;
    let url = main
        .git
        .text(["config", "--get", &format!("remote.{remote}.url")]);
    let claims = url.ok().and_then(|url| Repository::of_remote(&url));
    let github = github::connect(context)?;
    let contracts = github.repository().to_string();
    if let Some(claims) = claims.map(|claims| claims.to_string())
        && !claims.eq_ignore_ascii_case(&contracts)
    {
        context.note(format_args!(
            "the contracts are in {contracts} and the claim is in {claims}: another fork can hold a claim of the same contract"
        ));
    }
    Ok(())
}

fn plan_command(args: &Args) -> Vec<String> {
    let paths = args.contract.iter().map(|p| p.display().to_string());
    let done = args.done.iter().flat_map(|id| ["--done".to_owned(), id.clone()]);
    ["nmoe-gates", "plan"]
        .map(str::to_owned)
        .into_iter()
        .chain(paths)
        .chain(done)
        .collect()
}
