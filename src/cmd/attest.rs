//! `attest`: fills the attestation block of a pull request from recorded results. With `--verify`, compares it with them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::cmd::context::{self, Context, Format, print_data, print_json, say, say_text};
use crate::cmd::github;
use crate::cmd::input_files;
use crate::cmd::lint::gather;
use crate::cmd::next_steps;
use crate::cmd::print_findings;
use crate::cmd::run;
use crate::document::{Document, Source};
use crate::domain::attestation::Attestation;
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, FindingJson, Severity};
use crate::domain::ids::{ContractId, GateId};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::results::Results;
use crate::git::Git;
use crate::git::revisions;
use crate::github::api::GitHub;
use crate::plan::codes;
use crate::pull::attestation::{self, Head};
use crate::pull::attestation_check::{self, Inputs};
use crate::pull::snapshot::Snapshot;
use crate::workspace::stored_contract;

/// Arguments of `attest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File with the description; `-` is standard input.
    #[arg(value_name = "FILE", conflicts_with_all = ["write", "pr"])]
    body: Option<PathBuf>,
    /// Recorded results (default: of the last run in this checkout). Can be given several times.
    #[arg(long, value_name = "FILE")]
    results: Vec<PathBuf>,
    /// Contract: an issue body or a bare YAML file (default: the contract that `start` stored for this worktree).
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Commit to attest (default: HEAD, or with --pr the head of the pull request).
    #[arg(long, value_name = "REV")]
    head: Option<String>,
    /// Base branch (default: the base branch of the settings).
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Edit this file in place; a new file starts as the repository's template. Use it with `gh pr create --body-file`.
    #[arg(long, value_name = "FILE", conflicts_with = "pr")]
    write: Option<PathBuf>,
    /// Edit the description of this pull request, unless it changes during the command.
    #[arg(long, value_name = "N")]
    pr: Option<u64>,
    /// Change nothing. Compare the attestation with results, branch, diff and contract.
    #[arg(long)]
    verify: bool,
}

/// What `attest` prints with `--format json`.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    issue: ContractId,
    pr_sha: String,
    tier_a: Vec<GateId>,
    tier_b: Vec<GateId>,
    changed: bool,
    findings: Vec<FindingJson>,
    next: Vec<NextStep>,
}

/// The description, and the pull request that it belongs to.
struct Body {
    description: Document<Attestation>,
    pull: Option<(GitHub, Snapshot)>,
}

/// Runs `attest`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = if args.verify {
        context.format(&print_findings::FORMATS)?
    } else {
        context.format(&[Format::Human, Format::Json])?
    };
    let git = Git::at(&context.subject);
    let body = body(context, args)?;
    let contract_path = match args.contract.clone().or_else(|| stored_contract::find(&git)) {
        Some(path) => path,
        None => bail!("no contract is named: pass `--contract FILE`"),
    };
    let head = head(context, args, &git, &body)?;
    let results = results(context, args)?;
    if args.verify {
        return verify(context, &git, &body, &contract_path, &head, results);
    }

    let contract = input_files::contract(&contract_path)?.value;
    let registry = context.registry()?.value;
    let before = body.description.value.as_ref().ok();
    let (wanted, mut findings) = attestation::decide(&contract, &registry, &head, &results, before);
    if results.is_empty() {
        let message = "there are no recorded results, so no other gate is attested than before";
        findings.push(
            Finding::new(&codes::NO_RESULTS, message)
                .severity(Severity::Warning)
                .help("run them: `nmoe-gates run --tier a`"),
        );
    }
    let text = attestation::fill(&body.description, &wanted)?;
    let changed = text != body.description.source.written();
    if changed {
        write(args, &body, &text)?;
    }
    let (tier_a, tier_b) = wanted.passed();
    let report = Report {
        schema: 1,
        issue: contract.nmoe.issue.clone(),
        pr_sha: head.commit.to_string(),
        tier_a: tier_a.to_vec(),
        tier_b: tier_b.to_vec(),
        changed,
        findings: findings.iter().map(FindingJson::from).collect(),
        next: next(args, &contract.gates.required, tier_a),
    };
    if format == Format::Json {
        print_json(&report)?;
        return Ok(Exit::Passed);
    }
    if args.write.is_none() && args.pr.is_none() {
        print_data(&text)?;
    }
    for finding in &findings {
        say(format_args!("warning[{}]: {}", finding.code.id, finding.message));
    }
    if context.verbosity >= 0 {
        say_text(&next_steps(&report.next));
    }
    Ok(Exit::Passed)
}

fn body(context: &Context, args: &Args) -> anyhow::Result<Body> {
    if let Some(number) = args.pr {
        let github = github::connect(context)?;
        let snapshot = Snapshot::fetch(&github, number)?;
        return Ok(Body {
            description: snapshot.description.clone(),
            pull: Some((github, snapshot)),
        });
    }
    let named = args.body.as_deref().or(args.write.as_deref());
    let text = match named {
        Some(path) if args.write.is_some() && !path.exists() && !args.verify => {
            let template = context.repo.join(".github/pull_request_template.md");
            // Without a template, the description is only the block.
            std::fs::read_to_string(template).unwrap_or_default()
        }
        Some(path) => context::read_input(path)?,
        None if args.verify => {
            bail!("what should be verified? Name the file of a description, or a pull request with `--pr N`")
        }
        None => String::new(),
    };
    let name = named.filter(|p| p.as_os_str() != "-").map(gather::shown);
    Ok(Body {
        description: Document::parse(Source::new(name, text)),
        pull: None,
    })
}

fn head(context: &Context, args: &Args, git: &Git, body: &Body) -> anyhow::Result<Head> {
    let revision = match (&args.head, &body.pull) {
        (Some(revision), _) => revision.as_str(),
        (None, Some((_, snapshot))) => snapshot.pull.head.sha.as_str(),
        (None, None) => "HEAD",
    };
    let commit = revisions::known(git, revision)?;
    let base = match &args.base {
        Some(base) => revisions::known(git, base)?,
        None => revisions::base(git, &context.settings()?.naming)?,
    };
    Ok(Head::find(git, commit, &base)?)
}

/// Returns the named results, or those of the last run in this checkout, oldest first.
fn results(context: &Context, args: &Args) -> anyhow::Result<Vec<Results>> {
    let mut paths = args.results.clone();
    if paths.is_empty() {
        paths.extend(
            run::default_results(&context.subject)
                .ok()
                .filter(|path| path.is_file()),
        );
    }
    let mut all: Vec<Results> = paths
        .iter()
        .map(|path| input_files::recorded(path))
        .collect::<anyhow::Result<_>>()?;
    all.sort_by(|a, b| a.started_at.cmp(&b.started_at));
    Ok(all)
}

/// Writes the description to its file or pull request.
fn write(args: &Args, body: &Body, text: &str) -> anyhow::Result<()> {
    if let Some(path) = &args.write {
        return std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    match &body.pull {
        Some((github, snapshot)) => snapshot.replace_description(github, text),
        None => Ok(()),
    }
}

fn next(args: &Args, required: &[GateId], tier_a: &[GateId]) -> Vec<NextStep> {
    let mut next = Vec::new();
    if required
        .iter()
        .any(|id| id.starts_with("cpu:") && !tier_a.contains(id))
    {
        next.push(NextStep::run(
            Who::Author,
            "run the gates that are not attested yet",
            ["nmoe-gates", "run", "--tier", "a"],
        ));
    }
    match (&args.write, args.pr) {
        (Some(path), _) => next.extend([
            NextStep::manual(
                Who::Author,
                format!(
                    "describe in {} what you changed and why, name the issue with `Fixes: #N`, tick the boxes that you confirm",
                    path.display()
                ),
            ),
            NextStep::run(Who::Author, "push the branch", ["git", "push", "origin", "HEAD"]),
            NextStep::run(
                Who::Author,
                "open the pull request",
                ["gh", "pr", "create", "--body-file", &path.display().to_string()],
            ),
            NextStep::script(
                Who::Author,
                "see what blocks the merge",
                "nmoe-gates ready \"$(gh pr view --json number --jq .number)\"",
            ),
        ]),
        (None, Some(number)) => next.push(NextStep::run(
            Who::MergeCaptain,
            "see what blocks the merge",
            ["nmoe-gates", "ready", &number.to_string()],
        )),
        (None, None) => {}
    }
    next
}

fn verify(
    context: &Context,
    git: &Git,
    body: &Body,
    contract_path: &Path,
    head: &Head,
    results: Vec<Results>,
) -> anyhow::Result<Exit> {
    let contract = input_files::contract_document(contract_path)?;
    let inputs = Inputs {
        git,
        head,
        branch: match &body.pull {
            Some((_, snapshot)) => Some(snapshot.pull.head.branch.clone()),
            None => git.text(["symbolic-ref", "--quiet", "--short", "HEAD"]).ok(),
        },
        contract: &contract,
        facts: &gather::facts(context)?,
        results,
    };
    let findings = attestation_check::check(&body.description, inputs)?;
    let documents = [body.description.source.clone(), contract.source];
    print_findings::print_all(context, &documents, &findings)
}
