//! `perf compare`: compares two sets of logs or results and prints a verdict.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::json;

use crate::cmd::context::{Context, Format, print, print_json};
use crate::cmd::help::{self, Help};
use crate::cmd::input_files;
use crate::cmd::perf_baseline;
use crate::domain::contract::Risk;
use crate::domain::exit::Exit;
use crate::domain::finding::Severity;
use crate::domain::metric::NODE_TPS;
use crate::domain::noise::metric_name;
use crate::domain::paths;
use crate::domain::perf_summary;
use crate::domain::registry::{DEFAULT_PERF_METRIC, Direction, Metric};
use crate::domain::results::PerfResult;
use crate::domain::verdict::{Reason, Verdict};
use crate::perf::decision::Rule;
use crate::perf::from_logs::{self, Compared, Recorded, Records, Terms, Wanted};
use crate::perf::stats::History;
use crate::report::number;
use crate::system::clock;
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::VERDICTS,
    variables: help::OF_TERMINAL,
    examples: &["perf compare --baseline base.log --head head.log --budget-pct -10"],
};

/// Arguments of `perf compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Logs or results of the baseline, one file for each measurement.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    baseline: Vec<PathBuf>,
    /// Logs or results of the change, as many and in the same order.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    head: Vec<PathBuf>,
    /// Percent: -10 means at most 10 % worse (default: the budget of the settings).
    #[arg(long, value_name = "PCT", allow_hyphen_values = true)]
    budget_pct: Option<f64>,
    /// The metric.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_PERF_METRIC)]
    metric: String,
    /// Which way the metric is better; needed if neither the registry nor the name of the metric shows it.
    #[arg(long, value_enum)]
    direction: Option<Better>,
    /// The compared gate: selects its metrics of the registry, its stored noise, and its entry in results.
    #[arg(long, value_name = "ID")]
    gate: Option<String>,
    /// Class of machine whose stored noise counts, such as b200x8 (default: cpu).
    #[arg(long, value_name = "CLASS", requires = "gate")]
    machine: Option<String>,
    /// 1 compares one pair with the bare threshold, as the inline runner does.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pairs: Option<u32>,
    /// Steps at the start that do not count (default: 5, or a quarter of the steps if that is more).
    #[arg(long, value_name = "N")]
    warmup_steps: Option<u32>,
    /// Continue an inconclusive comparison, given the JSON of `perf compare --format json`. Give the new logs only.
    #[arg(long, value_name = "FILE", conflicts_with = "pairs")]
    r#continue: Option<PathBuf>,
    /// Risk of the change: sets the effect of an inconclusive verdict.
    #[arg(long, value_enum)]
    risk: Option<HowHot>,
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Better {
    Higher,
    Lower,
}

/// How close to the hot path a change is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HowHot {
    Hot,
    Warm,
    Cold,
}

/// Runs `perf compare`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let declared = declared(context, args)?;
    let own = declared.iter().find(|m| m.name == metric_name(&args.metric));
    let direction = match (args.direction, own) {
        (Some(Better::Higher), _) => Direction::Higher,
        (Some(Better::Lower), _) => Direction::Lower,
        (None, Some(metric)) => metric.direction,
        (None, None) if metric_name(&args.metric) == NODE_TPS => Direction::Higher,
        (None, None) => bail!(
            "cannot compare `{}`: nothing says which way it is better\nhelp: add --direction higher or --direction lower",
            args.metric
        ),
    };
    if args.pairs == Some(1) && args.baseline.len().max(args.head.len()) > 1 {
        bail!(
            "cannot compare with --pairs 1: it takes one log of each side\nhelp: leave --pairs out to compare all of them"
        );
    }
    let single = own.is_some_and(|m| m.take.is_some());
    let wanted = Wanted {
        metric: args.metric.clone(),
        gate: args.gate.clone(),
        declared,
    };
    let budget = match args.budget_pct {
        Some(budget) => budget,
        None => context.settings()?.perf.budget_pct,
    };
    let launches = u32::try_from(args.baseline.len())?;
    let rule = Rule::new(budget, direction, args.pairs, Some(launches))?;
    let stored = stored(context, args)?;
    let earlier = match &args.r#continue {
        Some(path) => Some(earlier(path, &rule, args)?),
        None => None,
    };
    let terms = Terms {
        rule,
        warmup_steps: args.warmup_steps,
        single,
        stored,
        resolution: None,
        earlier: earlier.as_ref(),
    };
    let records = from_logs::together(read(&args.baseline, &wanted)?, read(&args.head, &wanted)?);
    let mut compared = compare(records, &terms);
    if let (Some(path), Some(earlier)) = (&args.r#continue, &earlier)
        && repeats(earlier, &compared.perf)
    {
        bail!(
            "cannot continue {}: a new pair has the samples of an earlier one\nhelp: give only logs that the comparison does not contain",
            path.display()
        );
    }
    compared.perf.metric.clone_from(&args.metric);
    compared.perf.compare_gate = args.gate.clone().unwrap_or_default();
    match format {
        Format::Json => print_json(&as_json(&compared)?)?,
        _ => print(&as_text(&compared, args.risk))?,
    }
    Ok(match compared.verdict {
        Verdict::Pass => Exit::Passed,
        Verdict::Fail => Exit::Failed,
        _ => Exit::NoVerdict,
    })
}

/// Returns the stored noise of the gate on this class of machine.
fn stored(context: &Context, args: &Args) -> anyhow::Result<Option<History>> {
    let Some(gate) = &args.gate else {
        return Ok(None);
    };
    let table = perf_baseline::current_noise(context)?;
    if let Some(machine) = &args.machine
        && !table.noise.iter().any(|n| n.machine == *machine)
    {
        bail!(
            "cannot use the noise of `{machine}`: {} has none of that machine",
            paths::NOISE
        );
    }
    let machine = args.machine.as_deref().unwrap_or("cpu");
    Ok(table
        .of(gate, &args.metric, machine)
        .filter(|n| n.counts_at(&clock::now()))
        .map(History::from))
}

/// Reads the comparison to continue.
fn earlier(path: &Path, rule: &Rule, args: &Args) -> anyhow::Result<PerfResult> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("cannot use {}", path.display()))?;
    if value["status"] != json!(Verdict::Inconclusive) {
        bail!(
            "cannot continue {}: its comparison is not inconclusive",
            path.display()
        );
    }
    if let Some(object) = value.as_object_mut() {
        for key in ["schema", "status", "reason", "sentence", "notes"] {
            object.remove(key);
        }
    }
    let perf: PerfResult =
        serde_json::from_value(value).with_context(|| format!("cannot use {}", path.display()))?;
    let differs = [
        ("metric", perf.metric != args.metric),
        (
            "gate",
            perf.compare_gate != args.gate.as_deref().unwrap_or_default(),
        ),
        ("budget", perf.budget_pct != Some(rule.budget_pct)),
        ("direction", perf.direction != rule.direction),
    ];
    if let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) {
        bail!(
            "cannot continue {}: it has another {what}; its measurements belong to one comparison",
            path.display()
        );
    }
    Ok(perf)
}

/// Whether a new pair has exactly the samples of an earlier pair, and they vary: the same logs are given again.
fn repeats(earlier: &PerfResult, all: &PerfResult) -> bool {
    let (old, new) = all.pairs.split_at(earlier.pairs.len().min(all.pairs.len()));
    let varies = |samples: &[f64]| samples.windows(2).filter(|w| w[0] != w[1]).count() >= 5;
    new.iter().any(|pair| {
        varies(&pair.baseline_samples)
            && old.iter().any(|before| {
                before.baseline_samples == pair.baseline_samples
                    && before.result_samples == pair.result_samples
            })
    })
}

/// Returns the metrics that the registry declares for the gate.
fn declared(context: &Context, args: &Args) -> anyhow::Result<Vec<Metric>> {
    let Some(gate) = &args.gate else {
        return Ok(Vec::new());
    };
    if !context.registry_path().exists() {
        return Ok(Vec::new());
    }
    let registry = context.registry()?.value;
    let Some(known) = registry.gates.get(gate) else {
        bail!("cannot compare gate `{gate}`: the registry has no such gate\nhelp: nmoe-gates gates list");
    };
    Ok(known.reads())
}

/// Reads the logs of one side. A log that is named twice is one measurement, and would look like a metric without variance.
fn read(paths: &[PathBuf], wanted: &Wanted) -> anyhow::Result<Vec<Recorded>> {
    let mut known = HashSet::new();
    let one = |path: &PathBuf| {
        if path.canonicalize().is_ok_and(|path| !known.insert(path)) {
            bail!(
                "cannot compare {}: it is named twice for one side\nhelp: name each measurement once",
                path.display()
            );
        }
        let log = input_files::log(path).with_context(|| format!("cannot read {}", path.display()))?;
        from_logs::read(log.reader, wanted)
            .map_err(|why| anyhow::anyhow!(why))
            .with_context(|| format!("cannot use {}", path.display()))
    };
    paths.iter().map(one).collect()
}

/// Compares what was read; a number that cannot be read makes the comparison invalid.
fn compare(records: Records, terms: &Terms<'_>) -> Compared {
    match records {
        Records::Samples {
            base,
            change,
            restarted,
            resolution,
            notes,
        } => {
            let terms = Terms { resolution, ..*terms };
            let mut compared = from_logs::compare(&base, &change, &terms);
            compared.notes.splice(0..0, notes);
            compared.perf.restarted = restarted;
            compared
        }
        Records::Unreadable(notes) => Compared {
            perf: PerfResult::default(),
            verdict: Verdict::Invalid,
            reason: Some(Reason::UnreadableNumber),
            notes,
        },
    }
}

fn as_json(compared: &Compared) -> anyhow::Result<serde_json::Value> {
    let mut value = json!({
        "schema": 1,
        "status": compared.verdict,
        "reason": compared.reason,
        "sentence": perf_summary::sentence(&compared.perf, compared.verdict, compared.reason),
        "notes": compared.notes,
    });
    if let (Some(object), serde_json::Value::Object(perf)) =
        (value.as_object_mut(), serde_json::to_value(&compared.perf)?)
    {
        object.extend(perf);
    }
    Ok(value)
}

fn as_text(compared: &Compared, risk: Option<HowHot>) -> Text {
    let mut text = Text::new();
    let sentence = perf_summary::sentence(&compared.perf, compared.verdict, compared.reason);
    text.wrapped(sentence, 2);
    for (i, pair) in compared.perf.pairs.iter().enumerate() {
        text.line(format_args!(
            "pair {}: {} against {}, {}",
            i + 1,
            number::quantity(pair.result),
            number::quantity(pair.baseline),
            perf_summary::change(pair.log_ratio.exp_m1() * 100.0)
        ));
    }
    if let Some(total) = compared.perf.total_delta_pct {
        text.line(format_args!(
            "total work over total time: {}",
            perf_summary::change(total)
        ));
    }
    for note in &compared.notes {
        text.line(format_args!("note: {note}"));
    }
    if let Some(risk) = risk {
        let risk = match risk {
            HowHot::Hot => Risk::Hot,
            HowHot::Warm => Risk::Warm,
            HowHot::Cold => Risk::Cold,
        };
        let word = match perf_summary::weight(compared.verdict, risk) {
            Severity::Error => "blocks the change",
            Severity::Warning => "is a warning",
            Severity::Note => "is noted",
        };
        if compared.verdict != Verdict::Pass {
            text.line(format_args!("at this risk it {word}"));
        }
    }
    text
}
