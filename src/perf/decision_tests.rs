//! The decision at its edges: both directions, the budget's two sides, degenerate pairs.

use proptest::prelude::*;

use super::*;
use crate::domain::noise::Estimator;
use crate::perf::dice::Dice;

/// At most five pairs, so that the last look is near.
fn rule(budget: f64) -> Rule {
    Rule::new(budget, Direction::Higher, None, Some(5)).unwrap()
}

const QUIET: Option<History> = Some(History {
    sd: 0.005,
    pairs: 12,
    estimator: Estimator::Median,
});

fn figures(estimate: f64) -> Figures {
    Figures {
        estimate,
        total: estimate,
        early_stall: false,
    }
}

/// Pairs with these log ratios, in the order AB BA AB …
fn pairs(log_ratios: &[f64]) -> Vec<Pair> {
    log_ratios
        .iter()
        .enumerate()
        .map(|(i, d)| Pair {
            order: if i % 2 == 0 {
                PairOrder::BaseFirst
            } else {
                PairOrder::ChangeFirst
            },
            base: figures(-d / 2.0),
            change: figures(d / 2.0),
        })
        .collect()
}

/// A look at these pairs, after a warm-up pair that agrees with the first.
fn look(rule: &Rule, log_ratios: &[f64], stored: Option<History>) -> Decision {
    let pairs = pairs(log_ratios);
    rule.evaluate(&Evidence {
        pairs: &pairs,
        warm_up: pairs.first().copied(),
        stored,
        ..Evidence::default()
    })
}

#[test]
fn one_quiet_pair_decides_large_changes() {
    let same = look(&rule(-10.0), &[0.002], QUIET);
    assert_eq!(same.step, Step::Done(Verdict::Pass, None));
    assert!(same.calibrated);
    let slow = look(&rule(-10.0), &[(0.85f64).ln()], QUIET);
    assert_eq!(slow.step, Step::Done(Verdict::Fail, Some(Reason::OverBudget)));
    assert!((slow.delta_pct.unwrap() + 15.0).abs() < 1e-9);
}

/// An outlier in the first pair must not decide by stored noise that does not know it.
#[test]
fn one_pair_decides_if_warm_up_agrees() {
    let first = pairs(&[(0.85f64).ln()]);
    for (warm_up, decides) in [(Some(-0.16), true), (Some(0.0), false), (None, false)] {
        let warm_up = warm_up.map(|d| pairs(&[d])[0]);
        let judged = rule(-10.0).evaluate(&Evidence {
            pairs: &first,
            warm_up,
            stored: QUIET,
            ..Evidence::default()
        });
        assert_eq!(judged.step != Step::Another, decides, "{warm_up:?}");
    }
}

#[test]
fn without_stored_noise_two_pairs_come_first() {
    assert_eq!(look(&rule(-10.0), &[0.001], None).step, Step::Another);
    let two = look(&rule(-10.0), &[0.001, -0.001], None);
    assert_eq!(two.step, Step::Done(Verdict::Pass, None));
    assert!(!two.calibrated);
}

#[test]
fn a_loss_near_the_budget_ends_inconclusive() {
    let d = [-0.02, -0.024, -0.017, -0.022, -0.019];
    assert_eq!(look(&rule(-2.0), &d[..4], QUIET).step, Step::Another);
    let five = look(&rule(-2.0), &d, QUIET);
    assert_eq!(five.step, Step::Done(Verdict::Inconclusive, Some(Reason::Noisy)));
    assert_eq!(
        five.more_pairs, None,
        "no number of pairs is likely to decide at the edge"
    );
    assert_eq!(five.confidence_pct, Some(96.0));
    let nearer = look(&rule(-3.0), &[-0.004, -0.006, -0.034, -0.036, -0.015], None);
    assert_eq!(
        nearer.step,
        Step::Done(Verdict::Inconclusive, Some(Reason::Noisy))
    );
    let more = nearer.more_pairs.unwrap();
    assert!((1..=FORESIGHT).contains(&more), "{more}");
}

/// The advice is right in four of five cases, as the page says. The pairs so far are kept, and as many as named are added.
#[test]
fn named_further_pairs_decide_most_comparisons() {
    let mut dice = Dice(11);
    let (mut named, mut decided) = (0u32, 0u32);
    for loss in [0.0, -0.01, -0.04] {
        for _ in 0..1500 {
            let mut ratios: Vec<f64> = (0..5).map(|_| loss + 0.014 * dice.normal()).collect();
            let open = look(&rule(-2.0), &ratios, None);
            let Some(more) = open.more_pairs else {
                continue;
            };
            assert!(!matches!(open.step, Step::Done(Verdict::Pass | Verdict::Fail, _)));
            named += 1;
            ratios.extend((0..more).map(|_| loss + 0.014 * dice.normal()));
            let all = pairs(&ratios);
            let most = Some(u32::try_from(all.len()).unwrap());
            let rule = Rule::new(-2.0, Direction::Higher, None, most).unwrap();
            let judged = rule.evaluate(&Evidence {
                pairs: &all,
                continued: true,
                ..Evidence::default()
            });
            decided += u32::from(matches!(
                judged.step,
                Step::Done(Verdict::Pass | Verdict::Fail, _)
            ));
        }
    }
    assert!(named > 500, "{named} named");
    assert!(decided * 100 >= named * 75, "{decided} of {named} decided");
}

#[test]
fn a_real_loss_inside_the_budget_is_named() {
    let judged = look(&rule(-10.0), &[-0.03, -0.032, -0.029], QUIET);
    assert_eq!(judged.step, Step::Done(Verdict::Pass, None));
    assert!(judged.regression_inside_budget);
    let finer = Some(History {
        sd: 0.0005,
        pairs: 20,
        estimator: Estimator::Median,
    });
    let tiny = look(&rule(-10.0), &[-0.005, -0.0052, -0.0049], finer);
    assert!(!tiny.regression_inside_budget, "below the smallest effect");
}

#[test]
fn lower_is_better_mirrors_the_verdict() {
    let rule = Rule::new(-10.0, Direction::Lower, None, None).unwrap();
    let slower = (1.15f64).ln();
    let over = Step::Done(Verdict::Fail, Some(Reason::OverBudget));
    assert_eq!(look(&rule, &[slower], QUIET).step, over);
    let faster = look(&rule, &[-slower], QUIET);
    assert_eq!(faster.step, Step::Done(Verdict::Pass, None));
    assert!(faster.delta_pct.unwrap() < 0.0, "the change keeps its own sign");
    let [low, high] = faster.interval_pct.unwrap();
    assert!(low < faster.delta_pct.unwrap() && faster.delta_pct.unwrap() < high);
    assert!(look(&rule, &[0.03, 0.032], QUIET).regression_inside_budget);
    // At most 10 % worse is +10 % of a latency, not 1/0.9.
    assert!((rule.edge_pct() - 10.0).abs() < 1e-12);
}

#[test]
fn a_positive_budget_asks_for_a_gain() {
    assert_eq!(
        look(&rule(5.0), &[0.1], QUIET).step,
        Step::Done(Verdict::Pass, None)
    );
    let none = look(&rule(5.0), &[0.0], QUIET);
    assert_eq!(none.step, Step::Done(Verdict::Fail, Some(Reason::OverBudget)));
}

#[test]
fn threshold_compares_one_pair_with_budget() {
    let rule = Rule::new(-10.0, Direction::Higher, Some(1), Some(5)).unwrap();
    assert_eq!(rule.method(), PerfMethod::Threshold);
    let exactly = look(&rule, &[(0.9f64).ln()], None);
    assert_eq!(exactly.step, Step::Done(Verdict::Pass, None));
    assert_eq!(exactly.interval_pct, None);
    let below = look(&rule, &[(0.899f64).ln()], None);
    assert_eq!(below.step, Step::Done(Verdict::Fail, Some(Reason::OverBudget)));
    assert_eq!(look(&rule, &[], None).step, Step::Another);
}

/// Every eighth step takes eight times as long: the estimate per step is unchanged, the total is not.
#[test]
fn stalls_that_only_the_total_shows_fail() {
    let mut stalled = pairs(&[0.001, -0.001, 0.002]);
    for (i, pair) in stalled.iter_mut().enumerate() {
        pair.change.total -= 0.63 + 0.002 * i as f64;
    }
    let judged = rule(-10.0).evaluate(&Evidence {
        pairs: &stalled,
        ..Evidence::default()
    });
    assert_eq!(judged.step, Step::Done(Verdict::Fail, Some(Reason::TotalTime)));
    assert!(judged.total_delta_pct.unwrap() < -40.0 && judged.delta_pct.unwrap().abs() < 1.0);
}

/// Totals that vary with chance stalls neither fail nor pass a change whose steps are unchanged.
#[test]
fn totals_that_may_stall_end_inconclusive() {
    let mut stalled = pairs(&[0.001, -0.001, 0.002, 0.0, 0.001]);
    for (pair, loss) in stalled.iter_mut().zip([0.3, 0.0, 0.25, 0.1, 0.4]) {
        pair.change.total -= loss;
    }
    let judged = rule(-10.0).evaluate(&Evidence {
        pairs: &stalled,
        ..Evidence::default()
    });
    assert_eq!(
        judged.step,
        Step::Done(Verdict::Inconclusive, Some(Reason::TotalTime))
    );
}

/// A penalty of the second measurement of a pair cancels, also with an odd number of pairs.
#[test]
fn an_order_effect_cancels() {
    let judged = look(&rule(-10.0), &[-0.02, 0.02, -0.02], None);
    assert!(judged.delta_pct.unwrap().abs() < 1e-9);
}

#[test]
fn measurements_that_repeat_exactly_are_compared_exactly() {
    let exact = |log_ratio: f64, unit: f64, budget: f64| {
        let pairs = pairs(&[log_ratio, log_ratio]);
        rule(budget)
            .evaluate(&Evidence {
                pairs: &pairs,
                exact: Some(unit),
                ..Evidence::default()
            })
            .step
    };
    let over = Step::Done(Verdict::Fail, Some(Reason::OverBudget));
    assert_eq!(exact((0.7f64).ln(), 1e-3, -5.0), over);
    assert_eq!(exact((0.98f64).ln(), 1e-4, -2.0), Step::Done(Verdict::Pass, None));
    assert_eq!(exact(0.0, 1e-2, 0.0), Step::Done(Verdict::Pass, None));
    // 8.0 against 8.1 with one decimal may be anything from 0 to −2.5 %.
    let coarse = exact((8.0f64 / 8.1).ln(), 0.0124, -2.0);
    assert_eq!(coarse, Step::Done(Verdict::Inconclusive, Some(Reason::Noisy)));
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
            .alpha(pairs, false)
    };
    assert_eq!(alpha(None, MAX_PAIRS), ALPHA);
    assert_eq!(alpha(None, 1), EARLY_ALPHA);
    assert_eq!(alpha(Some(3), 1), EARLY_ALPHA);
    assert_eq!(alpha(Some(2 * MAX_PAIRS), 1), EARLY_ALPHA / 2.0);
    // The last look was used by the comparison that this one continues.
    assert_eq!(rule(-10.0).alpha(5, true), EARLY_ALPHA);
}

#[test]
fn estimates_without_variance_never_pass() {
    let judged = look(&rule(-10.0), &[0.0; 5], None);
    assert_eq!(
        judged.step,
        Step::Done(Verdict::Inconclusive, Some(Reason::Noisy))
    );
}

proptest! {
    #[test]
    fn degenerate_pairs_never_panic_and_never_pass(
        mut ratios in prop::collection::vec(stats::tests::any_number(), 0..7),
        at in any::<prop::sample::Index>(),
        bad in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        sd in stats::tests::any_number(),
        budget in stats::tests::any_number(),
        mode in prop::option::of(0u32..4),
    ) {
        let Ok(rule) = Rule::new(budget, Direction::Higher, mode, None) else { return Ok(()) };
        let history = Some(History { sd, pairs: 3, estimator: Estimator::Median });
        let _ = look(&rule, &ratios, history);
        let i = if ratios.is_empty() { 0 } else { at.index(ratios.len()) };
        ratios.insert(i, bad);
        let judged = look(&rule, &ratios, history);
        prop_assert!(matches!(judged.step, Step::Done(Verdict::Invalid, _)), "{judged:?}");
    }

    #[test]
    fn verdict_never_contradicts_estimate(
        ratios in prop::collection::vec(-0.2..0.2f64, 1..6),
        sd in 0.0001..0.05f64,
        budget in -20.0..5.0f64,
    ) {
        let rule = Rule::new(budget, Direction::Higher, None, None).unwrap();
        let judged = look(&rule, &ratios, Some(History { sd, pairs: 8, estimator: Estimator::Median }));
        match judged.step {
            Step::Done(Verdict::Pass, _) => prop_assert!(judged.delta_pct.unwrap() >= budget),
            Step::Done(Verdict::Fail, _) => prop_assert!(judged.delta_pct.unwrap() < budget),
            _ => {}
        }
    }
}
