//! From log ratios to a verdict: three-valued, against a budget, with a minimum effect.
//!
//! A log ratio is ln(head) − ln(base) of one pair, in the metric's own direction. Knows nothing of where it came from.

use crate::domain::registry::Direction;
use crate::domain::results::PerfMethod;
use crate::domain::verdict::{Reason, Verdict};
use crate::perf::stats::{self, History};

/// Error probability of each end of the interval that is shown, and of the last look.
pub const ALPHA: f64 = 0.02;

/// Error probability of each look before the last, where there are at most [`MAX_PAIRS`]. Every look is one more chance to err; with
/// this a change at the budget's edge passes in less than 5 % of the simulated comparisons (docs/explanation/performance.md).
pub const EARLY_ALPHA: f64 = 0.008;

/// A loss below this many percent is not worth a name.
pub const SMALLEST_EFFECT_PCT: f64 = 1.0;

/// How surely the finest budget that a calibration allows passes unchanged code and catches a loss of twice its size.
pub const VISIBLE_POWER: f64 = 0.95;

/// Pairs before the first look where no stored noise helps.
pub const UNCALIBRATED_PAIRS: u32 = 3;

/// Most pairs, where the registry does not say. With twelve, twice a budget of −2 % is caught in 95 % of the simulated comparisons at a
/// noise of 1 % (docs/explanation/performance.md), and what fewer decide costs nothing more.
pub const MAX_PAIRS: u32 = 12;

/// Most further pairs worth naming; beyond it the answer is «a quieter machine».
const FORESIGHT: u32 = 500;

/// What is asked of the pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Percent: −10 means at most 10 % worse, +5 at least 5 % better.
    pub budget_pct: f64,
    /// Which way the metric is better.
    pub direction: Direction,
    /// Fewest pairs before a verdict; 1 with `threshold` is the incumbent's.
    pub pairs: u32,
    /// Most pairs.
    pub max_pairs: u32,
    /// Judge one pair by the bare threshold, without an interval.
    pub threshold: bool,
}

/// A budget that no measurement can be held against.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "budget {0} % cannot be used: it must be a number above −100 and below 100; −10 allows a loss of 10 %"
)]
pub struct BadBudget(pub f64);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The verdict is in, with its reason.
    Done(Verdict, Option<Reason>),
    /// Another pair may decide.
    Another,
}

/// What the pairs say so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// What to do next.
    pub step: Step,
    /// (head / base − 1) × 100 of the pairs' mean log ratio; `None` without a usable pair.
    pub delta_pct: Option<f64>,
    /// Its interval, percent, lower end first.
    pub interval_pct: Option<[f64; 2]>,
    /// Standard deviation of one pair's log ratio.
    pub sd: Option<f64>,
    /// Whether stored noise took part.
    pub calibrated: bool,
    /// Whether stored noise was there and was set aside because the pairs vary far more.
    pub history_dropped: bool,
    /// A real loss that the budget allows.
    pub regression_inside_budget: bool,
    /// How many more pairs would decide, were they like those seen; `None` where the verdict is in or none would.
    pub more_pairs: Option<u32>,
}

impl Rule {
    /// The rule for this budget; `pairs = 1` asks for the bare threshold.
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

    /// Error probability of each end at this look: little at each of the many before the last, so that all together err seldom.
    fn alpha(&self, pairs: u32) -> f64 {
        if pairs >= self.max_pairs {
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

    /// Judges these log ratios, in the order of their pairs.
    pub fn judge(&self, log_ratios: &[f64], history: Option<History>) -> Judgement {
        let gains: Vec<f64> = log_ratios.iter().map(|d| self.sign() * d).collect();
        let edge = self.sign() * (self.edge_pct() / 100.0).ln_1p();
        let unusable = gains.iter().any(|d| !d.is_finite());
        let mut judgement = Judgement {
            step: Step::Another,
            delta_pct: stats::mean(log_ratios).filter(|d| d.is_finite()).map(percent),
            interval_pct: None,
            sd: None,
            calibrated: false,
            history_dropped: false,
            regression_inside_budget: false,
            more_pairs: None,
        };
        if unusable {
            judgement.step = Step::Done(Verdict::Invalid, Some(Reason::NoSamples));
            return judgement;
        }
        if self.threshold {
            judgement.step = match gains.first() {
                // A hair's breadth, so that a ratio of exactly the budget is not lost to rounding.
                Some(gain) if *gain >= edge - 1e-12 => Step::Done(Verdict::Pass, None),
                Some(_) => Step::Done(Verdict::Fail, Some(Reason::OverBudget)),
                None => Step::Another,
            };
            return judgement;
        }
        let have = u32::try_from(gains.len()).unwrap_or(u32::MAX);
        let estimate = stats::estimate(&gains, history);
        let interval = estimate.and_then(|e| e.interval(ALPHA));
        if let (Some(e), Some([low, high])) = (estimate, interval) {
            let ends = [percent(self.sign() * low), percent(self.sign() * high)];
            judgement.interval_pct = Some([ends[0].min(ends[1]), ends[0].max(ends[1])]);
            judgement.sd = Some(e.sd);
            judgement.calibrated = e.calibrated;
            judgement.history_dropped = e.history_dropped;
            let fewest = if e.calibrated {
                self.pairs
            } else {
                self.pairs.max(UNCALIBRATED_PAIRS)
            };
            let decided = e.interval(self.alpha(have)).and_then(|[low, high]| {
                if low >= edge {
                    Some((Verdict::Pass, None))
                } else if high < edge {
                    Some((Verdict::Fail, Some(Reason::OverBudget)))
                } else {
                    None
                }
            });
            if let Some((verdict, reason)) = decided.filter(|_| have >= fewest) {
                let noticeable = judgement
                    .delta_pct
                    .is_some_and(|d| d.abs() >= SMALLEST_EFFECT_PCT);
                judgement.regression_inside_budget = verdict == Verdict::Pass && high < 0.0 && noticeable;
                judgement.step = Step::Done(verdict, reason);
                return judgement;
            }
            judgement.more_pairs = (1..=FORESIGHT).find(|more| {
                have.saturating_add(*more) >= fewest
                    && e.projected(*more, ALPHA)
                        .is_some_and(|[low, high]| low >= edge || high < edge)
            });
        }
        if estimate.is_none() && have < UNCALIBRATED_PAIRS {
            // At least so many: fewer say nothing of how far pairs lie apart.
            judgement.more_pairs = Some(UNCALIBRATED_PAIRS - have);
        }
        if have >= self.max_pairs {
            judgement.step = Step::Done(Verdict::Inconclusive, Some(Reason::Noisy));
        }
        judgement
    }
}

/// A log ratio as a change in percent.
pub fn percent(log_ratio: f64) -> f64 {
    log_ratio.exp_m1() * 100.0
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
