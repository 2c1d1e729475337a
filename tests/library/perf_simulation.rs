//! The figures of docs/explanation/performance.md come from the simulation, and the rule is good enough.

#[path = "../../examples/perf_sim.rs"]
#[allow(dead_code, reason = "it is a program of its own; the tests use a part")]
mod perf_sim;

use perf_sim::{BUDGETS, MACHINES, Machine, REGRESSIONS, Row};

fn named(name: &str) -> Machine {
    *MACHINES
        .iter()
        .chain(REGRESSIONS)
        .find(|m| m.name == name)
        .unwrap()
}

/// Checks what the issue promises of each row, with three standard errors for chance.
fn good_enough(name: &str, row: &Row) {
    for tally in row.iter().flatten() {
        let runs = tally.runs as f64;
        let at_most = |count: usize, pct: f64, what: &str| {
            let limit = pct + 3.0 * (pct * (100.0 - pct) / runs).sqrt();
            assert!(
                tally.share(count) <= limit,
                "{name}: {what} {:.2} %",
                tally.share(count)
            );
        };
        let edge = if name.starts_with("stored noise") {
            14.0
        } else {
            5.5
        };
        at_most(tally.fails[0], 1.0, "identical code fails");
        at_most(tally.passes[2], 1.0, "twice the budget passes");
        at_most(tally.passes[1], edge, "the edge passes");
        at_most(tally.fails[1], edge, "the edge fails");
    }
}

/// A small part of the table of docs/explanation/performance.md.
#[test]
fn identical_code_passes_and_twice_the_budget_fails() {
    for name in [
        "normal 0.4 %",
        "one outlier of −8 %",
        "values rounded to 3 %",
        "stored noise ×0.3",
    ] {
        good_enough(name, &perf_sim::simulate(&named(name), 120, 7));
    }
    let stalls = perf_sim::simulate(&named("every 8th step ×8"), 60, 7);
    assert!(stalls.iter().flatten().all(|t| t.passes[0] == 0), "stalls pass");
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_every_row_keeps_its_promise() {
    for machine in MACHINES {
        good_enough(machine.name, &perf_sim::simulate(machine, 2000, 7));
    }
}

/// Stalls of the change that cost more than the budget pass in at most 5 %.
#[test]
fn slow_stalls_beyond_budget_seldom_pass() {
    const RUNS: usize = 300;
    let limit = 5.0 + 3.0 * (5.0f64 * 95.0 / RUNS as f64).sqrt();
    for machine in REGRESSIONS {
        let row = perf_sim::simulate(machine, RUNS, 7);
        let beyond = BUDGETS
            .iter()
            .zip(&row)
            .filter(|(budget, _)| machine.cost() < **budget);
        for (budget, tally) in beyond.flat_map(|(budget, both)| both.iter().map(move |t| (budget, t))) {
            let share = tally.share(tally.passes[0]);
            assert!(
                share <= limit,
                "{}: {share:.1} % pass a budget of {budget} %",
                machine.name
            );
        }
    }
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_continued_comparison_keeps_error_rate() {
    let [anew, continued] = perf_sim::asked_again(&named("normal 1 %"), 4000, 7);
    assert!(anew[0] + anew[1] > 12.0, "{anew:?}");
    assert!(continued.iter().all(|pct| *pct <= 6.0), "{continued:?}");
}
