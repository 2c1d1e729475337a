//! Faults that the inline runner in a workflow finds only during a run, or not at all, and bodies in shapes that people wrote.
//! and the shapes of bodies that people really wrote.

use serde_json::Value;

use crate::driver::Sandbox;
use crate::fake_github::FakeGitHub;

const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const ATTESTATION: &str = include_str!("../fixtures/lint/attestation.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

/// Returns the code and line of each finding.
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
fn invalid_toml_is_reported_with_position() {
    let sandbox = Sandbox::new();
    let bad = REGISTRY
        .replace("timeout_s = 30", "timeout_s = thirty")
        .replace(
            "hot_path_min = [\"b200:moonlet_1x10\"",
            "hot_path_min = [\"b200:moonlet_1x1O\"",
        )
        .replace("pairs = 2", "pairs = = 2");
    sandbox
        .file("configs/gates/gates.toml", &bad)
        .file("configs/moonlet.toml", "")
        .file("configs/moonlight.toml", "");
    let out = sandbox
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
fn missing_config_file_is_found_before_run() {
    let sandbox = Sandbox::new();
    let frozen = "[gates.\"b200:frozen\"]\ntier = \"b\"\ngpus = 8\ncmd = \"python -m nmoe.train configs/frozen.toml\"\n\
                  requires_files = [\"configs/frozen.toml\"]\n\n[bundles]";
    let registry = REGISTRY
        .replace("[bundles]", frozen)
        .replace("full = [\n", "full = [\n  \"b200:frozen\",\n");
    sandbox
        .file("configs/gates/gates.toml", &registry)
        .file("configs/moonlet.toml", "")
        .file("configs/moonlight.toml", "");
    let out = sandbox
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
    // Another bundle that reaches the perf gate, or the missing file, fixes the finding.
    let mended = registry.replace(
        "[bundles]",
        "[bundles]\nperf = [\"b200:moonlight_8x20\", \"perf:baseline_delta\"]",
    );
    sandbox.file("configs/gates/gates.toml", &mended);
    let out = sandbox
        .gates(["lint", "registry", "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(found(&out).len(), 1);
    sandbox.file("configs/frozen.toml", "");
    sandbox.gates(["lint", "registry"]).run().exits(0);
}

#[test]
fn misplaced_block_and_partial_perf_claim_are_reported() {
    let sandbox = Sandbox::new();
    sandbox.file("configs/gates/gates.toml", REGISTRY);
    let body = "## Summary\n\nA loss that never holds all logits.\n\n## PR Attestation\n\n```yaml\nnmoe_pr:\n  issue: 06\n  \
                baseline_sha: 0fee6e5\n  risk: warm\n\ngates_passed:\n  tier_a:\n    - cpu:syntax\n  tier_b: []\n\nperf:\n  \
                gate: n/a\n  notes: saves memory\n```\n\n## Test plan\n- [ ] run it\n";
    let out = sandbox
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
fn issue_number_is_fetched_and_checked() {
    let api = FakeGitHub::start();
    api.issue(
        5,
        "[03a] Attention",
        &CONTRACT.replace("kind: feature", "kind: Feature"),
    );
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/model.py", "");
    let call = sandbox.gates(["lint", "contract", "--issue", "5", "--format", "json"]);
    let out = api.serves(call).run().exits(1).json();
    assert_eq!(found(&out), [("invalid-value", line_of(CONTRACT, "kind:"))]);
    assert_eq!(out["findings"][0]["path"], "issue #5");
    let call = sandbox.gates(["lint", "contract", "--issue", "6"]);
    api.serves(call)
        .run()
        .exits(3)
        .reports("error: cannot complete GET");
}

#[test]
fn pull_request_fetches_its_contract() {
    let api = FakeGitHub::start();
    api.issue(5, "[03a] Attention", CONTRACT);
    let head = "1188731".to_owned() + &"0".repeat(33);
    let body = ATTESTATION.replace("    - cpu:compileall\n", "");
    api.pull(7, "issue/03a-attention", &head, &"8".repeat(40), &body);
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/model.py", "");
    let call = sandbox.gates(["lint", "pr", "--pr", "7", "--format", "json"]);
    let out = api
        .serves(call)
        .run()
        .exits(1)
        .reports("note: the checkout has no history, so the scope")
        .json();
    assert_eq!(found(&out), [("tier-a-uncovered", line_of(&body, "tier_a:"))]);
    api.pull(
        7,
        "issue/03a-attention",
        &head,
        &"8".repeat(40),
        &body.replace("Fixes: #5", "Fixes: #"),
    );
    let call = sandbox.gates(["lint", "pr", "--pr", "7", "--format", "json"]);
    let out = api.serves(call).run().exits(1).json();
    assert_eq!(found(&out)[0], ("no-linked-contract", 1));
}

#[test]
fn private_terms_are_found_but_not_shown() {
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/model.py", "");
    let body = CONTRACT.replace("long contexts", "blue heron contexts");
    let out = sandbox
        .gates(["lint", "contract", "-"])
        .stdin(body)
        .env("NMOE_PRIVATE_TERMS", "Blue-Heron")
        .run()
        .exits(1)
        .prints("error[private-term]: a name from the private");
    assert!(!out.stdout.contains("heron"), "{}", out.stdout);
}
