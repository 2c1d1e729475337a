//! Reduces the samples of one measurement to two numbers: an estimate per step, and total work over total time.
//!
//! Decides what is left out at the start, what is too little and what drifts. Knows samples, not logs; the rule for the
//! warm-up is fixed before anything is measured and is the same for both sides.

use std::collections::BTreeMap;

use crate::domain::noise::Estimator;
use crate::domain::registry::Direction;
use crate::domain::results::Interference;
use crate::perf::stats;

/// A loss below this many percent is not named.
pub const SMALLEST_EFFECT_PCT: f64 = 1.0;

/// Fewest samples after the warm-up where every step is printed.
pub const FEWEST_STEPS: usize = 10;

/// Fewest samples after the first where the log prints windows of several steps.
pub const FEWEST_WINDOWS: usize = 3;

/// Fewest steps that count as warm-up; a quarter of all steps where that is more.
pub const WARMUP_STEPS: usize = 5;

/// A step is a stall where it takes this many times as long as the median step.
const STALL: f64 = 1.5;

/// Share of stalled steps above which only the median is a usable estimate.
const MANY_STALLS: f64 = 0.1;

/// Values are coarse where fewer than this share of them are distinct.
const COARSE: f64 = 0.5;

/// Values alternate where neighbours correlate by less than this.
const ALTERNATING: f64 = -0.5;

/// One printed value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// In the metric's unit.
    pub value: f64,
    /// Step it was printed at, where the log says.
    pub step: Option<u64>,
}

/// How a measurement is reduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reduction {
    /// Steps at the start that do not count, where the registry says; else max(5, a quarter of the steps), or the first window.
    pub warmup_steps: Option<u32>,
    /// The bare threshold of the inline runner: only a first window is left out, and two samples are enough.
    pub threshold: bool,
    /// Which way the metric is better: a rate, or a time per step.
    pub direction: Direction,
    /// The measurement has one value, such as a peak or a final loss: nothing is left out, and one sample is enough.
    pub single: bool,
}

/// One value a step, in order, before anything is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    steps: Vec<(Option<u64>, f64)>,
    resolution: Option<f64>,
}

/// What remains of a measurement after the warm-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The kept values, one a step or window.
    pub kept: Vec<f64>,
    /// Whether a value stands for several steps.
    pub windows: bool,
    /// Whether the kept values stay level: no significant drift above half of the smallest effect.
    pub steady: bool,
    /// One unit of the last printed digit, where it is known.
    pub resolution: Option<f64>,
    /// Whether a step stalls that is left out as warm-up, after the first [`WARMUP_STEPS`].
    pub early_stall: bool,
    logs: Vec<f64>,
    total: f64,
}

/// The two numbers of a measurement, as natural logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// The estimate per step.
    pub estimate: f64,
    /// Total work over total time, in the metric's unit.
    pub total: f64,
    /// Whether a step stalls that is left out as warm-up.
    pub early_stall: bool,
}

/// Why a measurement cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum UnusableSamples {
    /// Too few samples after the warm-up.
    #[error("{have} samples after the warm-up, and at least {need} are needed")]
    TooFew {
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// A sample that is not a positive finite number.
    #[error("a sample is not a positive, finite number")]
    NotANumber,
    /// One side prints every step and the other windows of several steps.
    #[error("one side prints every step, the other windows of several steps")]
    Unlike,
}

impl Series {
    /// One value a step: where ranks interleave, the values of a step are averaged.
    pub fn of(samples: &[Sample]) -> Self {
        if samples.iter().any(|s| s.step.is_none()) {
            return Series {
                steps: samples.iter().map(|s| (None, s.value)).collect(),
                resolution: None,
            };
        }
        let mut steps: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for sample in samples {
            let entry = steps.entry(sample.step.unwrap_or_default()).or_default();
            entry.0 += sample.value;
            entry.1 += 1.0;
        }
        Series {
            steps: steps
                .into_iter()
                .map(|(step, (sum, n))| (Some(step), sum / n))
                .collect(),
            resolution: None,
        }
    }

    /// The same series, with one unit of the last printed digit.
    #[must_use]
    pub fn written_to(self, resolution: Option<f64>) -> Self {
        Series { resolution, ..self }
    }

    /// How many steps or windows were printed.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing was printed.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether the median distance between printed steps is more than one.
    fn windowed(&self) -> bool {
        let gaps: Vec<f64> = self
            .steps
            .windows(2)
            .filter_map(|w| Some((w[1].0? - w[0].0?) as f64))
            .collect();
        stats::median(&gaps).is_some_and(|gap| gap > 1.0)
    }

    /// Reduces the whole series.
    ///
    /// # Errors
    /// Too little is left after the warm-up, or a value is not a positive, finite number.
    pub fn reduce(&self, how: Reduction) -> Result<Measurement, UnusableSamples> {
        self.reduce_first(self.len(), how)
    }

    /// Reduces the first `len` steps.
    fn reduce_first(&self, len: usize, how: Reduction) -> Result<Measurement, UnusableSamples> {
        let windows = self.windowed();
        let steps = &self.steps[..len.min(self.len())];
        // A log that counts from 0 is one step ahead of its numbers.
        let first = u64::from(steps.first().is_none_or(|(step, _)| *step != Some(0)));
        let skip = match how.warmup_steps {
            _ if how.single => 0,
            Some(limit) => steps
                .iter()
                .enumerate()
                .take_while(|(i, (step, _))| step.unwrap_or(*i as u64 + first) < u64::from(limit) + first)
                .count(),
            None if windows => 1,
            None if how.threshold => 0,
            None => WARMUP_STEPS.max(steps.len().div_ceil(4)),
        };
        let kept: Vec<f64> = steps.iter().skip(skip).map(|(_, value)| *value).collect();
        let need = match (how.threshold, windows) {
            _ if how.single => 1,
            (true, _) => 2,
            (_, true) => FEWEST_WINDOWS,
            _ => FEWEST_STEPS,
        };
        if kept.len() < need {
            return Err(UnusableSamples::TooFew {
                have: kept.len(),
                need,
            });
        }
        if kept.iter().any(|v| !(v.is_finite() && *v > 0.0)) {
            return Err(UnusableSamples::NotANumber);
        }
        let weights = weights(steps, skip);
        let all: f64 = weights.iter().sum();
        let weigh = |f: fn(f64, f64) -> f64| kept.iter().zip(&weights).map(|(v, w)| f(*v, *w)).sum::<f64>();
        let total = match how.direction {
            Direction::Higher => all / weigh(|value, weight| weight / value),
            Direction::Lower => weigh(|value, weight| weight * value) / all,
        }
        .ln();
        let logs: Vec<f64> = kept.iter().map(|v| v.ln()).collect();
        // Steps that the registry declares as warm-up may be slow for a reason.
        let early = steps
            .get(WARMUP_STEPS..skip)
            .filter(|_| how.warmup_steps.is_none());
        let early: Vec<f64> = early.unwrap_or_default().iter().map(|(_, v)| v.ln()).collect();
        let measurement = Measurement {
            steady: steady(&logs),
            resolution: self.resolution,
            early_stall: stats::median(&logs)
                .is_some_and(|median| early.iter().any(|log| is_stall(*log, median, how.direction))),
            windows,
            kept,
            logs,
            total,
        };
        let usable = total.is_finite() && total.exp().is_finite() && total.exp() > 0.0;
        usable.then_some(measurement).ok_or(UnusableSamples::NotANumber)
    }
}

/// Reduces both sides of a pair over the steps that both have: the longer log is trimmed at its end.
///
/// # Errors
/// The sides are unlike, or too little is left.
pub fn reduce_pair(
    base: &Series,
    change: &Series,
    how: Reduction,
) -> Result<[Measurement; 2], UnusableSamples> {
    let len = base.len().min(change.len());
    let [base, change] = [base.reduce_first(len, how)?, change.reduce_first(len, how)?];
    if base.windows != change.windows {
        return Err(UnusableSamples::Unlike);
    }
    Ok([base, change])
}

impl Measurement {
    /// The two numbers; `None` where one of them is not finite.
    pub fn figures(&self, estimator: Estimator) -> Option<Figures> {
        let estimate = match estimator {
            Estimator::Median => stats::median(&self.logs)?,
            Estimator::MiddleHalf => stats::middle_half(&self.logs)?,
            Estimator::Total => self.total,
        };
        estimate.is_finite().then_some(Figures {
            estimate,
            total: self.total,
            early_stall: self.early_stall,
        })
    }
}

/// Decides which measurements of a comparison count, and which are discarded and replaced once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Screening {
    /// A replacement drifted too, so the drift belongs to the workload.
    drifts: bool,
    /// Steps of the longest log that counted.
    longest: usize,
    /// Measurements that counted although their samples drift.
    pub unsteady: u32,
}

impl Screening {
    /// `None` where the measurement counts, else why it is discarded. If a replacement also drifts, it counts, and no later
    /// measurement is replaced for drift.
    ///
    /// # Errors
    /// The measurement cannot be used, and another would not help.
    pub fn check(
        &mut self,
        series: &Series,
        how: Reduction,
        replaced: bool,
    ) -> Result<Option<Interference>, UnusableSamples> {
        let may_replace = !replaced && !how.threshold;
        let measurement = match series.reduce(how) {
            Err(UnusableSamples::TooFew { .. }) if may_replace => return Ok(Some(Interference::Short)),
            reduced => reduced?,
        };
        if may_replace && 2 * series.len() < self.longest {
            return Ok(Some(Interference::Short));
        }
        if !measurement.steady && !how.threshold {
            if may_replace && !self.drifts {
                return Ok(Some(Interference::Drift));
            }
            self.drifts = true;
            self.unsteady += 1;
        }
        self.longest = self.longest.max(series.len());
        Ok(None)
    }
}

/// Chooses the estimator of a comparison from measurements of its baseline alone: the median where more than a tenth of the
/// steps are stalls, and for values that are neither coarse nor alternating; for those the total where nothing stalls, else
/// the mean of the middle half.
pub fn choose_estimator(baseline: &[&Measurement], direction: Direction) -> Estimator {
    let mean_of = |f: &dyn Fn(&Measurement) -> f64| {
        stats::mean(&baseline.iter().map(|m| f(m)).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let stalls = mean_of(&|m| stall_share(&m.logs, direction));
    let coarse = mean_of(&|m| distinct_share(&m.kept)) < COARSE;
    let alternating = mean_of(&|m| neighbour_correlation(&m.logs)) < ALTERNATING;
    if stalls > MANY_STALLS || !(coarse || alternating) {
        Estimator::Median
    } else if stalls > 0.0 {
        Estimator::MiddleHalf
    } else {
        Estimator::Total
    }
}

/// Share of steps that take [`STALL`] times as long as the median step.
fn stall_share(logs: &[f64], direction: Direction) -> f64 {
    let Some(median) = stats::median(logs) else {
        return 0.0;
    };
    let stalled = logs.iter().filter(|log| is_stall(**log, median, direction));
    stalled.count() as f64 / logs.len() as f64
}

fn is_stall(log: f64, median: f64, direction: Direction) -> bool {
    match direction {
        Direction::Higher => median - log > STALL.ln(),
        Direction::Lower => log - median > STALL.ln(),
    }
}

fn distinct_share(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    sorted.len() as f64 / values.len().max(1) as f64
}

/// Returns the correlation of each value with the next, or 0 for constant values.
fn neighbour_correlation(values: &[f64]) -> f64 {
    let centre = stats::mean(values).unwrap_or(0.0);
    let rest: Vec<f64> = values.iter().map(|v| v - centre).collect();
    let squares: f64 = rest.iter().map(|r| r * r).sum();
    let neighbours: f64 = rest.windows(2).map(|w| w[0] * w[1]).sum();
    if squares > 0.0 { neighbours / squares } else { 0.0 }
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

/// Fits a straight line through the logs: they drift where the rise over the window is above half of the smallest effect and
/// significant at 1 %, with the standard error widened for the correlation of neighbouring steps.
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
    let rise = (slope * (n - 1.0)).abs();
    if rise <= SMALLEST_EFFECT_PCT / 200.0 {
        return true;
    }
    let rest: Vec<f64> = logs
        .iter()
        .enumerate()
        .map(|(i, y)| y - y_mean - slope * (i as f64 - x_mean))
        .collect();
    let squares: f64 = rest.iter().map(|r| r * r).sum();
    // The line takes part of the correlation away, the more the fewer steps there are.
    let correlation = (neighbour_correlation(&rest) * n + 2.0) / (n - 4.0).max(1.0);
    let correlation = if squares > 0.0 {
        correlation.clamp(0.0, 0.9)
    } else {
        0.0
    };
    let widen = (1.0 + correlation) / (1.0 - correlation);
    let dof = (n / widen - 2.0).max(1.0);
    let error = (squares / (n - 2.0) / xx * widen).sqrt();
    stats::t_tail(rise / (error * (n - 1.0)), dof).is_some_and(|tail| 2.0 * tail > DRIFT_ALPHA)
}

/// How often steps that stay level are called drifting.
const DRIFT_ALPHA: f64 = 0.01;

#[cfg(test)]
#[path = "measurement_tests.rs"]
mod tests;
