//! Tests `run --resolution`: the run must match the approved resolution.

use serde_json::{Value, json};

use crate::driver::Sandbox;
use crate::support::digest::sha256;
use crate::support::registry::registry;

/// Returns the registry of the policy checkout.
fn policy() -> String {
    registry()
        .tier_a("cpu:one", "true")
        .bundle("small", &["cpu:one"])
        .text()
}
const NONCE: &str = "0123456789abcdef0123456789abcdef";

/// Creates a checkout of a merge, and its resolution.
fn fixture() -> (Sandbox, Value) {
    let sandbox = Sandbox::new();
    sandbox.file("configs/gates/gates.toml", policy());
    sandbox.git(["init", "--quiet"]);
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "--quiet", "--message", "base"]);
    sandbox.git(["checkout", "--quiet", "-b", "change"]);
    sandbox.file("a", "a");
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "--quiet", "--message", "head"]);
    sandbox.git(["checkout", "--quiet", "master"]);
    sandbox.git(["merge", "--quiet", "--no-ff", "--message", "merge", "change"]);
    let id = |name: &str| sandbox.git(["rev-parse", name]).trim().to_owned();
    let resolution = json!({
        "schema": 1, "repository": "octo-org/trainer", "pull": 5,
        "head": id("change"), "base": id("HEAD^1"), "base_branch": "master", "merge": id("HEAD"), "tree": id("HEAD^{tree}"),
        "bundle": "small", "gate_ids": ["cpu:one"], "uncovered": [],
        "registry": { "sha256": sha256(policy()), "source": "base", "proposed": null },
        "contract": { "issue": 1, "sha256": sha256("agreed"), "standing": "written", "author": "captain", "editor": null, "edited_at": null, "body": "agreed" },
        "findings": { "errors": 0, "warnings": 0, "shown": [] }, "gpu_minutes": 0.0, "nonce": NONCE, "tool": "0.1.0",
    });
    (sandbox, resolution)
}

fn run(sandbox: &Sandbox, resolution: &Value, bundle: &[&str]) -> (Option<i32>, Value, String) {
    std::fs::write(sandbox.path("resolution.json"), resolution.to_string()).unwrap();
    let args = [
        "run",
        "--results",
        "../results.json",
        "--resolution",
        "../resolution.json",
    ];
    let out = sandbox.gates([&args, bundle].concat()).run();
    let results = std::fs::read_to_string(sandbox.path("results.json")).unwrap_or_else(|_| "null".to_owned());
    (
        out.code(),
        serde_json::from_str(&results).unwrap(),
        out.stderr.into(),
    )
}

#[test]
fn matching_resolution_is_recorded_in_evidence() {
    let (sandbox, resolution) = fixture();
    let (code, results, said) = run(&sandbox, &resolution, &["--bundle", "small"]);
    assert_eq!(code, Some(0), "{said}");
    let evidence = &results["evidence"];
    assert_eq!(evidence["run"], NONCE);
    assert_eq!(evidence["contract"], resolution["contract"]["sha256"]);
    for id in ["head", "base", "merge", "tree"] {
        assert_eq!(evidence[id], resolution[id], "{id}");
    }
}

#[test]
fn differing_resolution_is_refused() {
    let other = "5".repeat(40);
    for (what, value) in [
        ("merge", json!(other)),
        ("head", json!(other)),
        ("gate_ids", json!(["cpu:one", "cpu:two"])),
        ("bundle", json!("large")),
    ] {
        let (sandbox, mut resolution) = fixture();
        resolution[what] = value;
        if what == "merge" || what == "head" {
            // An equal tree would be the same code.
            resolution["tree"] = json!(other);
        }
        let (code, results, said) = run(&sandbox, &resolution, &["--bundle", "small"]);
        assert_eq!(code, Some(2), "{what}: {said}");
        assert_ne!(results["overall"], "pass", "{what}");
    }
    let (sandbox, mut resolution) = fixture();
    resolution["registry"]["sha256"] = json!("6".repeat(64));
    let (code, results, said) = run(&sandbox, &resolution, &["--bundle", "small"]);
    assert_eq!(code, Some(2), "{said}");
    assert_ne!(results["overall"], "pass");
}
