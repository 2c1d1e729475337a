//! What is kept of a measurement, and what is refused.

use proptest::prelude::*;

use super::*;

fn plain(values: &[f64]) -> Vec<Sample> {
    values
        .iter()
        .map(|v| Sample {
            value: *v,
            step: None,
        })
        .collect()
}

fn at(steps: &[u64], values: &[f64]) -> Vec<Sample> {
    steps
        .iter()
        .zip(values)
        .map(|(s, v)| Sample {
            value: *v,
            step: Some(*s),
        })
        .collect()
}

fn reduced(samples: &[Sample], how: Reduction) -> Result<Measurement, UnusableSamples> {
    Series::of(samples).reduce(how)
}

fn median(measurement: &Measurement) -> f64 {
    measurement.figures(Estimator::Median).unwrap().estimate.exp()
}

#[test]
fn warm_up_is_five_steps_or_quarter() {
    let twenty: Vec<f64> = (0..20).map(|i| if i < 5 { 10.0 } else { 100.0 }).collect();
    let measurement = reduced(&plain(&twenty), Reduction::default()).unwrap();
    assert_eq!(measurement.kept.len(), 15);
    assert!((median(&measurement) - 100.0).abs() < 1e-9);
    let forty = reduced(&plain(&[100.0; 40]), Reduction::default()).unwrap();
    assert_eq!(forty.kept.len(), 30);
}

#[test]
fn windows_lose_only_their_first_line() {
    let log = at(&[1, 10, 20, 30], &[50.0, 100.0, 102.0, 101.0]);
    let measurement = reduced(&log, Reduction::default()).unwrap();
    assert!(measurement.windows);
    assert_eq!(measurement.kept, [100.0, 102.0, 101.0]);
    let short = reduced(&log[..3], Reduction::default());
    assert_eq!(short, Err(UnusableSamples::TooFew { have: 2, need: 3 }));
    assert!(
        reduced(
            &log[..3],
            Reduction {
                threshold: true,
                ..Reduction::default()
            }
        )
        .is_ok()
    );
}

#[test]
fn the_registry_may_fix_the_warm_up() {
    let warmup = Reduction {
        warmup_steps: Some(2),
        ..Reduction::default()
    };
    assert_eq!(reduced(&plain(&[7.0; 12]), warmup).unwrap().kept.len(), 10);
    let steps: Vec<u64> = (1..=12).collect();
    assert_eq!(reduced(&at(&steps, &[7.0; 12]), warmup).unwrap().kept.len(), 10);
}

#[test]
fn interleaved_ranks_are_one_value_a_step() {
    let log: Vec<Sample> = (1..=16u64)
        .flat_map(|s| [90.0, 110.0].map(|value| Sample { value, step: Some(s) }))
        .collect();
    let measurement = reduced(&log, Reduction::default()).unwrap();
    assert_eq!(measurement.kept, [100.0; 11]);
    assert!(!measurement.windows);
}

#[test]
fn stall_changes_total_and_not_median() {
    let mut values = [100.0; 20];
    values[12] = 5.0;
    let measurement = reduced(&plain(&values), Reduction::default()).unwrap();
    assert!((median(&measurement) - 100.0).abs() < 1e-9);
    assert!(measurement.total.exp() < 50.0, "{}", measurement.total);
}

#[test]
fn what_is_no_throughput_is_refused() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut values = [100.0; 20];
        values[15] = bad;
        assert_eq!(
            reduced(&plain(&values), Reduction::default()),
            Err(UnusableSamples::NotANumber)
        );
        values[15] = 100.0;
        values[1] = bad;
        assert!(
            reduced(&plain(&values), Reduction::default()).is_ok(),
            "in the warm-up it does not count"
        );
    }
    for few in [0, 1, 14] {
        assert!(matches!(
            reduced(&plain(&vec![1.0; few]), Reduction::default()),
            Err(UnusableSamples::TooFew { .. })
        ));
    }
}

#[test]
fn a_drift_is_seen_and_noise_is_not() {
    let wiggle = |i: usize| 1.0 + 0.02 * ((i * 7919 % 13) as f64 / 13.0 - 0.5);
    let level: Vec<f64> = (0..40).map(|i| 100.0 * wiggle(i)).collect();
    assert!(reduced(&plain(&level), Reduction::default()).unwrap().steady);
    let falling: Vec<f64> = (0..40)
        .map(|i| 100.0 * wiggle(i) * (1.0 - 0.002 * i as f64))
        .collect();
    assert!(!reduced(&plain(&falling), Reduction::default()).unwrap().steady);
}

#[test]
fn the_longer_log_of_a_pair_is_trimmed() {
    let of = |n: usize| Series::of(&plain(&(0..n).map(|i| 100.0 + i as f64).collect::<Vec<_>>()));
    let [base, change] = reduce_pair(&of(40), &of(27), Reduction::default()).unwrap();
    assert_eq!(base.kept, change.kept);
    assert_eq!(base.kept.len(), 20);
    let few = reduce_pair(&of(40), &of(14), Reduction::default());
    assert!(matches!(few, Err(UnusableSamples::TooFew { .. })));
    let windows = Series::of(&at(&[10, 20, 30, 40], &[1.0; 4]));
    assert_eq!(
        reduce_pair(&of(40), &windows, Reduction::default()),
        Err(UnusableSamples::TooFew { have: 0, need: 10 })
    );
}

/// `--warmup-steps 0` keeps everything, also where the trainer counts from 0.
#[test]
fn warm_up_of_no_steps_keeps_first() {
    let none = Reduction {
        warmup_steps: Some(0),
        ..Reduction::default()
    };
    let two = Reduction {
        warmup_steps: Some(2),
        ..Reduction::default()
    };
    for first in [0, 1] {
        let steps: Vec<u64> = (first..first + 12).collect();
        let log = at(&steps, &[7.0; 12]);
        assert_eq!(reduced(&log, none).unwrap().kept.len(), 12, "{first}");
        assert_eq!(reduced(&log, two).unwrap().kept.len(), 10, "{first}");
    }
}

#[test]
fn times_are_summed_and_rates_are_not() {
    let mut values = [100.0; 20];
    values[12] = 800.0;
    let total = |direction| {
        let how = Reduction {
            direction,
            ..Reduction::default()
        };
        reduced(&plain(&values), how).unwrap().total.exp()
    };
    assert!((total(Direction::Lower) - 2200.0 / 15.0).abs() < 1e-9);
    assert!(total(Direction::Higher) < 107.0);
}

#[test]
fn the_estimator_follows_the_baseline() {
    let of = |f: &dyn Fn(usize) -> f64| {
        let values: Vec<f64> = (0..40).map(f).collect();
        let measurement = reduced(&plain(&values), Reduction::default()).unwrap();
        choose_estimator(&[&measurement], Direction::Higher)
    };
    let wiggle = |i: usize| ((i * 7919) % 41) as f64 / 41.0;
    assert_eq!(of(&|i| 100.0 + wiggle(i)), Estimator::Median);
    assert_eq!(
        of(&|i| 100.0 + (2.0 * wiggle(i)).round()),
        Estimator::Total,
        "coarse"
    );
    assert_eq!(
        of(&|i| 100.0 + 20.0 * (i % 2) as f64 + wiggle(i)),
        Estimator::Total,
        "alternating"
    );
    let stall = |i: usize, every: usize| if i.is_multiple_of(every) { 10.0 } else { 100.0 };
    assert_eq!(
        of(&|i| stall(i, 15)),
        Estimator::MiddleHalf,
        "coarse with few stalls"
    );
    assert_eq!(of(&|i| stall(i, 5)), Estimator::Median, "many stalls");
}

/// A workload that always drifts costs one discarded measurement, not one for each.
#[test]
fn drift_of_workload_itself_is_not_replaced() {
    let drifting = Series::of(&plain(
        &(0..40)
            .map(|i| 100.0 - 0.3 * i as f64 + ((i * 7919) % 13) as f64 / 26.0)
            .collect::<Vec<_>>(),
    ));
    let mut screening = Screening::default();
    let how = Reduction::default();
    assert_eq!(
        screening.check(&drifting, how, false),
        Ok(Some(Interference::Drift))
    );
    assert_eq!(screening.check(&drifting, how, true), Ok(None));
    assert_eq!(screening.check(&drifting, how, false), Ok(None));
    assert_eq!(screening.unsteady, 2);
}

#[test]
fn a_short_log_is_discarded_once() {
    let of = |n: usize| Series::of(&plain(&vec![100.0; n]));
    let mut screening = Screening::default();
    let how = Reduction::default();
    assert_eq!(screening.check(&of(40), how, false), Ok(None));
    assert_eq!(
        screening.check(&of(19), how, false),
        Ok(Some(Interference::Short))
    );
    assert_eq!(screening.check(&of(19), how, true), Ok(None));
    assert_eq!(screening.check(&of(3), how, false), Ok(Some(Interference::Short)));
    assert!(screening.check(&of(3), how, true).is_err());
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_used_is_finite(
        values in prop::collection::vec(stats::tests::any_number(), 0..40),
        steps in prop::option::of(prop::collection::vec(any::<u64>(), 40)),
        warmup in prop::option::of(any::<u32>()),
    ) {
        let samples: Vec<Sample> = values
            .iter()
            .enumerate()
            .map(|(i, v)| Sample { value: *v, step: steps.as_ref().map(|s| s[i]) })
            .collect();
        if let Ok(measurement) = reduced(&samples, Reduction { warmup_steps: warmup, ..Reduction::default() }) {
            prop_assert!(measurement.total.is_finite() && median(&measurement) > 0.0);
        }
    }
}
