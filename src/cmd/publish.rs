//! `publish`: writes results to their pull request, as one comment and one commit status.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::cmd::context::{Context, Format, print, say};
use crate::cmd::github;
use crate::cmd::input_files;
use crate::cmd::lint::gather;
use crate::cmd::runner_files;
use crate::domain::exit::{Exit, NoVerdict};
use crate::git::Git;
use crate::github::workflow_run::WorkflowRun;
use crate::lint::context::RegistryIndex;
use crate::policy;
use crate::pull::fresh_merge::{self, Checkout};
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

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Results of a run. Several files, or a folder, contain the parts of one resolved run.
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// Number of the pull request.
    #[arg(long, value_name = "N")]
    pr: u64,
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
    context.format(&[Format::Human])?;
    let github = github::connect(context)?;
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
            if resolution.pull != args.pr || resolution.repository != github.repository().to_string() {
                bail!(
                    "cannot publish: the resolution is about {}#{}, not {}#{}",
                    resolution.repository,
                    resolution.pull,
                    github.repository(),
                    args.pr
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
        pull: args.pr,
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
