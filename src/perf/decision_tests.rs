//! The decision at its edges: both directions, the budget's two sides, degenerate pairs.

use proptest::prelude::*;

use super::*;

/// At most five pairs, so that the last look is near.
fn rule(budget: f64) -> Rule {
    Rule::new(budget, Direction::Higher, None, Some(5)).unwrap()
}

const QUIET: Option<History> = Some(History { sd: 0.005, pairs: 12 });

#[test]
fn one_quiet_pair_decides_what_is_far_from_the_budget() {
    let same = rule(-10.0).judge(&[0.002], QUIET);
    assert_eq!(same.step, Step::Done(Verdict::Pass, None));
    assert!(same.calibrated);
    let slow = rule(-10.0).judge(&[(0.85f64).ln()], QUIET);
    assert_eq!(slow.step, Step::Done(Verdict::Fail, Some(Reason::OverBudget)));
    assert!((slow.delta_pct.unwrap() + 15.0).abs() < 1e-9);
}

#[test]
fn without_history_three_pairs_come_first() {
    for n in 1..3 {
        assert_eq!(rule(-10.0).judge(&[0.001, -0.001][..n], None).step, Step::Another);
    }
    let three = rule(-10.0).judge(&[0.001, -0.001, 0.0], None);
    assert_eq!(three.step, Step::Done(Verdict::Pass, None));
    assert!(!three.calibrated);
}

#[test]
fn a_loss_near_the_budget_asks_for_more_and_ends_inconclusive() {
    let d = [-0.02, -0.024, -0.017, -0.022];
    let four = rule(-2.0).judge(&d, QUIET);
    assert_eq!(four.step, Step::Another);
    let five = rule(-2.0).judge(&[-0.02, -0.024, -0.017, -0.022, -0.019], QUIET);
    assert_eq!(five.step, Step::Done(Verdict::Inconclusive, Some(Reason::Noisy)));
    assert!(five.more_pairs.is_none_or(|more| more > 5));
    let nearer = rule(-3.0).judge(&[-0.012, -0.035, -0.01, -0.03, -0.015], None);
    assert_eq!(
        nearer.step,
        Step::Done(Verdict::Inconclusive, Some(Reason::Noisy))
    );
    let more = nearer.more_pairs.unwrap();
    assert!((1..100).contains(&more), "{more}");
}

#[test]
fn a_real_loss_inside_the_budget_is_named() {
    let judged = rule(-10.0).judge(&[-0.03, -0.032, -0.029], QUIET);
    assert_eq!(judged.step, Step::Done(Verdict::Pass, None));
    assert!(judged.regression_inside_budget);
    let tiny = rule(-10.0).judge(
        &[-0.005, -0.0052, -0.0049],
        Some(History {
            sd: 0.0005,
            pairs: 20,
        }),
    );
    assert!(!tiny.regression_inside_budget, "below the smallest effect");
}

#[test]
fn lower_is_better_mirrors_the_verdict() {
    let rule = |budget| Rule::new(budget, Direction::Lower, None, None).unwrap();
    let slower = (1.15f64).ln();
    assert_eq!(
        rule(-10.0).judge(&[slower], QUIET).step,
        Step::Done(Verdict::Fail, Some(Reason::OverBudget))
    );
    let faster = rule(-10.0).judge(&[-slower], QUIET);
    assert_eq!(faster.step, Step::Done(Verdict::Pass, None));
    assert!(faster.delta_pct.unwrap() < 0.0, "the change keeps its own sign");
    let [low, high] = faster.interval_pct.unwrap();
    assert!(low < faster.delta_pct.unwrap() && faster.delta_pct.unwrap() < high);
    let loss = rule(-10.0).judge(&[0.03, 0.032], QUIET);
    assert!(loss.regression_inside_budget);
    // At most 10 % worse is +10 % of a latency, not 1/0.9.
    assert!((rule(-10.0).edge_pct() - 10.0).abs() < 1e-12);
}

#[test]
fn a_positive_budget_asks_for_a_gain() {
    assert_eq!(
        rule(5.0).judge(&[0.1], QUIET).step,
        Step::Done(Verdict::Pass, None)
    );
    assert_eq!(
        rule(5.0).judge(&[0.0], QUIET).step,
        Step::Done(Verdict::Fail, Some(Reason::OverBudget))
    );
}

#[test]
fn the_threshold_mode_is_the_incumbents() {
    let rule = Rule::new(-10.0, Direction::Higher, Some(1), Some(5)).unwrap();
    assert_eq!(rule.method(), PerfMethod::Threshold);
    let exactly = rule.judge(&[(0.9f64).ln()], None);
    assert_eq!(exactly.step, Step::Done(Verdict::Pass, None));
    assert_eq!(exactly.interval_pct, None);
    assert_eq!(
        rule.judge(&[(0.899f64).ln()], None).step,
        Step::Done(Verdict::Fail, Some(Reason::OverBudget))
    );
    assert_eq!(rule.judge(&[], None).step, Step::Another);
}

#[test]
fn budgets_that_mean_nothing_are_refused() {
    for budget in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -100.0, -101.0, 100.0] {
        assert!(
            Rule::new(budget, Direction::Higher, None, None).is_err(),
            "{budget}"
        );
    }
}

#[test]
fn more_looks_are_each_held_to_less() {
    let alpha = |most, pairs| {
        Rule::new(-10.0, Direction::Higher, None, most)
            .unwrap()
            .alpha(pairs)
    };
    assert_eq!(alpha(None, MAX_PAIRS), ALPHA);
    assert_eq!(alpha(None, 1), EARLY_ALPHA);
    assert_eq!(alpha(Some(3), 1), EARLY_ALPHA);
    assert_eq!(alpha(Some(2 * MAX_PAIRS), 1), EARLY_ALPHA / 2.0);
}

#[test]
fn constant_pairs_never_pass_without_history() {
    let judged = rule(-10.0).judge(&[0.0; 5], None);
    assert_eq!(
        judged.step,
        Step::Done(Verdict::Inconclusive, Some(Reason::Noisy))
    );
}

proptest! {
    #[test]
    fn degenerate_pairs_never_panic_and_never_pass(
        mut pairs in prop::collection::vec(stats::tests::any_number(), 0..7),
        at in any::<prop::sample::Index>(),
        bad in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        sd in stats::tests::any_number(),
        budget in stats::tests::any_number(),
        mode in prop::option::of(0u32..4),
    ) {
        let Ok(rule) = Rule::new(budget, Direction::Higher, mode, None) else { return Ok(()) };
        let history = Some(History { sd, pairs: 3 });
        let _ = rule.judge(&pairs, history);
        let i = if pairs.is_empty() { 0 } else { at.index(pairs.len()) };
        pairs.insert(i, bad);
        let judged = rule.judge(&pairs, history);
        prop_assert!(matches!(judged.step, Step::Done(Verdict::Invalid, _)), "{judged:?}");
    }

    #[test]
    fn a_pass_is_never_below_the_budget_and_a_fail_never_above(
        pairs in prop::collection::vec(-0.2..0.2f64, 1..6),
        sd in 0.0001..0.05f64,
        budget in -20.0..5.0f64,
    ) {
        let judged = Rule::new(budget, Direction::Higher, None, None).unwrap().judge(&pairs, Some(History { sd, pairs: 8 }));
        match judged.step {
            Step::Done(Verdict::Pass, _) => prop_assert!(judged.delta_pct.unwrap() >= budget),
            Step::Done(Verdict::Fail, _) => prop_assert!(judged.delta_pct.unwrap() < budget),
            _ => {}
        }
    }
}
