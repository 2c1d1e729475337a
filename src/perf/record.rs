//! What pairs of launches say, written down as results have it, within the room that results have.

use crate::domain::results::PairOrder;
use crate::domain::results::{PerfPair, PerfResult};
use crate::domain::samples::thinned;
use crate::perf::decision::{Judgement, percent};
use crate::perf::launch::Launch;
use crate::perf::stats;

/// Most samples of one launch that a result keeps.
const OF_LAUNCH: usize = 64;

/// Most samples of all launches together: results have 256 KiB for everything.
const OF_ALL: usize = 2048;

/// The pairs of one comparison, while they come in.
pub struct Pairs {
    log_ratios: Vec<f64>,
    totals: Vec<f64>,
    keep: usize,
}

impl Pairs {
    /// None yet, of at most so many.
    pub fn of_at_most(pairs: u32) -> Self {
        let launches = 2 * usize::try_from(pairs).unwrap_or(usize::MAX / 2).max(1);
        Pairs {
            log_ratios: Vec::new(),
            totals: Vec::new(),
            keep: (OF_ALL / launches).clamp(2, OF_LAUNCH),
        }
    }

    /// One more.
    pub fn push(&mut self, perf: &mut PerfResult, base_first: bool, base: &Launch, head: &Launch) {
        self.log_ratios.push(head.log - base.log);
        self.totals.push((head.total / base.total).ln());
        perf.pairs.push(PerfPair {
            order: if base_first { PairOrder::Ab } else { PairOrder::Ba },
            baseline: base.median,
            result: head.median,
            log_ratio: head.log - base.log,
            baseline_samples: thinned(&base.kept, self.keep),
            result_samples: thinned(&head.kept, self.keep),
        });
    }

    /// The log ratios so far.
    pub fn log_ratios(&self) -> &[f64] {
        &self.log_ratios
    }

    /// Puts what was judged of them into the result. Each arm's figure is the geometric mean over its launches, so that
    /// result ÷ baseline − 1 is the very change that was judged, in an attestation too.
    pub fn record(&self, perf: &mut PerfResult, judged: &Judgement) {
        let of = |f: fn(&PerfPair) -> f64| {
            stats::mean(&perf.pairs.iter().map(|p| f(p).ln()).collect::<Vec<_>>())
                .map(f64::exp)
                .filter(|v| v.is_finite())
        };
        perf.baseline = of(|p| p.baseline);
        perf.result = of(|p| p.result);
        perf.delta_pct = judged.delta_pct;
        perf.interval_pct = judged.interval_pct;
        perf.calibrated = judged.calibrated;
        perf.history_dropped = judged.history_dropped;
        perf.regression_inside_budget = judged.regression_inside_budget;
        perf.more_pairs = judged.more_pairs;
        perf.total_delta_pct = stats::mean(&self.totals).map(percent).filter(|t| t.is_finite());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::registry::Direction;
    use crate::perf::decision::Rule;
    use crate::perf::launch::{Sample, Warmup, launch};

    fn of(level: f64, steps: u32) -> Launch {
        let samples: Vec<Sample> = (0..steps)
            .map(|i| Sample {
                value: level + f64::from(i % 7) / 3.0,
                step: None,
            })
            .collect();
        launch(&samples, Warmup::default()).unwrap()
    }

    #[test]
    fn the_quotient_of_the_arms_is_the_change_that_was_judged() {
        let rule = Rule::new(-10.0, Direction::Higher, None, None).unwrap();
        let mut perf = PerfResult::default();
        let mut pairs = Pairs::of_at_most(12);
        for (base, head) in [(100.0, 93.0), (140.0, 139.0), (90.0, 97.0)] {
            pairs.push(&mut perf, true, &of(base, 60), &of(head, 60));
        }
        pairs.record(&mut perf, &rule.judge(pairs.log_ratios(), None));
        let quotient = (perf.result.unwrap() / perf.baseline.unwrap() - 1.0) * 100.0;
        assert!((quotient - perf.delta_pct.unwrap()).abs() < 1e-9);
    }

    #[test]
    fn samples_stay_within_their_room_whatever_the_number_of_pairs() {
        for (most, kept) in [(3, 64), (12, 64), (100, 10), (u32::MAX, 2)] {
            let mut perf = PerfResult::default();
            let mut pairs = Pairs::of_at_most(most);
            pairs.push(&mut perf, true, &of(100.0, 5000), &of(100.0, 5000));
            let longest = perf.pairs[0].baseline_samples.len();
            assert!(longest <= kept && longest * 2 > kept, "{most}: {longest}");
        }
    }
}
