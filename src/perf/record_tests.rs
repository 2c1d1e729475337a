//! What is written down of the pairs.

use super::*;
use crate::domain::registry::Direction;
use crate::domain::verdict::Verdict;
use crate::perf::decision::{Rule, Step};
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

#[test]
fn the_quotient_of_the_sides_is_the_change() {
    let rule = Rule::new(-10.0, Direction::Higher, None, None).unwrap();
    let mut perf = PerfResult::default();
    let mut pairs = Pairs::new(12, Reduction::default(), None);
    let orders = [PairOrder::BaseFirst, PairOrder::ChangeFirst, PairOrder::BaseFirst];
    for (order, (base, change)) in orders
        .into_iter()
        .zip([(100.0, 93.0), (140.0, 139.0), (90.0, 97.0)])
    {
        pairs
            .push(&mut perf, order, &series(base, 60), &series(change, 60))
            .unwrap();
    }
    pairs.record(&mut perf, &rule.evaluate(&pairs.evidence(None)));
    let quotient = (perf.result.unwrap() / perf.baseline.unwrap() - 1.0) * 100.0;
    assert!((quotient - perf.delta_pct.unwrap()).abs() < 1e-9);
    assert_eq!(perf.estimator, Some(Estimator::Median));
    let recorded: Vec<PairOrder> = perf.pairs.iter().map(|p| p.order).collect();
    assert_eq!(recorded, orders);
}

#[test]
fn samples_stay_within_limit_for_any_pairs() {
    for (most, kept) in [(3, 64), (12, 64), (100, 10), (u32::MAX, 2)] {
        let mut perf = PerfResult::default();
        let mut pairs = Pairs::new(most, Reduction::default(), None);
        let long = series(100.0, 5000);
        pairs.push(&mut perf, PairOrder::Unknown, &long, &long).unwrap();
        let longest = perf.pairs[0].baseline_samples.len();
        assert!(longest <= kept && longest * 2 > kept, "{most}: {longest}");
    }
}

#[test]
fn measurements_that_repeat_are_exact() {
    let rule = Rule::new(-5.0, Direction::Higher, None, None).unwrap();
    let mut perf = PerfResult::default();
    let mut pairs = Pairs::new(12, Reduction::default(), None);
    let constant = |value: f64| Series::of(&vec![Sample { value, step: None }; 20]);
    pairs
        .push(
            &mut perf,
            PairOrder::BaseFirst,
            &constant(1000.0),
            &constant(700.0),
        )
        .unwrap();
    assert_eq!(rule.evaluate(&pairs.evidence(None)).step, Step::Another);
    pairs
        .push(
            &mut perf,
            PairOrder::ChangeFirst,
            &constant(1000.0),
            &constant(700.0),
        )
        .unwrap();
    let judged = rule.evaluate(&pairs.evidence(None));
    assert!(matches!(judged.step, Step::Done(Verdict::Fail, _)), "{judged:?}");
    pairs
        .push(
            &mut perf,
            PairOrder::BaseFirst,
            &constant(1000.0),
            &constant(701.0),
        )
        .unwrap();
    assert_eq!(pairs.evidence(None).exact, None);
}

/// `61.0` says more than `61`: half a unit is 0.05.
#[test]
fn printed_digits_bound_an_exact_comparison() {
    let gain = |resolution| {
        let rule = Rule::new(-1.0, Direction::Lower, None, None).unwrap();
        let how = Reduction {
            direction: Direction::Lower,
            single: true,
            ..Reduction::default()
        };
        let (mut perf, mut pairs) = (PerfResult::default(), Pairs::new(12, how, None));
        let one = |value| Series::of(&[Sample { value, step: None }]).written_to(resolution);
        for _ in 0..2 {
            pairs
                .push(&mut perf, PairOrder::BaseFirst, &one(60.0), &one(61.0))
                .unwrap();
        }
        rule.evaluate(&pairs.evidence(None)).interval_pct.unwrap()
    };
    let [low, high] = gain(Some(0.1));
    assert!(low > 1.4 && high < 1.9, "{low} to {high}");
    let [low, high] = gain(None);
    assert!(low < 0.1 && high > 3.2, "{low} to {high}");
}

#[test]
fn an_earlier_result_goes_on_where_it_stopped() {
    let mut perf = PerfResult::default();
    let mut pairs = Pairs::new(2, Reduction::default(), None);
    pairs
        .push(
            &mut perf,
            PairOrder::Unknown,
            &series(100.0, 40),
            &series(98.0, 40),
        )
        .unwrap();
    let rule = Rule::new(-2.0, Direction::Higher, None, Some(2)).unwrap();
    pairs.record(&mut perf, &rule.evaluate(&pairs.evidence(None)));
    let resumed = Pairs::resumed(&perf, 2, Reduction::default()).unwrap();
    assert_eq!(resumed.len(), 1);
    assert!(resumed.evidence(None).continued);
    let [before, after] = [&pairs, &resumed].map(|p| p.evidence(None).pairs[0]);
    assert!((before.total_ratio() - after.total_ratio()).abs() < 1e-12);
    perf.pairs[0].baseline_total = None;
    assert!(Pairs::resumed(&perf, 2, Reduction::default()).is_none());
}
