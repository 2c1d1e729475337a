//! The statistics on numbers that are known, and on invalid numbers.

use proptest::prelude::*;

use super::*;

/// Any double at all, hostile ones often.
pub fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => proptest::num::f64::ANY,
        4 => -1.0..1.0f64,
        1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE]),
    ]
}

#[test]
fn quantiles_are_those_of_the_tables() {
    for (p, dof, known) in [
        (0.975, 1.0, 12.706_204_736_174_7),
        (0.975, 10.0, 2.228_138_851_964_94),
        (0.98, 4.0, 2.998_527_872_514_12),
        (0.98, 1.0, 15.894_544_843_865_3),
        (0.02, 4.0, -2.998_527_872_514_12),
        (0.5, 3.0, 0.0),
    ] {
        let found = t_quantile(p, dof).unwrap();
        assert!((found - known).abs() < 1e-9, "{p} {dof}: {found}");
    }
    assert_eq!(t_quantile(1.0, 3.0), None);
    assert_eq!(t_quantile(0.9, 0.0), None);
    assert_eq!(t_quantile(f64::NAN, 3.0), None);
}

fn history(sd: f64, pairs: u32) -> Option<History> {
    Some(History {
        sd,
        pairs,
        estimator: Estimator::Median,
    })
}

/// The estimate of pairs that count alike.
fn of(base: &[f64], change: &[f64], stored: Option<History>) -> Option<Estimate> {
    let weights = vec![1.0 / base.len() as f64; base.len()];
    let sides = Sides {
        base,
        change,
        weights: &weights,
    };
    estimate(&sides, stored)
}

#[test]
fn live_and_stored_variance_are_combined() {
    // Each side varies by 0.02/√2, so a pair varies by 0.02.
    let side = |mean: f64| [mean - 0.01 * 2f64.sqrt(), mean, mean + 0.01 * 2f64.sqrt()];
    let e = of(&side(0.0), &side(0.01), history(0.02, 10)).unwrap();
    assert!((e.mean - 0.01).abs() < 1e-15);
    assert!((e.sd - 0.02).abs() < 1e-12, "both are 0.02: {}", e.sd);
    assert!((e.dof - 14.0).abs() < 1e-12);
    assert!(e.calibrated && !e.history_dropped);
}

#[test]
fn stored_noise_far_below_the_live_is_dropped() {
    let e = of(&[-0.05, 0.05], &[0.05, -0.05], history(0.001, 10)).unwrap();
    assert!(!e.calibrated && e.history_dropped);
    assert!((e.dof - 2.0).abs() < 1e-12);
}

#[test]
fn no_variance_is_no_estimate() {
    assert_eq!(of(&[0.1, 0.1, 0.1], &[0.3, 0.3, 0.3], None), None);
    assert_eq!(of(&[0.0], &[0.01], None), None);
    assert_eq!(of(&[], &[], history(0.01, 5)), None);
    assert!(of(&[0.0], &[0.01], history(0.01, 5)).is_some());
}

#[test]
fn the_smallest_visible_loss_shrinks_with_pairs() {
    let stored = noise(&[0.01, -0.012, 0.008, -0.009, 0.011, -0.01], Estimator::Median).unwrap();
    let seen: Vec<f64> = (1..6)
        .map(|n| smallest_visible(stored, n, 0.02, 0.8).unwrap())
        .collect();
    assert!(seen.windows(2).all(|w| w[0] < w[1] && w[1] < 0.0), "{seen:?}");
    assert_eq!(noise(&[0.0, 0.0], Estimator::Median), None);
    assert_eq!(noise(&[0.01], Estimator::Median), None);
}

/// Found by chance: the F distribution panicked.
#[test]
fn huge_variance_drops_stored_noise() {
    let mut change = [0.0; 8];
    change[2] = -4.765639115500264e153;
    let stored = History {
        sd: 0.3573324577619933,
        pairs: 1,
        estimator: Estimator::Median,
    };
    assert!(of(&[0.0; 8], &change, Some(stored)).unwrap().history_dropped);
}

proptest! {
    #[test]
    fn nothing_panics_and_an_estimate_is_finite(
        base in prop::collection::vec(any_number(), 0..8),
        change in prop::collection::vec(any_number(), 8),
        sd in any_number(),
        pairs in any::<u32>(),
        alpha in any_number(),
    ) {
        let _ = (median(&base), middle_half(&base), noise(&base, Estimator::Median));
        let stored = History { sd, pairs, estimator: Estimator::Median };
        let _ = smallest_visible(stored, pairs, alpha, 0.8);
        if let Some(e) = of(&base, &change[..base.len()], Some(stored)) {
            prop_assert!(e.sd > 0.0 && e.dof > 0.0 && e.effective > 0.0);
            let _ = e.likely_clear(0.0, pairs % 50, 0.02, 0.8);
            if let Some([low, high]) = e.interval(alpha.abs() % 0.5) {
                prop_assert!(low <= high || !e.mean.is_finite());
            }
        }
    }
}
