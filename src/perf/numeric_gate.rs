//! Runs a numeric gate: the base twice, the change once, more of the base if it is not deterministic; then compares them.
//!
//! Takes the runs of a perf gate that has measured the same command in this run. Computes nothing itself (`numeric`).

use std::time::Instant;

use crate::domain::numeric::{NumericResult, Numerics, Sides};
use crate::domain::results::GateResult;
use crate::domain::verdict::{Reason, Verdict};
use crate::gate::engine::PerfCase;
use crate::gate::process::Supervisor;
use crate::gate::verdict::seconds;
use crate::perf::arm_runner::Arm;
use crate::perf::arms::Arms;
use crate::perf::experiment::Experiment;
use crate::perf::numbers::{Printed, Runs, Shared, printed};
use crate::perf::numeric::{self, FEWEST_RUNS, NOISY_RUNS, Terms, Track};
use crate::perf::refusal::Refusal;

/// Evaluates a numeric gate.
pub fn evaluate(
    case: &PerfCase<'_>,
    arms: Result<&Arms, Refusal>,
    supervisor: &mut Supervisor,
    cap: f64,
    shared: &mut Shared,
) -> GateResult {
    let began = Instant::now();
    let sides = match case.gate.resume_cmd {
        Some(_) => Sides::StraightResumed,
        None => Sides::BaseChange,
    };
    let mut result = NumericResult {
        compare_gate: case.compare_id.to_owned(),
        sides,
        declared: case.terms.numerics.unwrap_or_default(),
        ..NumericResult::default()
    };
    let (verdict, reason) = arms
        .and_then(|arms| {
            if sides == Sides::BaseChange {
                result.baseline_sha = Some(arms.baseline_sha.clone());
            }
            compare(case, arms, supervisor, cap, shared, &mut result)
        })
        .unwrap_or_else(|refusal| {
            supervisor.output.line(format_args!("numeric: {}", refusal.why));
            (refusal.verdict, Some(refusal.reason))
        });
    for line in result.lines() {
        supervisor.output.line(format_args!("numeric: {line}"));
    }
    let mut gate = GateResult::new(verdict, reason);
    gate.duration_s = Some(seconds(began.elapsed()));
    gate.numeric = Some(result);
    gate
}

/// Runs both sides as often as it takes, and compares them.
fn compare(
    case: &PerfCase<'_>,
    arms: &Arms,
    supervisor: &mut Supervisor,
    cap: f64,
    shared: &mut Shared,
    result: &mut NumericResult,
) -> Result<(Verdict, Option<Reason>), Refusal> {
    if case.gate.series.is_empty() {
        return Err(Refusal::invalid(Reason::BadRegistry, "the gate has no `series`"));
    }
    let resumed = result.sides == Sides::StraightResumed;
    let key = (case.compare_id.to_owned(), case.gate.perf_args.clone());
    let mut runs = match resumed {
        true => Runs::default(),
        false => shared.get(&key).cloned().unwrap_or_default(),
    };
    let mut experiment = Experiment::new(case, arms, supervisor, cap)?;
    let mut measured = false;
    // A declared change of a straight run is still to resume exactly.
    let declared = if resumed {
        Numerics::Identical
    } else {
        result.declared
    };
    let terms = Terms {
        declared,
        tolerance: case.gate.tolerance,
        resumed,
    };
    let base = if resumed { Arm::Head } else { Arm::Base };
    let noisy = loop {
        let noisy = is_noisy(&runs.base, &case.gate.series)?;
        let enough = if noisy { NOISY_RUNS } else { FEWEST_RUNS };
        // The change runs between runs of the base, so that they are equally far apart.
        let next = match (runs.base.len(), runs.change.len()) {
            (0, _) => base,
            (_, 0) => Arm::Head,
            (have, _) if have < enough => base,
            _ => break noisy,
        };
        if !measured {
            experiment.build()?;
            measured = true;
        }
        let is_change = !runs.base.is_empty() && runs.change.is_empty();
        let ended = match case.gate.resume_cmd.as_deref().filter(|_| is_change) {
            Some(command) => experiment.run_command(next, command, "resumed run")?,
            None => experiment.run(next)?,
        };
        let printed = printed(&ended, &case.gate.series);
        if is_change {
            runs.change.push(printed);
        } else {
            runs.base.push(printed);
        }
    };
    let count = |runs: &Vec<Printed>| u32::try_from(runs.len()).unwrap_or(u32::MAX);
    result.runs = [count(&runs.base), count(&runs.change)];
    result.shared = !measured;
    if case.compare.gpus > 0 && measured {
        result.gpu_minutes = Some(experiment.gpu_minutes());
    }
    for metric in &case.gate.series {
        let (base, change) = (tracks(&runs.base, metric)?, tracks(&runs.change, metric)?);
        if resumed && base.iter().chain(&change).any(Track::is_counted) {
            return Err(Refusal::invalid(
                Reason::NoSamples,
                no_step(metric, case.compare_id),
            ));
        }
        let compared = numeric::compare(metric, &base, &change, noisy, &terms);
        result.series.push(compared.ok_or_else(|| {
            let [base, _] = result.sides.names();
            Refusal::invalid(Reason::NoSamples, format!("the {base} prints no `{metric}`"))
        })?);
    }
    result.base_deterministic = Some(!noisy);
    if measured {
        experiment.untouched()?;
    }
    Ok(if result.may_pass() {
        (Verdict::Pass, None)
    } else {
        (Verdict::Fail, Some(Reason::NumericDifference))
    })
}

/// Says that a resumed run cannot be compared by position, and how to declare the step.
fn no_step(metric: &str, gate: &str) -> String {
    format!(
        "a number of `{metric}` has no step that can be read, so a resumed run cannot be compared with a straight one\n\
         help: print `step: 11` next to it, or add {{ name = \"step\", label = \"iter\" }} with the label of the log to `metrics` of `{gate}`"
    )
}

/// Whether the runs of the first side differ among themselves in any series.
fn is_noisy(runs: &[Printed], metrics: &[String]) -> Result<bool, Refusal> {
    for metric in metrics {
        if numeric::first_difference_within(&tracks(runs, metric)?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The series of a metric in each run.
fn tracks(runs: &[Printed], metric: &str) -> Result<Vec<Track>, Refusal> {
    runs.iter()
        .map(|run| match run.get(metric) {
            Some(Ok(track)) => Ok(track.clone()),
            Some(Err(why)) => Err(Refusal::invalid(Reason::UnreadableNumber, why.clone())),
            None => Ok(Track::default()),
        })
        .collect()
}
