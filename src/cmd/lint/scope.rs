//! `lint scope`: checks the changes of a diff against the scope and the knobs of a contract. Reads the diff, and calls the rules.

use crate::cmd::context::Context;
use crate::cmd::contract_input::{self, ContractInput};
use crate::cmd::help::{self, Help};
use crate::cmd::print_findings;
use crate::domain::exit::Exit;
use crate::domain::finding::Finding;
use crate::git::diff;
use crate::git::{Git, revisions, snapshot};
use crate::pull::scope;
use crate::workspace::stored_contract;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::VERDICTS,
    variables: help::OF_SCAN_AND_GITHUB,
    examples: &[
        "lint scope --cached",
        "lint scope --contract issue.md --base origin/master",
    ],
};

/// Why nothing was changed with `--cached`.
pub(super) const NOTHING_STAGED: &str = "no change is staged";

/// Arguments of `lint scope`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    #[command(flatten)]
    contract: ContractInput,
    /// Compare with this commit (default: the base branch of the settings).
    #[arg(long, value_name = "REV", conflicts_with = "cached")]
    base: Option<String>,
    /// Check this commit (default: HEAD with all uncommitted work).
    #[arg(long, value_name = "REV", conflicts_with = "cached")]
    head: Option<String>,
    /// Check only the staged changes against HEAD, for a commit hook.
    #[arg(long)]
    cached: bool,
}

/// Runs `lint scope`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let Checked { findings, unchanged } = checked(context, args)?;
    let stored = stored_contract::age(&Git::at(&context.subject)).filter(|_| args.contract.is_empty());
    if let Some((number, day)) = stored.filter(|_| !findings.is_empty()) {
        context.note(format_args!(
            "the contract is the copy of issue #{number} of {day}; `nmoe-gates lint scope --issue {number}` reads it again"
        ));
    }
    match unchanged {
        Some(why) => print_findings::print_unchanged(context, 0, &findings, why),
        None => print_findings::print_all(context, &[], &findings),
    }
}

/// The result of a check.
struct Checked {
    findings: Vec<Finding>,
    /// Why nothing was changed, if so.
    unchanged: Option<&'static str>,
}

fn checked(context: &Context, args: &Args) -> anyhow::Result<Checked> {
    let git = Git::at(&context.subject);
    let contract = contract_input::loaded(args.contract.or_stored(context)?)?.value;
    if args.cached {
        let git = staged_in(git);
        let against = match git.commit("HEAD")? {
            Some(head) => head,
            // Before the first commit every staged file is new.
            None => git.empty_tree()?,
        };
        let changes = diff::staged(&git, &against)?;
        return Ok(Checked {
            findings: scope::check(&git, &contract, &changes, &against)?,
            unchanged: changes.is_empty().then_some(NOTHING_STAGED),
        });
    }
    let base = match &args.base {
        Some(base) => revisions::known(&git, base)?,
        None => revisions::base(&git, &context.settings()?.naming)?,
    };
    let since_base = |git: &Git, head: &str| -> anyhow::Result<Checked> {
        let fork = revisions::merge_base(git, &base, head)?;
        let changes = diff::between(git, &fork, head, false)?;
        Ok(Checked {
            findings: scope::check(git, &contract, &changes, &fork)?,
            unchanged: changes.is_empty().then_some("every file is as in the base"),
        })
    };
    if let Some(head) = &args.head {
        return since_base(&git, &revisions::known(&git, head)?);
    }
    let work = snapshot::of_work(&git)?;
    since_base(&work.git, &work.commit)
}

/// Returns the repository with the index of the commit that is being made. git tells a hook that index in its environment.
pub(super) fn staged_in(git: Git) -> Git {
    match std::env::var_os("GIT_INDEX_FILE") {
        Some(index) => match std::path::absolute(index) {
            Ok(index) => git.with_index(index),
            Err(_) => git,
        },
        None => git,
    }
}
