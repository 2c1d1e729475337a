//! A verdict from launches that already happened: logs as a trainer printed them, or recorded results.
//!
//! Launches nothing and reads no file: bytes in, a comparison out.

use crate::domain::noise::metric_name;
use crate::domain::registry::{Direction, Gate, GateKind, Metric, Tier};
use crate::domain::results::{PerfResult, Results};
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::metrics::NODE_TPS;
use crate::perf::decision::{Rule, Step};
use crate::perf::launch::{self, Launch, Sample, Warmup};
use crate::perf::record::Pairs;
use crate::perf::samples;
use crate::perf::stats::History;

/// What to take from a record.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The metric, with or without `_p50`.
    pub metric: String,
    /// The gate, where results hold several with that metric.
    pub gate: Option<String>,
    /// The metric as a registry declares it; the default pattern where it does not.
    pub declared: Option<Metric>,
}

/// Takes the samples of one launch out of a log, or out of results.
///
/// # Errors
/// A message that says what about the record cannot be used.
pub fn samples(record: &[u8], wanted: &Wanted) -> Result<Vec<Sample>, String> {
    let metric = metric_name(&wanted.metric);
    if record.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(results) = serde_json::from_slice::<Results>(record)
    {
        return of_results(&results, metric, wanted.gate.as_deref());
    }
    let declared = wanted.declared.clone().unwrap_or_else(|| Metric {
        name: metric.to_owned(),
        pattern: None,
        unit: None,
        direction: Direction::Higher,
    });
    let metrics = if declared.name == NODE_TPS && declared.pattern.is_none() {
        Vec::new()
    } else {
        vec![declared]
    };
    let mut meter = samples::meter(&reader(metrics))?;
    meter.push(record);
    let measured = meter.finish();
    Ok(samples::pair_with_steps(
        measured.get(metric),
        measured.get("step"),
    ))
}

/// A gate that only stands for what is read from a log.
fn reader(metrics: Vec<Metric>) -> Gate {
    Gate {
        tier: Tier::A,
        kind: GateKind::Command,
        cmd: None,
        timeout_s: 0,
        silence_timeout_s: 0,
        gpus: 0,
        requires: Vec::new(),
        requires_files: Vec::new(),
        env: Vec::new(),
        note: None,
        metrics,
        artifacts: Vec::new(),
        kernel: None,
        leaks: None,
        compare_gate: None,
        metric: None,
        pairs: None,
        max_pairs: None,
        warmup_steps: None,
        perf_args: None,
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

/// A comparison of launches, the first baseline with the first head and so on.
pub struct Compared {
    /// What was measured.
    pub perf: PerfResult,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<Reason>,
    /// What to tell people beside it.
    pub notes: Vec<String>,
}

/// Judges launches of two arms; they are all there will be, so the last pair is the last look.
pub fn compare(
    base: &[Vec<Sample>],
    head: &[Vec<Sample>],
    rule: &Rule,
    warmup: Option<u32>,
    history: Option<History>,
) -> Compared {
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
    if base.len() != head.len() || base.is_empty() {
        compared.notes.push(format!(
            "the arms are unequal: {} launches of the baseline and {} of the change",
            base.len(),
            head.len()
        ));
        return compared;
    }
    let warmup = Warmup {
        steps: warmup,
        threshold: rule.threshold,
    };
    let mut fit = |arm: &str, logs: &[Vec<Sample>]| -> Option<Vec<Launch>> {
        let fits: Vec<_> = logs.iter().map(|s| launch::launch(s, warmup)).collect();
        for (i, unfit) in fits.iter().enumerate() {
            match unfit {
                Err(unfit) => compared
                    .notes
                    .push(format!("launch {} of the {arm}: {unfit}", i + 1)),
                Ok(launch) if !launch.steady => {
                    compared.perf.unsteady += 1;
                    compared
                        .notes
                        .push(format!("launch {} of the {arm} is not steady", i + 1));
                }
                Ok(_) => {}
            }
        }
        fits.into_iter().collect::<Result<_, _>>().ok()
    };
    let (base, head) = (fit("baseline", base), fit("change", head));
    let (Some(base), Some(head)) = (base, head) else {
        return compared;
    };
    let mut pairs = Pairs::of_at_most(u32::try_from(base.len()).unwrap_or(u32::MAX));
    for (i, (base, head)) in base.iter().zip(&head).enumerate() {
        if !launch::alike(base, head) && !rule.threshold {
            compared.notes.push(format!(
                "pair {} is unequal: {} samples of the baseline and {} of the change",
                i + 1,
                base.kept.len(),
                head.kept.len()
            ));
            return compared;
        }
        pairs.push(&mut compared.perf, true, base, head);
    }
    let judged = rule.judge(pairs.log_ratios(), history);
    pairs.record(&mut compared.perf, &judged);
    (compared.verdict, compared.reason) = match judged.step {
        Step::Done(verdict, reason) => (verdict, reason),
        Step::Another => (Verdict::Inconclusive, Some(Reason::Noisy)),
    };
    compared
}
