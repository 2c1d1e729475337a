//! Resolves what a Tier-B run of a pull request is about: commits, contract, gates and cost. A maintainer approves this before
//! any code of the pull request runs.

use std::cmp::Reverse;

use anyhow::{Context as _, bail};

use crate::document::ParseError;
use crate::domain::contract::Contract;
use crate::domain::exit::NoVerdict;
use crate::domain::finding::{FindingJson, Severity};
use crate::domain::ids::{GateId, Login, Sha256};
use crate::domain::messages::Messages;
use crate::domain::next_step::own_line;
use crate::domain::paths;
use crate::domain::proposal::Proposal;
use crate::domain::registry::{Gate, GateKind, MAX_PAIRS, Registry};
use crate::domain::resolution::{ContractFacts, Findings, RegistryFacts, Resolution, SCHEMA, Source};
use crate::gate::select;
use crate::github::api::GitHub;
use crate::github::batch::Batch;
use crate::github::error::GitHubError;
use crate::lint;
use crate::lint::attestation_evidence::AttestationEvidence;
use crate::policy::{Loaded, Revision};
use crate::pull::contract::{ContractOf, Issue};
use crate::pull::fresh_merge::{self, Checkout};
use crate::pull::snapshot::{Merge, Snapshot};
use crate::pull::standing::Writers;
use crate::system::random;

/// The most findings in a resolution.
const MOST_FINDINGS: usize = 20;

/// What to resolve.
pub struct Request<'a> {
    /// The number of the pull request.
    pub pull: u64,
    pub selection: &'a select::Request,
    /// The issue with the contract; `None` for the contract of the pull request.
    pub issue: Option<u64>,
    /// Whether to use the registry of the pull request.
    pub registry_from_change: bool,
    /// Logins whose contracts count.
    pub authors: &'a [Login],
    /// Where a merge is made that GitHub does not have.
    pub checkout: Checkout<'a>,
}

/// Resolves a run. Returns the contract too, so that the caller need not parse its text again.
///
/// # Errors
/// The pull request is not open, has no merge, or names something unusable; GitHub does not answer.
pub fn resolve(
    github: &GitHub,
    in_force: Loaded<Registry>,
    facts: &lint::LintContext,
    request: &Request<'_>,
    messages: &dyn Messages,
) -> anyhow::Result<(Resolution, Option<Contract>)> {
    let snapshot = Snapshot::fetch(github, request.pull)?;
    if snapshot.pull.state != "open" {
        return Err(NoVerdict(format!(
            "cannot resolve pull request {}: it is not open",
            request.pull
        ))
        .into());
    }
    let merge = fresh_merge::find(github, &snapshot, request.checkout, messages)?;
    let (registry, registry_facts) = registry(github, in_force, &merge, request)?;
    let selection = select::resolve(&registry, request.selection)?;
    let named = request
        .issue
        .map(|number| named_issue(github, number))
        .transpose()?;
    let issue = match &named {
        Some(issue) => Some(issue),
        None => match snapshot.contract(github, |number| Issue::read(github, number))? {
            ContractOf::Found(issue) => match &issue.document.value {
                Ok(_) => Some(&**issue),
                // A pass without its gates and scope would prove nothing.
                Err(defect) if issue.has_block() => {
                    return Err(NoVerdict(unusable(issue, defect)).into());
                }
                Err(_) => None,
            },
            _ => None,
        },
    };
    let contract = issue
        .map(|issue| contract_facts(github, issue, request.authors, messages))
        .transpose()?;
    if contract.is_none() {
        messages.warn(
            "warning: the pull request closes no issue with a contract (`Fixes: #N`), so its scope and gates are not checked",
        );
    }
    let terms: Option<&Contract> = issue.and_then(|issue| issue.document.value.as_ref().ok());
    let now = snapshot.evidence(Some(&merge), None, None);
    let missing = "the merge is incomplete";
    let resolution = Resolution {
        schema: SCHEMA,
        repository: github.repository().to_string(),
        pull: snapshot.pull.number,
        base_branch: snapshot.pull.base.branch.clone(),
        head: now.head.context(missing)?,
        base: now.base.context(missing)?,
        merge: now.merge.context(missing)?,
        tree: now.tree.context(missing)?,
        uncovered: terms
            .map(|contract| select::uncovered(&registry, contract, &selection.gate_ids))
            .unwrap_or_default(),
        gpu_minutes: gpu_minutes(&registry, &selection.gate_ids),
        bundle: selection.bundle,
        gate_ids: selection.gate_ids,
        registry: registry_facts,
        findings: findings(&snapshot, issue, facts),
        contract,
        nonce: random::token()
            .context("cannot make a nonce: the system provides no random numbers")?
            .try_into()?,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        next: Vec::new(),
    };
    Ok((resolution, terms.cloned()))
}

/// Loads the registry for the run, and describes what the pull request changes in it.
fn registry(
    github: &GitHub,
    in_force: Loaded<Registry>,
    merge: &Merge,
    request: &Request<'_>,
) -> anyhow::Result<(Registry, RegistryFacts)> {
    let commit = merge.commit.as_ref().unwrap_or(&merge.head);
    let at = |commit| match merge.local {
        true => Revision::Commit(request.checkout.git, commit),
        false => Revision::GitHub(github, commit),
    };
    let before = at(&merge.base).file(paths::REGISTRY)?;
    let after = at(commit);
    let bytes = after.file(paths::REGISTRY)?;
    let sha256 = bytes.as_deref().map(Sha256::of);
    let changed = before != bytes;
    let proposed = match (sha256.as_ref() == Some(&in_force.sha256), bytes) {
        (true, _) => Some(in_force.value.clone()),
        (false, Some(bytes)) => after
            .parse_registry(bytes)
            .registry()
            .ok()
            .map(|loaded| loaded.value),
        (false, None) => None,
    };
    let proposal = changed.then(|| Proposal::between(&in_force.value, proposed.as_ref(), sha256.clone()));
    let (registry, sha256, source) = match (request.registry_from_change, proposed, sha256) {
        (false, _, _) => (in_force.value, in_force.sha256, Source::Base),
        (true, Some(registry), Some(sha256)) => (registry, sha256, Source::Proposed),
        (true, _, _) => {
            return Err(NoVerdict(
                "cannot resolve: the pull request has no usable registry of its own".to_owned(),
            )
            .into());
        }
    };
    let facts = RegistryFacts {
        sha256,
        source,
        proposed: proposal,
    };
    Ok((registry, facts))
}

/// Returns the error of an issue without a valid contract.
fn unusable(issue: &Issue, defect: &ParseError) -> String {
    let number = issue.number;
    let help = own_line(&["lint", "contract", "--issue", &number.to_string()]);
    format!(
        "cannot use the contract of issue {number}: {}\nhelp: `{help}`",
        defect.message
    )
}

fn named_issue(github: &GitHub, number: u64) -> anyhow::Result<Issue> {
    let issue = Issue::read(github, number)?;
    if let Err(defect) = &issue.document.value {
        bail!(unusable(&issue, defect));
    }
    Ok(issue)
}

fn contract_facts(
    github: &GitHub,
    issue: &Issue,
    authors: &[Login],
    messages: &dyn Messages,
) -> Result<ContractFacts, GitHubError> {
    let author = Writers::new(github, &Batch::default()).author(issue, authors)?;
    if let Some(why) = &author.doubt {
        messages.warn(&format!("warning: the contract does not count: {why}"));
    }
    Ok(ContractFacts {
        issue: issue.number,
        sha256: issue.sha256.clone(),
        standing: author.standing,
        author: author.authorship.author,
        association: issue.association.clone(),
        adopted_by: author.adopted_by,
        editor: author.authorship.editor,
        edited_at: author.authorship.edited_at,
        body: issue.document.source.written(),
    })
}

/// Lints contract and attestation, as `lint contract` and `lint attestation` do.
fn findings(snapshot: &Snapshot, issue: Option<&Issue>, facts: &lint::LintContext) -> Findings {
    let mut all = Vec::new();
    let contract = issue.map(|issue| &issue.document);
    if let Some(contract) = contract {
        all.extend(lint::contract::lint(contract, facts));
    }
    let evidence = AttestationEvidence {
        branch: Some(snapshot.pull.head.branch.clone()),
        head: Some(snapshot.pull.head.sha.clone()),
        ..AttestationEvidence::default()
    };
    all.extend(lint::attestation::lint(
        &snapshot.description,
        facts,
        contract,
        &evidence,
    ));
    let count = |severity| all.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    all.retain(|finding| finding.severity > Severity::Note);
    all.sort_by_key(|finding| Reverse(finding.severity));
    let shown = all.iter().take(MOST_FINDINGS).map(|finding| FindingJson {
        fix: None,
        ..finding.into()
    });
    Findings {
        errors,
        warnings,
        shown: shown.collect(),
    }
}

/// Returns the most GPU-minutes that the gates can take by their time limits; `None` if a gate on GPUs has no limit.
fn gpu_minutes(registry: &Registry, gate_ids: &[GateId]) -> Option<f64> {
    let mut seconds = 0;
    for gate in gate_ids.iter().filter_map(|id| registry.gates.get(id)) {
        seconds += match gate.kind {
            GateKind::External => 0,
            GateKind::Command | GateKind::Kernel => gpu_seconds(gate)?,
            GateKind::Perf | GateKind::Numeric => {
                let compared = gate.compare_gate.as_ref().and_then(|id| registry.gates.get(id));
                // Baseline and change each have a warm-up measurement, unless only one pair is measured.
                let pairs = match gate.pairs {
                    // At most four runs of a base that is not deterministic, and one of the change.
                    _ if gate.kind == GateKind::Numeric => 3,
                    Some(1) => 1,
                    _ => 1 + gate.max_pairs.unwrap_or(MAX_PAIRS).max(gate.pairs.unwrap_or(1)),
                };
                compared
                    .map_or(Some(0), gpu_seconds)?
                    .saturating_mul(2 * u64::from(pairs))
            }
        };
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
    let minutes = seconds as f64 / 60.0;
    Some(minutes)
}

/// Returns the most GPU-seconds of one run of a gate.
fn gpu_seconds(gate: &Gate) -> Option<u64> {
    match (gate.gpus, gate.timeout_s) {
        (0, _) => Some(0),
        (_, 0) => None,
        (gpus, limit) => Some(limit.saturating_mul(u64::from(gpus) * u64::from(gate.nodes))),
    }
}
