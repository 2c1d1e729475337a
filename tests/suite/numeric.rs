//! Tests numeric gates with a small trainer: equal and different changes, a base that is not deterministic, a broken resume.

use serde_json::{Value, json};

use crate::driver::{Outcome, Sandbox};
use crate::perf_bench::Bench;

const TRAINER: &str = include_str!("../../examples/demo/letters/train.py");

const REGISTRY: &str = r#"
[gates."cpu:train"]
tier = "a"
timeout_s = 120
requires = ["NMOE_RUN_ROOT"]
cmd = "python3 train.py --steps=16"
metrics = [{ name = "loss" }, { name = "grad_norm" }, { name = "num_zeros" }]

[gates."perf:train"]
tier = "a"
kind = "perf"
compare_gate = "cpu:train"
metric = "node_tps_p50"
warmup_steps = 2

[gates."numeric:train"]
tier = "a"
kind = "numeric"
compare_gate = "cpu:train"
series = ["loss", "grad_norm", "num_zeros"]
tolerance = 1e-4

[gates."numeric:resume"]
tier = "a"
kind = "numeric"
compare_gate = "cpu:train"
series = ["loss", "grad_norm"]
resume_cmd = """
python3 train.py --steps=16 --stop-after=8 > /dev/null
python3 train.py --steps=16 --resume
"""

[bundles]
full = ["numeric:train", "perf:train", "cpu:train"]
numbers = ["cpu:train", "numeric:train"]
resume = ["cpu:train", "numeric:resume"]
"#;

/// A base and a change of the trainer with these models.
fn bench(base: &Value, change: &Value) -> Bench {
    Bench::from(
        "1",
        |sandbox| {
            sandbox
                .file("configs/gates/gates.toml", REGISTRY)
                .file("train.py", TRAINER)
                .file("model.json", base.to_string());
        },
        |sandbox| {
            sandbox.file("model.json", change.to_string());
        },
    )
}

fn run(bench: &Bench, bundle: &str, more: &[&str]) -> (Outcome, Value) {
    let mut args = vec!["--bundle", bundle];
    args.extend(more);
    bench.run_bundle(&args)
}

fn gate<'r>(results: &'r Value, id: &str) -> &'r Value {
    &results["results"][id]
}

#[test]
fn identical_change_passes_bit_for_bit() {
    let bench = bench(&json!({}), &json!({ "comment": "the model is the same" }));
    let (outcome, results) = run(&bench, "numbers", &[]);
    let outcome = outcome.exits(0);
    let gate = gate(&results, "numeric:train");
    assert_eq!(gate["status"], "pass", "{gate}");
    let numeric = &gate["numeric"];
    assert_eq!(numeric["base_deterministic"], true);
    assert_eq!(numeric["runs"], json!([2, 1]));
    assert_eq!(numeric["shared"], false);
    let series = numeric["series"].as_array().unwrap();
    assert_eq!(series.len(), 3);
    assert!(
        series
            .iter()
            .all(|s| s["agreement"] == "equal" && s["steps"] == 16),
        "{series:?}"
    );
    assert!(
        outcome.stdout.contains("numeric: loss: identical at 16 steps"),
        "{}",
        outcome.stdout
    );
}

/// A results file may not claim a pass that no comparison with this registry gives.
#[test]
fn impossible_numeric_pass_is_refused() {
    let bench = bench(&json!({}), &json!({ "comment": "the model is the same" }));
    let (outcome, results) = run(&bench, "numbers", &[]);
    outcome.any_output().exits(0);
    let report = |results: &Value| {
        bench.sandbox.file("claimed.json", results.to_string());
        let call = bench.sandbox.gates(["report", "claimed.json"]);
        call.run().any_output().code()
    };
    assert_eq!(report(&results), Some(0));
    let loose =
        json!({ "agreement": "within", "first_step": 1, "base": 1.5, "change": 9.0, "tolerance": 1e9 });
    for (at, value) in [
        ("/declared", json!("within")),
        ("/series/0/steps", json!(0)),
        ("/series/0/first_step", json!(3)),
        ("/series/0/change", json!(9.0)),
        ("/runs", json!([0, 0])),
        ("/compare_gate", json!("numeric:train")),
    ] {
        let mut claimed = results.clone();
        let numeric = claimed.pointer_mut("/results/numeric:train/numeric").unwrap();
        if at == "/declared" {
            for (key, value) in loose.as_object().unwrap() {
                numeric["series"][0][key] = value.clone();
            }
        }
        if at == "/series/0/change" {
            numeric["series"][0]["base"] = json!(1.5);
        }
        *numeric.pointer_mut(at).unwrap() = value;
        assert_eq!(report(&claimed), Some(2), "{at}");
    }
}

/// The constant of the change differs in the sixth digit, from step 7 on.
#[test]
fn sixth_digit_is_found_at_its_first_step() {
    let bench = bench(
        &json!({}),
        &json!({ "loss_scale": 1.000_001, "loss_scale_from": 7 }),
    );
    let (outcome, results) = run(&bench, "numbers", &[]);
    let outcome = outcome.exits(1);
    let gate_result = gate(&results, "numeric:train");
    assert_eq!(gate_result["status"], "fail", "{gate_result}");
    assert_eq!(gate_result["reason"], "numeric_difference");
    for series in &gate_result["numeric"]["series"].as_array().unwrap()[..2] {
        assert_eq!(series["agreement"], "differs", "{series}");
        assert_eq!(series["first_step"], 7, "{series}");
        let (base, change) = (
            series["base"].as_f64().unwrap(),
            series["change"].as_f64().unwrap(),
        );
        assert!((change / base - 1.000_001).abs() < 1e-9, "{series}");
    }
    assert!(
        outcome
            .stdout
            .contains("numeric: loss: first differs at step 7: "),
        "{}",
        outcome.stdout
    );
    // A declared tolerance covers it, and so does a declared change; the contract decides, not the command line alone.
    for (declared, agreement) in [("within", "within"), ("changes", "differs")] {
        let (outcome, results) = run(&bench, "numbers", &["--numerics", declared]);
        outcome.exits(0).any_output();
        let gate_result = gate(&results, "numeric:train");
        assert_eq!(gate_result["numeric"]["declared"], declared);
        assert_eq!(
            gate_result["numeric"]["series"][0]["agreement"], agreement,
            "{gate_result}"
        );
        assert_eq!(gate_result["numeric"]["series"][0]["first_step"], 7);
    }
    let path = bench.sandbox.path("results.json");
    let report = bench
        .sandbox
        .gates(["report", path.to_str().unwrap(), "--format", "comment"])
        .run();
    let report = report.exits(0);
    assert!(
        report.stdout.contains("first differs at step 7"),
        "{}",
        report.stdout
    );
    assert!(
        report.stdout.contains("Both sides, step by step"),
        "{}",
        report.stdout
    );
}

/// The base sums gradients in an order that differs from run to run.
#[test]
fn nondeterministic_base_is_reported_not_blamed() {
    let noisy = json!({ "unordered": true });
    let same = bench(&noisy, &json!({ "unordered": true, "comment": "the same" }));
    let (outcome, results) = run(&same, "numbers", &[]);
    let outcome = outcome.exits(0);
    let numeric = &gate(&results, "numeric:train")["numeric"];
    assert_eq!(numeric["base_deterministic"], false, "{numeric}");
    assert_eq!(numeric["runs"], json!([4, 1]));
    assert!(numeric["series"][0]["agreement"] != "differs", "{numeric}");
    assert!(
        outcome
            .stdout
            .contains("the base is not deterministic: its runs differ in"),
        "{}",
        outcome.stdout
    );
    // A real difference is still found: rounding errors are far smaller.
    let other = bench(
        &noisy,
        &json!({ "unordered": true, "loss_scale": 1.000_01, "loss_scale_from": 7 }),
    );
    let (outcome, results) = run(&other, "numbers", &[]);
    outcome.exits(1).any_output();
    let series = &gate(&results, "numeric:train")["numeric"]["series"][0];
    assert_eq!(
        (&series["agreement"], &series["first_step"]),
        (&json!("differs"), &json!(7)),
        "{series}"
    );
    // A change that is not deterministic differs from a base that is.
    let worse = bench(&json!({}), &noisy);
    let (outcome, results) = run(&worse, "numbers", &[]);
    outcome.exits(1).any_output();
    assert_eq!(gate(&results, "numeric:train")["reason"], "numeric_difference");
}

#[test]
fn broken_resume_is_found_at_its_first_step() {
    let sound = bench(&json!({}), &json!({ "epsilon": 1e-7 }));
    let (outcome, results) = run(&sound, "resume", &[]);
    outcome.exits(0).prints("numeric: loss: identical at 8 steps");
    let numeric = &gate(&results, "numeric:resume")["numeric"];
    assert_eq!(numeric["sides"], "straight_resumed");
    assert_eq!(numeric["baseline_sha"], Value::Null);
    // The mean of the gradients is lost, so the step after the resume is the last correct one.
    let broken = bench(&json!({}), &json!({ "checkpoint_forgets": ["first"] }));
    for declared in ["identical", "changes"] {
        let (outcome, results) = run(&broken, "resume", &["--numerics", declared]);
        outcome.exits(1).any_output();
        let gate_result = gate(&results, "numeric:resume");
        assert_eq!(gate_result["reason"], "numeric_difference", "{gate_result}");
        assert_eq!(
            gate_result["numeric"]["series"][0]["first_step"], 10,
            "{gate_result}"
        );
    }
}

#[test]
fn runs_of_a_perf_gate_are_shared() {
    let bench = bench(
        &json!({}),
        &json!({ "loss_scale": 1.000_001, "loss_scale_from": 7 }),
    );
    let (outcome, results) = run(&bench, "full", &["--keep-going"]);
    let outcome = outcome.exits(1);
    assert_eq!(gate(&results, "perf:train")["status"], "pass", "{results}");
    let numeric = &gate(&results, "numeric:train")["numeric"];
    assert_eq!(numeric["shared"], true, "{numeric}");
    assert_eq!(numeric["series"][0]["first_step"], 7);
    // The order of the bundle does not matter: the numeric gate runs last.
    let last = outcome.stdout.rfind("perf: measurement of the").unwrap();
    assert!(
        last < outcome.stdout.find("numeric: ").unwrap(),
        "{}",
        outcome.stdout
    );
}

/// A series that is not printed never passes.
#[test]
fn series_without_numbers_is_invalid() {
    let quiet = TRAINER.replace("num_zeros: {dead}", "dead {dead}");
    let bench = Bench::from(
        "1",
        |sandbox| {
            sandbox
                .file("configs/gates/gates.toml", REGISTRY)
                .file("train.py", quiet)
                .file("model.json", "{}");
        },
        |_| (),
    );
    let (outcome, results) = run(&bench, "numbers", &[]);
    outcome.exits(3).prints("numeric: the base prints no `num_zeros`");
    assert_eq!(gate(&results, "numeric:train")["reason"], "no_samples");
}

/// The numbers of a trainer that prints with other words, for the gates of a bundle.
fn printed_as(from: &str, to: &str, bundle: &str) -> (Outcome, Value) {
    assert!(TRAINER.contains(from), "{from}");
    let trainer = TRAINER.replace(from, to);
    let bench = Bench::from(
        "1",
        |sandbox| {
            sandbox
                .file("configs/gates/gates.toml", REGISTRY)
                .file("train.py", trainer)
                .file("model.json", "{}");
        },
        |_| (),
    );
    run(&bench, bundle, &[])
}

/// Positions would compare the first step of the resumed run with the first of the straight one.
#[test]
fn resume_without_readable_step_is_invalid() {
    let (outcome, results) = printed_as("step: {", "at {", "resume");
    outcome
        .exits(3)
        .prints("numeric: a number of `loss` has no step that can be read")
        .prints("add { name = \"step\", label = \"iter\" }");
    assert_eq!(gate(&results, "numeric:resume")["reason"], "no_samples");
    // Another name of the step is enough.
    let (outcome, _) = printed_as("step: {", "iter {", "resume");
    outcome.exits(0).prints("numeric: loss: identical at 8 steps");
}

/// Two whole numbers above 2^53 can have the same value.
#[test]
fn number_with_lost_digits_is_invalid() {
    let (outcome, results) = printed_as(
        "num_zeros: {dead}",
        "num_zeros: {9007199254740993 + dead}",
        "numbers",
    );
    outcome
        .exits(3)
        .prints("has more digits than can be compared exactly");
    assert_eq!(gate(&results, "numeric:train")["reason"], "unreadable_number");
}

#[test]
fn lint_reports_numeric_gates_that_cannot_compare() {
    let sandbox = Sandbox::new();
    for (from, to, message) in [
        (
            "\"num_zeros\"]\ntol",
            "\"norm\"]\ntol",
            "`cpu:train` does not read `norm`",
        ),
        (
            "tolerance = 1e-4",
            "tolerance = 2",
            "`tolerance` must be above 0 and below 1",
        ),
        (
            "series = [\"loss\", \"grad_norm\", \"num_zeros\"]",
            "series = []",
            "`series` names no metric",
        ),
        (
            "series = [\"loss\", \"grad_norm\", \"num_zeros\"]\n",
            "",
            "has no `series`",
        ),
        (
            "tolerance = 1e-4",
            "metric = \"loss\"",
            "`metric` has no effect for a gate of kind numeric",
        ),
        ("--resume\n", "--resume $SECRET_SAUCE\n", "reads `SECRET_SAUCE`"),
        (
            "numbers = [\"cpu:train\", ",
            "numbers = [",
            "compares `cpu:train`, which is not in this bundle",
        ),
    ] {
        assert!(REGISTRY.contains(from), "{from}");
        sandbox.file("configs/gates/gates.toml", REGISTRY.replacen(from, to, 1));
        let out = sandbox.gates(["lint", "registry"]).run().any_code();
        assert!(out.stdout.contains(message), "{message}: {}", out.stdout);
    }
    sandbox.file("configs/gates/gates.toml", REGISTRY);
    sandbox.gates(["lint", "registry"]).run().exits(0).any_output();
}
