//! `run`: select gates, look whether they can run, run them under supervision, record what came of it.

mod place;
mod talk;
mod tell;

pub use place::{default_results, results_path};

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, anyhow, bail};
use indexmap::IndexMap;

use crate::cmd::NoJudgement;
use crate::cmd::baseline;
use crate::cmd::context::{Context, Format, say};
use crate::cmd::gates::Which;
use crate::cmd::kept::{self, Role};
use crate::cmd::policy;
use crate::gate::engine::{self, Order, PerfCase, PerfJudge, PerfTerms};
use crate::gate::environment;
use crate::gate::evidence;
use crate::gate::external::{self, Recorded};
use crate::gate::journal;
use crate::gate::kernels;
use crate::gate::launch::Supervisor;
use crate::gate::output::{Filter, Output};
use crate::gate::preflight::{self, Machine};
use crate::gate::record::{self, Record};
use crate::gate::select::{self, Selection};
use crate::gate::verdict::Fold;
use crate::model::contract::Contract;
use crate::model::event::Event;
use crate::model::evidence::Evidence;
use crate::model::exit::Exit;
use crate::model::registry::{GateKind, Registry};
use crate::model::resolution::Resolution;
use crate::model::results::{GateResult, Results, SCHEMA};
use crate::model::verdict::{Overall, Reason, Verdict};
use crate::report::read;
use crate::safety::identity::Identity;
use crate::safety::redact::Redactor;
use crate::safety::terms::Terms;
use crate::sys::clock;
use crate::sys::keeper::Worked;
use crate::sys::signals::Stop;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Where the results go; the journal lies beside them. Outside every checkout.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// The contract that the change is held to: an issue body or a bare YAML file, `-` for standard input.
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// What `resolve` decided: the run is held to its commits, contract, registry and gates.
    #[arg(long, value_name = "FILE", conflicts_with = "contract")]
    resolution: Option<PathBuf>,
    /// Say what would run and what is missing, and run nothing.
    #[arg(long)]
    dry_run: bool,
    /// Keep what an earlier run into the same results has proven for the same evidence.
    #[arg(long)]
    resume: bool,
    /// Go on after a gate has failed.
    #[arg(long)]
    keep_going: bool,
    /// Recorded results of a gate that is run elsewhere; may be given several times.
    #[arg(long, value_name = "ID=RESULTS")]
    external: Vec<String>,
    /// Who supplies those results.
    #[arg(long, value_name = "LOGIN", env = "GITHUB_ACTOR", hide_env_values = true)]
    supplied_by: Option<String>,
    /// What a perf gate compares with; empty means the base parent of the merge.
    #[arg(long, value_name = "REF", allow_hyphen_values = true)]
    baseline_ref: Option<String>,
    /// Budget of a perf gate in percent, such as -10; may only tighten the contract's.
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    perf_budget_pct: Option<String>,
    /// How long a gate may be mute before a log hears that it still runs; 0: never. A terminal shows it all the time.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400))]
    heartbeat: u64,
}

/// Largest file of recorded results that is read, bytes.
const EXTERNAL: u64 = 256 << 10;

/// Why a run is refused before any gate is looked at.
struct Refused {
    reason: Reason,
    error: anyhow::Error,
}

impl Refused {
    fn because(reason: Reason) -> impl FnOnce(anyhow::Error) -> Refused {
        move |error| Refused { reason, error }
    }
}

/// What was asked for, read and understood.
struct Asked {
    registry: Registry,
    selection: Selection,
    contract: Option<Contract>,
    evidence: Evidence,
    external: IndexMap<String, Recorded>,
    perf: PerfTerms,
    redactor: Option<Redactor>,
}

/// Whether what we print goes into a log that others read.
fn in_actions() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|v| v == "true")
}

/// Takes private names out of gate output where others read the log, and wherever somebody has named private terms.
fn redactor() -> anyhow::Result<Option<Redactor>> {
    let terms = Terms::from_env()?;
    if terms.is_empty() && !in_actions() {
        return Ok(None);
    }
    let mut identity = Identity::of_machine();
    identity.terms(terms);
    for (name, value) in std::env::vars_os() {
        // A gate gets none of these; one that knows a value all the same does not get it into the log.
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && environment::is_secret(name)
        {
            identity.name(value, "[secret]");
        }
    }
    Ok(Some(Redactor::new(identity)))
}

/// Runs `run`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let path = results_path(context, args.results.as_deref())?;
    // Whoever types a contract must be in the terminal's foreground.
    let typed = args.contract.as_deref() == Some(Path::new("-")) && std::io::stdin().is_terminal();
    let before = record::mark(&path);
    let signals = match kept::role(context, !args.dry_run && !typed)? {
        Role::Worker(signals) => signals,
        Role::Alone => return Ok(Exit::Terminated),
        Role::Keeper(Worked::Ended(code)) => return Ok(kept::exit(code)),
        Role::Keeper(Worked::Killed(signal)) => return killed(&path, before, signal),
    };
    let asked = match gather(context, args) {
        Ok(asked) => asked,
        Err(Refused { reason, error }) => {
            if !args.dry_run {
                refuse(&path, reason)?;
            }
            return Err(error);
        }
    };
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let proven = if args.resume {
        proven(&path, &asked)?
    } else {
        IndexMap::new()
    };
    let target = kernels::Machine::default();
    let machine = Machine {
        target: &target,
        variable: &|name| std::env::var_os(name),
        subject: &context.subject,
        results: &path,
    };
    let runs = |id: &str| !proven.contains_key(id);
    let refused = preflight::check(
        &asked.registry,
        &asked.selection.gate_ids,
        |id, _| runs(id),
        &machine,
    );
    if let Some(lacks) = target.says() {
        say(&lacks);
    }
    if args.dry_run {
        return tell::dry_run(context, format, &asked, &proven, &refused);
    }
    let mut judge: Box<dyn PerfJudge> =
        if refused.is_empty() && compares(&asked.registry, &asked.selection.gate_ids) {
            Box::new(baseline::judge(context, &asked.perf)?)
        } else {
            Box::new(NoJudge)
        };
    let order = Order {
        uncovered: asked
            .contract
            .as_ref()
            .map(|c| select::uncovered(c, &asked.selection.gate_ids))
            .unwrap_or_default(),
        registry: &asked.registry,
        selection: &asked.selection,
        evidence: Evidence {
            target: target.found(),
            ..asked.evidence
        },
        subject: &context.subject,
        environment: &environment,
        refused,
        proven,
        external: asked.external,
        supplied_by: args
            .supplied_by
            .as_deref()
            .filter(|s| is_login(s))
            .map(str::to_owned),
        perf: asked.perf,
        keep_going: args.keep_going,
        groups: in_actions(),
    };
    let stream = match format {
        Format::Json => std::io::stderr().as_fd().try_clone_to_owned(),
        _ => std::io::stdout().as_fd().try_clone_to_owned(),
    };
    let filter = asked.redactor.map(|r| Box::new(r) as Box<dyn Filter>);
    let output = Output::to(stream?, filter).context("cannot start the output")?;
    let talk = Rc::new(RefCell::new(talk::Talk::new(context, args.heartbeat)));
    let mut supervisor =
        Supervisor::new(signals, output, Box::new(Rc::clone(&talk))).context("cannot supervise processes")?;
    let opening = engine::opening(&order);
    let mut record = match Record::begin(&path, &opening, Box::new(talk)) {
        Err(error) if error.is_full() => {
            // Nothing can be recorded, so nothing is run; what there is to say is still said.
            let results = unrecorded(&opening)?;
            drop(supervisor);
            tell::present(context, format, &path, &results, Some(Reason::DiskFull))?;
            return Ok(exit(&results, None, Some(Reason::DiskFull)));
        }
        begun => begun?,
    };
    let stop = engine::run(&order, &mut supervisor, &mut record, judge.as_mut());
    drop(supervisor);
    let results = record
        .results()
        .ok_or_else(|| anyhow!("the run left no results"))?;
    tell::present(context, format, &path, &results, record.fault())?;
    Ok(exit(&results, stop, record.fault()))
}

/// Puts in order what a run left that was killed outright; what it had started has been ended.
fn killed(path: &Path, before: Option<record::Mark>, signal: i32) -> anyhow::Result<Exit> {
    let said = format!("the run was killed (signal {signal}); what it had started was ended");
    if record::mark(path) == before {
        return Err(NoJudgement(format!("{said}, and nothing was recorded")).into());
    }
    let results = record::recover(path)?;
    tell::outputs(path, &results)?;
    Err(NoJudgement(format!(
        "{said}; {} holds what was recorded until then",
        path.display()
    ))
    .into())
}

/// The results of a run that could not even begin for want of space.
fn unrecorded(opening: &[Event]) -> anyhow::Result<Results> {
    let mut fold = Fold::default();
    for event in opening {
        fold.push(event);
    }
    fold.push(&Event::RunRefused {
        reason: Reason::DiskFull,
    });
    fold.results().ok_or_else(|| anyhow!("the run left no results"))
}

fn exit(results: &Results, stop: Option<Stop>, fault: Option<Reason>) -> Exit {
    match (stop, results.overall) {
        (Some(Stop::Interrupt), _) => Exit::Interrupted,
        (Some(Stop::Terminate), _) => Exit::Terminated,
        // A pass that could not be recorded is none.
        (None, Overall::Pass) if fault.is_some() => Exit::NoJudgement,
        (None, Overall::Pass) => Exit::Passed,
        (None, Overall::Fail) => Exit::Failed,
        (None, Overall::Inconclusive | Overall::Invalid | Overall::Cancelled) => Exit::NoJudgement,
    }
}

fn gather(context: &Context, args: &Args) -> Result<Asked, Refused> {
    let stale = Refused::because(Reason::StaleEvidence);
    let resolution = args
        .resolution
        .as_deref()
        .map(policy::resolution)
        .transpose()
        .map_err(Refused::because(Reason::Refused))?;
    let bad_registry = Refused::because(Reason::BadRegistry);
    let registry = match &resolution {
        Some(resolution) => policy::resolved_registry(context, resolution),
        None => policy::registry(context),
    }
    .map_err(bad_registry)?;
    let selection = select::resolve(&registry.value, &args.which.request())
        .map_err(|e| Refused::because(Reason::BadRegistry)(e.into()))?;
    let contract = match &resolution {
        // What was approved counts, even where it is no contract: its findings were shown.
        Some(resolution) => policy::resolved_contract(resolution),
        None => args
            .contract
            .as_deref()
            .filter(|p| !p.as_os_str().is_empty())
            .map(policy::contract)
            .transpose()
            .map_err(Refused::because(Reason::Refused))?,
    };
    let redactor = redactor().map_err(Refused::because(Reason::Prerequisite))?;
    let perf = perf_terms(args, contract.as_ref().map(|c| &c.value))?;
    if perf.baseline_ref.is_some() && compares(&registry.value, &selection.gate_ids) {
        // Before anybody spends a launch on it.
        baseline::resolve(context, perf.baseline_ref.as_deref())
            .map_err(Refused::because(Reason::Refused))?
            .map_err(|e| Refused::because(Reason::BadBaseline)(e.into()))?;
    }
    let external = args
        .external
        .iter()
        .filter(|e| !e.is_empty())
        .map(|given| recorded(&registry.value, &selection, given))
        .collect::<anyhow::Result<_>>()
        .map_err(Refused::because(Reason::External))?;
    if !context.subject.is_dir() {
        let error = anyhow!(
            "the checkout under test {} is no folder",
            context.subject.display()
        );
        return Err(Refused::because(Reason::Refused)(error));
    }
    // Without git there are no ids; preflight says that it is missing.
    let mut evidence = evidence::of_subject(&context.subject).unwrap_or_default();
    evidence.registry = Some(registry.sha256);
    evidence.contract = contract.as_ref().map(|c| c.sha256.clone());
    evidence.image = std::env::var("NMOE_IMAGE_DIGEST").ok().filter(|d| is_digest(d));
    evidence.run = std::env::var("NMOE_RUN_NONCE").ok().filter(|n| is_nonce(n));
    if let Some(resolution) = &resolution {
        evidence.run = Some(resolution.nonce.clone());
        evidence.contract = resolution.contract.as_ref().map(|c| c.sha256.clone());
        held_to(resolution, &selection, &evidence).map_err(stale)?;
    }
    Ok(Asked {
        registry: registry.value,
        selection,
        contract: contract.map(|c| c.value),
        evidence,
        external,
        perf,
        redactor,
    })
}

/// Whether this run is the one that was resolved, or one runner's part of it: the same commits, and no other gates. `publish` holds the
/// parts together to the whole.
fn held_to(resolution: &Resolution, selection: &Selection, evidence: &Evidence) -> anyhow::Result<()> {
    let whole = selection.gate_ids == resolution.gate_ids && selection.bundle == resolution.bundle;
    let named = matches!(selection.bundle.as_deref(), None | Some(select::SINGLE));
    let part = named
        && selection
            .gate_ids
            .iter()
            .all(|id| resolution.gate_ids.contains(id));
    if !whole && !part {
        bail!("other gates were resolved than are asked for; resolve again and have that approved");
    }
    let differ: Vec<&str> = evidence
        .stale_for(&resolution.evidence())
        .into_iter()
        .map(|identity| identity.as_str())
        .collect();
    if !differ.is_empty() {
        bail!(
            "the checkout under test is not what was resolved ({} differ); check out {}",
            differ.join(", "),
            resolution.merge
        );
    }
    Ok(())
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_nonce(text: &str) -> bool {
    (8..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A login as GitHub allows it, or a bot's.
fn is_login(text: &str) -> bool {
    let name = text.strip_suffix("[bot]").unwrap_or(text);
    (1..=39).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The budget and the baseline of perf gates; what the command line says may only be stricter than the contract.
fn perf_terms(args: &Args, contract: Option<&Contract>) -> Result<PerfTerms, Refused> {
    let agreed = contract.and_then(|c| c.gates.perf.as_ref());
    let baseline = args.baseline_ref.as_deref().filter(|r| !r.is_empty());
    let baseline = baseline.or_else(|| {
        agreed
            .and_then(|p| p.baseline_ref.as_deref())
            .filter(|r| !r.is_empty())
    });
    if let Some(name) = baseline
        && (name.starts_with('-') || name.chars().any(|c| c.is_whitespace() || c.is_control()))
    {
        let error = anyhow!("`{}` is no git ref to compare with", name.escape_debug());
        return Err(Refused::because(Reason::BadBaseline)(error));
    }
    let refused = |message: String| Refused::because(Reason::Refused)(anyhow!(message));
    let asked = match args.perf_budget_pct.as_deref().filter(|b| !b.trim().is_empty()) {
        None => None,
        Some(text) => match text.trim().parse::<f64>() {
            Ok(budget) if budget.is_finite() && budget > -100.0 => Some(budget),
            _ => {
                return Err(refused(format!(
                    "--perf-budget-pct `{}` is no percentage such as -10",
                    text.escape_debug()
                )));
            }
        },
    };
    let agreed = match agreed.map(|p| p.budget_pct) {
        Some(budget) if !budget.is_finite() => {
            return Err(refused(
                "the contract's budget_pct is no finite number".to_owned(),
            ));
        }
        agreed => agreed,
    };
    if let (Some(asked), Some(agreed)) = (asked, agreed)
        && asked < agreed
    {
        return Err(refused(format!(
            "--perf-budget-pct {asked} is looser than the contract's {agreed}; it may only be stricter"
        )));
    }
    Ok(PerfTerms {
        baseline_ref: baseline.map(str::to_owned),
        budget_pct: asked.or(agreed),
    })
}

fn recorded(registry: &Registry, selection: &Selection, given: &str) -> anyhow::Result<(String, Recorded)> {
    let (id, path) = given
        .split_once('=')
        .ok_or_else(|| anyhow!("--external {given}: write ID=RESULTS"))?;
    let kind = registry.gates.get(id).map(|g| g.kind);
    if kind != Some(GateKind::External) {
        bail!("--external {id}: the registry has no external gate of that name");
    }
    if !selection.gate_ids.iter().any(|g| g == id) {
        bail!("--external {id}: the gate is not selected");
    }
    let results =
        read::file_within(Path::new(path), EXTERNAL).with_context(|| format!("--external {id}: {path}"))?;
    let recorded = external::of_gate(results, id)
        .ok_or_else(|| anyhow!("--external {id}: {path} has no result of it"))?;
    Ok((id.to_owned(), recorded))
}

/// What an earlier run into the same results has proven, if it was about the same code, policy and tool.
fn proven(path: &Path, asked: &Asked) -> anyhow::Result<IndexMap<String, GateResult>> {
    let mut fold = Fold::default();
    for event in journal::read(&journal::beside(path))? {
        fold.push(&event);
    }
    let Some(earlier) = fold.results() else {
        return Ok(IndexMap::new());
    };
    let (was, is) = (&earlier.evidence, &asked.evidence);
    let same = was.same_code(is)
        && (&was.registry, &was.contract, &was.tool, &was.image)
            == (&is.registry, &is.contract, &is.tool, &is.image);
    Ok(earlier
        .results
        .into_iter()
        .filter(|(id, r)| same && r.status == Verdict::Pass && asked.selection.gate_ids.contains(id))
        .collect())
}

/// Leaves results that say why nothing was even looked at.
fn refuse(path: &Path, reason: Reason) -> anyhow::Result<()> {
    let started = Event::RunStarted {
        schema: SCHEMA,
        at: clock::now(),
        bundle: None,
        gate_ids: Vec::new(),
        uncovered: Vec::new(),
        evidence: Box::new(Evidence {
            tool: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..Evidence::default()
        }),
    };
    let mut record = Record::begin(path, &[started, Event::RunRefused { reason }], Box::new(()))?;
    record.push(&Event::RunEnded {
        at: clock::now(),
        duration_s: 0.0,
    });
    if let Some(results) = record.results() {
        tell::outputs(path, &results)?;
    }
    Ok(())
}

/// Where no perf gate was selected there is nothing to judge.
struct NoJudge;

impl PerfJudge for NoJudge {
    fn judge(&mut self, _case: &PerfCase<'_>, _supervisor: &mut Supervisor) -> GateResult {
        GateResult::new(Verdict::NotRun, Some(Reason::Prerequisite))
    }
}

/// Whether a perf gate is among those that run.
fn compares(registry: &Registry, ids: &[String]) -> bool {
    ids.iter()
        .any(|id| registry.gates.get(id).is_some_and(|g| g.kind == GateKind::Perf))
}
