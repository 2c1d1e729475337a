//! Tests verdicts from existing logs, and calibration.

use serde_json::Value;

use crate::driver::{Outcome, Sandbox};
use crate::perf_bench::Bench;

/// Returns a log of twenty-four steps around this level, with separate noise for each run.
fn log(level: f64, launch: u32) -> String {
    let wiggle = |n: u32| f64::from(n.wrapping_mul(2_654_435_761) >> 16 & 0xff) / 255.0 - 0.5;
    let level = level * (1.0 + 0.008 * wiggle(launch * 31 + 7));
    (1..=24u32)
        .map(|step| {
            let tps = (level * (1.0 + 0.01 * wiggle(launch * 1000 + step))) as u64;
            format!(
                "[rank0] \u{1b}[32mstep: {step:2}  loss: 2.5  node_tps: {},{:03}\u{1b}[0m\r\n",
                tps / 1000,
                tps % 1000
            )
        })
        .collect()
}

fn compare(sandbox: &Sandbox, base: &[String], head: &[String], more: &[&str]) -> Outcome {
    let write = |arm: &str, logs: &[String]| -> Vec<String> {
        logs.iter()
            .enumerate()
            .map(|(i, text)| {
                let name = format!("{arm}-{i}.log");
                sandbox.file(&name, text);
                name
            })
            .collect()
    };
    let mut args = vec!["perf".to_owned(), "compare".to_owned(), "--baseline".to_owned()];
    args.extend(write("base", base));
    args.push("--head".to_owned());
    args.extend(write("head", head));
    args.extend(more.iter().map(|m| (*m).to_owned()));
    sandbox.gates(args).run()
}

fn logs(level: f64, from: u32, count: u32) -> Vec<String> {
    (from..from + count).map(|n| log(level, n)).collect()
}

#[test]
fn logs_are_compared() {
    let sandbox = Sandbox::new();
    let (base, same) = (logs(50_000.0, 0, 4), logs(50_000.0, 10, 4));
    let out = compare(&sandbox, &base, &same, &["--budget-pct", "-10"]).exits(0);
    let first = out.stdout.lines().next().unwrap();
    assert!(
        first.contains(" % interval ") && first.contains(", allowed −10 %: pass"),
        "{first}"
    );
    let out = compare(&sandbox, &base, &logs(42_500.0, 10, 4), &["--format", "json"]).exits(1);
    let json = out.json();
    assert_eq!(json["status"], "fail");
    assert_eq!(json["reason"], "over_budget");
    assert_eq!(json["budget_pct"], -10.0);
    assert_eq!(json["pairs"].as_array().unwrap().len(), 4);
    for (risk, weight) in [
        ("hot", "blocks the change"),
        ("warm", "is a warning"),
        ("cold", "is noted"),
    ] {
        let open = logs(48_700.0, 10, 4);
        let out = compare(&sandbox, &base, &open, &["--budget-pct=-3", "--risk", risk]).exits(3);
        assert!(out.stdout.contains(weight), "{risk}: {}", out.stdout);
        assert!(out.stdout.contains("likely to decide"), "{}", out.stdout);
    }
}

/// The pairs of an open comparison belong to one metric of one gate, with one budget. The registry may have changed since.
#[test]
fn continued_comparison_keeps_its_terms() {
    let sandbox = Sandbox::new();
    let (base, head) = (logs(50_000.0, 0, 2), logs(50_000.0, 10, 2));
    let out = compare(
        &sandbox,
        &base,
        &head,
        &["--budget-pct", "-10", "--format", "json"],
    )
    .exits(0);
    let mut open = out.json();
    open["status"] = "inconclusive".into();
    sandbox.file("open.json", open.to_string());
    let more = ["--continue", "open.json", "--budget-pct"];
    let (new_base, new_head) = (logs(50_000.0, 20, 2), logs(50_000.0, 30, 2));
    let again = |rest: &[&str]| compare(&sandbox, &new_base, &new_head, &[&more, rest].concat());
    let out = again(&["-10", "--format", "json"]).exits(0);
    assert_eq!(out.json()["pairs"].as_array().unwrap().len(), 4);
    compare(&sandbox, &base, &head, &[&more[..], &["-10"]].concat())
        .exits(2)
        .reports("error: cannot continue open.json: a new pair has the samples of an earlier one");
    let registry = "[gates.train]\ntier = \"a\"\ncmd = \"true\"\nmetrics = [{ name = \"node_tps\", unit = \"tokens/s\", direction = \"lower\" }]\n";
    sandbox.file("configs/gates/gates.toml", registry);
    for (rest, what) in [
        (&["-5"][..], "budget"),
        (&["-10", "--metric", "loss", "--direction", "higher"], "metric"),
        (&["-10", "--gate", "train"], "gate"),
    ] {
        again(rest).exits(2).reports(&format!(
            "error: cannot continue open.json: it has another {what}; its measurements belong to one comparison"
        ));
    }
    open["compare_gate"] = "train".into();
    sandbox.file("open.json", open.to_string());
    again(&["-10", "--gate", "train"])
        .exits(2)
        .reports("it has another direction");
}

#[test]
fn lower_is_better_metric_inverts_verdict() {
    let sandbox = Sandbox::new();
    let of = |level: f64, from| -> Vec<String> {
        logs(level, from, 4)
            .iter()
            .map(|l| l.replace("node_tps", "latency"))
            .collect()
    };
    let more = ["--metric", "latency", "--direction", "lower"];
    compare(&sandbox, &of(50_000.0, 0), &of(58_000.0, 10), &more)
        .exits(1)
        .prints("allowed +10 %");
    compare(&sandbox, &of(50_000.0, 0), &of(42_000.0, 10), &more)
        .exits(0)
        .prints("allowed +10 %");
}

/// Without a declared unit, each log has the unit that it prints; numbers in two units are not compared.
#[test]
fn logs_with_two_units_are_invalid() {
    let sandbox = Sandbox::new();
    let series = |level: u32, unit: &str, from: u32| -> Vec<String> {
        let line = |run, step| format!("step: {step} rate: {level}.{run}{step} {unit}\n");
        let log = |run| (1..=24u32).map(|step| line(run, step)).collect();
        (from..from + 4).map(log).collect()
    };
    let more = ["--metric", "rate", "--direction", "higher", "--budget-pct", "-10"];
    let two = "the logs write the metric in two units";
    for (unit, code, text) in [
        ("graphs/s", 3, two),
        ("tok/s", 3, two),
        // The same unit in another spelling.
        ("ktokens/s", 0, "allowed −10 %: pass"),
    ] {
        let base = if unit == "graphs/s" { "kgraphs/s" } else { "ktok/s" };
        let out = compare(&sandbox, &series(6, base, 1), &series(6, unit, 5), &more);
        let out = out.exits(code).prints(text);
        assert_eq!(
            out.stdout.contains("unreadable_number"),
            code == 3,
            "{}",
            out.stdout
        );
    }
}

#[test]
fn missing_measurement_never_passes() {
    let sandbox = Sandbox::new();
    let base = logs(50_000.0, 0, 3);
    let zero: Vec<String> = vec!["step: 1 node_tps: 0\n".repeat(30); 3];
    let nan: Vec<String> = vec!["node_tps: NaN\n".repeat(30); 3];
    let one: Vec<String> = vec!["node_tps: 50,000\n".to_owned(); 3];
    for head in [vec![String::new(); 3], one, nan, zero.clone()] {
        compare(&sandbox, &base, &head, &[])
            .exits(3)
            .prints("nothing measured");
        compare(&sandbox, &head, &base, &[])
            .exits(3)
            .prints("nothing measured");
        compare(&sandbox, &head, &head, &[]).exits(3).any_output();
    }
    compare(&sandbox, &base, &base[..2], &[]).exits(3).any_output();
    compare(&sandbox, &base[..2], &base, &[]).exits(3).any_output();
    compare(&sandbox, &zero[..1], &zero[..1], &["--pairs", "1"])
        .exits(3)
        .any_output();
    for budget in ["nan", "inf", "-inf", "-100"] {
        compare(&sandbox, &base, &base, &["--budget-pct", budget])
            .exits(2)
            .reports("error: budget");
    }
}

/// One log is one measurement, however often it is named.
#[test]
fn log_named_twice_is_refused() {
    let sandbox = Sandbox::new();
    let log = &logs(50_000.0, 0, 1)[0];
    sandbox.file("base.log", log).file("head.log", log);
    let sides = ["--baseline", "base.log", "./base.log", "--head", "head.log"];
    let call = ["perf", "compare", "--budget-pct", "-10"];
    sandbox
        .gates(call.iter().chain(&sides))
        .run()
        .exits(2)
        .reports("cannot compare ./base.log: it is named twice for one side");
}

/// Measurements that repeat exactly have no variance; they are compared exactly.
#[test]
fn repeated_values_are_compared_exactly() {
    let sandbox = Sandbox::new();
    let constant = |value: &str| vec![format!("node_tps: {value}\n").repeat(30); 3];
    let (base, lower) = (constant("50,000"), constant("45,500"));
    let out = compare(&sandbox, &base, &base, &[]).exits(0);
    assert!(
        out.stdout
            .starts_with("throughput change 0.0 % (exact), allowed −10 %: pass"),
        "{}",
        out.stdout
    );
    compare(&sandbox, &base, &lower, &["--budget-pct", "-10"])
        .exits(0)
        .prints("allowed −10 %");
    compare(&sandbox, &base, &lower, &["--budget-pct", "-5"])
        .exits(1)
        .prints("allowed −5 %");
}

#[test]
fn threshold_method_requires_option() {
    let sandbox = Sandbox::new();
    let (base, head) = (logs(50_000.0, 0, 1), logs(49_000.0, 9, 1));
    let out = compare(&sandbox, &base, &head, &[]).exits(3);
    assert!(out.stdout.contains("1 more pair is likely"), "{}", out.stdout);
    let out = compare(&sandbox, &base, &head, &["--pairs", "1"]).exits(0);
    assert!(out.stdout.contains("threshold only"), "{}", out.stdout);
}

/// What the command line leaves open is refused; nothing is guessed.
#[test]
fn unclear_comparison_of_logs_is_refused() {
    let sandbox = Sandbox::new();
    let registry = "[gates.train]\ntier = \"a\"\ncmd = \"true\"\n";
    sandbox.file("configs/gates/gates.toml", registry);
    let (base, head) = (logs(50_000.0, 0, 2), logs(50_000.0, 10, 2));
    for (more, text) in [
        (
            &["--pairs", "1"][..],
            "error: cannot compare with --pairs 1: it takes one log of each side",
        ),
        (
            &["--metric", "lat"],
            "error: cannot compare `lat`: nothing says which way it is better",
        ),
        (
            &["--gate", "trian"],
            "error: cannot compare gate `trian`: the registry has no such gate",
        ),
        (
            &["--gate", "train", "--machine", "b300x8"],
            "error: cannot use the noise of `b300x8`",
        ),
    ] {
        compare(&sandbox, &base, &head, more).exits(2).reports(text);
    }
    // Files say nothing about which measurement came first.
    let out = compare(&sandbox, &base, &head, &["--format", "json"]).exits(0);
    assert_eq!(out.json()["pairs"][0]["order"], "unknown");
}

/// The steps of a log that counts `tick`: 24 lines of each of two ranks are 24 samples, as in a run.
#[test]
fn own_step_pattern_counts_in_logs() {
    let sandbox = Sandbox::new();
    let registry =
        "[gates.train]\ntier = \"a\"\ncmd = \"true\"\nmetrics = [{ name = \"step\", label = \"tick\" }]\n";
    sandbox.file("configs/gates/gates.toml", registry);
    let twice = |from| -> Vec<String> {
        logs(50_000.0, from, 3)
            .iter()
            .map(|log| log.replace("step:", "tick:"))
            .map(|log| {
                log.lines()
                    .map(|line| format!("{line}\n{}\n", line.replace("rank0", "rank1")))
                    .collect()
            })
            .collect()
    };
    let samples = |more: &[&str]| {
        let more = [more, &["--budget-pct", "-10", "--format", "json"]].concat();
        let out = compare(&sandbox, &twice(0), &twice(10), &more).exits(0);
        out.json()["pairs"][0]["baseline_samples"]
            .as_array()
            .unwrap()
            .len()
    };
    // Six of 24 steps are left out as warm-up; without steps, twelve of 48 lines.
    assert_eq!((samples(&["--gate", "train"]), samples(&[])), (18, 36));
}

const REGISTRY: &str = r#"
[gates."cpu:train"]
tier = "a"
timeout_s = 60
requires = ["NMOE_DATA_PATH"]
cmd = "bash train.sh"

[gates."perf:baseline_delta"]
tier = "a"
kind = "perf"
timeout_s = 0
compare_gate = "cpu:train"
metric = "node_tps_p50"
"#;

const TRAINER: &str = r#"count=$(($(cat "$NMOE_DATA_PATH/count") + 1)); echo "$count" > "$NMOE_DATA_PATH/count"
awk -v seed="$((count * 7919))" '
    function random() { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648 - 0.5 }
    BEGIN {
        for (i = 0; i < 5; i++) random()
        level = 100000 * (1 + 0.01 * random())
        for (step = 1; step <= 24; step++) printf "step: %d node_tps: %d\n", step, level * (1 + 0.01 * random())
    }'
"#;

/// Comparisons that ran anyway make a separate calibration unnecessary.
#[test]
fn past_comparison_becomes_stored_noise() {
    let bench = Bench::speed(100_000, 100_000);
    bench
        .run(&[])
        .0
        .exits(0)
        .prints("allowed −10 %: pass (uncalibrated)");
    let results = bench.sandbox.path("results.json");
    let table = bench.sandbox.path("noise.toml");
    let renew = || {
        let args = ["perf", "calibrate", "--gate", "perf:baseline_delta", "--write"];
        let files = [table.to_str().unwrap(), "--from", results.to_str().unwrap()];
        bench.sandbox.gates(args.iter().chain(&files)).run()
    };
    renew().exits(0).prints("2 pairs of identical code vary by");
    let text = std::fs::read_to_string(&table).unwrap();
    assert!(
        text.contains("gate = \"cpu:train\"") && text.contains("pairs = 2"),
        "{text}"
    );
    bench.sandbox.file("configs/gates/noise.toml", text);
    renew().exits(3).reports("no newer comparison of the gate");
}

/// Noise counts for 180 days after it was measured, or until its own date.
#[test]
fn expired_stored_noise_does_not_count() {
    let sandbox = Sandbox::new();
    let (base, head) = (logs(50_000.0, 0, 4), logs(50_000.0, 10, 4));
    let registry = "[gates.\"cpu:train\"]\ntier = \"a\"\ncmd = \"true\"\n";
    sandbox.file("configs/gates/gates.toml", registry);
    let now = jiff::Timestamp::now();
    let days = |n: i64| (now + jiff::SignedDuration::from_hours(24 * n)).to_string();
    for (measured, expires, calibrated) in [
        (days(-179), None, true),
        (days(-181), None, false),
        (days(-30), Some(days(-1)), false),
        (days(-400), Some(days(1)), true),
    ] {
        let expires = expires.map_or(String::new(), |at| format!("expires = \"{at}\"\n"));
        sandbox.file(
            "configs/gates/noise.toml",
            format!(
                "[[noise]]\ngate = \"cpu:train\"\nmetric = \"node_tps\"\nmachine = \"cpu\"\npairs = 12\nsd_pct = 0.5\n\
                 finest_pct = -1.0\ncommit = \"368a518c4c3d390c8f4ce92c3948aa708c40dada\"\nmeasured_at = \"{measured}\"\n{expires}"
            ),
        );
        let more = ["--gate", "cpu:train", "--budget-pct", "-10", "--format", "json"];
        let out = compare(&sandbox, &base, &head, &more).exits(0);
        assert_eq!(out.json()["calibrated"], calibrated, "{measured} {expires}");
    }
}

#[test]
fn stored_calibration_reduces_measurements() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("train.sh", TRAINER);
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Base"]);
    std::fs::create_dir(sandbox.path("data")).unwrap();
    std::fs::write(sandbox.path("data/count"), "0\n").unwrap();
    let gates = |args: &[&str]| {
        sandbox
            .gates(args)
            .env("NMOE_DATA_PATH", sandbox.path("data"))
            .run()
    };
    let out = gates(&[
        "perf",
        "calibrate",
        "--gate",
        "perf:baseline_delta",
        "--pairs",
        "6",
    ])
    .exits(0)
    .any_output()
    .changes(&["repo/configs/gates/noise.toml"]);
    assert!(out.stdout.contains("finest budget"), "{}", out.stdout);
    let table = std::fs::read_to_string(sandbox.repo().join("configs/gates/noise.toml")).unwrap();
    assert!(
        table.contains("gate = \"cpu:train\"") && table.contains("pairs = 6"),
        "{table}"
    );

    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Calibrated"]);
    let results = sandbox.path("results.json");
    let results = results.to_str().unwrap();
    gates(&[
        "run",
        "--gate",
        "cpu:train",
        "--gate",
        "perf:baseline_delta",
        "--results",
        results,
    ])
    .exits(0)
    .prints("perf: ");
    let found: Value = serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap();
    let perf = &found["results"]["perf:baseline_delta"]["perf"];
    assert_eq!(perf["calibrated"], true);
    assert_eq!(
        perf["pairs"].as_array().unwrap().len(),
        1,
        "one pair decides: {perf}"
    );

    // The contract can no longer set a budget that the gate cannot measure.
    let contract = |budget: &str| {
        format!(
            "nmoe:\n  issue: \"01\"\n  slug: a\n  kind: perf\n  risk: hot\n  complexity: S\nscope:\n  allow: [train.sh]\n\
             contract:\n  invariants: []\ngates:\n  required: [cpu:train]\n  perf:\n    gate: perf:baseline_delta\n    \
             compare: cpu:train\n    metric: node_tps_p50\n    budget_pct: {budget}\n"
        )
    };
    sandbox
        .file("fine.yml", contract("-0.1"))
        .file("coarse.yml", contract("-10"));
    let out = sandbox
        .gates(["lint", "contract", "fine.yml", "coarse.yml", "--format", "json"])
        .run();
    let found = out.findings();
    let fine: Vec<&Value> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["code"] == "fine-budget")
        .collect();
    assert_eq!(fine.len(), 1, "{}", out.stdout);
    assert_eq!(fine[0]["path"], "fine.yml");

    // A measurement of a dirty checkout belongs to no commit.
    sandbox.file("train.sh", "true\n");
    gates(&["perf", "calibrate", "--gate", "perf:baseline_delta"])
        .exits(2)
        .reports("error: cannot calibrate: the checkout has uncommitted changes");
}
