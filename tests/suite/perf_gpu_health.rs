//! Tests GPU events during a perf gate: disturbed measurements are discarded, counted and repeated once.

use serde_json::{Value, json};

use crate::driver::Outcome;
use crate::perf_bench::{Bench, REGISTRY, perf};

/// Runs a comparison on eight GPUs with these NVML responses.
fn compared(nvml: &[&str]) -> (Outcome, Value) {
    let bench = Bench::speed(100_000, 100_000);
    let registry = REGISTRY.replace(
        "tier = \"a\"\ntimeout_s = 60",
        "tier = \"b\"\ngpus = 8\nkernel = false\ntimeout_s = 60",
    );
    bench.sandbox.file("configs/gates/gates.toml", registry);
    let driver = crate::kernel_driver::b200_with(&bench.sandbox, nvml);
    let outcome = bench.call(&[]).env("LD_LIBRARY_PATH", driver).run();
    let text = std::fs::read_to_string(bench.sandbox.path("results.json")).unwrap();
    assert!(bench.left_over().is_empty());
    (outcome, serde_json::from_str(&text).unwrap())
}

#[test]
fn slow_disturbed_measurement_is_replaced() {
    // The first reading of a watch is its second round; the next follows the first counted measurement.
    for (kind, defines) in [
        ("foreign", "-DPROCESSES=(round_()==3?2:0)"),
        ("throttled", "-DHELD=(round_()>2?99000000000ull:0)"),
        ("memory", "-DECC=(round_()>2?3:0)"),
        // NVML reports the event at the beginning of a reading.
        ("xid", "-DXID=(round_()>1)"),
    ] {
        let (outcome, results) = compared(&[defines]);
        let outcome = outcome.exits(0);
        let gate = perf(&results);
        assert_eq!(gate["status"], "pass", "{kind}: {gate}");
        assert_eq!(gate["perf"]["spoiled"], 1, "{kind}: {gate}");
        assert_eq!(gate["perf"]["spoiled_by"], json!({kind: 1}), "{kind}");
        assert_eq!(gate["perf"]["unwatched"], Value::Null, "{kind}");
        let said = format!("a measurement of the baseline is discarded and is replaced ({kind}): GPU ");
        assert!(outcome.stdout.contains(&said), "{kind}: {}", outcome.stdout);
        let table = format!("1 disturbed measurement discarded ({kind} 1)");
        assert!(
            format!("{}{}", outcome.stdout, outcome.stderr).contains(&table),
            "{kind}: {outcome:?}"
        );
    }
}

#[test]
fn twice_disturbed_measurement_is_invalid() {
    let (outcome, results) = compared(&["-DPROCESSES=(round_()>2?1:0)"]);
    outcome.exits(3).prints("perf: ");
    let gate = perf(&results);
    assert_eq!(gate["status"], "invalid", "{gate}");
    assert_eq!(gate["reason"], "spoiled");
    assert_eq!(gate["perf"]["spoiled_by"], json!({"foreign": 2}));
}

/// Runs a comparison on GPUs that need kernels. The device code of the base is this container; that of the change is valid.
fn with_kernels(container: &str) -> (Outcome, Value) {
    let fixture = |name: &str| {
        let file = format!("tests/fixtures/kernel/{name}.fatbin");
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
    };
    let bench = Bench::from(
        "100000",
        |sandbox| {
            sandbox
                .file("nmoe/csrc/device.fatbin", fixture(container))
                .file("nmoe/csrc/rdep.c", crate::kernel_run::WRAPPER);
        },
        |sandbox| {
            sandbox.file("nmoe/csrc/device.fatbin", fixture("sm_100a_zstd"));
        },
    );
    let gate = "tier = \"b\"\ngpus = 8\ntimeout_s = 60";
    let build = "make -s -C nmoe/csrc; cc -shared -fPIC -o nmoe/csrc/rdep.so nmoe/csrc/rdep.c";
    let registry = REGISTRY.replace("tier = \"a\"\ntimeout_s = 60", gate)
        + &format!("\n[target.b200]\nbuild = '{build}'\nkernels = [\"nmoe/csrc/rdep.so\"]\n");
    bench.sandbox.file("configs/gates/gates.toml", registry);
    let driver = crate::kernel_driver::b200_with(&bench.sandbox, &[]);
    let outcome = bench.call(&[]).env("LD_LIBRARY_PATH", driver).run();
    let text = std::fs::read_to_string(bench.sandbox.path("results.json")).unwrap();
    assert!(bench.left_over().is_empty());
    (outcome, serde_json::from_str(&text).unwrap())
}

#[test]
fn kernels_are_checked_in_both_checkouts() {
    let (outcome, results) = with_kernels("sm_100a_zstd");
    let outcome = outcome.exits(0);
    assert_eq!(perf(&results)["status"], "pass", "{results}");
    let proofs = outcome.stdout.matches("kernels: pass rdep_inspect").count();
    assert_eq!(proofs, 3, "of the run, and of each arm: {}", outcome.stdout);

    let (outcome, results) = with_kernels("sm_100a_shared_zstd");
    let outcome = outcome
        .exits(0)
        .prints("perf: kernel changed scale: registers 10 → 8, shared 1280 → 0");
    // The terminal wraps the note.
    let words = format!("{} {}", outcome.stdout, outcome.stderr);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("scale registers 10 → 8; scale shared 1280 → 0"),
        "{words}"
    );
    let checks = perf(&results)["kernel_checks"].as_array().unwrap();
    assert_eq!(checks.len(), 1, "{checks:?}");
    assert_eq!(checks[0]["name"], "base_kernels");
    assert_eq!(
        checks[0]["deltas"],
        json!([
            {"kernel": "scale", "number": "registers", "pinned": 10, "used": 8},
            {"kernel": "scale", "number": "shared", "pinned": 1280, "used": 0},
        ])
    );

    let (outcome, results) = with_kernels("both_zstd");
    outcome
        .exits(3)
        .prints("kernels: pass rdep_inspect: sm_100a and nothing");
    assert_eq!(perf(&results)["status"], "invalid", "{results}");
    assert_eq!(perf(&results)["reason"], "kernel_off_target");
}

#[test]
fn unmonitored_gpus_are_reported() {
    let (outcome, results) = compared(&["-DINIT=return 999;"]);
    let gate = perf(&results);
    outcome.exits(0).prints("perf: ");
    assert_eq!(gate["perf"]["unwatched"], true, "{gate}");
}
