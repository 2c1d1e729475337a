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
        .run()
        .exits(0)
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
        .run()
        .exits(0)
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
        .run()
        .exits(0)
        .json();
    assert_eq!(
        json["gate_ids"],
        serde_json::json!(["cpu:compileall", "cpu:import"])
    );
    let json = sandbox()
        .gates(["gates", "resolve", "--tier", "a", "--format", "json"])
        .run()
        .exits(0)
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
        .run()
        .exits(0);
    assert_eq!(out.stdout.matches('\n').count(), 1, "{}", out.stdout);
    let include = out.json()["include"].clone();
    assert_eq!(include[0]["gate"], "b200:moonlet_1x10");
    assert_eq!(include[1]["gpus"], 8);
}

#[test]
fn unknown_name_suggests_nearest() {
    let out = sandbox().gates(["gates", "show", "cpu:imprt"]).run().exits(2);
    assert!(
        out.stderr.contains("did you mean `cpu:import`?"),
        "{}",
        out.stderr
    );
    let out = sandbox()
        .gates(["gates", "resolve", "--bundle", "hotpath_min"])
        .run()
        .exits(2);
    assert!(
        out.stderr.contains("did you mean `hot_path_min`?"),
        "{}",
        out.stderr
    );
    let broken = Sandbox::new();
    broken.file("configs/gates/gates.toml", "[gates.\"a\"\ntier = 1");
    let out = broken.gates(["gates", "list"]).run().exits(2);
    assert!(out.stderr.contains("lint registry"), "{}", out.stderr);
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
        .run()
        .exits(0)
        .json();
    assert_eq!(json["bundle"], "blockscaled_full");
    assert_eq!(json["contract"]["uncovered"], serde_json::json!([]));
    let out = sandbox()
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
        .run()
        .exits(0);
    assert!(
        out.stderr
            .contains("does not cover the contract: b200:profile_fp8"),
        "{}",
        out.stderr
    );
    assert!(out.stderr.contains("`blockscaled_full`"), "{}", out.stderr);
}

#[test]
fn perf_gate_selects_its_compare_gate() {
    let out = sandbox()
        .gates(["gates", "resolve", "--bundle", "full", "--format", "matrix"])
        .run()
        .exits(0);
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
        .run()
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
