//! `attest`: fills the attestation block of a pull request from recorded results. With `--verify`, compares it with them.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::cmd::context::{self, Context, Format, print_data, print_json, say, say_text};
use crate::cmd::contract_input::{self, ContractInput};
use crate::cmd::form_files;
use crate::cmd::github;
use crate::cmd::help::{self, Help};
use crate::cmd::init;
use crate::cmd::input_files;
use crate::cmd::lint::gather;
use crate::cmd::next_steps;
use crate::cmd::print_findings;
use crate::cmd::run;
use crate::document::{Document, Source};
use crate::domain::attestation::Attestation;
use crate::domain::contract::Contract;
use crate::domain::exit::Exit;
use crate::domain::finding::{Finding, FindingJson, Severity};
use crate::domain::ids::{ContractId, GateId};
use crate::domain::next_step::{NextStep, Who, own_line};
use crate::domain::registry::{Registry, Tier};
use crate::domain::results::Results;
use crate::git::Git;
use crate::git::revisions;
use crate::github::api::GitHub;
use crate::github::batch::Batch;
use crate::github::closing_keywords;
use crate::lint::LintContext;
use crate::lint::context::RegistryIndex;
use crate::plan::codes;
use crate::policy::{Loaded, Revision};
use crate::pull::attestation::{self, Head};
use crate::pull::attestation_check::{self, Inputs};
use crate::pull::contract::{ContractOf, Issue};
use crate::pull::published::{self, Trust};
use crate::pull::snapshot::Snapshot;
use crate::pull::tier_b;
use crate::system::files;
use crate::workspace::stored_contract;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &print_findings::FORMATS,
    codes: help::VERDICTS,
    variables: help::OF_RESULTS,
    examples: &[
        "attest --pr 12 --verify",
        "attest --contract issue.md --write pr.md",
    ],
};

/// Arguments of `attest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File with the description; `-` is standard input.
    #[arg(value_name = "FILE", conflicts_with_all = ["write", "pr"])]
    body: Option<PathBuf>,
    /// Recorded results (default: of the last run in this checkout, and with --pr the published ones). Can be given several times.
    #[arg(long, value_name = "FILE")]
    results: Vec<PathBuf>,
    #[command(flatten)]
    contract: ContractInput,
    /// Commit to attest (default: HEAD, or with --pr the head of the pull request).
    #[arg(long, value_name = "REV")]
    head: Option<String>,
    /// Base branch (default: the base branch of the settings).
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Edit this file in place; a new file starts as the repository's template. Use it with `gh pr create --title TITLE --body-file FILE`.
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
        context.format(HELP.formats)?
    } else {
        context.format(help::TEXT_OR_JSON)?
    };
    let git = Git::at(&context.subject);
    let body = body(context, args)?;
    let document = contract(context, args, &body)?;
    let head = head(context, args, &git, &body)?;
    let mut registry = match args.verify {
        true => context.policy().registry_with_tree()?,
        false => context.registry()?,
    };
    let results = results(context, args, &git, &body, &head, &registry)?;
    if args.verify {
        let facts = gather::facts_with(context, registry.root.take().map(RegistryIndex::new))?;
        return verify(context, &facts, &git, &body, &document, &head, results);
    }
    let registry = registry.value;

    let contract = contract_input::valid(&document)?;
    let before = body.description.value.as_ref().ok();
    let (wanted, mut findings) = attestation::decide(contract, &registry, &head, &results, before);
    if results.is_empty() {
        let message = "there are no recorded results, so no other gate is attested than before";
        findings.push(
            Finding::new(&codes::NO_RESULTS, message)
                .severity(Severity::Warning)
                .help(format!("run them: `{}`", own_line(&["run", "--tier", "a"]))),
        );
    }
    let mut text = attestation::fill(&body.description, &wanted)?;
    let issue = args.contract.issue.or_else(|| match args.contract.is_empty() {
        true => stored_contract::issue(&git),
        false => None,
    });
    if let (Some(issue), Ok(github)) = (issue, github::connect(context)) {
        text = closing_keywords::close(&text, issue, github.site());
    }
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
        next: next(
            context,
            args,
            &git,
            &body,
            &Open {
                contract,
                registry: &registry,
                tier_a,
            },
        )?,
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
            let template = context
                .repo
                .join(form_files::pull_request_template(&context.repo));
            // Without a template, the description is only the block.
            init::without_marks(&std::fs::read_to_string(template).unwrap_or_default())
        }
        Some(path) => context::read_input(path)?,
        None if args.verify => {
            bail!(
                "cannot verify an attestation: no description is named\nhelp: name its file, or a pull request with `--pr N`"
            )
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

/// Returns the named contract, that of the pull request, or the one that `start` stored.
fn contract(context: &Context, args: &Args, body: &Body) -> anyhow::Result<Document<Contract>> {
    if args.contract.is_empty()
        && let Some((github, snapshot)) = &body.pull
        && let ContractOf::Found(issue) = snapshot.contract(github, |number| Issue::read(github, number))?
    {
        return Ok(issue.document.clone());
    }
    let document = args.contract.or_stored(context)?;
    contract_input::valid(&document)?;
    Ok(document)
}

/// Returns the named results; or those of the last run in this checkout, and the published ones of the pull request. Oldest first.
fn results(
    context: &Context,
    args: &Args,
    git: &Git,
    body: &Body,
    head: &Head,
    registry: &Loaded<Registry>,
) -> anyhow::Result<Vec<Results>> {
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
        .map(|path| input_files::recorded(path, Some(registry), context.budget_pct()))
        .collect::<anyhow::Result<_>>()?;
    if let (true, Some((github, snapshot))) = (args.results.is_empty(), &body.pull) {
        let remote = context.settings()?.naming.remote;
        let base = revisions::base_of(git, &remote, &snapshot.pull.base.branch)?;
        let trust = Trust {
            registry,
            publish: &Revision::Commit(git, &base).settings()?.publish,
            is_on_base: &|commit| revisions::contains(git, &base, commit),
            batch: &Batch::default(),
        };
        let comments = github.comments(snapshot.pull.number)?;
        let published = published::read(github, &snapshot.pull, &comments, &trust)?;
        for refused in published.refused {
            context.note(format_args!(
                "ignored published results: {}",
                refused.why.message()
            ));
        }
        // Results about earlier heads are expected here. Those that the user names are reported.
        let about_head = published
            .results
            .into_iter()
            .filter(|one| head.is_proven_by(&one.evidence));
        all.extend(about_head);
    }
    all.sort_by(|a, b| a.started_at.cmp(&b.started_at));
    Ok(all)
}

/// Writes the description to its file or pull request.
fn write(args: &Args, body: &Body, text: &str) -> anyhow::Result<()> {
    if let Some(path) = &args.write {
        return files::rewrite(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()));
    }
    match &body.pull {
        Some((github, snapshot)) => snapshot.replace_description(github, text),
        None => Ok(()),
    }
}

/// What decides which steps are left.
struct Open<'a> {
    contract: &'a Contract,
    registry: &'a Registry,
    tier_a: &'a [GateId],
}

fn next(
    context: &Context,
    args: &Args,
    git: &Git,
    body: &Body,
    open: &Open<'_>,
) -> anyhow::Result<Vec<NextStep>> {
    let mut next = Vec::new();
    let mut required = tier_b::required(open.contract, open.registry, Tier::A).into_iter();
    if required.any(|id| !open.tier_a.contains(id)) {
        next.push(NextStep::run(
            Who::Author,
            "run the gates that are not attested yet",
            ["nmoe-gates", "run", "--tier", "a"],
        ));
    }
    let naming = context.settings()?.naming;
    let branch = git.text(["symbolic-ref", "--quiet", "--short", "HEAD"]).ok();
    let push = || {
        let command = ["git", "push", &naming.remote, "HEAD"];
        NextStep::run(Who::Author, "push the branch", command)
    };
    match (&args.write, &body.pull) {
        (Some(_), _) if branch.as_deref() == Some(naming.base.as_str()) => next.push(NextStep::run(
            Who::Author,
            format!(
                "move the work to the branch that this makes: `{}` is the base",
                naming.base
            ),
            ["nmoe-gates", "start", &open.contract.nmoe.issue],
        )),
        (Some(path), _) => {
            let file = path.display().to_string();
            let work = &open.contract.nmoe;
            let title = format!("[{}] {}", work.issue, work.slug.replace('-', " "));
            let body = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let body = body.display().to_string();
            let mut create = vec!["gh", "pr", "create", "--title", &title, "--body-file", &body];
            create.extend(["--base", &naming.base]);
            let head = branch.as_ref().map(|branch| github::head_for_gh(context, branch));
            if let Some(head) = &head {
                // Without a terminal, `gh` asks for a branch that it does not know.
                create.extend(["--head", head]);
            }
            next.extend([
                NextStep::manual(
                    Who::Author,
                    format!(
                        "describe in {file} what you changed and why, name the issue with `Fixes: #N` unless it is there, tick the boxes that you confirm"
                    ),
                ),
                push(),
                NextStep::run(Who::Author, "open the pull request", create),
            ]);
            next.extend(branch.iter().map(|branch| {
                let ready = ["nmoe-gates", "ready"];
                github::with_number(context, branch, "see what blocks the merge", &ready)
            }));
        }
        (None, Some((_, snapshot))) => {
            let head = &snapshot.pull.head;
            let here = branch.as_deref() == Some(&head.branch);
            if here && git.commit("HEAD")?.as_ref() != Some(&head.sha) {
                next.push(push());
            }
            next.push(NextStep::run(
                Who::MergeCaptain,
                "see what blocks the merge",
                ["nmoe-gates", "ready", &snapshot.pull.number.to_string()],
            ));
        }
        (None, None) => {}
    }
    Ok(next)
}

fn verify(
    context: &Context,
    facts: &LintContext,
    git: &Git,
    body: &Body,
    contract: &Document<Contract>,
    head: &Head,
    results: Vec<Results>,
) -> anyhow::Result<Exit> {
    let inputs = Inputs {
        git,
        head,
        branch: match &body.pull {
            Some((_, snapshot)) => Some(snapshot.pull.head.branch.clone()),
            None => git.text(["symbolic-ref", "--quiet", "--short", "HEAD"]).ok(),
        },
        contract,
        facts,
        results,
    };
    let findings = attestation_check::check(&body.description, inputs)?;
    let documents = [body.description.source.clone(), contract.source.clone()];
    print_findings::print_all(context, &documents, &findings)
}
