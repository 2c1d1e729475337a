//! Estimates what a few pairs of measurements prove: a moderated t over log values.
//!
//! Pure functions over numbers; they do not know gates, logs or budgets. Every input may be degenerate: what cannot be
//! estimated is `None`, never a panic and never an interval of width zero that no measurement supports.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::domain::noise::{Estimator, Noise};
use statrs::distribution::{Continuous, ContinuousCDF, FisherSnedecor, StudentsT};

/// Most stored pairs that count: beyond it old noise would outweigh new measurements.
pub const HISTORY_CAP: u32 = 20;

/// Stored noise is dropped where the measurements vary so much more that chance does this in one comparison of twenty.
const DROP_ALPHA: f64 = 0.05;

/// Largest ratio of two variances that is told apart from larger ones.
const MOST_RATIO: f64 = 1e12;

/// Standard deviations of logarithms below this come from the arithmetic, not from a machine.
const ROUNDING: f64 = 1e-12;

/// Stored noise of identical code on this gate and this class of machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct History {
    /// Standard deviation of the log ratio of a pair of identical sides.
    pub sd: f64,
    /// Its degrees of freedom: pairs whose mean is known to be zero.
    pub pairs: u32,
    /// How the measurements were reduced.
    pub estimator: Estimator,
}

impl From<&Noise> for History {
    fn from(noise: &Noise) -> Self {
        History {
            sd: noise.sd_pct / 100.0,
            pairs: noise.pairs,
            estimator: noise.estimator,
        }
    }
}

/// Log values of the pairs so far.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// Of the baseline.
    pub base: &'a [f64],
    /// Of the change, as many.
    pub change: &'a [f64],
    /// What each pair counts for the mean; they add up to 1.
    pub weights: &'a [f64],
}

/// What the pairs say about the mean of their log ratios.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Weighted mean of the log ratios.
    pub mean: f64,
    /// Standard deviation of the log ratio of one pair.
    pub sd: f64,
    /// Degrees of freedom of `sd`.
    pub dof: f64,
    /// Pairs.
    pub pairs: u32,
    /// How many equally weighted pairs would give the mean the same standard error.
    pub effective: f64,
    /// Whether stored noise took part.
    pub calibrated: bool,
    /// Whether stored noise was there and was dropped because the pairs vary far more.
    pub history_dropped: bool,
}

/// Median; `None` of nothing or where a value is not finite. The mean of the middle two for an even count.
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    Some(if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        // Halved first, so that two huge values do not overflow.
        sorted[half - 1] / 2.0 + sorted[half] / 2.0
    })
}

/// Mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Mean of the middle half of the values: a quarter, rounded down, is left out at each end. `None` of nothing.
pub fn middle_half(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// Sum of squares around the mean; exactly zero where the values are equal.
pub fn squares(values: &[f64]) -> f64 {
    let Some(first) = values.first() else {
        return 0.0;
    };
    let shifted: Vec<f64> = values.iter().map(|v| v - first).collect();
    let centre = mean(&shifted).unwrap_or(0.0);
    shifted.iter().map(|v| (v - centre).powi(2)).sum()
}

/// Quantile of Student's t at `p` with `dof` degrees of freedom; `None` where a tail is below 1e-6 or the freedom is not
/// between 0.5 and 1e6, since the crate's inverse need not end there.
pub fn t_quantile(p: f64, dof: f64) -> Option<f64> {
    thread_local! {
        /// The few quantiles that every look at a comparison needs again.
        static KNOWN: RefCell<HashMap<[u64; 2], Option<f64>>> = RefCell::default();
    }
    let key = [p.to_bits(), dof.to_bits()];
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).copied()) {
        return known;
    }
    let found = find_t_quantile(p, dof);
    KNOWN.with_borrow_mut(|known| {
        if known.len() < 4096 {
            known.insert(key, found);
        }
    });
    found
}

/// Probability that Student's t with `dof` degrees of freedom is above `x`; `None` where `x` is not a number.
pub fn t_tail(x: f64, dof: f64) -> Option<f64> {
    let tail = StudentsT::new(0.0, 1.0, dof).ok()?.sf(x);
    (!x.is_nan() && tail.is_finite()).then_some(tail)
}

/// The crate's inverse, polished by Newton steps on its own distribution function, which brings it to within 1e-12.
fn find_t_quantile(p: f64, dof: f64) -> Option<f64> {
    let tail = p.min(1.0 - p);
    if !(tail >= 1e-6 && (0.5..=1e6).contains(&dof)) {
        return None;
    }
    let t = StudentsT::new(0.0, 1.0, dof).ok()?;
    // From the lower tail, where the distribution function keeps its digits.
    let mut x = t.inverse_cdf(tail);
    for _ in 0..3 {
        let step = (t.cdf(x) - tail) / t.pdf(x);
        if !step.is_finite() {
            break;
        }
        x -= step;
    }
    x.is_finite().then_some(if p < 0.5 { x } else { -x })
}

/// The moderated estimate of Smyth (2004), with a fixed prior. The variance of a pair is twice that of the measurements
/// within each side, pooled over both (2n − 2 degrees of freedom), blended with the stored one by their degrees of freedom.
/// Returns `None` without pairs, with a value that is not finite, or without variance.
pub fn estimate(sides: &Sides<'_>, history: Option<History>) -> Option<Estimate> {
    let pairs = sides.base.len();
    let values = sides.base.iter().chain(sides.change).chain(sides.weights);
    if pairs == 0
        || sides.change.len() != pairs
        || sides.weights.len() != pairs
        || values.clone().any(|v| !v.is_finite())
    {
        return None;
    }
    let mean: f64 = (0..pairs)
        .map(|i| sides.weights[i] * (sides.change[i] - sides.base[i]))
        .sum();
    let live_dof = (2 * pairs - 2) as f64;
    let live = if pairs > 1 {
        2.0 * (squares(sides.base) + squares(sides.change)) / live_dof
    } else {
        0.0
    };
    let stored = history.filter(|h| h.sd.is_finite() && h.sd > 0.0 && h.pairs > 0);
    let history_dropped = stored.is_some_and(|h| varies_more(live, live_dof, h));
    let prior = stored.filter(|_| !history_dropped);
    let prior_dof = prior.map_or(0.0, |h| f64::from(h.pairs.min(HISTORY_CAP)));
    let dof = live_dof + prior_dof;
    let sum = live_dof * live + prior_dof * prior.map_or(0.0, |h| h.sd.powi(2));
    let sd = (sum / dof).sqrt();
    let effective = 1.0 / sides.weights.iter().map(|w| w * w).sum::<f64>();
    (dof > 0.0 && sd.is_finite() && sd > ROUNDING && effective.is_finite() && effective > 0.0).then_some(
        Estimate {
            mean,
            sd,
            dof,
            pairs: u32::try_from(pairs).ok()?,
            effective,
            calibrated: prior.is_some(),
            history_dropped,
        },
    )
}

/// Whether the live variance is significantly larger than the stored one, by an F test.
pub fn varies_more(live: f64, live_dof: f64, stored: History) -> bool {
    let ratio = live / stored.sd.powi(2);
    if !(live_dof > 0.0 && ratio > 1.0) {
        return false;
    }
    // The distribution panics for a ratio near the largest number; this one is beyond every quantile.
    FisherSnedecor::new(live_dof, f64::from(stored.pairs))
        .is_ok_and(|f| f.sf(ratio.min(MOST_RATIO)) < DROP_ALPHA)
}

impl Estimate {
    /// The interval of the mean whose ends each err with probability `alpha`.
    pub fn interval(&self, alpha: f64) -> Option<[f64; 2]> {
        let half = t_quantile(1.0 - alpha, self.dof)? * self.sd / self.effective.sqrt();
        half.is_finite().then_some([self.mean - half, self.mean + half])
    }

    /// Whether `more` further pairs are likely to bring the mean clear of `edge`: with probability `power`, were the true
    /// mean and the spread distributed as the pairs so far suggest.
    pub fn likely_clear(&self, edge: f64, more: u32, alpha: f64, power: f64) -> bool {
        let (have, more) = (self.effective, f64::from(more));
        let all = have + more;
        let dof = self.dof + 2.0 * more;
        let (Some(width), Some(doubt)) = (t_quantile(1.0 - alpha, dof), t_quantile(power, self.dof)) else {
            return false;
        };
        let half = width * self.sd / all.sqrt();
        let wander = doubt * self.sd * (more / (have * all)).sqrt();
        (self.mean - edge).abs() >= half + wander
    }
}

/// Stored noise from pairs of identical code: the root mean square of their log ratios, whose mean is known to be zero. `None` where
/// there are fewer than two, one is not finite, or all are exactly zero.
pub fn noise(log_ratios: &[f64], estimator: Estimator) -> Option<History> {
    let squares: f64 = log_ratios.iter().map(|d| d * d).sum();
    let sd = (squares / log_ratios.len() as f64).sqrt();
    (log_ratios.len() > 1 && sd.is_finite() && sd > 0.0).then_some(History {
        sd,
        pairs: u32::try_from(log_ratios.len()).ok()?,
        estimator,
    })
}

/// The smallest loss, as a log ratio below zero, that `pairs` pairs can tell from none: a budget this fine passes
/// unchanged code with probability `power`, each end of the interval erring with probability `alpha`.
pub fn smallest_visible(history: History, pairs: u32, alpha: f64, power: f64) -> Option<f64> {
    if pairs == 0 {
        return None;
    }
    let dof = f64::from(history.pairs.min(HISTORY_CAP)) + f64::from(pairs - 1);
    let width = t_quantile(1.0 - alpha, dof)? + t_quantile(power, dof)?;
    Some(-width * history.sd / f64::from(pairs).sqrt())
}

#[cfg(test)]
#[path = "stats_tests.rs"]
pub(crate) mod tests;
