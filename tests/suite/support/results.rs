//! A registry, a contract, and the results of a run with both.
#![allow(dead_code, reason = "not every test binary uses each of these")]

use serde_json::{Map, Value, json};

/// Two Tier-A gates, a Tier-B gate, and a perf gate over it.
pub const REGISTRY: &str = r#"
[meta]
version = "1"
target = "b200"

[gates."cpu:import"]
tier = "a"
cmd = "true"
timeout_s = 60

[gates."cpu:compileall"]
tier = "a"
cmd = "true"
timeout_s = 60

[gates."b200:moonlight_8x20"]
tier = "b"
cmd = "true"
timeout_s = 60
gpus = 8

[gates."perf:baseline_delta"]
tier = "b"
kind = "perf"
compare_gate = "b200:moonlight_8x20"
metric = "node_tps_p50"
timeout_s = 60

[bundles]
full = ["b200:moonlight_8x20", "perf:baseline_delta"]
"#;

/// A contract of risk `hot` that requires all of these gates.
pub const CONTRACT: &str = "```yaml\nnmoe:\n  issue: 07\n  slug: x\n  kind: perf\n  risk: hot\n  complexity: S\n  depends_on: []\n  merge_hotspots: []\n\n\
scope:\n  allow: [docs/**]\n  deny: []\n\ncontract:\n  invariants:\n    - B200-only (sm_100a)\n    - No NCCL all-to-all on the MoE path\n    \
- TOML-only, container-first\n  knobs:\n    add: []\n    change: []\n\ngates:\n  required: [cpu:import, cpu:compileall, b200:moonlight_8x20, perf:baseline_delta]\n  perf:\n    \
gate: perf:baseline_delta\n    compare: b200:moonlight_8x20\n    metric: node_tps_p50\n    budget_pct: -10\n```\n";

/// Returns results of these gates (id and verdict) for a head commit and its tree.
pub fn results(head: &str, tree: &str, gates: &[(&str, &str)]) -> Value {
    let mut all = Map::new();
    for (id, verdict) in gates {
        let has_passed = *verdict == "pass";
        let (rc, duration) = (has_passed.then_some(0), has_passed.then_some(1.0));
        let mut gate = json!({"status": verdict, "reason": null, "rc": rc, "duration_s": duration, "node_tps_p50": null});
        if *id == "perf:baseline_delta" {
            gate["perf"] = json!({
                "compare_gate": "b200:moonlight_8x20", "metric": "node_tps_p50", "baseline": 100_000.0,
                "result": 98_765.4, "delta_pct": -1.2346, "budget_pct": -10.0, "method": "threshold",
            });
        }
        all.insert((*id).to_owned(), gate);
    }
    let passed = gates.iter().all(|(_, verdict)| *verdict == "pass");
    json!({
        "schema": 1, "bundle": null, "gate_ids": gates.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        "overall": if passed { "pass" } else { "fail" }, "uncovered": [],
        "evidence": {
            "head": head, "base": null, "merge": null, "tree": tree, "dirty": false, "registry": null, "contract": null,
            "kernels": {}, "image": null, "tool": null, "target": null, "run": null,
        },
        "started_at": "2026-01-01T00:00:00Z", "duration_s": 1.0, "results": all,
    })
}
