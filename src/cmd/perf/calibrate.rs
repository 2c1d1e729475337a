//! `perf calibrate`: measures pairs of identical code, and stores the noise and the finest usable budget of a gate.

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde_json::json;

use crate::cmd::context::{Context, Format, print, print_json_line};
use crate::cmd::help::{self, Help};
use crate::cmd::input_files;
use crate::cmd::perf_baseline;
use crate::cmd::worker::{self, Role};
use crate::domain::exit::{Exit, NoVerdict};
use crate::domain::gate_environment;
use crate::domain::ids::GateId;
use crate::domain::noise::{Noise, NoiseTable};
use crate::domain::paths;
use crate::domain::registry::{Gate, GateKind, Registry};
use crate::domain::results::{GateResult, Results};
use crate::domain::verdict::Verdict;
use crate::gate::engine::{PerfCase, PerfTerms};
use crate::gate::evidence;
use crate::gate::gpu_probe::GpuProbe;
use crate::gate::output::Output;
use crate::gate::preflight::{self, Machine};
use crate::gate::process::Supervisor;
use crate::perf::comparisons;
use crate::perf::decision::{MAX_PAIRS, finest_budget};
use crate::perf::evaluator;
use crate::perf::renewal;
use crate::perf::stats;
use crate::system::clock;
use crate::system::files;
use crate::system::supervisor::WorkerExit;
use crate::terminal::Text;

/// The comment above the table.
const HEAD: &str =
    "# How far two runs of identical code lie apart; written by `nmoe-gates perf calibrate`.\n\n";

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::RUNS_GATES,
    variables: help::OF_MEASUREMENT,
    examples: &["perf calibrate --gate perf:baseline_delta --pairs 12"],
};

/// Arguments of `perf calibrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The perf gate.
    #[arg(long, value_name = "ID")]
    gate: String,
    /// Pairs of identical code to measure; more pairs make later verdicts more reliable
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(3..=100))]
    pairs: u32,
    /// Measure nothing, and take the noise from these results of comparisons
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "pairs")]
    from: Vec<PathBuf>,
    /// File to write (default: configs/gates/noise.toml of the policy checkout)
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Runs `perf calibrate`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    if !args.from.is_empty() {
        return renew(context, args, format);
    }
    let signals = match worker::role(context, true, None, None)? {
        Role::Worker(work) => work.signals,
        Role::Orphaned => return Ok(Exit::Terminated),
        Role::Supervisor(WorkerExit::Exited(code)) => return Ok(worker::exit(code)),
        // The worker has reported where it panicked.
        Role::Supervisor(WorkerExit::Panicked) => return Ok(Exit::ParseError),
        Role::Supervisor(WorkerExit::Killed(signal)) => {
            let said =
                format!("killed (signal {signal}); what it had started was ended, and nothing was stored");
            return Err(NoVerdict(said).into());
        }
        Role::Supervisor(WorkerExit::Stopped) => {
            let said = "stopped by another process, so its measurements do not count";
            return Err(NoVerdict(said.to_owned()).into());
        }
    };
    let registry = context.registry()?.value;
    let (gate, compare_id, compare) = perf_gate(&registry, &args.gate)?;
    let mut evidence = evidence::of_subject(&context.subject)?;
    let commit = match evidence.commit() {
        Some(commit) if !evidence.dirty => commit.clone(),
        Some(_) => bail!(
            "cannot calibrate: the checkout has uncommitted changes, and both sides must be the same code\nhelp: commit or stash them"
        ),
        None => bail!("cannot calibrate: the checkout has no commit"),
    };
    let target = GpuProbe::default();
    let path = path(context, args);
    let machine = Machine {
        target: &target,
        variable: &|name| std::env::var_os(name),
        subject: &context.subject,
        results: &path,
        submits: None,
    };
    let refused = preflight::check(&registry, std::slice::from_ref(compare_id), |_, _| true, &machine);
    if let Some(result) = refused.values().next() {
        let missing: Vec<String> = result.missing().collect();
        let why = match (missing.is_empty(), result.reason) {
            (true, Some(reason)) => reason.message().to_owned(),
            _ => missing.join("; "),
        };
        return Err(NoVerdict(format!("`{compare_id}` cannot run here: {why}")).into());
    }
    evidence.target = target.found();
    evidence.driver = target.driver().and_then(|driver| driver.version.clone());
    let class = evaluator::machine_class(compare, &evidence).to_owned();
    let arms = perf_baseline::isolate(context, commit.clone())?;
    let ours: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let output = Output::to(std::io::stderr().as_fd().try_clone_to_owned()?, None)?;
    let mut supervisor = Supervisor::new(signals, output, Box::new(()))?;
    let case = PerfCase {
        id: &args.gate,
        gate,
        compare_id,
        compare,
        compared: &GateResult::new(Verdict::Pass, None),
        terms: &PerfTerms::default(),
        registry: &registry,
        evidence: &evidence,
        subject: &context.subject,
        driver: target.driver(),
        environment: &gate_environment::of(compare, ours),
    };
    let calibrated = evaluator::calibrate(&case, &arms, &mut supervisor, args.pairs)
        .map_err(|refusal| NoVerdict(refusal.to_string()))?;
    drop(supervisor);
    drop(arms);
    let most = gate.max_pairs.unwrap_or(MAX_PAIRS).max(1);
    let mut entries = Vec::new();
    for metric in calibrated {
        // A metric that repeats exactly is compared exactly and needs no stored noise.
        let Some(found) = stats::noise(&metric.log_ratios, metric.estimator) else {
            continue;
        };
        let finest_pct = finest_budget(found, most)
            .ok_or_else(|| NoVerdict("the pairs are too few to estimate the noise".to_owned()))?;
        entries.push(Noise {
            gate: compare_id.to_string(),
            metric: metric.metric,
            machine: class.clone(),
            driver: evidence.driver.clone(),
            pairs: found.pairs,
            sd_pct: renewal::rounded(found.sd * 100.0),
            finest_pct: renewal::rounded(finest_pct),
            commit: commit.clone().into(),
            measured_at: clock::now(),
            expires: None,
            estimator: metric.estimator,
        });
    }
    let table = perf_baseline::noise(context)?;
    let none = "the measurements do not vary at all, so there is no noise to store";
    store(table, &entries, &path, format, most, none)
}

/// The perf gate with the gate that it compares.
fn perf_gate<'r>(registry: &'r Registry, id: &str) -> anyhow::Result<(&'r Gate, &'r GateId, &'r Gate)> {
    let gate = registry
        .gates
        .get(id)
        .filter(|g| g.kind == GateKind::Perf)
        .ok_or_else(|| anyhow!("cannot calibrate `{id}`: the registry has no perf gate with this id"))?;
    let (compare_id, compare) = gate
        .compare_gate
        .as_ref()
        .and_then(|id| registry.gates.get_key_value(id))
        .ok_or_else(|| {
            anyhow!("cannot calibrate `{id}`: the registry does not have the gate that it compares")
        })?;
    Ok((gate, compare_id, compare))
}

/// The file to write.
fn path(context: &Context, args: &Args) -> PathBuf {
    let default = || context.repo.join(paths::NOISE);
    args.write.clone().unwrap_or_else(default)
}

/// Stores the noise of comparisons that ran anyway.
fn renew(context: &Context, args: &Args, format: Format) -> anyhow::Result<Exit> {
    let read = |path: &PathBuf| input_files::recorded(path, None, None);
    let recorded: Vec<Results> = args.from.iter().map(read).collect::<anyhow::Result<_>>()?;
    let registry = context.registry()?.value;
    let (gate, compare_id, _) = perf_gate(&registry, &args.gate)?;
    let mut known = Vec::new();
    for results in &recorded {
        if let Some(commit) = results.evidence.commit() {
            known.extend(comparisons::of_results(results, commit, &registry));
        }
    }
    let most = gate.max_pairs.unwrap_or(MAX_PAIRS).max(1);
    let table = perf_baseline::noise(context)?;
    let entries = renewal::renewed(&table, &known, &args.gate, compare_id, most);
    let none = "these results have no newer comparison of the gate with two pairs or more that vary";
    store(table, &entries, &path(context, args), format, most, none)
}

/// Writes the entries into the table and prints them. Without entries, this is an error with the given explanation.
fn store(
    mut table: NoiseTable,
    entries: &[Noise],
    path: &Path,
    format: Format,
    most: u32,
    none: &str,
) -> anyhow::Result<Exit> {
    let [entry, also @ ..] = entries else {
        return Err(NoVerdict(none.to_owned()).into());
    };
    for entry in entries {
        table.put(entry.clone());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = format!("{HEAD}{}", toml::to_string(&table)?);
    files::rewrite(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    if format == Format::Json {
        print_json_line(&json!({"schema": 1, "noise": entry, "also": also}))?;
    } else {
        let mut text = Text::new();
        for entry in entries {
            text.line(format_args!(
                "{} {} on {}: {} pairs of identical code vary by {:.2} % (standard deviation)",
                entry.gate, entry.metric, entry.machine, entry.pairs, entry.sd_pct
            ))
            .line(format_args!(
                "finest budget with at most {most} pairs: {:.1} %",
                entry.finest_pct
            ));
        }
        print(text.line(format_args!("written to {}", path.display())))?;
    }
    Ok(Exit::Passed)
}
