//! What a launch printed, as samples of one metric with their steps. Knows logs and registries, not arms.

use crate::domain::registry::{Direction, Gate, Metric};
use crate::gate::launch::Ended;
use crate::gate::metrics::{Measured, Meter};
use crate::perf::launch::Sample;

/// A gate's metrics, and the step each was printed at.
///
/// # Errors
/// A pattern of the registry cannot be used.
pub fn meter(gate: &Gate) -> Result<Meter, String> {
    let mut metrics = gate.metrics.clone();
    if !metrics.iter().any(|m| m.name == "step") {
        metrics.push(Metric {
            name: "step".to_owned(),
            pattern: None,
            unit: None,
            direction: Direction::Higher,
        });
    }
    Meter::new(&metrics)
}

/// The samples of one metric of a launch, with their steps where every sample has one.
pub fn of(ended: &Ended, metric: &str) -> Vec<Sample> {
    pair_with_steps(ended.metrics.get(metric), ended.metrics.get("step"))
}

/// The same for measured series.
pub fn pair_with_steps(values: Option<&Measured>, steps: Option<&Measured>) -> Vec<Sample> {
    let values = values.map(|m| m.samples.values()).unwrap_or_default();
    let steps = steps
        .map(|m| m.samples.values())
        .filter(|s| s.len() == values.len() && s.iter().all(|v| *v >= 0.0 && v.fract() == 0.0 && *v < 1e15));
    values
        .iter()
        .enumerate()
        .map(|(i, value)| Sample {
            value: *value,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a whole number of a step"
            )]
            step: steps.map(|s| s[i] as u64),
        })
        .collect()
}
