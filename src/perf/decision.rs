//! Turns the pairs of a comparison into a verdict against a budget: pass, fail, or not decided yet.
//!
//! Pure arithmetic over [`Evidence`]; does not know where the numbers come from.

use crate::domain::registry::Direction;
use crate::domain::results::{PairOrder, PerfMethod};
use crate::domain::verdict::{Reason, Verdict};
use crate::perf::measurement::Figures;
use crate::perf::stats::{self, Estimate, History, Sides};

/// Error probability of each end of the interval at the last look.
pub const ALPHA: f64 = 0.02;

/// Error probability of each end at the other looks, where there are at most [`MAX_PAIRS`]. Every look is one more chance to
/// err; with this a change at the edge of the budget passes in about 5 % of the simulated comparisons (docs/explanation/performance.md).
pub const EARLY_ALPHA: f64 = 0.008;

pub use crate::perf::measurement::SMALLEST_EFFECT_PCT;

/// How surely the finest budget that a calibration allows passes unchanged code and catches a loss of twice its size.
pub const VISIBLE_POWER: f64 = 0.95;

/// How surely the number of further pairs decides that a result names.
const FORECAST_POWER: f64 = 0.8;

/// Error probability of the test whether a total below the estimate per step is more than chance.
const DOUBT: f64 = 0.2;

/// Pairs up to which a total of the warm-up pair that disagrees with them prevents a pass.
const FEW_PAIRS: u32 = 4;

/// Pairs before a total alone may fail a change: fewer can have equal numbers of stalls on each side by chance, which looks like
/// no variance.
const TOTAL_PAIRS: u32 = 3;

/// Pairs before the first look without stored noise.
pub const UNCALIBRATED_PAIRS: u32 = 2;

pub use crate::domain::registry::MAX_PAIRS;

/// Most further pairs worth naming.
const FORESIGHT: u32 = 60;

/// The budget and the limits of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Percent: −10 means at most 10 % worse, +5 at least 5 % better.
    pub budget_pct: f64,
    /// Which way the metric is better.
    pub direction: Direction,
    /// Fewest pairs before a verdict; 1 with `threshold` is the inline runner's rule.
    pub pairs: u32,
    /// Most pairs.
    pub max_pairs: u32,
    /// Compare one pair with the bare threshold, without an interval.
    pub threshold: bool,
}

/// A budget that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "budget {0} % cannot be used: it must be a number above −100 and below 100; −10 allows a loss of 10 %"
)]
pub struct BadBudget(pub f64);

/// One pair of measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Which side was measured first.
    pub order: PairOrder,
    /// Of the baseline.
    pub base: Figures,
    /// Of the change.
    pub change: Figures,
}

impl Pair {
    /// ln(change) − ln(baseline) of the estimates.
    pub fn log_ratio(&self) -> f64 {
        self.change.estimate - self.base.estimate
    }

    /// The same of total work over total time.
    pub fn total_ratio(&self) -> f64 {
        self.change.total - self.base.total
    }
}

/// The data for one look at a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The pairs that count, in order.
    pub pairs: &'a [Pair],
    /// The discarded warm-up pair, where there was one.
    pub warm_up: Option<Pair>,
    /// Stored noise.
    pub stored: Option<History>,
    /// The measurements of each side repeat themselves exactly: half a unit of the last printed digit, as a log ratio, is all
    /// that they leave open.
    pub exact: Option<f64>,
    /// An earlier comparison of the same measurements has used the last look.
    pub continued: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The verdict, with its reason.
    Done(Verdict, Option<Reason>),
    /// Another pair may decide.
    Another,
}

/// The result of the pairs until now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// What to do next.
    pub step: Step,
    /// (change / baseline − 1) × 100 of the mean log ratio; `None` without a usable pair.
    pub delta_pct: Option<f64>,
    /// The interval that decides, percent, lower end first.
    pub interval_pct: Option<[f64; 2]>,
    /// How surely that interval holds the change, percent.
    pub confidence_pct: Option<f64>,
    /// Change of total work over total time, percent.
    pub total_delta_pct: Option<f64>,
    /// Its interval, percent.
    pub total_interval_pct: Option<[f64; 2]>,
    /// Standard deviation of the log ratio of one pair.
    pub sd: Option<f64>,
    /// Whether stored noise took part.
    pub calibrated: bool,
    /// Whether stored noise was there and was dropped because the pairs vary far more.
    pub history_dropped: bool,
    /// A real loss that the budget allows.
    pub regression_inside_budget: bool,
    /// How many more pairs are likely to decide, after the last look; `None` where no number is likely to.
    pub more_pairs: Option<u32>,
}

impl Rule {
    /// The rule for this budget; `pairs = 1` asks for the bare threshold.
    ///
    /// # Errors
    /// The budget is not a number between −100 and 100.
    pub fn new(
        budget_pct: f64,
        direction: Direction,
        pairs: Option<u32>,
        max_pairs: Option<u32>,
    ) -> Result<Self, BadBudget> {
        if !(budget_pct > -100.0 && budget_pct < 100.0) {
            return Err(BadBudget(budget_pct));
        }
        let first = pairs.unwrap_or(1).max(1);
        Ok(Rule {
            budget_pct,
            direction,
            pairs: first,
            max_pairs: max_pairs.unwrap_or(MAX_PAIRS).max(first),
            threshold: pairs == Some(1),
        })
    }

    /// Error probability of each end at this look. One look of a comparison may use [`ALPHA`]: the last one, or the one at
    /// which an earlier comparison stopped that this one continues.
    fn alpha(&self, pairs: u32, continued: bool) -> f64 {
        if pairs >= self.max_pairs && !continued {
            return ALPHA;
        }
        EARLY_ALPHA * (f64::from(MAX_PAIRS) / f64::from(self.max_pairs)).min(1.0)
    }

    /// How it is decided, as results name it.
    pub fn method(&self) -> PerfMethod {
        if self.threshold {
            PerfMethod::Threshold
        } else {
            PerfMethod::Paired
        }
    }

    /// The change, percent, at which the budget is spent: the budget itself, or its mirror image where lower is better.
    pub fn edge_pct(&self) -> f64 {
        self.direction.edge_pct(self.budget_pct)
    }

    /// 1 where higher is better, −1 where lower is: a log ratio times this is a gain.
    fn sign(&self) -> f64 {
        match self.direction {
            Direction::Higher => 1.0,
            Direction::Lower => -1.0,
        }
    }

    /// The edge of the budget as a gain.
    fn edge(&self) -> f64 {
        self.sign() * (self.edge_pct() / 100.0).ln_1p()
    }

    /// An interval of gains as changes in percent, lower end first.
    fn shown(&self, [low, high]: [f64; 2]) -> [f64; 2] {
        let ends = [percent(self.sign() * low), percent(self.sign() * high)];
        [ends[0].min(ends[1]), ends[0].max(ends[1])]
    }

    /// Which side of the edge an interval of gains lies on, if on one.
    fn side(&self, interval: Option<[f64; 2]>) -> Option<Verdict> {
        match interval? {
            [low, _] if low >= self.edge() => Some(Verdict::Pass),
            [_, high] if high < self.edge() => Some(Verdict::Fail),
            _ => None,
        }
    }

    /// Decides, or asks for another pair.
    pub fn evaluate(&self, evidence: &Evidence<'_>) -> Decision {
        let pairs = evidence.pairs;
        let weights = weights(pairs);
        let mean_of =
            |ratio: fn(&Pair) -> f64| -> f64 { pairs.iter().zip(&weights).map(|(p, w)| w * ratio(p)).sum() };
        let shown = |log: f64| (!pairs.is_empty() && log.is_finite()).then(|| percent(log));
        let mut judgement = Decision {
            step: Step::Another,
            delta_pct: shown(mean_of(Pair::log_ratio)),
            interval_pct: None,
            confidence_pct: None,
            total_delta_pct: shown(mean_of(Pair::total_ratio)),
            total_interval_pct: None,
            sd: None,
            calibrated: false,
            history_dropped: false,
            regression_inside_budget: false,
            more_pairs: None,
        };
        let unusable = |p: &Pair| !(p.log_ratio().is_finite() && p.total_ratio().is_finite());
        if pairs.iter().any(unusable) {
            judgement.step = Step::Done(Verdict::Invalid, Some(Reason::NoSamples));
            return judgement;
        }
        if self.threshold {
            judgement.step = match pairs.first() {
                // The tolerance keeps a ratio of exactly the budget from being lost to rounding.
                Some(pair) if self.sign() * pair.log_ratio() >= self.edge() - 1e-12 => {
                    Step::Done(Verdict::Pass, None)
                }
                Some(_) => Step::Done(Verdict::Fail, Some(Reason::OverBudget)),
                None => Step::Another,
            };
            return judgement;
        }
        if let Some(unit) = evidence.exact {
            self.judge_exact(self.sign() * mean_of(Pair::log_ratio), unit, &mut judgement);
            return judgement;
        }
        self.judge_noisy(evidence, &weights, &mut judgement);
        judgement
    }

    /// Decides on measurements that repeat themselves exactly.
    fn judge_exact(&self, gain: f64, unit: f64, judgement: &mut Decision) {
        // A unit that is small against the budget is not the question.
        let unit = if unit > 0.1 * self.edge().abs() && gain != 0.0 {
            unit
        } else {
            0.0
        };
        let interval = [gain - unit, gain + unit];
        judgement.interval_pct = Some(self.shown(interval));
        judgement.confidence_pct = Some(100.0);
        judgement.step = match self.side(Some([interval[0] + 1e-12, interval[1] + 1e-12])) {
            Some(Verdict::Pass) => Step::Done(Verdict::Pass, None),
            Some(_) => Step::Done(Verdict::Fail, Some(Reason::OverBudget)),
            None => Step::Done(Verdict::Inconclusive, Some(Reason::Noisy)),
        };
        judgement.regression_inside_budget = judgement.step == Step::Done(Verdict::Pass, None)
            && gain < 0.0
            && percent(gain).abs() >= SMALLEST_EFFECT_PCT;
    }

    fn judge_noisy(&self, evidence: &Evidence<'_>, weights: &[f64], judgement: &mut Decision) {
        let pairs = evidence.pairs;
        let have = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
        let last = have >= self.max_pairs;
        let alpha = self.alpha(have, evidence.continued);
        let estimate_of = |f: &dyn Fn(&Figures) -> f64, stored| {
            let base: Vec<f64> = pairs.iter().map(|p| self.sign() * f(&p.base)).collect();
            let change: Vec<f64> = pairs.iter().map(|p| self.sign() * f(&p.change)).collect();
            let sides = Sides {
                base: &base,
                change: &change,
                weights,
            };
            stats::estimate(&sides, stored)
        };
        let interval = |estimate: Option<Estimate>| estimate.and_then(|e| e.interval(alpha));
        let estimate = estimate_of(&|f| f.estimate, evidence.stored);
        let steps = interval(estimate);
        let total_estimate = estimate_of(&|f| f.total, evidence.stored);
        let total = interval(total_estimate);
        // How far the total lies from the estimate per step; with stored noise of neither.
        let gap = estimate_of(&|f| f.total - f.estimate, None);
        let below = |alpha| {
            gap.and_then(|e| e.interval(alpha))
                .is_some_and(|[_, high]| high < 0.0)
        };
        judgement.interval_pct = steps.map(|i| self.shown(i));
        judgement.total_interval_pct = total.map(|i| self.shown(i));
        judgement.confidence_pct = steps.map(|_| 100.0 * (1.0 - 2.0 * alpha));
        judgement.sd = estimate.map(|e| e.sd);
        judgement.calibrated = estimate.is_some_and(|e| e.calibrated);
        judgement.history_dropped = estimate.is_some_and(|e| e.history_dropped);
        let fewest = if judgement.calibrated {
            self.pairs
        } else {
            self.pairs.max(UNCALIBRATED_PAIRS)
        };
        let trusted = match (have, estimate) {
            (0 | 1, _) => warm_up_agrees(evidence),
            (UNCALIBRATED_PAIRS, Some(e)) if !e.calibrated => warm_up_near(evidence, e),
            _ => true,
        };
        let decided = if have >= fewest && trusted {
            // Stalls that come by chance make totals heavy-tailed, so a fail by the total alone needs more than an interval.
            let stalls = below(alpha / 40.0);
            let may_stall = below(DOUBT)
                && total_estimate
                    .and_then(|e| e.interval(DOUBT))
                    .is_none_or(|[low, _]| low < self.edge());
            let few = have <= FEW_PAIRS
                && total_estimate.is_some_and(|e| !self.warm_up_total_agrees(evidence, e))
                || have <= UNCALIBRATED_PAIRS && stalls_early(evidence);
            match (self.side(steps), self.side(total)) {
                (Some(Verdict::Fail), _) => Some((Verdict::Fail, Some(Reason::OverBudget))),
                (_, Some(Verdict::Fail)) if stalls && have >= TOTAL_PAIRS.min(self.max_pairs) => {
                    Some((Verdict::Fail, Some(Reason::TotalTime)))
                }
                (Some(Verdict::Pass), Some(Verdict::Pass)) if !few => Some((Verdict::Pass, None)),
                (Some(Verdict::Pass), None) if last && !few && !may_stall => Some((Verdict::Pass, None)),
                (Some(Verdict::Pass), _) if last => Some((Verdict::Inconclusive, Some(Reason::TotalTime))),
                _ => None,
            }
        } else {
            None
        };
        judgement.step = match decided {
            Some((verdict, reason)) => Step::Done(verdict, reason),
            None if last => Step::Done(Verdict::Inconclusive, Some(Reason::Noisy)),
            None => Step::Another,
        };
        let open = !matches!(judgement.step, Step::Done(Verdict::Pass | Verdict::Fail, _));
        if open
            && last
            && let Some(e) = estimate
        {
            judgement.more_pairs = (1..=FORESIGHT).find(|more| {
                have.saturating_add(*more) >= fewest
                    && e.likely_clear(self.edge(), *more, EARLY_ALPHA, FORECAST_POWER)
            });
        } else if open && last && have < UNCALIBRATED_PAIRS {
            // At least so many: one pair says nothing about the spread.
            judgement.more_pairs = Some(UNCALIBRATED_PAIRS - have);
        }
        judgement.regression_inside_budget = judgement.step == Step::Done(Verdict::Pass, None)
            && steps.is_some_and(|[_, high]| high < 0.0)
            && judgement
                .delta_pct
                .is_some_and(|d| d.abs() >= SMALLEST_EFFECT_PCT);
    }
}

impl Rule {
    /// Whether the total of the warm-up pair, where there is one, is not below what the first pairs suggest: a stall in it is
    /// evidence, even though its estimate is not.
    fn warm_up_total_agrees(&self, evidence: &Evidence<'_>, total: Estimate) -> bool {
        evidence.warm_up.is_none_or(|w| {
            let gain = self.sign() * w.total_ratio();
            gain - total.mean >= -2.0 * 2f64.sqrt() * total.sd
        })
    }
}

/// Whether the change, and not the baseline, stalls in steps that are left out as warm-up. The estimate ignores them, but the
/// next pair may show such a stall where it counts.
fn stalls_early(evidence: &Evidence<'_>) -> bool {
    let stalls = |side: fn(&Pair) -> bool| evidence.pairs.iter().chain(&evidence.warm_up).any(side);
    stalls(|pair| pair.change.early_stall) && !stalls(|pair| pair.base.early_stall)
}

/// Whether the warm-up pair agrees with the first pair, in the estimate and in the total, within the stored noise.
fn warm_up_agrees(evidence: &Evidence<'_>) -> bool {
    match (evidence.pairs, evidence.warm_up, evidence.stored) {
        ([first], Some(warm_up), Some(stored)) => [Pair::log_ratio, Pair::total_ratio]
            .iter()
            .all(|ratio| (ratio(first) - ratio(&warm_up)).abs() <= 2.0 * 2f64.sqrt() * stored.sd),
        _ => false,
    }
}

/// Whether the warm-up pair agrees with two pairs that have no stored noise. Two modes of a machine can separate the sides by
/// chance and leave them without variance; another pair then shows it.
fn warm_up_near(evidence: &Evidence<'_>, estimate: Estimate) -> bool {
    evidence.warm_up.is_none_or(|warm_up| {
        let mean = evidence.pairs.iter().map(Pair::log_ratio).sum::<f64>() / f64::from(UNCALIBRATED_PAIRS);
        (warm_up.log_ratio() - mean).abs() <= 2.0 * 2f64.sqrt() * estimate.sd
    })
}

/// What each pair counts: both orders together count the same, so that a penalty of the first or second measurement of a pair
/// cancels at any number of pairs.
pub fn weights(pairs: &[Pair]) -> Vec<f64> {
    let count = |order| pairs.iter().filter(|p| p.order == order).count() as f64;
    let (base_first, change_first) = (count(PairOrder::BaseFirst), count(PairOrder::ChangeFirst));
    if base_first == 0.0 || change_first == 0.0 || count(PairOrder::Unknown) > 0.0 {
        return vec![1.0 / pairs.len() as f64; pairs.len()];
    }
    pairs
        .iter()
        .map(|p| match p.order {
            PairOrder::BaseFirst => 0.5 / base_first,
            _ => 0.5 / change_first,
        })
        .collect()
}

/// The finest usable budget with this noise and at most so many pairs, percent.
pub fn finest_budget(noise: History, most: u32) -> Option<f64> {
    stats::smallest_visible(noise, most, ALPHA, VISIBLE_POWER).map(percent)
}

/// A log ratio as a change in percent.
pub fn percent(log_ratio: f64) -> f64 {
    log_ratio.exp_m1() * 100.0
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
