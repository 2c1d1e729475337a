//! Tests of the comparison of series.

use super::*;
use crate::domain::numeric::NumericResult;

fn may_pass(declared: Numerics, series: &[SeriesComparison]) -> bool {
    let result = NumericResult {
        declared,
        series: series.to_vec(),
        runs: [2, 1],
        ..NumericResult::default()
    };
    result.may_pass()
}

const EXACT: Terms = Terms {
    declared: Numerics::Identical,
    tolerance: None,
    resumed: false,
};

fn track(values: &[f64]) -> Track {
    let samples: Vec<Sample> = values
        .iter()
        .enumerate()
        .map(|(i, value)| Sample {
            value: *value,
            step: Some(i as u64 + 1),
        })
        .collect();
    Track::of(&samples, None)
}

fn losses(steps: u32, error: impl Fn(u32) -> f64) -> Track {
    let values: Vec<f64> = (1..=steps).map(|s| 3.0 / f64::from(s) + error(s)).collect();
    track(&values)
}

/// Numbers between −1 and 1 that look random and are equal in every repetition of the test.
fn wiggle(n: u32) -> f64 {
    let mut z = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

#[test]
fn deterministic_base_demands_equality() {
    let base = [losses(20, |_| 0.0), losses(20, |_| 0.0)];
    let same = compare("loss", &base, &base[..1], false, &EXACT).unwrap();
    assert_eq!(
        (same.agreement, same.first_step, same.steps),
        (Agreement::Equal, None, 20)
    );
    assert!(may_pass(Numerics::Identical, &[same]));
    let other = [losses(20, |s| if s >= 7 { 1e-6 } else { 0.0 })];
    let found = compare("loss", &base, &other, false, &EXACT).unwrap();
    assert_eq!((found.agreement, found.first_step), (Agreement::Differs, Some(7)));
    for (declared, expected) in [
        (Numerics::Identical, false),
        (Numerics::Within, false),
        (Numerics::Changes, true),
    ] {
        assert_eq!(may_pass(declared, std::slice::from_ref(&found)), expected);
    }
}

#[test]
fn declared_tolerance_is_relative() {
    let base = [losses(20, |_| 0.0), losses(20, |_| 0.0)];
    let other = [losses(20, |s| if s >= 7 { 1e-6 } else { 0.0 })];
    let within = |tolerance| Terms {
        declared: Numerics::Within,
        tolerance: Some(tolerance),
        ..EXACT
    };
    let close = compare("loss", &base, &other, false, &within(1e-5)).unwrap();
    assert_eq!((close.agreement, close.first_step), (Agreement::Within, Some(7)));
    let far = compare("loss", &base, &other, false, &within(1e-6)).unwrap();
    // 3 / 7 × 1e-6 < 1e-6, and so are all later steps.
    assert_eq!((far.agreement, far.first_step), (Agreement::Differs, Some(7)));
}

#[test]
fn missing_step_and_nan_never_pass() {
    let base = [losses(20, |_| 0.0), losses(20, |_| 0.0)];
    let short = compare("loss", &base, &[losses(19, |_| 0.0)], false, &EXACT).unwrap();
    assert_eq!(
        (short.agreement, short.first_step, short.change),
        (Agreement::Differs, Some(20), None)
    );
    assert_eq!(short.missing_step, Some(20));
    assert!(!may_pass(Numerics::Changes, &[short]));
    // Steps that only the change prints.
    let long = compare("loss", &base, &[losses(21, |_| 0.0)], false, &EXACT).unwrap();
    assert_eq!(long.missing_step, Some(21));
    assert!(!may_pass(Numerics::Changes, &[long]));
    let none = compare("loss", &base, &[track(&[])], false, &EXACT).unwrap();
    assert_eq!((none.agreement, none.first_step), (Agreement::Differs, Some(1)));
    let nan = compare(
        "loss",
        &base,
        &[losses(20, |s| if s == 9 { f64::NAN } else { 0.0 })],
        false,
        &EXACT,
    );
    let nan = nan.unwrap();
    assert_eq!((nan.agreement, nan.first_step), (Agreement::NotFinite, Some(9)));
    assert!(!may_pass(Numerics::Changes, &[nan]));
    assert_eq!(compare("loss", &[track(&[])], &base[..1], false, &EXACT), None);
    assert!(!may_pass(Numerics::Changes, &[]));
    let both = [losses(3, |_| f64::NAN), losses(3, |_| f64::NAN)];
    let equal = compare("loss", &both, &both[..1], false, &EXACT).unwrap();
    assert_eq!(equal.agreement, Agreement::Equal);
}

/// The change may do at a step what some runs of the base do there.
#[test]
fn unsteady_finiteness_of_base_is_not_blamed() {
    let noise = |n: u32| move |s: u32| 1e-6 * wiggle(100 * n + s);
    let nan_at_9 = |n: u32| losses(20, move |s| if s == 9 { f64::NAN } else { noise(n)(s) });
    let base = [
        nan_at_9(1),
        losses(20, noise(2)),
        losses(20, noise(3)),
        losses(20, noise(4)),
    ];
    for change in [losses(20, noise(5)), nan_at_9(6)] {
        let seen = compare("loss", &base, &[change], true, &EXACT).unwrap();
        assert_eq!(seen.agreement, Agreement::Within, "{seen:?}");
        assert_eq!(seen.base_first_step, Some(1));
    }
    let shifted = losses(20, |s| if s == 9 { 1.0 } else { noise(7)(s) });
    let seen = compare("loss", &base, &[shifted], true, &EXACT).unwrap();
    assert_eq!((seen.agreement, seen.first_step), (Agreement::Differs, Some(9)));
    // Some runs of the base lost the last line.
    let base = [
        losses(20, noise(1)),
        losses(19, noise(2)),
        losses(20, noise(3)),
        losses(19, noise(4)),
    ];
    for (last, agreement) in [
        (19, Agreement::Within),
        (20, Agreement::Within),
        (18, Agreement::Differs),
    ] {
        let seen = compare("loss", &base, &[losses(last, noise(5))], true, &EXACT).unwrap();
        assert_eq!(seen.agreement, agreement, "{last}: {seen:?}");
    }
}

/// Runs that diverge as rounding errors do: a small difference that grows with each step.
#[test]
fn tolerance_of_noisy_base_is_its_spread() {
    let run = |seed: u32| {
        losses(40, move |s| {
            1e-7 * wiggle(seed * 97 + s / 4) * 1.1f64.powf(f64::from(s))
        })
    };
    let mut false_alarms = 0;
    for seed in 0..200 {
        let base: Vec<Track> = (0..4).map(|i| run(seed * 10 + i)).collect();
        let change = [run(seed * 10 + 5)];
        assert!(first_difference_within(&base).is_some());
        let same = compare("loss", &base, &change, true, &EXACT).unwrap();
        false_alarms += u32::from(same.agreement == Agreement::Differs);
        let off = [losses(40, |s| if s >= 12 { 1e-4 } else { 0.0 })];
        let found = compare("loss", &base, &off, true, &EXACT).unwrap();
        assert_eq!(
            (found.agreement, found.first_step),
            (Agreement::Differs, Some(12)),
            "{seed}"
        );
    }
    assert!(false_alarms <= 2, "{false_alarms} of 200");
}

/// In a noisy base, a series that did not vary may still be printed one unit higher or lower.
#[test]
fn noisy_base_allows_one_printed_unit() {
    let printed = |values: &[f64]| Track {
        resolution: Some(0.01),
        ..track(values)
    };
    let base = vec![printed(&[2.5, 2.25]); 4];
    let near = compare("loss", &base, &[printed(&[2.5, 2.26])], true, &EXACT).unwrap();
    assert_eq!(near.agreement, Agreement::Within);
    let far = compare("loss", &base, &[printed(&[2.5, 2.28])], true, &EXACT).unwrap();
    assert_eq!(far.agreement, Agreement::Differs);
}

#[test]
fn order_of_ranks_does_not_matter() {
    let ranks = |order: &[f64]| {
        let samples: Vec<Sample> = order
            .iter()
            .map(|value| Sample {
                value: *value,
                step: Some(1),
            })
            .collect();
        Track::of(&samples, None)
    };
    let base = [ranks(&[0.1, 0.2, 0.3]), ranks(&[0.3, 0.1, 0.2])];
    assert_eq!(first_difference_within(&base), None);
    let change = [ranks(&[0.2, 0.3, 0.1])];
    let same = compare("loss", &base, &change, false, &EXACT).unwrap();
    assert_eq!(same.agreement, Agreement::Equal);
}

#[test]
fn resumed_run_is_compared_from_its_first_step() {
    let straight = [losses(20, |_| 0.0), losses(20, |_| 0.0)];
    let resumed = Terms {
        resumed: true,
        ..EXACT
    };
    let part = |error: f64| {
        // Steps 9 and 10 are printed before the stop and again after the resume.
        let samples: Vec<Sample> = (9..=10u32)
            .chain(9..=20)
            .enumerate()
            .map(|(nth, step)| Sample {
                value: 3.0 / f64::from(step) + if nth > 4 { error } else { 0.0 },
                step: Some(u64::from(step)),
            })
            .collect();
        [Track::of(&samples, None)]
    };
    let same = compare("loss", &straight, &part(0.0), false, &resumed).unwrap();
    assert_eq!((same.agreement, same.steps), (Agreement::Equal, 12));
    let broken = compare("loss", &straight, &part(1e-9), false, &resumed).unwrap();
    assert_eq!(
        (broken.agreement, broken.first_step),
        (Agreement::Differs, Some(12))
    );
}
