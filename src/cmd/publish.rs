//! `publish`: writes results to their pull request, as one comment and one commit status.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::cmd::context::{Context, Format, print, say};
use crate::cmd::github;
use crate::cmd::help::{self, Help};
use crate::cmd::input_files;
use crate::cmd::lint::gather;
use crate::cmd::runner_files;
use crate::domain::exit::{Exit, NoVerdict};
use crate::git::Git;
use crate::github::api::GitHub;
use crate::github::event::{self, Subject};
use crate::github::types::State;
use crate::github::workflow_run::WorkflowRun;
use crate::lint::context::RegistryIndex;
use crate::policy;
use crate::pull::fresh_merge::{self, Checkout};
use crate::pull::merge_group::{self, Answer};
use crate::pull::publication::{Publication, Request};
use crate::terminal::Text;

/// The result of a job, as GitHub names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum JobResult {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &[Format::Human],
    codes: help::ASKS,
    variables: help::OF_EVENT,
    examples: &["publish results.json --pr 12 --dry-run"],
};

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Results of a run. Several files, or a folder, contain the parts of one resolved run.
    #[arg(required_unless_present = "merge_group")]
    results: Vec<PathBuf>,
    /// Number of the pull request.
    #[arg(long, value_name = "N", required_unless_present = "merge_group")]
    pr: Option<u64>,
    /// Answer a merge queue, in a workflow on `merge_group`: set the statuses of its commit from published results about an equal
    /// tree. Nothing runs; without such results the statuses are pending, with the reason.
    #[arg(long, conflicts_with_all = ["results", "pr", "resolution", "job_result"])]
    merge_group: bool,
    /// Output of `resolve` to compare the results with (default: compare with the pull request as it is now).
    #[arg(long, value_name = "FILE")]
    resolution: Option<PathBuf>,
    /// Result of the job that ran the gates. A pass is refused unless the job succeeded.
    #[arg(long, value_name = "RESULT", value_enum)]
    job_result: Option<JobResult>,
    /// Folder with templates that replace the embedded ones of the same name.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Print the comment, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Write the outcome to this file, in one word: the overall verdict, `stale`, or `refused`.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the evidence that the run must upload into this folder, unless the results are stale or refused.
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
}

/// Runs `publish`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let github = github::connect(context)?;
    let Some(pull) = args.pr else {
        return answer(context, args, &github);
    };
    let resolution = args
        .resolution
        .as_deref()
        .map(input_files::resolution)
        .transpose()?;
    let git = Git::at(&context.repo);
    let settings = context.settings()?;
    let checkout = Checkout {
        git: &git,
        remote: &settings.naming.remote,
    };
    let mut registry = match &resolution {
        Some(resolution) => {
            if resolution.pull != pull || resolution.repository != github.repository().to_string() {
                bail!(
                    "cannot publish: the resolution is about {}#{}, not {}#{}",
                    resolution.repository,
                    resolution.pull,
                    github.repository(),
                    pull
                );
            }
            let proposed = || fresh_merge::revision(&github, resolution, checkout);
            policy::resolved_registry(resolution, &context.policy(), proposed)
        }
        None => context.registry(),
    }?;
    let facts = gather::facts_with(context, registry.root.take().map(RegistryIndex::new))?;
    let request = Request {
        facts: &facts,
        checkout,
        pull,
        files: &args.results,
        resolution: resolution.as_ref(),
        registry: &registry.value,
        has_job_failed: args.job_result.is_some_and(|result| result != JobResult::Success),
        templates: args.templates.as_deref(),
        settings: &settings,
        workflow: WorkflowRun::from_env(|name| std::env::var(name).ok()),
    };
    let publication = Publication::prepare(&github, request, context)?;
    if let Some(path) = &args.output {
        std::fs::write(path, format!("{}\n", publication.outcome()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let (Some(folder), Some(evidence)) = (&args.evidence, publication.evidence()) {
        let path = folder.join(evidence.artifact());
        std::fs::write(&path, evidence.bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        runner_files::append(runner_files::OUTPUT, &format!("evidence={}\n", path.display()))?;
    }
    // Publishing a failed gate is a success of this command. A refusal ends without a verdict.
    let exit = match publication.is_refused() {
        true => Exit::NoVerdict,
        false => Exit::Passed,
    };
    if args.dry_run {
        print(Text::new().document(&publication.text(&[], context)?))?;
        return Ok(exit);
    }
    let Err(error) = publication.write(&github, context) else {
        return Ok(exit);
    };
    // Show the table in the job's log and summary instead.
    let text = publication.text(&[], context)?;
    print(Text::new().document(&text))?;
    if let Err(error) = runner_files::append(runner_files::SUMMARY, &text) {
        say(format_args!("warning: {error:#}"));
    }
    let place = match std::env::var_os(runner_files::SUMMARY) {
        Some(_) => " and in the job summary",
        None => "",
    };
    Err(NoVerdict(format!(
        "cannot publish the table on the pull request, so it is above{place}: {error}"
    ))
    .into())
}

/// Answers a merge queue.
fn answer(context: &Context, args: &Args, github: &GitHub) -> anyhow::Result<Exit> {
    let variable = |name: &str| std::env::var(name).ok();
    let Subject::Queued(group) = event::subject(variable)? else {
        bail!(
            "cannot answer a merge queue: the event is not `merge_group`\nhelp: call this in a workflow on `merge_group`"
        );
    };
    let registry = context.registry()?;
    let request = merge_group::Request {
        group: &group,
        registry: &registry,
        settings: &context.settings()?,
        git: &Git::at(&context.repo),
    };
    let answer = Answer::find(github, &request)?;
    for why in &answer.ignored {
        context.note(format_args!("ignored published results: {why}"));
    }
    let (state, line) = answer.status();
    let mut text = Text::new();
    for status in &answer.contexts {
        text.line(format_args!("{status} is {}: {line}", state.as_str()));
    }
    if answer.contexts.is_empty() {
        text.line(format_args!("no status to set: {line}"));
    }
    print(&text)?;
    if let Some(path) = &args.output {
        let outcome = if state == State::Success {
            "pass"
        } else {
            "pending"
        };
        std::fs::write(path, format!("{outcome}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !args.dry_run {
        answer.write(github, WorkflowRun::from_env(variable).page().as_deref())?;
    }
    Ok(Exit::Passed)
}
