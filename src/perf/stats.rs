//! What a handful of paired launches can bear: a moderated t over log ratios.
//!
//! Pure functions over numbers; they know nothing of gates, logs or budgets in words. Every input may be degenerate:
//! what cannot be estimated is `None`, never a panic and never an interval of width zero that nobody measured.

use crate::domain::noise::Noise;
use statrs::distribution::{Continuous, ContinuousCDF, StudentsT};

/// Most history pairs that count: beyond it old noise would outweigh what was just measured.
pub const HISTORY_CAP: u32 = 20;

/// Stored noise of identical code on this gate and this class of machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct History {
    /// Standard deviation of the log ratio of a pair of identical arms.
    pub sd: f64,
    /// Pairs it was estimated from; with a known mean of zero these are its degrees of freedom.
    pub pairs: u32,
}

impl From<&Noise> for History {
    fn from(noise: &Noise) -> Self {
        History {
            sd: noise.sd_pct / 100.0,
            pairs: noise.pairs,
        }
    }
}

/// What the pairs say of the log ratio's mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean log ratio.
    pub mean: f64,
    /// Standard deviation of one pair's log ratio.
    pub sd: f64,
    /// Degrees of freedom of `sd`.
    pub dof: f64,
    /// Pairs.
    pub pairs: u32,
    /// Whether stored noise took part.
    pub calibrated: bool,
    /// Whether stored noise was there and was set aside because the live pairs vary more than twice as much.
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

/// Sample standard deviation (n − 1); `None` below two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// Quantile of Student's t at `p` with `dof` degrees of freedom; `None` where a tail is below 1e-6 or the freedom is not
/// between 0.5 and 1e6, since the crate's inverse need not end there.
///
/// The crate's inverse is polished by Newton steps on its own distribution function, which brings it to within 1e-12.
pub fn t_quantile(p: f64, dof: f64) -> Option<f64> {
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

/// The moderated estimate of Smyth (2004), with a fixed prior: the live variance blended with the stored one by their
/// degrees of freedom. `None` where nothing can be said: no pairs, a value that is not finite, no variance at all.
pub fn estimate(log_ratios: &[f64], history: Option<History>) -> Option<Estimate> {
    let centre = mean(log_ratios)?;
    if log_ratios.iter().any(|d| !d.is_finite()) {
        return None;
    }
    let live = deviation(log_ratios);
    let live_dof = (log_ratios.len() - 1) as f64;
    let stored = history.filter(|h| h.sd.is_finite() && h.sd > 0.0 && h.pairs > 0);
    let history_dropped = matches!((stored, live), (Some(h), Some(s)) if s > 2.0 * h.sd);
    let prior = stored.filter(|_| !history_dropped);
    let prior_dof = prior.map_or(0.0, |h| f64::from(h.pairs.min(HISTORY_CAP)));
    let dof = live_dof + prior_dof;
    let sum = live_dof * live.unwrap_or(0.0).powi(2) + prior_dof * prior.map_or(0.0, |h| h.sd.powi(2));
    let sd = (sum / dof).sqrt();
    (dof > 0.0 && sd.is_finite() && sd > 0.0).then_some(Estimate {
        mean: centre,
        sd,
        dof,
        pairs: u32::try_from(log_ratios.len()).ok()?,
        calibrated: prior.is_some(),
        history_dropped,
    })
}

impl Estimate {
    /// The interval of the mean whose ends each err with probability `alpha`.
    pub fn interval(&self, alpha: f64) -> Option<[f64; 2]> {
        self.after(self.pairs, self.dof, alpha)
    }

    /// The interval that `more` further pairs would give, were their mean and spread those seen so far.
    pub fn projected(&self, more: u32, alpha: f64) -> Option<[f64; 2]> {
        self.after(self.pairs.saturating_add(more), self.dof + f64::from(more), alpha)
    }

    fn after(&self, pairs: u32, dof: f64, alpha: f64) -> Option<[f64; 2]> {
        let half = t_quantile(1.0 - alpha, dof)? * self.sd / f64::from(pairs).sqrt();
        half.is_finite().then_some([self.mean - half, self.mean + half])
    }
}

/// Stored noise from A/A pairs: the root mean square of their log ratios, whose mean is known to be zero. `None` where
/// there are fewer than two, one is not finite, or all are exactly zero.
pub fn noise(log_ratios: &[f64]) -> Option<History> {
    let squares: f64 = log_ratios.iter().map(|d| d * d).sum();
    let sd = (squares / log_ratios.len() as f64).sqrt();
    (log_ratios.len() > 1 && sd.is_finite() && sd > 0.0).then_some(History {
        sd,
        pairs: u32::try_from(log_ratios.len()).ok()?,
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
