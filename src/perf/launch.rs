//! One launch's samples made into one number: what is left out at the start, what is too little, what drifts.
//!
//! Knows samples, not logs; the rule for the warm-up is fixed before anything is measured and is the same in both arms.

use std::collections::BTreeMap;

use crate::perf::decision::SMALLEST_EFFECT_PCT;
use crate::perf::stats;

/// Fewest samples after the warm-up where every step is printed.
pub const FEWEST_STEPS: usize = 10;

/// Fewest samples after the first where the log prints windows of several steps.
pub const FEWEST_WINDOWS: usize = 3;

/// Fewest steps that count as warm-up; a quarter of all steps where that is more.
pub const WARMUP_STEPS: usize = 5;

/// One printed value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// In the metric's unit.
    pub value: f64,
    /// Step it was printed at, where the log says.
    pub step: Option<u64>,
}

/// What one launch says.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Median of the kept values, in the metric's unit.
    pub median: f64,
    /// ln of the median.
    pub log: f64,
    /// Total work over total time, in the metric's unit: the harmonic mean of the kept values, each weighted by its steps.
    pub total: f64,
    /// The kept values, one a step or window.
    pub kept: Vec<f64>,
    /// Whether a value stands for several steps.
    pub windows: bool,
    /// Whether the kept values stay level: no significant drift above half of the smallest effect.
    pub steady: bool,
}

/// Why a launch cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// Too few samples after the warm-up.
    #[error("{have} samples after the warm-up, and at least {need} are needed")]
    TooFew {
        /// How many there are.
        have: usize,
        /// How many it takes.
        need: usize,
    },
    /// A sample that is no positive finite number.
    #[error("a sample is not a positive, finite number")]
    NotANumber,
}

/// How much of a launch's start is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warmup {
    /// Steps, where the registry says; else the rule: max(5, a quarter of the steps), or the first window.
    pub steps: Option<u32>,
    /// As the incumbent: nothing but a first window is left out, and two samples are enough.
    pub threshold: bool,
}

/// Makes one launch of the samples of one log.
pub fn launch(samples: &[Sample], warmup: Warmup) -> Result<Launch, Unfit> {
    let steps = by_step(samples);
    let windows = windowed(&steps);
    let skip = match warmup.steps {
        Some(limit) => steps
            .iter()
            .enumerate()
            .take_while(|(i, (step, _))| step.unwrap_or(*i as u64 + 1) <= u64::from(limit))
            .count(),
        None if windows => 1,
        None if warmup.threshold => 0,
        None => WARMUP_STEPS.max(steps.len().div_ceil(4)),
    };
    let kept: Vec<f64> = steps.iter().skip(skip).map(|(_, value)| *value).collect();
    let need = match (warmup.threshold, windows) {
        (true, _) => 2,
        (_, true) => FEWEST_WINDOWS,
        _ => FEWEST_STEPS,
    };
    if kept.len() < need {
        return Err(Unfit::TooFew {
            have: kept.len(),
            need,
        });
    }
    if kept.iter().any(|v| !(v.is_finite() && *v > 0.0)) {
        return Err(Unfit::NotANumber);
    }
    let logs: Vec<f64> = kept.iter().map(|v| v.ln()).collect();
    let log = stats::median(&logs).ok_or(Unfit::NotANumber)?;
    let weights = weights(&steps, skip);
    let time: f64 = kept.iter().zip(&weights).map(|(v, w)| w / v).sum();
    let total = weights.iter().sum::<f64>() / time;
    let launch = Launch {
        median: log.exp(),
        log,
        total,
        steady: steady(&logs),
        kept,
        windows,
    };
    let usable = [launch.median, launch.total]
        .iter()
        .all(|v| v.is_finite() && *v > 0.0);
    usable.then_some(launch).ok_or(Unfit::NotANumber)
}

/// Whether two launches measured the same amount: within a tenth of each other in kept samples, both by step or both by window.
pub fn alike(a: &Launch, b: &Launch) -> bool {
    let (few, many) = (a.kept.len().min(b.kept.len()), a.kept.len().max(b.kept.len()));
    a.windows == b.windows && few * 10 >= many * 9
}

/// One value a step, in order: where ranks interleave, a step's values are averaged.
fn by_step(samples: &[Sample]) -> Vec<(Option<u64>, f64)> {
    if samples.iter().any(|s| s.step.is_none()) {
        return samples.iter().map(|s| (None, s.value)).collect();
    }
    let mut steps: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for sample in samples {
        let entry = steps.entry(sample.step.unwrap_or_default()).or_default();
        entry.0 += sample.value;
        entry.1 += 1.0;
    }
    steps
        .into_iter()
        .map(|(step, (sum, n))| (Some(step), sum / n))
        .collect()
}

/// Whether the usual distance between printed steps is more than one.
fn windowed(steps: &[(Option<u64>, f64)]) -> bool {
    let gaps: Vec<f64> = steps
        .windows(2)
        .filter_map(|w| Some((w[1].0? - w[0].0?) as f64))
        .collect();
    stats::median(&gaps).is_some_and(|gap| gap > 1.0)
}

/// Steps that each kept value stands for.
fn weights(steps: &[(Option<u64>, f64)], skip: usize) -> Vec<f64> {
    (skip..steps.len())
        .map(
            |i| match (i.checked_sub(1).and_then(|p| steps[p].0), steps[i].0) {
                (Some(before), Some(here)) => (here - before) as f64,
                _ => 1.0,
            },
        )
        .collect()
}

/// A straight line through the logs: it drifts where its rise over the window is above half of the smallest effect and
/// more than three times its own standard error, widened for the steps' correlation.
fn steady(logs: &[f64]) -> bool {
    let n = logs.len() as f64;
    if logs.len() < 4 {
        return true;
    }
    let (x_mean, y_mean) = ((n - 1.0) / 2.0, logs.iter().sum::<f64>() / n);
    let xx: f64 = (0..logs.len()).map(|i| (i as f64 - x_mean).powi(2)).sum();
    let xy: f64 = logs
        .iter()
        .enumerate()
        .map(|(i, y)| (i as f64 - x_mean) * (y - y_mean))
        .sum();
    let slope = xy / xx;
    let rest: Vec<f64> = logs
        .iter()
        .enumerate()
        .map(|(i, y)| y - y_mean - slope * (i as f64 - x_mean))
        .collect();
    let squares: f64 = rest.iter().map(|r| r * r).sum();
    let neighbours: f64 = rest.windows(2).map(|w| w[0] * w[1]).sum();
    let correlation = if squares > 0.0 {
        (neighbours / squares).clamp(0.0, 0.9)
    } else {
        0.0
    };
    let error = (squares / (n - 2.0) / xx * (1.0 + correlation) / (1.0 - correlation)).sqrt();
    let rise = (slope * (n - 1.0)).abs();
    rise <= SMALLEST_EFFECT_PCT / 200.0 || rise <= 3.0 * error * (n - 1.0)
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
