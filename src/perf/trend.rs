//! Finds steps, change points and the cumulative change in the history of a branch.
//!
//! Pure arithmetic over comparisons. Only steps and the cumulative budget can raise an alarm; change points are advisory.

use serde::Serialize;

use crate::domain::registry::Direction;
use crate::perf::comparisons::{Branch, Comparison};
use crate::perf::decision::percent;
use crate::perf::measurement::SMALLEST_EFFECT_PCT;
use crate::perf::stats;

/// Error probability of each kind of false step, over all commits of a series together.
const STEP_ALPHA: f64 = 0.005;

/// Comparisons within which a loss that is made up for again is a spike.
const SPIKE: usize = 3;

/// Most commits whose levels are combined at each end of a cumulative change.
const WINDOW: usize = 15;

/// Fewest commits between two change points.
const SEGMENT: usize = 5;

/// Standard errors by which a cumulative change must exceed its budget.
const SURE: f64 = 3.0;

/// The comparisons of one metric of one gate on one class of machine, in the order of the branch.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// The gate that was compared.
    pub gate: &'a str,
    /// The metric.
    pub metric: &'a str,
    /// Class of machine.
    pub machine: &'a str,
    /// Which way the metric is better.
    pub direction: Direction,
    /// One comparison for each commit: the newest.
    pub points: Vec<Point<'a>>,
}

/// The comparison of one commit.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// The place of the commit on the branch.
    pub place: usize,
    /// What was measured.
    pub comparison: &'a Comparison,
}

/// A commit that changed the metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The commit.
    pub commit: String,
    /// The change, percent.
    pub delta_pct: f64,
    /// Whether the metric got worse.
    pub loss: bool,
    /// The commit that made up for a loss, where one of the next few did.
    pub recovered_at: Option<String>,
}

/// The change since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// The gate that was compared.
    pub gate: String,
    /// The metric.
    pub metric: String,
    /// Class of machine.
    pub machine: String,
    /// The newest commit that was measured.
    pub newest: String,
    /// The change since the epoch, percent; `None` if the epoch was not measured on this machine.
    pub delta_pct: Option<f64>,
    /// Its standard error, percent; `None` if too little was measured to know.
    pub error_pct: Option<f64>,
    /// How it was found: by medians, or by adding up the paired changes.
    pub by: &'static str,
    /// Whether the change is within the cumulative budget; `None` if it is unknown.
    pub within: Option<bool>,
}

/// Sorts comparisons into series, each in the order of the branch. Comparisons of other branches are left out.
pub fn series<'a>(comparisons: &'a [Comparison], branch: &Branch) -> Vec<Series<'a>> {
    let mut all: Vec<Series<'a>> = Vec::new();
    for comparison in comparisons {
        let Some(place) = branch.place(&comparison.commit) else {
            continue;
        };
        let same = |s: &&mut Series<'_>| {
            (s.gate, s.metric, s.machine)
                == (
                    comparison.gate.as_str(),
                    comparison.metric.as_str(),
                    comparison.machine.as_str(),
                )
        };
        let point = Point { place, comparison };
        let Some(known) = all.iter_mut().find(same) else {
            all.push(Series {
                gate: &comparison.gate,
                metric: &comparison.metric,
                machine: &comparison.machine,
                direction: comparison.direction,
                points: vec![point],
            });
            continue;
        };
        match known.points.iter_mut().find(|p| p.place == place) {
            Some(older) if older.comparison.at <= comparison.at => *older = point,
            Some(_) => {}
            None => known.points.push(point),
        }
    }
    for series in &mut all {
        series.points.sort_by_key(|p| p.place);
        if let Some(newest) = series.points.last() {
            series.direction = newest.comparison.direction;
        }
    }
    all
}

impl Series<'_> {
    /// The sign that turns a log ratio into a gain.
    fn sign(&self) -> f64 {
        match self.direction {
            Direction::Higher => 1.0,
            Direction::Lower => -1.0,
        }
    }

    /// The standard error of the log ratio of each comparison. Few pairs say little about their own spread, so the typical spread
    /// of the series counts, unless the own one is far larger.
    fn errors(&self) -> Vec<Option<f64>> {
        let own = |point: &Point<'_>| {
            let spread = point.comparison.spread?;
            Some(spread.squares / spread.dof).filter(|v| v.is_finite())
        };
        // The median of a variance estimate is below its mean, the more the fewer the degrees of freedom.
        let unbiased = |point: &Point<'_>| {
            let dof = point.comparison.spread?.dof;
            Some(own(point)? / (1.0 - 2.0 / (9.0 * dof)).powi(3))
        };
        let typical = stats::median(&self.points.iter().filter_map(unbiased).collect::<Vec<_>>());
        self.points
            .iter()
            .map(|point| {
                let typical = typical.filter(|v| *v > 0.0)?;
                let variance = own(point).filter(|own| *own > 4.0 * typical).unwrap_or(typical);
                Some((variance / f64::from(point.comparison.pairs.max(1))).sqrt())
            })
            .collect()
    }

    /// Finds the commits whose paired change is beyond chance and at least [`SMALLEST_EFFECT_PCT`]. Each commit was compared with
    /// its own base on one machine, so neither a slow drift nor a new machine is a step.
    pub fn steps(&self) -> Vec<Step> {
        let tail = (STEP_ALPHA / self.points.len().max(1) as f64).max(1e-6);
        let Some(quantile) = stats::t_quantile(1.0 - tail, 1e5) else {
            return Vec::new();
        };
        let mut steps: Vec<(usize, Step)> = Vec::new();
        for (at, (point, error)) in self.points.iter().zip(self.errors()).enumerate() {
            let gain = self.sign() * point.comparison.log_ratio;
            let delta_pct = percent(point.comparison.log_ratio);
            let Some(error) = error else { continue };
            if gain.abs() > quantile * error && delta_pct.abs() >= SMALLEST_EFFECT_PCT {
                steps.push((
                    at,
                    Step {
                        commit: point.comparison.commit.clone(),
                        delta_pct,
                        loss: gain < 0.0,
                        recovered_at: None,
                    },
                ));
            }
        }
        let after = steps.clone();
        for (at, step) in &mut steps {
            if !step.loss {
                continue;
            }
            let log = |pct: f64| (pct / 100.0).ln_1p();
            let recovery = after.iter().find(|(later, other)| {
                let rest = (log(step.delta_pct) + log(other.delta_pct)).abs();
                *later > *at && *later <= *at + SPIKE && !other.loss && rest < 0.5 * log(step.delta_pct).abs()
            });
            step.recovered_at = recovery.map(|(_, other)| other.commit.clone());
        }
        steps.into_iter().map(|(_, step)| step).collect()
    }

    /// The measured level of each commit, as logarithms with places on the branch: of the commit as a change, else as a baseline.
    pub fn levels(&self, branch: &Branch) -> Vec<(usize, f64)> {
        let mut levels: Vec<(usize, f64)> = self
            .points
            .iter()
            .map(|p| (p.place, p.comparison.result.ln()))
            .collect();
        for point in &self.points {
            if let Some(place) = branch.place(&point.comparison.base)
                && levels.iter().all(|(known, _)| *known != place)
            {
                levels.push((place, point.comparison.baseline.ln()));
            }
        }
        levels.retain(|(_, level)| level.is_finite());
        levels.sort_by_key(|(place, _)| *place);
        levels
    }

    /// Compares the newest commit with the epoch. Medians of many commits at both ends outweigh the noise between sessions; over a
    /// short distance, the sum of the paired changes is more precise. The more precise one counts, and only an excess beyond its
    /// error is over the budget.
    pub fn trend(&self, branch: &Branch, epoch: usize, budget_pct: f64) -> Option<Trend> {
        let newest = self.points.last()?;
        let levels = self.levels(branch);
        let mut trend = Trend {
            gate: self.gate.to_owned(),
            metric: self.metric.to_owned(),
            machine: self.machine.to_owned(),
            newest: newest.comparison.commit.clone(),
            delta_pct: None,
            error_pct: None,
            by: "medians",
            within: None,
        };
        let since: Vec<f64> = levels
            .iter()
            .filter(|(p, _)| *p >= epoch)
            .map(|(_, l)| *l)
            .collect();
        if levels.iter().all(|(place, _)| *place != epoch) {
            return Some(trend);
        }
        let (change, rough) = between_ends(&since)?;
        let (change, error, by) = match self.paired_since(epoch, branch) {
            Some((sum, fine)) if rough.is_none_or(|rough| fine < rough) => {
                (sum, Some(fine), "paired changes")
            }
            _ => (change, rough, "medians"),
        };
        let edge = (budget_pct / 100.0).ln_1p();
        let gain = self.sign() * change + SURE * error.unwrap_or(0.0);
        trend.delta_pct = Some(percent(change));
        trend.error_pct = error.map(percent);
        trend.by = by;
        // The tolerance keeps a change of exactly the budget from being lost to rounding.
        trend.within = edge.is_finite().then_some(gain >= edge - 1e-12);
        Some(trend)
    }

    /// The sum of the paired changes after the epoch, with its standard error, if each comparison has the one before as its base.
    fn paired_since(&self, epoch: usize, branch: &Branch) -> Option<(f64, f64)> {
        let (mut before, mut sum, mut variance) = (epoch, 0.0, 0.0);
        for (point, error) in self
            .points
            .iter()
            .zip(self.errors())
            .filter(|(p, _)| p.place > epoch)
        {
            if branch.place(&point.comparison.base)? != before {
                return None;
            }
            before = point.place;
            sum += point.comparison.log_ratio;
            variance += error?.powi(2);
        }
        (before > epoch).then_some((sum, variance.sqrt()))
    }

    /// The places at which the level changes for good, by the best division into levels. Advisory: a drift or a warm room gives
    /// change points too.
    pub fn change_points(&self, branch: &Branch) -> Vec<usize> {
        let levels = self.levels(branch);
        let values: Vec<f64> = levels.iter().map(|(_, level)| *level).collect();
        let starts = segments(&values);
        starts
            .into_iter()
            .filter_map(|at| levels.get(at).map(|(place, _)| *place))
            .collect()
    }
}

/// The difference of the last and the first levels, with its standard error where enough was measured to know.
fn between_ends(levels: &[f64]) -> Option<(f64, Option<f64>)> {
    let window = (levels.len() / 8).clamp(1, WINDOW);
    let then = stats::median(levels.get(..window)?)?;
    let now = stats::median(levels.get(levels.len() - window..)?)?;
    // The median of a window is a quarter less precise than its mean.
    let error = noise(levels).map(|sd| 1.25 * sd * (2.0 / window as f64).sqrt());
    Some((now - then, error))
}

/// The standard deviation from commit to commit, without the effect of steps and drifts; `None` of fewer than eight.
fn noise(levels: &[f64]) -> Option<f64> {
    if levels.len() < 8 {
        return None;
    }
    let differences: Vec<f64> = levels.windows(2).map(|w| (w[1] - w[0]).abs()).collect();
    // 0.6745 standard deviations of a difference of two values.
    stats::median(&differences).map(|median| median / 0.6745 / 2f64.sqrt())
}

/// The starts of segments with one level each, except the first: the division with the least squares plus a penalty for each
/// segment.
fn segments(values: &[f64]) -> Vec<usize> {
    let n = values.len();
    let Some(sd) = noise(values).filter(|sd| *sd > 0.0 && n >= 2 * SEGMENT) else {
        return Vec::new();
    };
    let penalty = 4.0 * sd * sd * (n as f64).ln();
    let first = values[0];
    let (mut sums, mut squares) = (vec![0.0], vec![0.0]);
    for (at, value) in values.iter().map(|v| v - first).enumerate() {
        sums.push(sums[at] + value);
        squares.push(squares[at] + value * value);
    }
    let cost = |from: usize, to: usize| {
        let sum: f64 = sums[to] - sums[from];
        squares[to] - squares[from] - sum * sum / (to - from) as f64
    };
    // The best division of the first `to` values, and where its last segment starts.
    let mut best: Vec<(f64, usize)> = vec![(0.0, 0)];
    for to in 1..=n {
        let mut found = (f64::INFINITY, 0);
        for from in (0..=to.saturating_sub(SEGMENT)).filter(|from| *from == 0 || *from >= SEGMENT) {
            let total = best[from].0 + cost(from, to) + penalty;
            if total < found.0 {
                found = (total, from);
            }
        }
        best.push(found);
    }
    let mut starts = Vec::new();
    let mut at = n;
    while let Some((_, start)) = best.get(at).filter(|(_, start)| *start > 0) {
        starts.push(*start);
        at = *start;
    }
    starts.reverse();
    starts
}

#[cfg(test)]
#[path = "trend_tests.rs"]
mod tests;
