//! Collects the pairs of one comparison, reduces them alike, and writes them down as results have them.
//!
//! Chooses the estimator once, from the baseline; trims unequal logs; keeps within the size of results. Decides nothing.

use crate::domain::noise::Estimator;
use crate::domain::results::{PairOrder, PerfPair, PerfResult};
use crate::domain::samples::thinned;
use crate::perf::decision::{Decision, Evidence, Pair, weights};
use crate::perf::measurement::{
    Figures, Measurement, Reduction, Series, UnusableSamples, choose_estimator, reduce_pair,
};
use crate::perf::stats::{self, History};

/// Most samples of one measurement that a result keeps.
const OF_MEASUREMENT: usize = 64;

/// Most samples of all measurements together: results have 256 KiB for everything.
const OF_ALL: usize = 2048;

/// The pairs of one comparison, while they come in.
pub struct Pairs {
    how: Reduction,
    estimator: Option<Estimator>,
    warm_up: Option<[Measurement; 2]>,
    warm_up_pair: Option<Pair>,
    pairs: Vec<Pair>,
    repeats: Repeats,
    keep: usize,
    continued: bool,
}

/// Whether the measurements of each side repeat the first one exactly.
#[derive(Default)]
struct Repeats {
    first: Option<[Vec<f64>; 2]>,
    seen: u32,
    differ: bool,
    /// One unit of the finest printed digit.
    resolution: Option<f64>,
}

impl Pairs {
    /// No pairs yet, of at most so many. An estimator that stored noise or an earlier comparison has fixed is kept.
    pub fn new(most: u32, how: Reduction, estimator: Option<Estimator>) -> Self {
        let measurements = 2 * usize::try_from(most).unwrap_or(usize::MAX / 2).max(1);
        Pairs {
            how,
            estimator: if how.threshold {
                Some(Estimator::Median)
            } else {
                estimator
            },
            warm_up: None,
            warm_up_pair: None,
            pairs: Vec::new(),
            repeats: Repeats::default(),
            keep: (OF_ALL / measurements).clamp(2, OF_MEASUREMENT),
            continued: false,
        }
    }

    /// The pairs of an earlier result, to go on with; `None` where it does not say enough.
    pub fn resumed(perf: &PerfResult, most: u32, how: Reduction) -> Option<Self> {
        let mut pairs = Pairs::new(most, how, Some(perf.estimator?));
        for pair in &perf.pairs {
            let figures = |estimate: f64, total: Option<f64>| {
                Some(Figures {
                    estimate: estimate.ln(),
                    total: total?.ln(),
                    early_stall: false,
                })
            };
            pairs.pairs.push(Pair {
                order: pair.order,
                base: figures(pair.baseline, pair.baseline_total)?,
                change: figures(pair.result, pair.result_total)?,
            });
        }
        pairs.repeats.differ = true;
        pairs.continued = true;
        Some(pairs)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The estimator, once it is chosen.
    pub fn estimator(&self) -> Option<Estimator> {
        self.estimator
    }

    /// Takes the discarded pair that warmed the machine; one that cannot be reduced says nothing.
    pub fn warm_up(&mut self, base: &Series, change: &Series) {
        self.warm_up = reduce_pair(base, change, self.how).ok();
    }

    /// Chooses the estimator from these measurements of the baseline, unless it is fixed.
    pub fn choose_from(&mut self, baseline: &[&Measurement]) -> Estimator {
        *self
            .estimator
            .get_or_insert_with(|| choose_estimator(baseline, self.how.direction))
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// The sides are unlike, or their common steps are too few.
    pub fn push(
        &mut self,
        perf: &mut PerfResult,
        order: PairOrder,
        base: &Series,
        change: &Series,
    ) -> Result<(), UnusableSamples> {
        let [base, change] = reduce_pair(base, change, self.how)?;
        let warm_up = self.warm_up.take();
        let baselines: Vec<&Measurement> = warm_up.iter().map(|[base, _]| base).chain([&base]).collect();
        let estimator = self.choose_from(&baselines);
        let pair = |[base, change]: [&Measurement; 2], order| {
            Some(Pair {
                order,
                base: base.figures(estimator)?,
                change: change.figures(estimator)?,
            })
        };
        if let Some([base, change]) = &warm_up {
            self.warm_up_pair = pair([base, change], PairOrder::ChangeFirst);
            self.repeats.add(base, change);
        }
        self.repeats.add(&base, &change);
        let measured = pair([&base, &change], order).ok_or(UnusableSamples::NotANumber)?;
        self.pairs.push(measured);
        perf.pairs.push(PerfPair {
            order,
            baseline: measured.base.estimate.exp(),
            result: measured.change.estimate.exp(),
            log_ratio: measured.log_ratio(),
            baseline_total: Some(measured.base.total.exp()),
            result_total: Some(measured.change.total.exp()),
            baseline_samples: thinned(&base.kept, self.keep),
            result_samples: thinned(&change.kept, self.keep),
        });
        Ok(())
    }

    /// What a look may use. Stored noise of another estimator says nothing about this one.
    pub fn evidence(&self, stored: Option<History>) -> Evidence<'_> {
        Evidence {
            pairs: &self.pairs,
            warm_up: self.warm_up_pair,
            stored: stored.filter(|s| Some(s.estimator) == self.estimator),
            exact: self.repeats.unit(),
            continued: self.continued,
        }
    }

    /// Records the decision in the result. The figure of each side is the geometric mean over its measurements, with the weights of
    /// the change. So result ÷ baseline − 1 is exactly the decided change, in an attestation too.
    pub fn record(&self, perf: &mut PerfResult, judged: &Decision) {
        let weights = weights(&self.pairs);
        let of = |f: fn(&Pair) -> f64| {
            let log: f64 = self.pairs.iter().zip(&weights).map(|(p, w)| w * f(p)).sum();
            Some(log.exp()).filter(|v| !self.pairs.is_empty() && v.is_finite())
        };
        perf.baseline = of(|p| p.base.estimate);
        perf.result = of(|p| p.change.estimate);
        perf.estimator = self.estimator;
        perf.delta_pct = judged.delta_pct;
        perf.interval_pct = judged.interval_pct;
        perf.confidence_pct = judged.confidence_pct;
        perf.calibrated = judged.calibrated;
        perf.history_dropped = judged.history_dropped;
        perf.regression_inside_budget = judged.regression_inside_budget;
        perf.more_pairs = judged.more_pairs;
        perf.total_delta_pct = judged.total_delta_pct;
        perf.total_interval_pct = judged.total_interval_pct;
        perf.spread_pct = judged.sd.map(|sd| sd * 100.0);
        perf.warm_up_log_ratio = self.warm_up_pair.map(|p| p.log_ratio()).filter(|d| d.is_finite());
    }
}

impl Repeats {
    fn add(&mut self, base: &Measurement, change: &Measurement) {
        self.seen += 1;
        for printed in base.resolution.iter().chain(&change.resolution) {
            self.resolution = Some(self.resolution.map_or(*printed, |finest| finest.min(*printed)));
        }
        match &self.first {
            None => self.first = Some([base.kept.clone(), change.kept.clone()]),
            Some([b, c]) => self.differ |= *b != base.kept || *c != change.kept,
        }
    }

    /// Half a unit of the last printed digit as a log ratio, where every measurement repeats the first.
    fn unit(&self) -> Option<f64> {
        let [base, change] = self.first.as_ref().filter(|_| self.seen > 1 && !self.differ)?;
        let unit = match self.resolution {
            Some(printed) => 0.5 * printed,
            // Recorded results do not hold how a number was printed.
            None => 0.5 * 10f64.powi(-base.iter().chain(change).map(|v| decimals(*v)).max()?),
        };
        Some(unit / stats::mean(base)? + unit / stats::mean(change)?)
    }
}

/// Digits after the decimal point of the shortest text that reads back as this value.
fn decimals(value: f64) -> i32 {
    let text = format!("{value}");
    text.split_once('.').map_or(0, |(_, digits)| {
        i32::try_from(digits.len()).unwrap_or(i32::MAX).min(300)
    })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
