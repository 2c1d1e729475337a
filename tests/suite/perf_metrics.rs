//! Tests perf gates that compare several metrics of the same measurements.

use crate::driver::{Outcome, Sandbox};
use crate::perf_bench::{Bench, REGISTRY, TRAINER, perf};

/// Runs a comparison in which the change needs more memory and keeps its speed. The log states the peak once.
fn memory(before: &str, after: &str, budget: &str) -> (Bench, Outcome, serde_json::Value) {
    let registry = REGISTRY
        .replace(
            "requires = [\"NMOE_DATA_PATH\", \"NMOE_RUN_ROOT\"]\n",
            "requires = [\"NMOE_DATA_PATH\", \"NMOE_RUN_ROOT\"]\n\
             metrics = [{ name = \"peak_memory_gb\", direction = \"lower\", take = \"max\" }]\n",
        )
        .replace(
            "metric = \"node_tps_p50\"\n",
            &format!(
                "metric = \"node_tps_p50\"\nalso = [{{ metric = \"peak_memory_gb\", budget_pct = {budget} }}]\n"
            ),
        );
    let bench = Bench::from(
        "100000",
        |sandbox| {
            sandbox
                .file("configs/gates/gates.toml", registry)
                .file(
                    "train.sh",
                    format!("{TRAINER}echo \"peak_memory_gb: $(cat memory.txt)\"\n"),
                )
                .file("memory.txt", before);
        },
        |sandbox| {
            sandbox.file("memory.txt", after);
        },
    );
    let (outcome, results) = bench.run(&[]);
    (bench, outcome, results)
}

#[test]
fn two_metrics_share_their_measurements() {
    let (bench, outcome, results) = memory("61.25", "62.25", "-5");
    let outcome = outcome.exits(0);
    let gate = perf(&results);
    assert_eq!(gate["status"], "pass", "{gate}");
    assert_eq!(gate["perf"]["own_status"], "pass");
    let memory = &gate["perf"]["also"][0];
    assert_eq!(memory["metric"], "peak_memory_gb");
    assert_eq!(memory["status"], "pass");
    let near = |key: &str, value: f64| (memory[key].as_f64().unwrap() - value).abs() < 1e-9;
    assert!(near("result", 62.25) && near("baseline", 61.25), "{memory}");
    // As many measurements as with one metric: the compared gate, the warm-up pair and two pairs.
    assert_eq!(bench.launches().len(), 7);
    assert!(
        outcome
            .stdout
            .contains("perf: peak_memory_gb change +1.6 % (exact), allowed +5 %: pass"),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome.stdout.contains("perf: throughput change "),
        "{}",
        outcome.stdout
    );
}

#[test]
fn further_metric_over_budget_fails() {
    let (_, outcome, results) = memory("61.25", "63.25", "-2");
    let outcome = outcome.exits(1);
    let gate = perf(&results);
    assert_eq!(gate["status"], "fail", "{gate}");
    assert_eq!(gate["reason"], "over_budget");
    assert_ne!(gate["perf"]["own_status"], "fail");
    assert_eq!(gate["perf"]["also"][0]["status"], "fail");
    assert!(
        outcome.stdout.contains("peak_memory_gb change +3.3 %"),
        "{}",
        outcome.stdout
    );
}

/// A missing value never passes.
#[test]
fn further_metric_without_value_is_invalid() {
    let (_, outcome, results) = memory("", "", "-2");
    outcome.exits(3).any_output();
    let gate = perf(&results);
    assert_eq!(gate["status"], "invalid", "{gate}");
    assert_eq!(gate["reason"], "no_samples");
    assert_eq!(gate["perf"]["spoiled_by"], serde_json::json!({"short": 1}));
}

#[test]
fn lint_reports_further_metrics_that_cannot_be_compared() {
    let sandbox = Sandbox::new();
    let registry = |also: &str| {
        let key = format!("metric = \"node_tps_p50\"\nalso = [{also}]\n");
        REGISTRY.replace("metric = \"node_tps_p50\"\n", &key)
    };
    for (also, message) in [
        ("{ metric = \"lost\", budget_pct = -2 }", "does not read `lost`"),
        ("{ metric = \"node_tps\", budget_pct = -2 }", "compared twice"),
        (
            "{ metric = \"node_tps\", budget_pct = -100 }",
            "must be above -100",
        ),
    ] {
        sandbox.file("configs/gates/gates.toml", registry(also));
        let out = sandbox.gates(["lint", "registry"]).run();
        let out = out.exits(1);
        assert!(out.stdout.contains(message), "{also}: {}", out.stdout);
    }
}
