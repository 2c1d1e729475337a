//! Compares several metrics from the same measurements: each has its own budget, noise, pairs and verdict.
//!
//! Combines decisions of `decision`; measures nothing.

use crate::domain::noise::{Estimator, metric_name};
use crate::domain::registry::{Direction, Gate};
use crate::domain::results::{FurtherResult, PairOrder, PerfResult};
use crate::domain::verdict::{Reason, Verdict};
use crate::perf::decision::{Rule, Step};
use crate::perf::measurement::{Reduction, Series, UnusableSamples};
use crate::perf::record::Pairs;
use crate::perf::stats::History;

/// One metric of a comparison.
pub struct ComparedMetric {
    /// The name, without `_p50`.
    pub name: String,
    /// How a measurement of the metric is reduced.
    pub how: Reduction,
    rule: Rule,
    stored: Option<History>,
    pairs: Pairs,
    perf: PerfResult,
    decided: Option<(Verdict, Option<Reason>)>,
}

/// The metrics of one comparison; the first is the main one, which also decides whether a measurement drifts.
pub struct MetricSet(Vec<ComparedMetric>);

/// What a measurement printed of each metric, in the order of the set.
pub type Measured = Vec<Series>;

/// A metric for which a pair cannot be compared.
pub struct UnfitPair {
    /// The name of the metric.
    pub metric: String,
    /// Why.
    pub unfit: UnusableSamples,
    /// Steps of the baseline and of the change.
    pub steps: [usize; 2],
}

/// How the measurements of this metric of the compared gate are reduced.
pub fn reduction(compare: &Gate, metric: &str, warmup_steps: Option<u32>, threshold: bool) -> Reduction {
    let declared = compare.reads().into_iter().find(|m| m.name == metric);
    Reduction {
        warmup_steps,
        threshold,
        direction: declared.as_ref().map_or(Direction::default(), |m| m.direction),
        single: declared.is_some_and(|m| m.take.is_some()),
    }
}

impl ComparedMetric {
    /// A metric without pairs yet. Its budget, direction and method are those of the rule.
    pub fn new(name: &str, rule: Rule, how: Reduction, stored: Option<History>) -> Self {
        ComparedMetric {
            name: metric_name(name).to_owned(),
            how,
            rule,
            stored,
            pairs: Pairs::new(rule.max_pairs, how, stored.map(|s| s.estimator)),
            perf: PerfResult {
                metric: name.to_owned(),
                direction: rule.direction,
                budget_pct: Some(rule.budget_pct),
                method: rule.method(),
                ..PerfResult::default()
            },
            decided: None,
        }
    }

    /// The comparison so far.
    pub fn perf(&self) -> &PerfResult {
        &self.perf
    }

    /// The log ratios of the pairs so far, and the estimator that was chosen for them.
    pub fn log_ratios(&self) -> (Vec<f64>, Estimator) {
        let ratios = self.perf.pairs.iter().map(|p| p.log_ratio).collect();
        (ratios, self.pairs.estimator().unwrap_or_default())
    }

    fn evaluate(&mut self) {
        let judged = self.rule.evaluate(&self.pairs.evidence(self.stored));
        self.pairs.record(&mut self.perf, &judged);
        if let Step::Done(verdict, reason) = judged.step {
            self.decided = Some((verdict, reason));
        }
    }
}

impl MetricSet {
    /// A set; the first metric is the main one.
    pub fn new(metrics: Vec<ComparedMetric>) -> Self {
        MetricSet(metrics)
    }

    /// The metrics, the main one first.
    pub fn metrics(&self) -> &[ComparedMetric] {
        &self.0
    }

    /// Takes the warm-up pair, which does not count.
    pub fn warm_up(&mut self, base: &[Series], change: &[Series]) {
        for (metric, (base, change)) in self.0.iter_mut().zip(base.iter().zip(change)) {
            metric.pairs.warm_up(base, change);
        }
    }

    /// Adds a pair for each metric that is not decided. A decided metric keeps the pairs that decided it: another look at it
    /// would be another chance of an error.
    ///
    /// # Errors
    /// The sides are unlike, or their common steps are too few.
    pub fn push(&mut self, order: PairOrder, base: &[Series], change: &[Series]) -> Result<(), UnfitPair> {
        for (metric, (base, change)) in self.0.iter_mut().zip(base.iter().zip(change)) {
            if metric.decided.is_none() {
                metric
                    .pairs
                    .push(&mut metric.perf, order, base, change)
                    .map_err(|unfit| UnfitPair {
                        metric: metric.name.clone(),
                        unfit,
                        steps: [base.len(), change.len()],
                    })?;
            }
        }
        Ok(())
    }

    /// Evaluates each metric that is not decided. Returns the verdict if all are decided, or if one of them fails.
    pub fn evaluate(&mut self) -> Option<(Verdict, Option<Reason>)> {
        for metric in self.0.iter_mut().filter(|m| m.decided.is_none()) {
            metric.evaluate();
        }
        let fails = |m: &ComparedMetric| m.decided.is_some_and(|(verdict, _)| verdict == Verdict::Fail);
        let finished = self.0.iter().all(|m| m.decided.is_some()) || self.0.iter().any(fails);
        finished.then(|| self.verdict(Reason::Noisy))
    }

    /// The worst verdict with its reason. A metric that is not decided is `inconclusive` for the reason given.
    pub fn verdict(&self, undecided: Reason) -> (Verdict, Option<Reason>) {
        self.0
            .iter()
            .map(|m| m.decided.unwrap_or((Verdict::Inconclusive, Some(undecided))))
            .min_by_key(|(verdict, _)| rank(*verdict))
            .unwrap_or((Verdict::Invalid, Some(Reason::NoSamples)))
    }

    /// Writes the comparisons into the result: the main metric's fields, and an entry for each further metric.
    pub fn record(&self, perf: &mut PerfResult, undecided: Reason) {
        let [main, further @ ..] = self.0.as_slice() else {
            return;
        };
        let own = main.decided.unwrap_or((Verdict::Inconclusive, Some(undecided)));
        let own = (!further.is_empty()).then_some(own);
        *perf = PerfResult {
            own_status: own.map(|(verdict, _)| verdict),
            own_reason: own.and_then(|(_, reason)| reason),
            compare_gate: std::mem::take(&mut perf.compare_gate),
            baseline_sha: perf.baseline_sha.take(),
            also: further
                .iter()
                .map(|m| {
                    let (verdict, reason) = m.decided.unwrap_or((Verdict::Inconclusive, Some(undecided)));
                    FurtherResult::new(m.perf.clone(), verdict, reason)
                })
                .collect(),
            ..main.perf.clone()
        };
    }
}

/// Worse verdicts come first.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::Invalid => 1,
        Verdict::Pass => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::measurement::Sample;

    fn series(level: f64, steps: u32) -> Series {
        let samples: Vec<Sample> = (0..steps)
            .map(|i| Sample {
                value: level + f64::from(i * 7919 % 41) / 31.0,
                step: None,
            })
            .collect();
        Series::of(&samples)
    }

    fn one(value: f64) -> Series {
        Series::of(&[Sample { value, step: None }])
    }

    fn set(memory_budget: f64) -> MetricSet {
        let metric = |name, budget, direction, single| {
            let rule = Rule::new(budget, direction, None, Some(4)).unwrap();
            let how = Reduction {
                direction,
                single,
                ..Reduction::default()
            };
            ComparedMetric::new(name, rule, how, None)
        };
        MetricSet::new(vec![
            metric("node_tps_p50", -10.0, Direction::Higher, false),
            metric("peak_memory", memory_budget, Direction::Lower, true),
        ])
    }

    fn compare(set: &mut MetricSet, memory: f64) -> (Verdict, Option<Reason>) {
        for i in 0..4 {
            let level = 100.0 + f64::from(i);
            set.push(
                PairOrder::Unknown,
                &[series(level, 60), one(61.25)],
                &[series(level + 0.1, 60), one(memory)],
            )
            .ok()
            .unwrap();
            if let Some(decided) = set.evaluate() {
                return decided;
            }
        }
        panic!("the last pair decides");
    }

    #[test]
    fn each_metric_has_its_own_budget_and_verdict() {
        let mut passes = set(-5.0);
        assert_eq!(compare(&mut passes, 62.25), (Verdict::Pass, None));
        let mut fails = set(-1.0);
        assert_eq!(
            compare(&mut fails, 62.25),
            (Verdict::Fail, Some(Reason::OverBudget))
        );
        let mut perf = PerfResult {
            compare_gate: "cpu:train".to_owned(),
            ..PerfResult::default()
        };
        fails.record(&mut perf, Reason::Noisy);
        assert_eq!(perf.compare_gate, "cpu:train");
        assert_eq!(perf.metric, "node_tps_p50");
        assert_eq!(perf.also[0].status, Verdict::Fail);
        assert!((perf.also[0].delta_pct.unwrap() - 100.0 / 61.25).abs() < 1e-9);
    }

    /// Another look at a decided metric would raise its error.
    #[test]
    fn decided_metric_gets_no_further_pairs() {
        let mut set = set(-5.0);
        let noisy = [100.0, 60.0, 140.0];
        for (i, level) in noisy.into_iter().enumerate() {
            set.push(
                PairOrder::Unknown,
                &[series(100.0, 60), one(61.25)],
                &[series(level, 60), one(61.25)],
            )
            .ok()
            .unwrap();
            assert_eq!(set.evaluate(), None, "pair {i}");
        }
        assert_eq!(set.metrics()[0].perf().pairs.len(), 3);
        assert_eq!(set.metrics()[1].perf().pairs.len(), 2);
    }
}
