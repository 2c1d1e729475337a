//! Compares existing measurements: logs of a trainer, or recorded results.
//!
//! Starts no process and opens no file.

use std::io::{BufRead as _, BufReader, Read};

use serde::de::IgnoredAny;

use crate::domain::metric::{Metric, NODE_TPS};
use crate::domain::noise::metric_name;
use crate::domain::results::{PairOrder, PerfResult, Results};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::metrics::{Forms, Meter};
use crate::perf::decision::{Rule, Step};
use crate::perf::measurement::{Measurement, Reduction, Sample, Series, UnusableSamples};
use crate::perf::record::Pairs;
use crate::perf::samples::{self, Printed};
use crate::perf::stats::History;
use crate::report::read as untrusted;

/// What to take from a record.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The metric, with or without `_p50`.
    pub metric: String,
    /// The gate, where results hold several with that metric.
    pub gate: Option<String>,
    /// Metrics as a registry declares them; a metric that is not among them is found by its name.
    pub declared: Vec<Metric>,
}

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;
/// Reads the samples of one measurement out of a log, or out of results.
///
/// # Errors
/// A message that says what about the record cannot be used.
pub fn read(record: impl Read, wanted: &Wanted) -> Result<Recorded, String> {
    let metric = metric_name(&wanted.metric);
    let mut record = BufReader::with_capacity(CHUNK, record);
    let mut start = Vec::new();
    let failed = |error: std::io::Error| error.to_string();
    if record
        .fill_buf()
        .map_err(failed)?
        .iter()
        .find(|b| !b.is_ascii_whitespace())
        == Some(&b'{')
    {
        (&mut record)
            .take(untrusted::MAX_BYTES + 1)
            .read_to_end(&mut start)
            .map_err(failed)?;
        // A log can consist of JSON lines, and has no gates.
        if serde_json::from_slice::<HasGates>(&start).is_ok() {
            let results = untrusted::bytes(&start).map_err(|refusal| refusal.to_string())?;
            return Ok(Recorded::Samples(Printed {
                samples: of_results(&results, metric, wanted.gate.as_deref())?,
                ..Printed::default()
            }));
        }
    }
    let mut meter = meter(wanted)?;
    meter.push(&start);
    loop {
        let chunk = record.fill_buf().map_err(failed)?;
        if chunk.is_empty() {
            break;
        }
        meter.push(chunk);
        let len = chunk.len();
        record.consume(len);
    }
    let measured = meter.finish();
    Ok(match samples::printed(measured.get(metric)) {
        Ok(printed) => Recorded::Samples(printed),
        Err(why) => Recorded::Unreadable(why),
    })
}

/// A JSON document that has gates, so it must be valid results.
#[derive(serde::Deserialize)]
struct HasGates {
    #[serde(rename = "gate_ids")]
    _gate_ids: IgnoredAny,
}

/// A meter for what is wanted, with the steps.
fn meter(wanted: &Wanted) -> Result<Meter, String> {
    let name = metric_name(&wanted.metric);
    let mut metrics = wanted.declared.clone();
    samples::add_step(&mut metrics);
    if name != NODE_TPS && metrics.iter().all(|m| m.name != name) {
        metrics.push(Metric::named(name));
    }
    Meter::new(&metrics)
}

/// What a record says of one measurement.
#[derive(Clone, Debug)]
pub enum Recorded {
    /// Its samples.
    Samples(Printed),
    /// A number could not be read, and why.
    Unreadable(String),
}

/// What keeps records from being compared, or the samples of both sides with what to tell people about them.
pub enum Records {
    /// The samples by side and measurement.
    Samples {
        /// The baseline's.
        base: Vec<Vec<Sample>>,
        /// The change's.
        change: Vec<Vec<Sample>>,
        /// How many measurements restarted.
        restarted: u32,
        /// One unit of the last digit that the logs print, where all of them are logs.
        resolution: Option<f64>,
        /// What to tell people.
        notes: Vec<String>,
    },
    /// A number could not be read, or the two sides are written in two forms: the comparison is invalid.
    Unreadable(Vec<String>),
}

/// Puts the records of both sides together.
pub fn together(base: Vec<Recorded>, change: Vec<Recorded>) -> Records {
    let (mut notes, mut faults) = (Vec::new(), Vec::new());
    let mut forms: Vec<Forms> = Vec::new();
    let mut restarted = 0;
    let mut side = |name: &str, records: Vec<Recorded>| {
        let mut samples = Vec::new();
        for (nth, record) in records.into_iter().enumerate() {
            let at = format!("measurement {} of the {name}", nth + 1);
            match record {
                Recorded::Unreadable(why) => faults.push(format!("{at}: {why}")),
                Recorded::Samples(printed) => {
                    notes.extend(printed.notes.iter().map(|note| format!("{at}: {note}")));
                    forms.push(printed.forms);
                    restarted += u32::from(printed.restarted);
                    samples.push(printed.samples);
                }
            }
        }
        samples
    };
    let (base, change) = (side("baseline", base), side("change", change));
    let mut pairs = forms.iter().enumerate();
    let clash = pairs.find_map(|(i, a)| forms[..i].iter().find_map(|b| a.clash(b)));
    faults.extend(clash.map(str::to_owned));
    if faults.is_empty() {
        let printed: Option<Vec<f64>> = forms.iter().map(Forms::resolution).collect();
        Records::Samples {
            base,
            change,
            restarted,
            resolution: printed.and_then(|all| all.into_iter().reduce(f64::min)),
            notes,
        }
    } else {
        Records::Unreadable(faults)
    }
}

fn of_results(results: &Results, metric: &str, gate: Option<&str>) -> Result<Vec<Sample>, String> {
    let holds: Vec<&str> = results
        .results
        .iter()
        .filter(|(_, r)| r.metrics.contains_key(metric))
        .map(|(id, _)| id.as_str())
        .collect();
    let id = match (gate, holds.as_slice()) {
        (Some(gate), _) => gate,
        (None, [only]) => only,
        (None, []) => return Err(format!("no gate of these results has samples of `{metric}`")),
        (None, several) => {
            return Err(format!(
                "name one of these gates with --gate: {}",
                several.join(", ")
            ));
        }
    };
    let result = results
        .results
        .get(id)
        .ok_or_else(|| format!("these results have no gate `{id}`"))?;
    if result.status != Verdict::Pass {
        return Err(format!(
            "gate `{id}` of these results is {}, so its numbers prove nothing",
            result.status.as_str()
        ));
    }
    let series = result
        .metrics
        .get(metric)
        .ok_or_else(|| format!("gate `{id}` of these results has no samples of `{metric}`"))?;
    if let Some(unreadable) = &series.unreadable {
        return Err(format!(
            "{} of `{metric}` in gate `{id}` could not be read; the first has the shape `{}`",
            if unreadable.count == 1 {
                "a number".to_owned()
            } else {
                format!("{} numbers", unreadable.count)
            },
            unreadable.shape
        ));
    }
    if series.not_finite > 0 {
        return Err(format!(
            "{} samples of `{metric}` in gate `{id}` are not finite",
            series.not_finite
        ));
    }
    let steps = result
        .metrics
        .get("step")
        .filter(|s| s.samples.len() == series.samples.len());
    Ok(series
        .samples
        .iter()
        .enumerate()
        .map(|(i, value)| Sample {
            value: *value,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float cast saturates, and a step is a small whole number"
            )]
            step: steps.map(|s| s.samples[i] as u64),
        })
        .collect())
}

/// A comparison of recorded measurements, the first of the baseline with the first of the change and so on.
pub struct Compared {
    /// What was measured.
    pub perf: PerfResult,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<Reason>,
    /// What to tell people in addition.
    pub notes: Vec<String>,
}

/// What decides on recorded measurements.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Budget and direction.
    pub rule: Rule,
    /// Steps at the start that do not count; the rule's where absent.
    pub warmup_steps: Option<u32>,
    /// A measurement has one value, such as a peak or a final loss.
    pub single: bool,
    /// Stored noise.
    pub stored: Option<History>,
    /// One unit of the last printed digit, where it is known.
    pub resolution: Option<f64>,
    /// An open comparison to go on with.
    pub earlier: Option<&'a PerfResult>,
}

impl Terms<'_> {
    fn reduction(&self) -> Reduction {
        Reduction {
            warmup_steps: self.warmup_steps,
            threshold: self.rule.threshold,
            direction: self.rule.direction,
            single: self.single,
        }
    }
}

/// Decides on the measurements of two sides. There will be no others, so the last pair is the last look, unless an earlier
/// comparison has used that look.
pub fn compare(base: &[Vec<Sample>], change: &[Vec<Sample>], terms: &Terms<'_>) -> Compared {
    let rule = terms.rule;
    let mut compared = Compared {
        perf: PerfResult {
            direction: rule.direction,
            budget_pct: Some(rule.budget_pct),
            method: rule.method(),
            ..PerfResult::default()
        },
        verdict: Verdict::Invalid,
        reason: Some(Reason::NoSamples),
        notes: Vec::new(),
    };
    if base.len() != change.len() || base.is_empty() {
        compared.notes.push(format!(
            "the sides are unequal: {} measurements of the baseline and {} of the change",
            base.len(),
            change.len()
        ));
        return compared;
    }
    if let Some(pairs) = collect(base, change, terms, &mut compared) {
        let last = Rule {
            max_pairs: u32::try_from(pairs.len()).unwrap_or(u32::MAX),
            ..rule
        };
        let judged = last.evaluate(&pairs.evidence(terms.stored));
        pairs.record(&mut compared.perf, &judged);
        (compared.verdict, compared.reason) = match judged.step {
            Step::Done(verdict, reason) => (verdict, reason),
            Step::Another => (Verdict::Inconclusive, Some(Reason::Noisy)),
        };
    }
    compared
}

/// Forms the pairs; `None`, with a note, where too few can be used. A measurement whose log is too short costs its own pair.
fn collect(
    base: &[Vec<Sample>],
    change: &[Vec<Sample>],
    terms: &Terms<'_>,
    compared: &mut Compared,
) -> Option<Pairs> {
    let how = terms.reduction();
    let most = u32::try_from(base.len()).unwrap_or(u32::MAX);
    let mut pairs = match terms.earlier {
        Some(earlier) => {
            compared.perf.pairs.clone_from(&earlier.pairs);
            let Some(pairs) = Pairs::resumed(earlier, most, how) else {
                compared
                    .notes
                    .push("the earlier comparison does not hold totals and estimator".to_owned());
                return None;
            };
            pairs
        }
        None => Pairs::new(most, how, terms.stored.map(|s| s.estimator)),
    };
    let series = |logs: &[Vec<Sample>]| {
        let of = |samples: &Vec<Sample>| Series::of(samples).written_to(terms.resolution);
        logs.iter().map(of).collect::<Vec<_>>()
    };
    let sides = [series(base), series(change)];
    let mut reduced = Vec::new();
    for (name, side) in ["baseline", "change"].into_iter().zip(&sides) {
        let all: Vec<Result<Measurement, UnusableSamples>> = side.iter().map(|s| s.reduce(how)).collect();
        for (i, one) in all.iter().enumerate() {
            match one {
                Err(unfit) => compared
                    .notes
                    .push(format!("measurement {} of the {name}: {unfit}", i + 1)),
                Ok(measurement) if !measurement.steady => {
                    compared.perf.unsteady += 1;
                    compared
                        .notes
                        .push(format!("measurement {} of the {name} is not steady", i + 1));
                }
                Ok(_) => {}
            }
        }
        reduced.push(all);
    }
    let baseline: Vec<&Measurement> = reduced[0].iter().flatten().collect();
    if !baseline.is_empty() {
        pairs.choose_from(&baseline);
    }
    let (mut used, mut trimmed) = (0, 0);
    for (i, (base, change)) in sides[0].iter().zip(&sides[1]).enumerate() {
        match pairs.push(&mut compared.perf, PairOrder::Unknown, base, change) {
            Ok(()) => {
                used += 1;
                trimmed += usize::from(base.len() != change.len());
            }
            Err(UnusableSamples::TooFew { .. }) if !how.threshold => {
                compared.notes.push(format!("pair {} is left out", i + 1));
            }
            Err(unfit) => {
                compared
                    .notes
                    .push(format!("pair {} cannot be compared: {unfit}", i + 1));
                return None;
            }
        }
    }
    if trimmed > 0 {
        let noun = if trimmed == 1 { "pair was" } else { "pairs were" };
        compared.notes.push(format!(
            "{trimmed} {noun} trimmed to the steps that both sides have"
        ));
    }
    // Measurements that are mostly missing prove nothing.
    (2 * used >= base.len()).then_some(pairs)
}
