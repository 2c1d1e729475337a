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
    let findings = findings(context, args)?;
    let stored = stored_contract::age(&Git::at(&context.subject)).filter(|_| args.contract.is_empty());
    if let Some((number, day)) = stored.filter(|_| !findings.is_empty()) {
        context.note(format_args!(
            "the contract is the copy of issue #{number} of {day}; `nmoe-gates lint scope --issue {number}` reads it again"
        ));
    }
    print_findings::print_all(context, &[], &findings)
}

fn findings(context: &Context, args: &Args) -> anyhow::Result<Vec<Finding>> {
    let git = Git::at(&context.subject);
    let contract = contract_input::loaded(args.contract.or_stored(context)?)?.value;
    if args.cached {
        let git = staged_in(git);
        let against = match git.commit("HEAD")? {
            Some(head) => head,
            // Before the first commit every staged file is new.
            None => git.empty_tree()?,
        };
        return scope::check(&git, &contract, &diff::staged(&git, &against)?, &against);
    }
    let base = match &args.base {
        Some(base) => revisions::known(&git, base)?,
        None => revisions::base(&git, &context.settings()?.naming)?,
    };
    if let Some(head) = &args.head {
        return scope::between(&git, &contract, &base, &revisions::known(&git, head)?);
    }
    let work = snapshot::of_work(&git)?;
    scope::between(&work.git, &contract, &base, &work.commit)
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
