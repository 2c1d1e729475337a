//! `publish`: results onto their pull request, as one comment and one commit status. Results are a stranger's until proven
//! otherwise; what is refused is said there too.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::cmd::NoJudgement;
use crate::cmd::api;
use crate::cmd::context::{Context, Format, print, say};
use crate::cmd::input_files;
use crate::cmd::runner_files;
use crate::domain::evidence::{Evidence, Identity};
use crate::domain::exit::Exit;
use crate::domain::ids::{CommitId, Sha256};
use crate::domain::registry::Registry;
use crate::domain::resolution::Resolution;
use crate::domain::results::Results;
use crate::domain::verdict::Overall;
use crate::github::api::GitHub;
use crate::github::comments::{Done, Shown, Sticky};
use crate::github::error::GitHubError;
use crate::github::types::{Pull, State};
use crate::policy::{self, Revision};
use crate::report::comment_sections::{self, Past};
use crate::report::embedded_results;
use crate::report::merge_results::{self, Whole};
use crate::report::read;
use crate::report::render::{self, Page};
use crate::report::verify::{self, Expected, Refusal, Selection};
use crate::report::view::View;
use crate::terminal::Text;

/// Bytes of a comment kept free for what stands around the table.
const FRAME: usize = (12 << 10) + embedded_results::MOST;

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Results of a run; several, or a folder of them, are the parts of one that was resolved.
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// Number of the pull request.
    #[arg(long, value_name = "N")]
    pr: u64,
    /// What `resolve` found out before the run; the results are held to it. Without it they are held to the pull request as it is now.
    #[arg(long, value_name = "FILE")]
    resolution: Option<PathBuf>,
    /// Folder whose templates replace the embedded ones of the same name.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Print the comment; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where the outcome goes, as one word: the overall verdict, `stale`, or `refused`.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `publish`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(&[Format::Human])?;
    let hub = api::hub(context)?;
    let resolution = args
        .resolution
        .as_deref()
        .map(input_files::resolution)
        .transpose()?;
    if let Some(resolution) = &resolution
        && (resolution.pull != args.pr || resolution.repository != hub.repository().to_string())
    {
        bail!(
            "the resolution is about {}#{}, not {}#{}",
            resolution.repository,
            resolution.pull,
            hub.repository(),
            args.pr
        );
    }
    let registry = registry(context, &hub, resolution.as_ref())?;
    let now = Now::look(&hub, args.pr, resolution.as_ref());
    let (expected, about) = match (&resolution, &now) {
        (Some(resolution), _) => (resolution.evidence(), resolution.head.clone()),
        (None, Ok(now)) => (now.evidence(), now.pull.head.sha.clone()),
        (None, Err(fault)) => return Err(fault.clone().into()),
    };
    let judged = judge(&args.results, expected.clone(), resolution.as_ref(), &registry);
    if let Err(refusal) = &judged {
        say(format_args!("refused: {}", refusal.detail));
    }
    let report = Report {
        context,
        args,
        resolution: resolution.as_ref(),
        stale: match (&resolution, &now) {
            (Some(_), Ok(now)) => without_run(&expected).stale_for(&now.evidence()),
            _ => Vec::new(),
        },
        about,
        judged,
    };
    if let Some(path) = &args.output {
        std::fs::write(path, format!("{}\n", report.shown().outcome))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let written = match now {
        _ if args.dry_run => {
            print(Text::new().document(&report.text(&[])?))?;
            return Ok(report.exit());
        }
        Ok(_) => report.write(&hub),
        Err(fault) => Err(fault),
    };
    match written {
        Ok(()) => Ok(report.exit()),
        Err(fault) => {
            // Whoever looks at the job still gets the table.
            let text = report.text(&[])?;
            print(Text::new().document(&text))?;
            summarise(&text);
            Err(anyhow::Error::new(NoJudgement(format!(
                "the table could not be published on the pull request, so it is above{}: {fault}",
                if std::env::var_os(runner_files::SUMMARY).is_some() {
                    " and in the job summary"
                } else {
                    ""
                }
            ))))
        }
    }
}

/// The pull request as GitHub has it now, as far as it says.
struct Now {
    pull: Pull,
    base: Option<CommitId>,
    merge: Option<CommitId>,
    tree: Option<CommitId>,
    contract: Option<Sha256>,
}

impl Now {
    fn look(hub: &GitHub, number: u64, resolution: Option<&Resolution>) -> Result<Self, GitHubError> {
        let pull = hub.pull(number)?;
        // A merged pull request keeps the merge it was tested with, if any.
        let merge = hub.merge_ref(number)?;
        let commit = match &merge {
            Some(merge) => Some(hub.commit(merge)?),
            None => None,
        };
        let contract = match resolution.and_then(|resolution| resolution.contract.as_ref()) {
            Some(contract) => Some(Sha256::of(hub.issue(contract.issue)?.body.as_bytes())),
            None => None,
        };
        Ok(Now {
            pull,
            base: commit
                .as_ref()
                .and_then(|commit| Some(commit.parents.first()?.sha.clone())),
            tree: commit.map(|commit| commit.tree.sha),
            merge,
            contract,
        })
    }

    fn evidence(&self) -> Evidence {
        Evidence {
            head: Some(self.pull.head.sha.clone()),
            base: self.base.clone(),
            merge: self.merge.clone(),
            tree: self.tree.clone(),
            contract: self.contract.clone(),
            ..Evidence::default()
        }
    }
}

fn without_run(evidence: &Evidence) -> Evidence {
    Evidence {
        run: None,
        ..evidence.clone()
    }
}

/// Loads the registry in force: of the policy checkout, or of the pull request if a maintainer chose that.
fn registry(context: &Context, hub: &GitHub, resolution: Option<&Resolution>) -> anyhow::Result<Registry> {
    let loaded = match resolution {
        Some(resolution) => {
            let proposed = Revision::GitHub(hub, &resolution.merge);
            policy::resolved_registry(resolution, &context.policy(), &proposed)
        }
        None => context.registry(),
    }?;
    Ok(loaded.value)
}

fn judge(
    paths: &[PathBuf],
    mut evidence: Evidence,
    resolution: Option<&Resolution>,
    registry: &Registry,
) -> Result<Results, Refusal> {
    let results = read_all(paths, resolution)?;
    if resolution.is_none() && results.evidence.merge == evidence.head && results.evidence.head.is_none() {
        // A run on the head itself, without a merge: there is nothing else that it could be held to.
        evidence = Evidence {
            merge: evidence.head,
            ..Evidence::default()
        };
    }
    let expected = Expected {
        evidence,
        selection: resolution.map(|resolution| Selection {
            bundle: resolution.bundle.as_deref(),
            gate_ids: &resolution.gate_ids,
            uncovered: &resolution.uncovered,
        }),
        registry,
    };
    verify::verify(&results, &expected)?;
    Ok(results)
}

/// The results, or those of several runners made into what was resolved.
fn read_all(paths: &[PathBuf], resolution: Option<&Resolution>) -> Result<Results, Refusal> {
    let mut parts = Vec::new();
    for path in paths {
        for file in merge_results::files(path).map_err(read::Refusal::from)? {
            parts.push(read::file_within(&file, verify::MAX_BYTES)?);
        }
    }
    // One file is one run, and must be the whole by itself; a folder holds parts, though but one runner left any.
    if let ([path], [_]) = (paths, &*parts)
        && !path.is_dir()
    {
        return Ok(parts.swap_remove(0));
    }
    let whole = resolution.map(|resolution| Whole {
        bundle: resolution.bundle.as_deref(),
        gate_ids: &resolution.gate_ids,
    });
    merge_results::merge(parts, whole)
}

/// What is to be said, before it is known where.
struct Report<'a> {
    context: &'a Context,
    args: &'a Args,
    resolution: Option<&'a Resolution>,
    judged: Result<Results, Refusal>,
    stale: Vec<Identity>,
    /// The head commit that all this is about.
    about: CommitId,
}

impl Report<'_> {
    fn bundle(&self) -> Option<&str> {
        match (self.resolution, &self.judged) {
            (Some(resolution), _) => resolution.bundle.as_deref(),
            (None, Ok(results)) => results.bundle.as_deref(),
            (None, Err(_)) => None,
        }
    }

    /// How the process ends: publishing a failure is a success of this command, publishing a refusal judges nothing.
    fn exit(&self) -> Exit {
        match self.judged {
            Ok(_) => Exit::Passed,
            Err(_) => Exit::NoJudgement,
        }
    }

    fn shown(&self) -> Shown {
        let (outcome, at, says) = match &self.judged {
            Ok(results) => {
                let outcome = if self.stale.is_empty() {
                    results.overall.as_str()
                } else {
                    "stale"
                };
                (outcome, results.started_at.clone(), says(results))
            }
            Err(_) => ("refused", None, String::new()),
        };
        Shown {
            run: number("GITHUB_RUN_ID").zip(number("GITHUB_RUN_ATTEMPT")),
            outcome: outcome.to_owned(),
            head: Some(self.about.to_string()),
            at,
            says,
        }
    }

    fn text(&self, before: &[Shown]) -> anyhow::Result<String> {
        let mut text = String::new();
        if !self.stale.is_empty() {
            text += &comment_sections::notice(&format!(
                "This is about an older state of the pull request, and proves nothing about the present one. What changed since it was approved: {}. Run the gates again.",
                verify::names(&self.stale)
            ));
        }
        match &self.judged {
            Ok(results) => {
                let options = render::Options {
                    templates: self.args.templates.as_deref(),
                    color: false,
                    reserve: FRAME,
                };
                let done = render::page(&View::new(results), Page::Comment, &options)?;
                if let Some(complaint) = done.complaint {
                    self.context.note(format_args!(
                        "the templates in --templates cannot be used, so the embedded ones serve: {complaint}"
                    ));
                }
                text += done.text.trim_end();
                text += "\n";
                if self.stale.is_empty()
                    && let Some(line) = embedded_results::line(results)
                {
                    text += &format!("\n{line}\n");
                }
            }
            Err(refusal) => {
                text += &comment_sections::refusal(self.bundle(), &refusal.why.says(), &self.about)
            }
        }
        if let Some(resolution) = self.resolution
            && let Some(proposed) = &resolution.registry.proposed
        {
            text += &comment_sections::proposal(proposed, resolution.registry.source);
        }
        let past: Vec<Past> = before.iter().map(past).collect();
        text += &comment_sections::history(&past);
        if let Some(url) = number("GITHUB_RUN_ID").and_then(run_url) {
            text += &format!("\n[The run, with its log]({url})\n");
        }
        Ok(text)
    }

    /// The comment, then the status.
    fn write(&self, hub: &GitHub) -> Result<(), GitHubError> {
        // Rendering fails only for a fault of the embedded templates; then the plain fact is said.
        let text = |before: &[Shown]| {
            self.text(before)
                .unwrap_or_else(|_| "The table could not be rendered; see the job's log.\n".to_owned())
        };
        let sticky = Sticky {
            key: self.bundle().unwrap_or("gates"),
            shown: self.shown(),
            text: &text,
        };
        let done = sticky.publish(hub, self.args.pr)?;
        let (verb, url) = match &done {
            Done::Created(url) => ("published", url),
            Done::Updated(url) => ("brought up to date", url),
            Done::Unchanged(url) => ("unchanged", url),
            Done::Newer(url) => ("left alone, since it shows a newer run", url),
        };
        self.context.note(format_args!("the comment is {verb}: {url}"));
        self.set_status(hub, Some(url.as_str()).filter(|url| url.starts_with("https://")))
    }

    /// A required status is how branch protection insists; a token that may not set one still has its comment.
    fn set_status(&self, hub: &GitHub, url: Option<&str>) -> Result<(), GitHubError> {
        let name = format!("nmoe-gates/{}", self.bundle().unwrap_or("gates"));
        let (state, line) = match &self.judged {
            Err(refusal) => (State::Error, format!("refused: {}", refusal.why.says())),
            Ok(_) if !self.stale.is_empty() => (
                State::Error,
                format!("stale: {} changed", verify::names(&self.stale)),
            ),
            Ok(results) => {
                let state = match results.overall {
                    Overall::Pass if results.uncovered.is_empty() => State::Success,
                    Overall::Pass => State::Pending,
                    Overall::Fail => State::Failure,
                    Overall::Inconclusive | Overall::Invalid | Overall::Cancelled => State::Error,
                };
                let mut line = says(results);
                if !results.uncovered.is_empty() {
                    line += &format!("; {} more required by the contract", results.uncovered.len());
                }
                (state, line)
            }
        };
        match hub.set_status(&self.about, &name, state, &line, url) {
            Err(fault) if fault.status() == Some(403) => {
                say(format_args!(
                    "warning: no commit status was set (`statuses: write` in `permissions:` allows it): {fault}"
                ));
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// Gates by verdict, such as `9 pass, 1 fail`.
fn says(results: &Results) -> String {
    let counts: Vec<String> = View::new(results)
        .counts
        .iter()
        .map(|count| format!("{} {}", count.count, count.status))
        .collect();
    counts.join(", ")
}

fn past(shown: &Shown) -> Past {
    Past {
        outcome: shown.outcome.clone(),
        head: shown.head.clone(),
        at: shown.at.clone(),
        says: shown.says.clone(),
        url: shown.run.and_then(|(run, _)| run_url(run)),
    }
}

/// Where people see a workflow run.
fn run_url(run: u64) -> Option<String> {
    let server = std::env::var("GITHUB_SERVER_URL").ok()?;
    let repository = std::env::var("GITHUB_REPOSITORY").ok()?;
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._/:".contains(&b))
    };
    (server.starts_with("https://") && plain(&server) && plain(&repository))
        .then(|| format!("{server}/{repository}/actions/runs/{run}"))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Adds to the job summary, where there is one.
fn summarise(text: &str) {
    if let Err(error) = runner_files::append(runner_files::SUMMARY, text) {
        say(format_args!("warning: {error:#}"));
    }
}
