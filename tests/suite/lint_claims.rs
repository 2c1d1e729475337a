//! Tests attestations against recorded results and pushed commits: branch, head, baseline, results, contract.

use serde_json::{Value, json};

use crate::driver::Sandbox;

const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const ATTESTATION: &str = include_str!("../fixtures/lint/attestation.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

/// Creates a checkout with two commits and returns their ids.
fn checkout() -> (Sandbox, String, String) {
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("contract.md", CONTRACT);
    sandbox.git(["init", "-q"]);
    let commit = |content: &str| {
        sandbox.file("nmoe/model.py", content);
        sandbox.git(["add", "-A"]);
        sandbox.git(["commit", "-qm", content]);
        sandbox.git(["rev-parse", "HEAD"]).trim().to_owned()
    };
    let (base, head) = (commit("a"), commit("b"));
    (sandbox, base, head)
}

fn body(base: &str, head: &str) -> String {
    ATTESTATION
        .replace("800ae9d", &base[..9])
        .replace("1188731", &head[..12])
}

/// Returns the results with the selection and overall verdict that match their gates.
fn consistent(mut results: Value) -> String {
    let gates = results["results"].as_object().unwrap();
    let failed = gates.values().any(|gate| gate["status"] == "fail");
    results["gate_ids"] = gates.keys().cloned().collect();
    results["overall"] = json!(if failed { "fail" } else { "pass" });
    results.to_string()
}

fn results(head: &str) -> Value {
    let gate = |status: &str| json!({ "status": status, "reason": null, "rc": 0, "duration_s": 1.0, "node_tps_p50": null });
    let mut perf = gate("pass");
    perf["perf"] = json!({ "baseline": 125_000.4, "result": 118_750.2, "delta_pct": -5.0003 });
    json!({
        "schema": 1,
        "bundle": null,
        "gate_ids": [],
        "overall": "pass",
        "evidence": { "head": head, "base": null, "merge": null, "tree": null, "dirty": false, "registry": null,
            "contract": null, "image": null, "tool": null, "target": null, "run": null },
        "started_at": null,
        "duration_s": null,
        "results": {
            "cpu:import": gate("pass"),
            "cpu:compileall": gate("pass"),
            "b200:moonlight_8x20": gate("pass"),
            "perf:baseline_delta": perf,
        },
    })
}

fn found(sandbox: &Sandbox, body: &str, options: &[&str]) -> Vec<(String, String)> {
    let mut args = vec!["lint", "attestation", "-", "--format", "json"];
    args.extend(options);
    let out = sandbox.gates(&args).stdin(body).run();
    let json = out.json();
    let errors = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|f| f["severity"] == "error");
    assert_eq!((out.code(), out.stderr.as_str()), (Some(i32::from(errors)), ""));
    let lines: Vec<&str> = body.lines().collect();
    json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let line = lines[f["line"].as_u64().unwrap() as usize - 1].trim();
            (f["code"].as_str().unwrap().to_owned(), line.to_owned())
        })
        .collect()
}

#[test]
fn attested_commit_must_be_head() {
    let (sandbox, base, head) = checkout();
    let body = body(&base, &head);
    assert_eq!(found(&sandbox, &body, &["--head", "HEAD"]), []);
    assert_eq!(found(&sandbox, &body, &["--head", &base])[0].0, "wrong-head");
    let unknown = body.replace(&base[..9], "0123456789");
    assert_eq!(
        found(&sandbox, &unknown, &["--head", "HEAD"]),
        [("unknown-commit".to_owned(), "baseline_sha: 0123456789".to_owned())]
    );
    // Without --head the lint does not check whether the commit exists.
    assert_eq!(found(&sandbox, &unknown, &[]), []);
    sandbox
        .gates(["lint", "attestation", "-", "--head", "no-such-ref"])
        .stdin(body)
        .expect()
        .status(2)
        .stderr_matches("error: .*no-such-ref.*")
        .check();
}

#[test]
fn branch_name_must_match_contract() {
    let (sandbox, base, head) = checkout();
    let body = body(&base, &head);
    assert_eq!(found(&sandbox, &body, &["--branch", "issue/03a-anything"]), []);
    for branch in [
        "fix",
        "issue/3a-attention",
        "issue/03a-Attention",
        "issue/03a",
        "issue/03a-",
    ] {
        let found = found(&sandbox, &body, &["--branch", branch]);
        assert_eq!(
            found,
            [("wrong-branch".to_owned(), "issue: 03a".to_owned())],
            "{branch}"
        );
    }
    let with = ["--contract", "contract.md", "--branch", "issue/03a-other"];
    assert_eq!(found(&sandbox, &body, &with)[0].0, "wrong-branch");
    // A hosted agent names its branch itself. The contract of the closing issue binds it; the attestation alone does not.
    let agent = ["--contract", "contract.md", "--branch", "copilot/fix-1"];
    assert_eq!(found(&sandbox, &body, &agent), []);
    assert_eq!(found(&sandbox, &body, &agent[2..])[0].0, "wrong-branch");
}

#[test]
fn unmeasured_number_is_a_finding() {
    let (sandbox, base, head) = checkout();
    let body = body(&base, &head);
    sandbox.file("results.json", consistent(results(&head)));
    let with = ["--results", "results.json"];
    assert_eq!(found(&sandbox, &body, &with), []);
    let faster = body
        .replace("result: 118750", "result: 123750")
        .replace("-5.0", "-1.0");
    assert_eq!(
        found(&sandbox, &faster, &with),
        [
            ("unmeasured-number".to_owned(), "result: 123750".to_owned()),
            ("unmeasured-number".to_owned(), "delta_pct: -1.0".to_owned()),
        ]
    );
    let mut failed = results(&head);
    failed["results"]["cpu:compileall"]["status"] = json!("fail");
    failed["results"]
        .as_object_mut()
        .unwrap()
        .remove("b200:moonlight_8x20");
    sandbox.file("results.json", consistent(failed));
    assert_eq!(
        found(&sandbox, &body, &with),
        [
            ("unproven-claim".to_owned(), "- cpu:compileall".to_owned()),
            (
                "unproven-claim".to_owned(),
                "tier_b: [b200:moonlight_8x20]".to_owned()
            ),
        ]
    );
    sandbox.file("results.json", consistent(results(&base)));
    assert_eq!(found(&sandbox, &body, &with)[0].0, "foreign-results");
    sandbox.file("results.json", "{}");
    sandbox
        .gates(["lint", "attestation", "-", "--results", "results.json"])
        .stdin(body)
        .expect()
        .status(2)
        .stderr_matches("error: .*results.json.*")
        .check();
}

#[test]
fn tier_b_claim_requires_numbers() {
    let (sandbox, base, head) = checkout();
    let body = body(&base, &head);
    let start = body.find("\nperf:").unwrap();
    let end = body[start..].find("```").unwrap() + start;
    let without = format!("{}\n{}", &body[..start], &body[end..]);
    let with = ["--contract", "contract.md"];
    assert_eq!(found(&sandbox, &without, &with)[0].0, "missing-perf");
    let empty = without.replace("[b200:moonlight_8x20]", "[]");
    assert_eq!(found(&sandbox, &empty, &with), []);
    let claimed = empty.replace("tier_b: []", "tier_b: [perf:baseline_delta]");
    assert_eq!(found(&sandbox, &claimed, &[])[0].0, "missing-perf");
}

#[test]
fn removed_gate_ids_are_found() {
    let (sandbox, _, _) = checkout();
    sandbox
        .file("configs/moonlet.toml", "")
        .file("configs/moonlight.toml", "");
    sandbox.file(
        "configs/gates/gates.toml",
        REGISTRY.replace("hot_path_min =", "smoke ="),
    );
    let out = sandbox
        .gates(["lint", "registry", "--base", "HEAD", "--format", "json"])
        .expect()
        .status(1)
        .stdout_json()
        .check()
        .json();
    assert_eq!(out["findings"].as_array().unwrap().len(), 1, "{out}");
    assert_eq!(out["findings"][0]["code"], "vanished-id");
    assert!(
        out["findings"][0]["message"]
            .as_str()
            .unwrap()
            .contains("hot_path_min")
    );
    sandbox
        .gates(["lint", "registry", "--base", "no-such"])
        .expect()
        .status(2)
        .stderr_matches("error: .*no-such.*")
        .check();
}
