//! What is kept of a launch, and what is refused.

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

#[test]
fn the_warm_up_is_five_steps_or_a_quarter() {
    let twenty: Vec<f64> = (0..20).map(|i| if i < 5 { 10.0 } else { 100.0 }).collect();
    let launch = launch(&plain(&twenty), Warmup::default()).unwrap();
    assert_eq!(launch.kept.len(), 15);
    assert!((launch.median - 100.0).abs() < 1e-9);
    let forty = super::launch(&plain(&[100.0; 40]), Warmup::default()).unwrap();
    assert_eq!(forty.kept.len(), 30);
}

#[test]
fn windows_lose_only_their_first_line() {
    let log = at(&[1, 10, 20, 30], &[50.0, 100.0, 102.0, 101.0]);
    let launch = launch(&log, Warmup::default()).unwrap();
    assert!(launch.windows);
    assert_eq!(launch.kept, [100.0, 102.0, 101.0]);
    let short = super::launch(&log[..3], Warmup::default());
    assert_eq!(short, Err(Unfit::TooFew { have: 2, need: 3 }));
    assert!(
        super::launch(
            &log[..3],
            Warmup {
                steps: None,
                threshold: true
            }
        )
        .is_ok()
    );
}

#[test]
fn the_registry_may_fix_the_warm_up() {
    let warmup = Warmup {
        steps: Some(2),
        threshold: false,
    };
    assert_eq!(launch(&plain(&[7.0; 12]), warmup).unwrap().kept.len(), 10);
    let steps: Vec<u64> = (1..=12).collect();
    assert_eq!(launch(&at(&steps, &[7.0; 12]), warmup).unwrap().kept.len(), 10);
}

#[test]
fn interleaved_ranks_are_one_value_a_step() {
    let log: Vec<Sample> = (1..=16u64)
        .flat_map(|s| [90.0, 110.0].map(|value| Sample { value, step: Some(s) }))
        .collect();
    let launch = launch(&log, Warmup::default()).unwrap();
    assert_eq!(launch.kept, [100.0; 11]);
    assert!(!launch.windows);
}

#[test]
fn a_stall_shows_in_the_total_and_not_in_the_median() {
    let mut values = [100.0; 20];
    values[12] = 5.0;
    let launch = launch(&plain(&values), Warmup::default()).unwrap();
    assert!((launch.median - 100.0).abs() < 1e-9);
    assert!(launch.total < 50.0, "{}", launch.total);
}

#[test]
fn what_is_no_throughput_is_refused() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut values = [100.0; 20];
        values[15] = bad;
        assert_eq!(launch(&plain(&values), Warmup::default()), Err(Unfit::NotANumber));
        values[15] = 100.0;
        values[1] = bad;
        assert!(
            launch(&plain(&values), Warmup::default()).is_ok(),
            "in the warm-up it does not count"
        );
    }
    for few in [0, 1, 14] {
        assert!(matches!(
            launch(&plain(&vec![1.0; few]), Warmup::default()),
            Err(Unfit::TooFew { .. })
        ));
    }
}

#[test]
fn a_drift_is_seen_and_noise_is_not() {
    let wiggle = |i: usize| 1.0 + 0.02 * ((i * 7919 % 13) as f64 / 13.0 - 0.5);
    let level: Vec<f64> = (0..40).map(|i| 100.0 * wiggle(i)).collect();
    assert!(launch(&plain(&level), Warmup::default()).unwrap().steady);
    let falling: Vec<f64> = (0..40)
        .map(|i| 100.0 * wiggle(i) * (1.0 - 0.002 * i as f64))
        .collect();
    assert!(!launch(&plain(&falling), Warmup::default()).unwrap().steady);
}

#[test]
fn arms_of_unequal_length_are_not_alike() {
    let of = |n| launch(&plain(&vec![1.0; n]), Warmup::default()).unwrap();
    assert!(alike(&of(40), &of(40)));
    assert!(!alike(&of(40), &of(20)));
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
        if let Ok(launch) = launch(&samples, Warmup { steps: warmup, threshold: false }) {
            prop_assert!(launch.log.is_finite() && launch.total > 0.0 && launch.median > 0.0);
        }
    }
}
