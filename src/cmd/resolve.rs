//! `resolve`: what a Tier-B run of a pull request will be about, decided once and before any of its code runs: commits,
//! contract, gates, cost. A maintainer approves this; the gates job runs exactly this; the report job holds results to it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::cmd::NoJudgement;
use crate::cmd::api;
use crate::cmd::context::{Context, Format, print, print_json_line, say};
use crate::cmd::gates::Which;
use crate::cmd::lint::gather;
use crate::cmd::runner_files;
use crate::document::Document;
use crate::document::source::Source as Text;
use crate::domain::attestation::Attestation;
use crate::domain::exit::Exit;
use crate::domain::finding::{FindingJson, Severity};
use crate::domain::ids::CommitId;
use crate::domain::proposal::Proposal;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::resolution::{ContractFacts, Findings, RegistryFacts, Resolution, SCHEMA, Source};
use crate::gate::select;
use crate::github::api::GitHub;
use crate::github::types::{Authorship, Commit, Pull};
use crate::lint;
use crate::lint::claims::Evidence;
use crate::perf::decision::MAX_PAIRS;
use crate::policy::Revision;
use crate::pull::contract::{ContractOf, Issue, contract_of};
use crate::report::comment_sections;
use crate::system::random;
use crate::terminal;

/// Largest resolution in bytes: it travels as a variable of a process, and one of those holds 128 KiB.
const LARGEST: usize = 120_000;

/// How often GitHub is asked for a merge that it is still making, and how long we wait in between.
const ASKS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(2);

/// Most findings that are shown to whoever approves.
const SHOWN: usize = 20;

/// Arguments of `resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of the pull request.
    #[arg(long, value_name = "N")]
    pr: u64,
    #[command(flatten)]
    which: Which,
    /// GitHub's number of the issue that holds the contract; absent, the one that the pull request says it closes.
    #[arg(long, value_name = "N")]
    issue: Option<u64>,
    /// Let the pull request's own registry be in force, though nobody has merged it.
    #[arg(long)]
    registry_from_change: bool,
    /// Where the resolution goes, as one line of JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `resolve`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let hub = api::hub(context)?;
    let pull = hub.pull(args.pr)?;
    if pull.state != "open" {
        return Err(refused(format!("pull request {} is not open", args.pr)));
    }
    let merge = merge(&hub, &pull)?;
    let Some(base) = merge.parents.first().map(|parent| parent.sha.clone()) else {
        bail!("the merge {} has no parent", merge.sha);
    };
    let (registry, facts) = registry(context, &hub, args, &base, &merge.sha)?;
    let selection = select::resolve(&registry, &args.which.request())?;
    let description = Text::new(Some(format!("pull request #{}", pull.number)), pull.body.as_str());
    let description = Document::parse(description);
    let (issue, contract) = contract(&hub, args, &description)?.unzip();
    let agreed = issue
        .as_ref()
        .and_then(|issue| issue.document.value.as_ref().ok());
    let resolution = Resolution {
        schema: SCHEMA,
        repository: hub.repository().to_string(),
        pull: pull.number,
        head: pull.head.sha.clone(),
        base,
        merge: merge.sha,
        tree: merge.tree.sha,
        uncovered: agreed
            .map(|contract| select::uncovered(contract, &selection.gate_ids))
            .unwrap_or_default(),
        gpu_minutes: gpu_minutes(&registry, &selection.gate_ids),
        bundle: selection.bundle,
        gate_ids: selection.gate_ids,
        registry: facts,
        findings: findings(context, &pull, &description, issue.as_ref())?,
        contract,
        nonce: random::token()
            .context("the system has no randomness to give")?
            .try_into()?,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let line = serde_json::to_string(&resolution)?;
    if line.len() > LARGEST {
        bail!("the contract is too long to travel between jobs; an issue body should stay below 64 KiB");
    }
    if let Some(path) = &args.output {
        std::fs::write(path, format!("{line}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let shown = comment_sections::resolution(&resolution);
    runner_files::append(runner_files::SUMMARY, &shown)?;
    runner_files::append(runner_files::OUTPUT, &format!("merge={}\n", resolution.merge))?;
    if format == Format::Json {
        print_json_line(&resolution)?;
    } else {
        print(terminal::Text::new().document(&shown))?;
    }
    Ok(Exit::Passed)
}

fn refused(why: String) -> anyhow::Error {
    anyhow::Error::new(NoJudgement(why))
}

/// The merge of exactly this head. GitHub makes it in its own time, and the ref may still name the merge of an earlier head.
fn merge(hub: &GitHub, pull: &Pull) -> anyhow::Result<Commit> {
    for ask in 1..=ASKS {
        if let Some(id) = hub.merge_ref(pull.number)? {
            let commit = hub.commit(&id)?;
            match commit.parents.as_slice() {
                [_, head] if head.sha == pull.head.sha => return Ok(commit),
                _ => {}
            }
        }
        if pull.mergeable == Some(false) {
            return Err(refused(format!(
                "pull request {} conflicts with its base, so there is no merge to test; rebase it",
                pull.number
            )));
        }
        if ask < ASKS {
            say("GitHub has no merge of the present head yet; asking again");
            hub.pause(PAUSE);
        }
    }
    Err(refused(format!(
        "GitHub made no merge of pull request {} with its present head; try again later, or rebase it",
        pull.number
    )))
}

/// The registry in force, and what the pull request proposes beside it.
fn registry(
    context: &Context,
    hub: &GitHub,
    args: &Args,
    base: &CommitId,
    merge: &CommitId,
) -> anyhow::Result<(Registry, RegistryFacts)> {
    let in_force = context.registry()?;
    let file = |commit: &CommitId| Revision::GitHub(hub, commit).registry_file();
    let (before, after) = (file(base)?, file(merge)?);
    let sha256 = after.as_ref().map(|file| file.sha256.clone());
    let changed = before.map(|file| file.sha256) != sha256;
    let proposed = after.and_then(|file| file.registry.ok());
    let proposal = changed.then(|| Proposal::between(&in_force.value, proposed.as_ref(), sha256.clone()));
    if !args.registry_from_change {
        let facts = RegistryFacts {
            sha256: in_force.sha256,
            source: Source::Base,
            proposed: proposal,
        };
        return Ok((in_force.value, facts));
    }
    let (Some(registry), Some(sha256)) = (proposed, sha256) else {
        return Err(refused(
            "the pull request's own registry was asked for, and it holds none that can be read".to_owned(),
        ));
    };
    let facts = RegistryFacts {
        sha256,
        source: Source::Proposed,
        proposed: proposal,
    };
    Ok((registry, facts))
}

/// The issue that holds the contract: the one that was named, else the contract of the pull request.
fn contract(
    hub: &GitHub,
    args: &Args,
    description: &Document<Attestation>,
) -> anyhow::Result<Option<(Issue, ContractFacts)>> {
    let issue = match args.issue {
        Some(number) => {
            let issue = Issue::read(hub, number)?;
            if let Err(defect) = &issue.document.value {
                bail!("issue {number} holds no usable contract: {}", defect.message);
            }
            Some(issue)
        }
        None => match contract_of(hub, description)? {
            ContractOf::Found(issue) if issue.document.value.is_ok() => Some(*issue),
            _ => None,
        },
    };
    let Some(issue) = issue else {
        say(
            "warning: the pull request names no issue with a contract (`Fixes: #N`), so there is none to compare it with",
        );
        return Ok(None);
    };
    // Only GraphQL tells the editor; where it does not answer, the digest still binds the text.
    let authorship = hub.authorship(issue.number).unwrap_or_else(|fault| {
        say(format_args!(
            "warning: who edited the contract is unknown: {fault}"
        ));
        Authorship::default()
    });
    let facts = ContractFacts {
        issue: issue.number,
        sha256: issue.sha256.clone(),
        author: authorship.author,
        editor: authorship.editor,
        edited_at: authorship.edited_at,
        body: issue.document.source.written(),
    };
    Ok(Some((issue, facts)))
}

/// What the lints say of contract and attestation, as `lint contract` and `lint attestation` would.
fn findings(
    context: &Context,
    pull: &Pull,
    description: &Document<Attestation>,
    issue: Option<&Issue>,
) -> anyhow::Result<Findings> {
    let facts = gather::facts(context)?;
    let mut all = Vec::new();
    let contract = issue.map(|issue| &issue.document);
    if let Some(contract) = contract {
        all.extend(lint::contract::lint(contract, &facts));
    }
    let evidence = Evidence {
        branch: Some(pull.head.branch.clone()),
        head: Some(pull.head.sha.clone()),
        ..Evidence::default()
    };
    all.extend(lint::attestation::lint(description, &facts, contract, &evidence));
    let count = |severity| all.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    all.retain(|finding| finding.severity > Severity::Note);
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let shown = all.iter().take(SHOWN).map(|finding| FindingJson {
        fix: None,
        ..finding.into()
    });
    Ok(Findings {
        errors,
        warnings,
        shown: shown.collect(),
    })
}

/// Most GPU-minutes that the selection can take, by its time limits; none where a gate on GPUs has none.
fn gpu_minutes(registry: &Registry, gate_ids: &[String]) -> Option<f64> {
    let mut seconds = 0;
    for gate in gate_ids.iter().filter_map(|id| registry.gates.get(id)) {
        seconds += match gate.kind {
            GateKind::External => 0,
            GateKind::Command | GateKind::Kernel => once(gate)?,
            GateKind::Perf => {
                let compared = gate.compare_gate.as_ref().and_then(|id| registry.gates.get(id));
                // One launch of each arm does not count, unless a single pair is held to the bare threshold.
                let pairs = match gate.pairs {
                    Some(1) => 1,
                    _ => 1 + gate.max_pairs.unwrap_or(MAX_PAIRS).max(gate.pairs.unwrap_or(1)),
                };
                compared
                    .map_or(Some(0), once)?
                    .saturating_mul(2 * u64::from(pairs))
            }
        };
    }
    #[expect(clippy::cast_precision_loss, reason = "minutes for people")]
    let minutes = seconds as f64 / 60.0;
    Some(minutes)
}

/// GPU-seconds of one launch at most.
fn once(gate: &Gate) -> Option<u64> {
    match (gate.gpus, gate.timeout_s) {
        (0, _) => Some(0),
        (_, 0) => None,
        (gpus, limit) => Some(limit.saturating_mul(u64::from(gpus))),
    }
}
