//! What a measurement printed, as samples of one metric with their steps. Knows logs and registries, not the two sides.

use crate::domain::metric::Metric;
use crate::domain::registry::Gate;
use crate::gate::metrics::{Forms, Measured, Meter};
use crate::gate::process::CommandOutcome;
use crate::perf::measurement::Sample;

/// A meter for a gate's metrics, and the step each was printed at.
///
/// # Errors
/// A pattern of the registry cannot be used.
pub fn meter(gate: &Gate) -> Result<Meter, String> {
    let mut metrics = gate.reads();
    add_step(&mut metrics);
    Meter::new(&metrics)
}

/// Adds the step, where the metrics lack it.
pub fn add_step(metrics: &mut Vec<Metric>) {
    if metrics.iter().all(|m| m.name != "step") {
        metrics.push(Metric::named("step"));
    }
}

/// What one measurement says of a metric.
#[derive(Clone, Debug, Default)]
pub struct Printed {
    /// The samples, in order.
    pub samples: Vec<Sample>,
    /// How they are written.
    pub forms: Forms,
    /// Whether the steps began again: the samples are those from the last start.
    pub restarted: bool,
    /// What to tell people about them.
    pub notes: Vec<String>,
}

/// The samples of one metric of a measurement that ended.
///
/// # Errors
/// As [`printed`].
pub fn of(ended: &CommandOutcome, metric: &str) -> Result<Printed, String> {
    printed(ended.metrics.get(metric))
}

/// The numbers that a run printed, at the steps as printed, and one unit of their last digit; none where it printed none.
///
/// # Errors
/// As [`printed`], and a number has more digits than its value keeps.
pub fn numbers(measured: Option<&Measured>) -> Result<(Vec<Sample>, Option<f64>), String> {
    let Some(measured) = measured else {
        return Ok((Vec::new(), None));
    };
    printed(Some(measured))?;
    if measured.forms.rounded {
        return Err(format!(
            "a number of `{}` has more digits than can be compared exactly: print at most 17 digits, and whole numbers only up to 2^53",
            measured.metric.name
        ));
    }
    let samples = measured.samples.values().iter().zip(measured.samples.steps());
    let samples = samples.map(|(value, step)| Sample {
        value: *value,
        step: *step,
    });
    Ok((samples.collect(), measured.forms.resolution()))
}

/// The samples that a measurement printed; none where it printed none.
///
/// # Errors
/// A number could not be read: the message has its shape and the cause.
pub fn printed(measured: Option<&Measured>) -> Result<Printed, String> {
    let Some(measured) = measured else {
        return Ok(Printed::default());
    };
    if let Some((note, why)) = measured.unreadable() {
        return Err(format!(
            "{} of `{}` cannot be read; the first has the shape `{}`: {}",
            count(measured.refused, "number"),
            measured.metric.name,
            note.shape,
            why.message()
        ));
    }
    Ok(Printed {
        samples: with_steps(measured),
        forms: measured.forms.clone(),
        restarted: measured.told.restarts > 0,
        notes: notes(measured),
    })
}

/// What to tell people about samples that could be read.
pub fn notes(measured: &Measured) -> Vec<String> {
    let told = measured.told;
    let mut notes = Vec::new();
    if told.restarts > 0 {
        notes.push(format!(
            "the steps begin again ({}): only what follows the last start counts, {} before it {} not",
            if told.restarts == 1 {
                "one restart".to_owned()
            } else {
                format!("{} restarts", told.restarts)
            },
            count(told.discarded, "sample"),
            if told.discarded == 1 { "does" } else { "do" },
        ));
    }
    if told.partial > 0 {
        notes.push(format!(
            "{} left out: not every rank printed a sample",
            count(told.partial, "step")
        ));
    }
    if told.unplaced > 0 {
        notes.push(format!(
            "{} left out: no step or rank to reduce by, or no growth to divide by",
            count(told.unplaced, "number")
        ));
    }
    let odd = measured.samples.odd();
    for (number, what) in [
        (odd.not_finite, "not finite"),
        (odd.zero, "zero"),
        (odd.negative, "negative"),
    ] {
        if number > 0 {
            let verb = if number == 1 { "is" } else { "are" };
            notes.push(format!("{} {verb} {what}", count(number, "sample")));
        }
    }
    notes
}

fn with_steps(measured: &Measured) -> Vec<Sample> {
    let steps = measured.samples.steps();
    // After a restart the steps are counted from the last start: its warm-up is a warm-up too.
    let shift = match steps.iter().flatten().min() {
        Some(first) if measured.told.restarts > 0 => first.saturating_sub(1),
        _ => 0,
    };
    measured
        .samples
        .values()
        .iter()
        .zip(steps)
        .map(|(value, step)| Sample {
            value: *value,
            step: step.map(|s| s - shift.min(s)),
        })
        .collect()
}

/// A count with its noun.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
