//! Tests `gates`: reading the registry and resolving selections.

use std::path::Path;

use crate::driver::Sandbox;

fn sandbox() -> Sandbox {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sandbox = Sandbox::new();
    for (name, from) in [
        ("configs/gates/gates.toml", "configs/gates/gates.toml"),
        ("contract.md", "tests/fixtures/engine/contract.md"),
    ] {
        sandbox.file(name, std::fs::read(root.join(from)).unwrap());
    }
    sandbox
}

#[test]
fn example_registry_keeps_stable_ids() {
    let json = sandbox()
        .gates(["gates", "list", "--format", "json"])
        .expect()
        .stdout_json()
        .check()
        .json();
    let ids: Vec<&str> = json["gates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["id"].as_str().unwrap())
        .collect();
    insta::assert_snapshot!(ids.join(" "), @"cpu:import cpu:compileall b200:moonlet_1x10 b200:moonlight_8x20 b200:moonlight_frozen_8x20 b200:profile_fp8 b200:profile_nvfp4 b200:frozen_profile_fp8 b200:frozen_profile_nvfp4 zero2:resume_determinism perf:baseline_delta");
    let bundles: Vec<&String> = json["bundles"].as_object().unwrap().keys().collect();
    insta::assert_debug_snapshot!(bundles, @r#"
    [
        "hot_path_min",
        "blockscaled_full",
        "zero2_full",
        "frozen_full",
        "full",
    ]
    "#);
}

#[test]
fn selection_keeps_order_and_drops_duplicates() {
    let json = sandbox()
        .gates(["gates", "resolve", "--format", "json", "--bundle", "hot_path_min"])
        .expect()
        .stdout_json()
        .check()
        .json();
    assert_eq!(
        json["gate_ids"],
        serde_json::json!(["b200:moonlet_1x10", "b200:moonlight_8x20"])
    );
    let json = sandbox()
        .gates([
            "gates",
            "resolve",
            "--format",
            "json",
            "--gate",
            "cpu:compileall",
            "--gate",
            "cpu:import",
            "--gate",
            "cpu:compileall",
        ])
        .expect()
        .stdout_json()
        .check()
        .json();
    assert_eq!(
        json["gate_ids"],
        serde_json::json!(["cpu:compileall", "cpu:import"])
    );
    let json = sandbox()
        .gates(["gates", "resolve", "--tier", "a", "--format", "json"])
        .expect()
        .stdout_json()
        .check()
        .json();
    assert_eq!(json["bundle"], "tier_a");
}

#[test]
fn matrix_is_one_json_line() {
    let out = sandbox()
        .gates([
            "gates",
            "resolve",
            "--bundle",
            "hot_path_min",
            "--format",
            "matrix",
        ])
        .expect()
        .stdout_matches(r"[^\n]+\n")
        .check();
    let include = out.json()["include"].clone();
    assert_eq!(include[0]["gate"], "b200:moonlet_1x10");
    assert_eq!(include[1]["gpus"], 8);
}

#[test]
fn unknown_name_suggests_nearest() {
    let sandbox = sandbox();
    for (args, nearest) in [
        (["show", "cpu:imprt"].as_slice(), "cpu:import"),
        (&["resolve", "--bundle", "hotpath_min"], "hot_path_min"),
    ] {
        sandbox
            .gates(["gates"].iter().chain(args))
            .expect()
            .status(2)
            .stderr_matches(&format!("error: .*did you mean `{nearest}`\\?.*"))
            .check();
    }
    for args in [
        ["gates", "show", "zz:zzzzzz"].as_slice(),
        &["run", "--bundle", "zzzzzz"],
    ] {
        let help = "help: `nmoe-gates gates list` prints the gates and bundles";
        let said = sandbox.gates(args).run().exits(2);
        said.reports("error: cannot find the ").reports(help);
    }
    sandbox.file("configs/gates/gates.toml", "[gates.\"a\"\ntier = 1");
    sandbox
        .gates(["gates", "list"])
        .expect()
        .status(2)
        .stderr_matches("error: .*lint registry.*")
        .check();
}

#[test]
fn contract_resolves_to_smallest_covering_bundle() {
    let json = sandbox()
        .gates([
            "gates",
            "resolve",
            "--contract",
            "contract.md",
            "--format",
            "json",
        ])
        .expect()
        .stdout_json()
        .check()
        .json();
    assert_eq!(json["bundle"], "blockscaled_full");
    assert_eq!(json["contract"]["uncovered"], serde_json::json!([]));
    sandbox()
        .gates([
            "gates",
            "resolve",
            "--contract",
            "contract.md",
            "--bundle",
            "hot_path_min",
            "--format",
            "json",
        ])
        .expect()
        .stdout_json()
        .stderr_matches(".*does not cover the contract: b200:profile_fp8.*`blockscaled_full`.*")
        .check();
}

/// A step of `gates` runs as it is printed, and is the same in both formats.
#[test]
fn next_step_runs_as_printed() {
    let sandbox = sandbox();
    sandbox.git(["init", "-q"]);
    let covered = ["resolve", "--contract", "contract.md"];
    for (args, expected) in [
        (
            ["show", "cpu:import"].as_slice(),
            "run --gate cpu:import --dry-run",
        ),
        (&["resolve", "--tier", "a"], "run --tier a --dry-run"),
        (
            &["resolve", "--gate", "cpu:import", "--gate", "cpu:compileall"],
            "run --gate cpu:import --gate cpu:compileall --dry-run",
        ),
        (
            &covered,
            "run --bundle blockscaled_full --contract contract.md --dry-run",
        ),
        (
            &["resolve", "--contract", "contract.md", "--bundle", "hot_path_min"],
            "gates resolve --bundle blockscaled_full --contract contract.md",
        ),
    ] {
        let call = |more: &[&str]| sandbox.gates([&["gates"], args, more].concat()).run();
        let json = call(&["--format", "json"]).exits(0).any_output().json();
        let next = json["next"].as_array().unwrap();
        assert_eq!(next.len(), 1, "{json}");
        let command = format!("nmoe-gates {expected}");
        assert_eq!(next[0]["command"], command);
        let line = format!(": {command} (author)\n");
        call(&[]).exits(0).any_output().prints(&line);
        let argv = next[0]["argv"].as_array().unwrap();
        let argv: Vec<&str> = argv.iter().skip(1).map(|word| word.as_str().unwrap()).collect();
        // The gates of the bundle need a B200, and the dry run says so.
        let code = if expected.starts_with("run --bundle") {
            3
        } else {
            0
        };
        sandbox.gates(argv).run().exits(code).any_output();
    }
    // Nothing is selected, so there is no step.
    sandbox.file(
        "configs/gates/gates.toml",
        "[gates.\"a\"]\ntier = \"a\"\ncmd = \"true\"\n",
    );
    let out = sandbox
        .gates(["gates", "resolve", "--tier", "b", "--format", "json"])
        .run()
        .exits(0);
    assert_eq!(out.json()["next"], serde_json::json!([]));
}

#[test]
fn perf_gate_selects_its_compare_gate() {
    let out = sandbox()
        .gates(["gates", "resolve", "--bundle", "full", "--format", "matrix"])
        .expect()
        .stdout_json()
        .check();
    let parts = out.json()["include"].clone();
    let gates: Vec<&str> = parts
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["gates"].as_str().unwrap())
        .collect();
    let flat: Vec<&str> = gates.iter().flat_map(|g| g.split(' ')).collect();
    let perf = gates.iter().find(|g| g.contains("perf:baseline_delta")).unwrap();
    assert!(perf.starts_with("b200:moonlight_8x20 "), "{perf}");
    let json = sandbox()
        .gates(["gates", "resolve", "--bundle", "full", "--format", "json"])
        .expect()
        .stdout_json()
        .check()
        .json();
    let mut all: Vec<&str> = json["gate_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g.as_str().unwrap())
        .collect();
    let mut flat = flat.clone();
    flat.sort_unstable();
    all.sort_unstable();
    assert_eq!(flat, all, "each gate is in one part");
}
