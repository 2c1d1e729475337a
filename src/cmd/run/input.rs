//! Parses and validates the inputs of `run`: registry, selection, contract, evidence, external results, perf terms.
//!
//! Must not depend on how gates are run.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use indexmap::IndexMap;

use crate::cmd::context::{self, Context};
use crate::cmd::github;
use crate::cmd::input_files;
use crate::cmd::perf_baseline;
use crate::cmd::run::args::Args;
use crate::domain::contract::Contract;
use crate::domain::evidence::Evidence;
use crate::domain::gate_environment;
use crate::domain::ids::{self, GateId, Nonce, Sha256};
use crate::domain::plausible::Reading;
use crate::domain::registry::{GateKind, Registry, SINGLE};
use crate::domain::resolution::Resolution;
use crate::domain::results::GateResult;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::container::Containers;
use crate::gate::engine::PerfTerms;
use crate::gate::evidence;
use crate::gate::external::{self, Recorded};
use crate::gate::journal;
use crate::gate::select::{self, Selection};
use crate::gate::verdict::ResultsBuilder;
use crate::git::{Git, GitError};
use crate::github::workflow_run;
use crate::leaks::machine;
use crate::leaks::private_terms;
use crate::policy::{self, Loaded, Revision};
use crate::pull::fresh_merge;
use crate::report::escape::{self, Sink};
use crate::report::links::Links;
use crate::report::verify;
use leakscan::identity::Identity;

/// The reason why a run ends before its first gate.
pub(super) struct Refused {
    pub(super) reason: Reason,
    pub(super) error: anyhow::Error,
}

impl Refused {
    pub(super) fn because(reason: Reason) -> impl FnOnce(anyhow::Error) -> Refused {
        move |error| Refused { reason, error }
    }
}

/// Other errors mean that this program cannot do its work, although the inputs are valid.
impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Refused {
            reason: Reason::Internal,
            error,
        }
    }
}

/// The validated inputs of a run.
pub(super) struct RunInput {
    pub(super) registry: Registry,
    pub(super) selection: Selection,
    pub(super) contract: Option<Contract>,
    pub(super) evidence: Evidence,
    pub(super) external: IndexMap<GateId, Recorded>,
    pub(super) perf: PerfTerms,
    /// The pages that the report links to.
    pub(super) links: Links,
    /// The private names to redact from the logs of gates that are kept.
    pub(super) identity: Identity,
    /// Whether the output of gates is redacted as well, because other people read it or the user defined private terms.
    pub(super) redacts_output: bool,
}

/// Returns the private names to redact, and whether the user defined any of them.
pub(super) fn identity(registry: &Registry, selection: &Selection) -> anyhow::Result<(Identity, bool)> {
    let terms = private_terms::from_env(context::variable)?;
    let has_terms = !terms.is_empty();
    let mut identity = machine::identity(|name| std::env::var(name).ok());
    identity.terms(terms);
    for (name, value) in std::env::vars_os() {
        // Gates never receive these variables. Redact their values anyway, in case a gate learns one elsewhere.
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && gate_environment::is_secret(name)
        {
            identity.name(value, "[secret]");
        }
    }
    let gates = selection.gate_ids.iter().filter_map(|id| registry.gates.get(id));
    for name in gates.flat_map(|gate| &gate.requires) {
        if let Ok(value) = std::env::var(name) {
            identity.variable(name, &value);
        }
    }
    Ok((identity, has_terms))
}

pub(super) fn gather(context: &Context, args: &Args) -> Result<RunInput, Refused> {
    let stale = Refused::because(Reason::StaleEvidence);
    let resolution = args
        .resolution
        .as_deref()
        .map(input_files::resolution)
        .transpose()
        .map_err(Refused::because(Reason::Refused))?;
    if let Some(resolution) = &resolution {
        fresh_merge::check_out(&Git::at(&context.subject), resolution)
            .map_err(Refused::because(Reason::Refused))?;
    }
    let bad_registry = Refused::because(Reason::BadRegistry);
    let registry = match &resolution {
        Some(resolution) => {
            let proposed = || Ok(Revision::Checkout(&context.subject));
            policy::resolved_registry(resolution, &context.policy(), proposed)
        }
        None => context.registry(),
    }
    .map_err(bad_registry)?;
    let selection = select::resolve(&registry.value, &args.which.request())
        .map_err(|e| Refused::because(Reason::BadRegistry)(e.into()))?;
    let contract = match &resolution {
        // Use the approved text, even if it is not a valid contract: the approver saw its findings.
        Some(resolution) => policy::resolved_contract(resolution),
        None => args
            .contract
            .loaded(context)
            .map_err(Refused::because(Reason::Refused))?,
    };
    let (identity, has_terms) =
        identity(&registry.value, &selection).map_err(Refused::because(Reason::Prerequisite))?;
    let budget = context.settings()?.perf.budget_pct;
    let perf = perf_terms(args, contract.as_ref().map(|c| &c.value), budget)?;
    if perf.baseline_ref.is_some() && compares(&registry.value, &selection.gate_ids) {
        // Check the baseline before any gate spends time.
        perf_baseline::resolve(context, perf.baseline_ref.as_ref())
            .map_err(Refused::because(Reason::Refused))?
            .map_err(|e| Refused::because(Reason::BadBaseline)(e.into()))?;
    }
    let external = args
        .external
        .iter()
        .filter(|e| !e.is_empty())
        .map(|given| recorded(&registry, &selection, given, budget))
        .collect::<anyhow::Result<_>>()
        .map_err(Refused::because(Reason::External))?;
    if !context.subject.is_dir() {
        let error = anyhow!(
            "cannot test {}: there is no such folder",
            context.subject.display()
        );
        return Err(Refused::because(Reason::Refused)(error));
    }
    // Ids need git. The preflight check reports that git is missing.
    let mut evidence = match evidence::of_subject(&context.subject) {
        Err(GitError::Start(_)) => Evidence::default(),
        read => read.map_err(anyhow::Error::from)?,
    };
    evidence.registry = Some(registry.sha256);
    evidence.contract = contract.as_ref().map(|c| c.sha256.clone());
    evidence.image = std::env::var("NMOE_IMAGE_DIGEST")
        .ok()
        .filter(|d| Sha256::is_image_digest(d));
    evidence.run = nonce().map_err(Refused::because(Reason::Refused))?;
    if let Some(resolution) = &resolution {
        evidence.run = Some(resolution.nonce.clone());
        evidence.contract = resolution.contract.as_ref().map(|c| c.sha256.clone());
        held_to(resolution, &selection, &evidence).map_err(stale)?;
    }
    Ok(RunInput {
        registry: registry.value,
        selection,
        contract: contract.map(|c| c.value),
        evidence,
        external,
        perf,
        links: Links {
            pull: resolution.as_ref().map(|resolution| resolution.pull),
            contract: resolution
                .as_ref()
                .and_then(|resolution| Some(resolution.contract.as_ref()?.issue)),
            ..github::links(context)
        },
        identity,
        redacts_output: has_terms || workflow_run::in_actions(context::variable),
    })
}

/// Checks that this run is the resolved one, or the part of it for one runner: the same commits, and no other gates.
/// `publish` checks that the parts are complete.
fn held_to(resolution: &Resolution, selection: &Selection, evidence: &Evidence) -> anyhow::Result<()> {
    let whole = selection.gate_ids == resolution.gate_ids && selection.bundle == resolution.bundle;
    let named = matches!(selection.bundle.as_deref(), None | Some(SINGLE));
    let part = named
        && selection
            .gate_ids
            .iter()
            .all(|id| resolution.gate_ids.contains(id));
    if !whole && !part {
        bail!(
            "cannot run: the selected gates differ from the resolved ones\nhelp: resolve again, and have that approved"
        );
    }
    let differ: Vec<&str> = evidence
        .stale_for(&resolution.evidence())
        .into_iter()
        .map(|identity| identity.as_str())
        .collect();
    if !differ.is_empty() {
        bail!(
            "cannot run: the checkout under test differs from the resolution in {}\nhelp: check out {}",
            differ.join(", "),
            resolution.merge
        );
    }
    Ok(())
}

/// Returns the nonce of the environment. An empty variable counts as absent.
fn nonce() -> anyhow::Result<Option<Nonce>> {
    let text = context::variable("NMOE_RUN_NONCE").filter(|text| !text.is_empty());
    text.map(|text| {
        text.to_string_lossy()
            .parse()
            .context("cannot use NMOE_RUN_NONCE")
    })
    .transpose()
}

/// Returns the budget, the baseline and the declared numerics of comparisons. The contract can only be stricter than the policy, and
/// the command line only stricter than the contract.
fn perf_terms(args: &Args, contract: Option<&Contract>, policy_pct: f64) -> Result<PerfTerms, Refused> {
    let agreed = contract.and_then(|c| c.gates.perf.as_ref());
    let baseline = args.baseline_ref.as_deref().filter(|r| !r.is_empty());
    let baseline = match baseline.map(str::parse::<ids::Revision>).transpose() {
        Ok(named) => named.or_else(|| agreed.and_then(|p| p.baseline_ref.clone())),
        Err(invalid) => {
            let error = anyhow!("cannot read --baseline-ref: {invalid}");
            return Err(Refused::because(Reason::BadBaseline)(error));
        }
    };
    let refused = |message: String| Refused::because(Reason::Refused)(anyhow!(message));
    let asked = match args.perf_budget_pct.as_deref().filter(|b| !b.trim().is_empty()) {
        None => None,
        Some(text) => match text.trim().parse::<f64>() {
            Ok(budget) if budget.is_finite() && budget > -100.0 => Some(budget),
            _ => {
                return Err(refused(format!(
                    "--perf-budget-pct `{}` is not a percentage such as -10",
                    text.escape_debug()
                )));
            }
        },
    };
    let agreed = match agreed {
        Some(perf) if !perf.budget_pct.is_finite() => {
            return Err(refused(
                "the contract's budget_pct is not a finite number".to_owned(),
            ));
        }
        agreed => agreed.map(|perf| perf.within(policy_pct)),
    };
    if let Some(asked) = asked
        && agreed.is_none()
        && asked < policy_pct
    {
        return Err(refused(format!(
            "--perf-budget-pct {asked} is looser than the policy's {policy_pct}; it may only be stricter"
        )));
    }
    if let (Some(asked), Some(agreed)) = (asked, agreed)
        && asked < agreed
    {
        return Err(refused(format!(
            "--perf-budget-pct {asked} is looser than the contract's {agreed}; it may only be stricter"
        )));
    }
    let declared = contract.map(|c| c.contract.numerics.unwrap_or_default());
    if let (Some(asked), Some(declared)) = (args.numerics, declared)
        && asked > declared
    {
        return Err(refused(format!(
            "--numerics {} allows more than the contract's `{}`; it may only be stricter",
            asked.as_str(),
            declared.as_str()
        )));
    }
    Ok(PerfTerms {
        baseline_ref: baseline,
        budget_pct: asked.or(agreed),
        numerics: args.numerics.or(declared),
    })
}

fn recorded(
    registry: &Loaded<Registry>,
    selection: &Selection,
    given: &str,
    budget_pct: f64,
) -> anyhow::Result<(GateId, Recorded)> {
    let (id, path) = given
        .split_once('=')
        .ok_or_else(|| anyhow!("cannot read --external {given}: it has no `=`\nhelp: write ID=RESULTS"))?;
    let defined = registry.value.gates.get(id);
    let Some(defined) = defined.filter(|gate| gate.kind == GateKind::External) else {
        bail!("cannot use --external {id}: the registry has no external gate with this id");
    };
    let Some(gate) = selection.gate_ids.iter().find(|g| *g == id) else {
        bail!("cannot use --external {id}: the gate is not selected");
    };
    let results = input_files::consistent(Path::new(path), verify::MAX_BYTES)
        .with_context(|| format!("cannot use --external {id}"))?;
    if results.evidence.rehearsal {
        bail!("cannot use --external {id}: {path} is of a rehearsal, which proves nothing");
    }
    let recorded = external::of_gate(results, id)
        .ok_or_else(|| anyhow!("cannot use --external {id}: {path} has no result of this gate"))?;
    // Results of another registry are stale.
    if recorded.evidence.registry.as_ref() == Some(&registry.sha256) {
        let reading = Reading {
            budget_pct: Some(budget_pct),
            is_abridged: false,
        };
        let (result, evidence) = (&recorded.result, &recorded.evidence);
        verify::fits_gate(defined, result, evidence, &registry.value, reading).map_err(|refusal| {
            let detail = escape::text(Sink::Terminal, &refusal.detail);
            anyhow!("cannot use --external {id}: {}: {detail}", refusal.why.message())
        })?;
    }
    Ok((gate.clone(), recorded))
}

/// Returns the gates that passed in an earlier run with the same results file, if the code, the policy and the tool are the same.
pub(super) fn proven(
    path: &Path,
    input: &RunInput,
    containers: Option<&Containers>,
) -> anyhow::Result<IndexMap<GateId, GateResult>> {
    let mut fold = ResultsBuilder::default();
    for event in journal::read(&journal::journal_path(path))? {
        fold.push(&event);
    }
    let Some(earlier) = fold.results() else {
        return Ok(IndexMap::new());
    };
    let (was, is) = (&earlier.evidence, &input.evidence);
    // `same_code` is false for a rehearsal.
    let same = was.same_code(is)
        && (&was.registry, &was.contract, &was.tool, &was.image)
            == (&is.registry, &is.contract, &is.tool, &is.image);
    Ok(earlier
        .results
        .into_iter()
        .filter(|(id, r)| {
            same && r.status == Verdict::Pass
                && r.image.as_deref() == containers.and_then(|c| c.digest(id))
                && input.selection.gate_ids.contains(id)
        })
        .collect())
}

/// Whether one of these gates compares another one.
pub(super) fn compares(registry: &Registry, ids: &[GateId]) -> bool {
    ids.iter()
        .any(|id| registry.gates.get(id).is_some_and(|g| g.kind.compares()))
}
