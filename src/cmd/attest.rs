//! `attest`: the attestation block of a pull request, filled from what was really run, and held against it with `--verify`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::cmd::api;
use crate::cmd::context::{self, Context, Format, print_data, print_json, say, say_text};
use crate::cmd::input_files;
use crate::cmd::lint::gather;
use crate::cmd::print_findings;
use crate::cmd::run;
use crate::cmd::{NoJudgement, next_steps};
use crate::document::{Document, Source};
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, FindingJson, Severity};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::results::Results;
use crate::git::Git;
use crate::git::diff;
use crate::git::revisions;
use crate::github::api::GitHub;
use crate::github::types::Pull;
use crate::lint;
use crate::lint::Sheet;
use crate::lint::claims::Evidence;
use crate::plan::attest::{self, Head};
use crate::plan::codes;
use crate::pull::scope;
use crate::workspace::stored_contract;

/// Arguments of `attest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Body of the pull request; `-` is standard input.
    #[arg(value_name = "FILE", conflicts_with_all = ["write", "pr"])]
    body: Option<PathBuf>,
    /// Recorded results; those of the last run in this checkout where absent. May be given several times.
    #[arg(long, value_name = "FILE")]
    results: Vec<PathBuf>,
    /// Contract: an issue body or a bare YAML file; in a worktree made by `start`, that contract.
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Commit that is attested; HEAD, or with --pr the head of the pull request, where absent.
    #[arg(long, value_name = "REV")]
    head: Option<String>,
    /// Base branch; that of the settings where absent.
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Edit this body in place; a new one is made from the repository's template. Feeds `gh pr create --body-file`.
    #[arg(long, value_name = "FILE", conflicts_with = "pr")]
    write: Option<PathBuf>,
    /// Edit the description of this pull request, unless it changed meanwhile.
    #[arg(long, value_name = "N")]
    pr: Option<u64>,
    /// Change nothing; hold what is attested against results, branch, diff and contract.
    #[arg(long)]
    verify: bool,
}

/// What `attest` prints with `--format json`.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    issue: String,
    pr_sha: String,
    tier_a: Vec<String>,
    tier_b: Vec<String>,
    changed: bool,
    findings: Vec<FindingJson>,
    next: Vec<NextStep>,
}

/// The body that is worked on, and where it is from.
struct Body {
    name: Option<String>,
    text: String,
    pull: Option<(GitHub, Pull)>,
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
    let document = Document::parse(Source::new(body.name.clone(), body.text.as_str()));
    let before = document.value.as_ref().ok();
    let (wanted, mut findings) = attest::decide(&contract, &registry, &head, &results, before);
    if results.is_empty() {
        let says = "there are no recorded results, so no gate is attested that was not before";
        findings.push(
            Finding::new(&codes::NO_RESULTS, says)
                .severity(Severity::Warning)
                .help("run them: `nmoe-gates run --tier a`"),
        );
    }
    let text = attest::fill(&document, &wanted)?;
    let changed = text != body.text;
    if changed {
        put(args, &body, &text)?;
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
    if context.talk >= 0 {
        say_text(&next_steps(&report.next));
    }
    Ok(Exit::Passed)
}

fn body(context: &Context, args: &Args) -> anyhow::Result<Body> {
    if let Some(number) = args.pr {
        let hub = api::hub(context)?;
        let pull = hub.pull(number)?;
        return Ok(Body {
            name: Some(format!("pull request #{number}")),
            text: pull.body.clone(),
            pull: Some((hub, pull)),
        });
    }
    let named = args.body.as_deref().or(args.write.as_deref());
    let text = match named {
        Some(path) if args.write.is_some() && !path.exists() && !args.verify => {
            let template = context.repo.join(".github/pull_request_template.md");
            // A repository without a template gets the block alone.
            std::fs::read_to_string(template).unwrap_or_default()
        }
        Some(path) => context::read_input(path)?,
        None if args.verify => bail!("verify what? Name a body's file, or a pull request with `--pr N`"),
        None => String::new(),
    };
    Ok(Body {
        name: named.filter(|p| p.as_os_str() != "-").map(gather::shown),
        text,
        pull: None,
    })
}

fn head(context: &Context, args: &Args, git: &Git, body: &Body) -> anyhow::Result<Head> {
    let revision = match (&args.head, &body.pull) {
        (Some(revision), _) => revision.as_str(),
        (None, Some((_, pull))) => pull.head.sha.as_str(),
        (None, None) => "HEAD",
    };
    let commit = revisions::known(git, revision)?;
    let base = match &args.base {
        Some(base) => revisions::known(git, base)?,
        None => revisions::base(git, &context.settings()?.naming)?,
    };
    Ok(Head {
        tree: git.id(["rev-parse", "--verify", &format!("{commit}^{{tree}}")])?,
        fork: revisions::merge_base(git, &base, &commit)?,
        commit,
    })
}

/// The results that were named, oldest first, else those of the last run here.
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

fn put(args: &Args, body: &Body, text: &str) -> anyhow::Result<()> {
    if let Some(path) = &args.write {
        return std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    let Some((hub, pull)) = &body.pull else {
        return Ok(());
    };
    let now = hub.pull(pull.number)?;
    if now.body != pull.body || now.head.sha != pull.head.sha {
        return Err(NoJudgement(format!(
            "pull request #{} changed meanwhile; nothing was written. Run the command again",
            pull.number
        ))
        .into());
    }
    Ok(hub.update_pull_body(pull.number, text)?)
}

fn next(args: &Args, required: &[String], tier_a: &[String]) -> Vec<NextStep> {
    let mut next = Vec::new();
    if required
        .iter()
        .any(|id| id.starts_with("cpu:") && !tier_a.contains(id))
    {
        next.push(NextStep::run(
            Who::Author,
            "run what is not attested yet",
            ["nmoe-gates", "run", "--tier", "a"],
        ));
    }
    match (&args.write, args.pr) {
        (Some(path), _) => next.extend([
            NextStep::manual(
                Who::Author,
                format!(
                    "say in {} what was done and why, name the issue with `Fixes: #N`, tick what you confirmed",
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
                "see what still blocks the merge",
                "nmoe-gates ready \"$(gh pr view --json number --jq .number)\"",
            ),
        ]),
        (None, Some(number)) => next.push(NextStep::run(
            Who::MergeCaptain,
            "see what still blocks the merge",
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
    let source = Source::new(body.name.clone(), body.text.as_str());
    let contract_source = gather::source(contract_path)?;
    let agreed = Document::parse(contract_source.clone());
    let mut findings = Sheet::of(&agreed).finish();
    let contract = input_files::contract(contract_path)?.value;
    if results.is_empty() {
        let says = "there are no recorded results, so nothing that is attested is proven";
        findings.push(Finding::new(&codes::NO_RESULTS, says).help("name them with `--results FILE`"));
    }
    let mut sound = Vec::new();
    for one in results {
        if !attest::is_about(&one.evidence, head) {
            let says = "the results are about another commit than the one that is attested";
            findings.push(Finding::new(&codes::STALE_RESULTS, says).severity(Severity::Error));
        } else if one.evidence.dirty {
            let says = "the results are about a dirty tree: what ran was not what is committed";
            findings.push(Finding::new(&codes::DIRTY_RESULTS, says).severity(Severity::Error));
        } else {
            sound.push(one);
        }
    }
    let branch = match &body.pull {
        Some((_, pull)) => Some(pull.head.branch.clone()),
        // A detached head has no branch to judge.
        None => git.text(["symbolic-ref", "--quiet", "--short", "HEAD"]).ok(),
    };
    let has_commit = |sha: &str| git.commit(sha).ok().flatten().is_some();
    let evidence = Evidence {
        branch,
        head: Some(head.commit.clone()),
        has_commit: Some(&has_commit),
        results: sound,
    };
    let facts = gather::facts(context)?;
    findings.extend(lint::attestation::lint(
        &Document::parse(source.clone()),
        &facts,
        Some(&agreed),
        &evidence,
    ));
    let changes = diff::between(git, &head.fork, &head.commit, false)?;
    findings.extend(scope::check(git, &contract, &changes, &head.fork)?);
    print_findings::print_all(context, &[source, contract_source], &findings)
}
