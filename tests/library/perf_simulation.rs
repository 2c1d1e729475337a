//! Compares the figures in docs/explanation/performance.md with the simulation of the perf gate's rule, and bounds the error rates.

#[path = "../../examples/perf_sim.rs"]
#[allow(dead_code, reason = "it is a program of its own; the test asks for a part")]
mod perf_sim;

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_simulation_matches_documented_figures() {
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/explanation/performance.md"
    ))
    .unwrap();
    let level = perf_sim::simulate(perf_sim::SEED, 1.0, perf_sim::RUNS);
    let rows = perf_sim::rows(&level);
    assert!(
        page.contains(&rows),
        "docs/explanation/performance.md is out of date: run `cargo run --example perf_sim -- --write docs/explanation/performance.md`\n{rows}"
    );
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_simulated_error_rates_are_bounded() {
    for noise in [0.4, 1.0, 2.0] {
        let [wrong_fail, missed, edge] = perf_sim::simulate(7, noise, 400).worst();
        // 400 comparisons: three standard errors above 5 % are 8.3 %.
        assert!(
            wrong_fail <= 2.0 && missed <= 5.0 && edge <= 8.3,
            "{noise}: {wrong_fail} {missed} {edge}"
        );
    }
}

#[test]
fn documented_simulation_has_nine_rows_per_rule() {
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/explanation/performance.md"
    ))
    .unwrap();
    for rule in [
        "this rule, calibrated",
        "inline runner",
        "Mann–Whitney",
        "bootstrap",
    ] {
        assert_eq!(
            page.lines()
                .filter(|l| l.contains(rule) && l.starts_with("| "))
                .count(),
            9,
            "{rule}"
        );
    }
}
