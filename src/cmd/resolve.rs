//! `resolve`: prints what a Tier-B run of a pull request is about: commits, contract, gates and cost.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::cmd::context::{self, Context, Format, print, print_json_line};
use crate::cmd::gates::{Which, selecting};
use crate::cmd::github;
use crate::cmd::help::{self, Help};
use crate::cmd::lint::gather;
use crate::cmd::{next_steps, runner_files};
use crate::domain::exit::Exit;
use crate::domain::next_step::{NextStep, Who};
use crate::domain::registry::{SINGLE, TIER_A, TIER_B};
use crate::domain::resolution::Resolution;
use crate::git::Git;
use crate::github::workflow_run;
use crate::lint::context::RegistryIndex;
use crate::pull::fresh_merge::{self, Checkout};
use crate::pull::resolution::{self, Request};
use crate::pull::tier_b::Dispatch;
use crate::report::comment_sections::{self, Terms};
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::ASKS,
    variables: help::OF_EVENT,
    examples: &["resolve --pr 12 --bundle full"],
};

/// The largest resolution in bytes. It travels in an environment variable, which holds at most 128 KiB.
const LARGEST: usize = 120_000;

/// Arguments of `resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of the pull request.
    #[arg(long, value_name = "N")]
    pr: u64,
    #[command(flatten)]
    which: Which,
    /// Number of the issue with the contract (default: the issue that the pull request closes).
    #[arg(long, value_name = "N")]
    issue: Option<u64>,
    /// Use the registry of the pull request, although it is not merged.
    #[arg(long)]
    registry_from_change: bool,
    /// First merge the base branch into the branch of the pull request, for example because GitHub's test merge is outdated. Only at
    /// a prompt, since a push can dismiss approvals.
    #[arg(long)]
    update_branch: bool,
    /// Write the resolution to this file, as one line of JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `resolve`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let github = github::connect(context)?;
    let in_workflow = workflow_run::in_actions(context::variable);
    if args.update_branch {
        if in_workflow {
            bail!(
                "cannot update the branch in a workflow: a push can dismiss approvals\nhelp: run the command at a prompt"
            );
        }
        fresh_merge::update_branch(&github, args.pr, context)?;
    }
    let git = Git::at(&context.repo);
    let settings = context.settings()?;
    let remote = &settings.naming.remote;
    let request = Request {
        checkout: Checkout { git: &git, remote },
        pull: args.pr,
        selection: &args.which.request(),
        issue: args.issue,
        registry_from_change: args.registry_from_change,
        authors: &settings.contracts.authors,
    };
    let mut registry = context.policy().registry_with_tree()?;
    let facts = gather::facts_with(context, registry.root.take().map(RegistryIndex::new))?;
    let (resolution, contract) = resolution::resolve(&github, registry, &facts, &request, context)?;
    let line = serde_json::to_string(&resolution)?;
    if line.len() > LARGEST {
        bail!(
            "cannot pass the contract between jobs: as JSON it has {} bytes, and {LARGEST} fit into a variable\nhelp: shorten the issue; quotes and line ends count twice",
            line.len()
        );
    }
    if let Some(path) = &args.output {
        std::fs::write(path, format!("{line}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let terms = contract.as_ref().map(|contract| Terms {
        contract,
        policy_pct: settings.perf.budget_pct,
    });
    let shown = comment_sections::resolution(&resolution, terms);
    runner_files::append(runner_files::SUMMARY, &shown)?;
    // GitHub does not have a merge that was made here. Then the gates job checks out the head, and `run` makes the merge again.
    let checkout = match github.commit(&resolution.merge) {
        Ok(_) => &resolution.merge,
        Err(error) if error.is_missing() => &resolution.head,
        Err(error) => return Err(error.into()),
    };
    runner_files::append(runner_files::OUTPUT, &format!("merge={checkout}\n"))?;
    let next = match in_workflow {
        true => Vec::new(),
        false => next(args, settings.publish.workflow(), &resolution),
    };
    if format == Format::Json {
        print_json_line(&Resolution { next, ..resolution })?;
    } else {
        let mut text = Text::new();
        text.document(&shown);
        if !next.is_empty() {
            text.line("").append(&next_steps(&next));
        }
        print(&text)?;
    }
    Ok(Exit::Passed)
}

/// Names the command that runs these gates: here if the resolution is in a file, otherwise in the workflow.
fn next(args: &Args, workflow: &str, resolution: &Resolution) -> Vec<NextStep> {
    let bundle = resolution.bundle.as_deref();
    if let Some(path) = &args.output {
        let path = path.display().to_string();
        let mut command = vec!["nmoe-gates", "run", "--resolution", &path];
        command.extend(selecting(bundle, &resolution.gate_ids));
        let what = "run the gates in a checkout of the merge";
        return vec![NextStep::run(Who::Maintainer, what, command)];
    }
    let (bundle, gate) = match (bundle, resolution.gate_ids.as_slice()) {
        // The workflow reads the contract of the pull request.
        _ if args.issue.is_some() => return Vec::new(),
        (None | Some(SINGLE), [gate]) => (SINGLE, Some(gate.as_str())),
        // The workflow has no input for a tier or for several gates.
        (None | Some(TIER_A | TIER_B), _) => return Vec::new(),
        (Some(bundle), _) => (bundle, None),
    };
    let mut command = Dispatch {
        workflow,
        pull: args.pr,
    }
    .command(bundle, gate);
    if args.registry_from_change {
        command.extend(["-f", "registry_from_change=true"].map(str::to_owned));
    }
    vec![NextStep::run(Who::Maintainer, "start the run", command)]
}
