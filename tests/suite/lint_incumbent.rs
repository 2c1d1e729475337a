//! What the incumbent gets wrong before it runs anything, by the row of the list that its faults were written down in,
//! and the shapes of bodies that people really wrote.

use serde_json::Value;

use crate::api::Api;
use crate::driver::Place;

const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const ATTESTATION: &str = include_str!("../fixtures/lint/attestation.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

/// Code and line of each finding.
fn found(out: &Value) -> Vec<(&str, u64)> {
    out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["code"].as_str().unwrap(), f["line"].as_u64().unwrap()))
        .collect()
}

fn line_of(text: &str, needle: &str) -> u64 {
    text.lines().position(|l| l.contains(needle)).unwrap() as u64 + 1
}

#[test]
fn row_9_bad_toml_is_a_finding_with_its_place_and_every_other_one_too() {
    let place = Place::new();
    let bad = REGISTRY
        .replace("timeout_s = 30", "timeout_s = thirty")
        .replace(
            "hot_path_min = [\"b200:moonlet_1x10\"",
            "hot_path_min = [\"b200:moonlet_1x1O\"",
        )
        .replace("pairs = 2", "pairs = = 2");
    place
        .file("configs/gates/gates.toml", &bad)
        .file("configs/moonlet.toml", "")
        .file("configs/moonlight.toml", "");
    let out = place
        .gates(["lint", "registry", "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(
        found(&out),
        [
            ("invalid-toml", line_of(&bad, "thirty")),
            ("invalid-toml", line_of(&bad, "= = 2")),
            ("unknown-gate", line_of(&bad, "1x1O")),
        ]
    );
    assert_eq!(out["findings"][2]["help"], "did you mean `b200:moonlet_1x10`?");
}

#[test]
fn row_26_a_missing_file_and_the_perf_gate_behind_it_are_found_before_a_gpu_is_spent() {
    let place = Place::new();
    let frozen = "[gates.\"b200:frozen\"]\ntier = \"b\"\ngpus = 8\ncmd = \"python -m nmoe.train configs/frozen.toml\"\n\
                  requires_files = [\"configs/frozen.toml\"]\n\n[bundles]";
    let registry = REGISTRY
        .replace("[bundles]", frozen)
        .replace("full = [\n", "full = [\n  \"b200:frozen\",\n");
    place
        .file("configs/gates/gates.toml", &registry)
        .file("configs/moonlet.toml", "")
        .file("configs/moonlight.toml", "");
    let out = place
        .gates(["lint", "registry", "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(
        found(&out),
        [
            (
                "missing-file",
                line_of(&registry, "requires_files = [\"configs/frozen.toml\"]")
            ),
            (
                "perf-unreachable",
                line_of(&registry, "  \"perf:baseline_delta\"")
            ),
        ]
    );
    // Another bundle that reaches the perf gate, or the file, mends it.
    let mended = registry.replace(
        "[bundles]",
        "[bundles]\nperf = [\"b200:moonlight_8x20\", \"perf:baseline_delta\"]",
    );
    place.file("configs/gates/gates.toml", &mended);
    let out = place
        .gates(["lint", "registry", "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(found(&out).len(), 1);
    place.file("configs/frozen.toml", "");
    place.gates(["lint", "registry"]).run().exits(0);
}

#[test]
fn a_body_with_the_block_under_a_later_heading_and_half_a_perf_claim() {
    let place = Place::new();
    place.file("configs/gates/gates.toml", REGISTRY);
    let body = "## Summary\n\nA loss that never holds all logits.\n\n## PR Attestation\n\n```yaml\nnmoe_pr:\n  issue: 06\n  \
                baseline_sha: 0fee6e5\n  risk: warm\n\ngates_passed:\n  tier_a:\n    - cpu:syntax\n  tier_b: []\n\nperf:\n  \
                gate: n/a\n  notes: saves memory\n```\n\n## Test plan\n- [ ] run it\n";
    let out = place
        .gates(["lint", "attestation", "-", "--format", "json"])
        .stdin(body)
        .run()
        .exits(1)
        .json();
    let mut codes: Vec<&str> = found(&out).into_iter().map(|(code, _)| code).collect();
    codes.dedup();
    assert_eq!(
        codes,
        [
            "missing-confirmation",
            "attestation-not-first",
            "missing-key",
            "unknown-gate",
            "missing-key",
            "unknown-gate",
            "unknown-key",
        ]
    );
}

#[test]
fn an_issue_is_fetched_by_its_number_and_judged() {
    let api = Api::start();
    api.issue(
        5,
        "[03a] Attention",
        &CONTRACT.replace("kind: feature", "kind: Feature"),
    );
    let place = Place::new();
    place
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/model.py", "");
    let call = place.gates(["lint", "contract", "--issue", "5", "--format", "json"]);
    let out = api.serves(call).run().exits(1).json();
    assert_eq!(found(&out), [("invalid-value", line_of(CONTRACT, "kind:"))]);
    assert_eq!(out["findings"][0]["path"], "issue #5");
    let call = place.gates(["lint", "contract", "--issue", "6"]);
    api.serves(call).run().exits(3);
}

#[test]
fn a_pull_request_and_the_contract_that_it_fixes_are_fetched() {
    let api = Api::start();
    api.issue(5, "[03a] Attention", CONTRACT);
    let head = "1188731".to_owned() + &"0".repeat(33);
    let body = ATTESTATION.replace("    - cpu:compileall\n", "");
    api.pull(7, "issue/03a-attention", &head, &"8".repeat(40), &body);
    let place = Place::new();
    place
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/model.py", "");
    let call = place.gates(["lint", "pr", "--pr", "7", "--format", "json"]);
    let out = api.serves(call).run().exits(1).json();
    assert_eq!(found(&out), [("tier-a-uncovered", line_of(&body, "tier_a:"))]);
    api.pull(
        7,
        "issue/03a-attention",
        &head,
        &"8".repeat(40),
        &body.replace("Fixes: #5", "Fixes: #"),
    );
    let call = place.gates(["lint", "pr", "--pr", "7", "--format", "json"]);
    let out = api.serves(call).run().exits(1).json();
    assert_eq!(found(&out)[0], ("no-linked-contract", 1));
}

#[test]
fn private_terms_are_found_and_not_shown() {
    let place = Place::new();
    place
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/model.py", "");
    let body = CONTRACT.replace("long contexts", "blue heron contexts");
    let out = place
        .gates(["lint", "contract", "-"])
        .stdin(body)
        .env("NMOE_PRIVATE_TERMS", "Blue-Heron")
        .run()
        .exits(1);
    assert!(!out.stdout.contains("heron"), "{}", out.stdout);
}
