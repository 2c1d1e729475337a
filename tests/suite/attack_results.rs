//! Attacks by a results file on the commands that read one, and by a hostile document on the output of the lints.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::attack::attack;
use crate::driver::Sandbox;
use crate::run_fixture::RunFixture;

/// Changes recorded results at a pointer.
fn set(results: &Value, at: &str, to: Value) -> Value {
    let mut changed = results.clone();
    let (parent, key) = at.rsplit_once('/').unwrap();
    changed.pointer_mut(parent).unwrap()[key] = to;
    changed
}

/// Whether a reader that looks only at the verdicts sees a pass.
fn says_pass(results: &Value) -> bool {
    results["overall"] == "pass"
}

#[test]
fn t10_impossible_results_of_external_gate() {
    let fixture = RunFixture::new();
    fixture.raw("[gates.\"zero2:x\"]\ntier = \"b\"\nkind = \"external\"\ntimeout_s = 60\n");
    fixture.sandbox.git(["init", "-q"]);
    fixture.sandbox.git(["add", "-A"]);
    fixture.sandbox.git(["commit", "-qm", "base"]);
    let recorded = fixture.run(&["--gate", "zero2:x"]).exits(3).results;
    let recorded = set(&recorded, "/results/zero2:x/status", json!("pass"));
    let recorded = set(&recorded, "/results/zero2:x/reason", Value::Null);
    let recorded = set(&recorded, "/overall", json!("pass"));
    let gate = "/results/zero2:x";
    let address = format!("at 10.42.{}.9", 17);
    let elsewhere = fixture.sandbox.path("home/elsewhere.json");
    let given = format!("zero2:x={}", elsewhere.display());
    let supply = |results: &Value| {
        std::fs::write(&elsewhere, results.to_string()).unwrap();
        let call = fixture
            .sandbox
            .gates(["run", "--gate", "zero2:x", "--external", &given, "--results"])
            .arg(fixture.results())
            .env("GITHUB_ACTOR", "a-maintainer");
        call.run().any_output().code()
    };
    assert_eq!(supply(&recorded), Some(0));
    for (what, forged) in [
        (
            "longer than its limit",
            set(&recorded, &format!("{gate}/duration_s"), json!(1e5)),
        ),
        (
            "with a reason",
            set(&recorded, &format!("{gate}/reason"), json!("timeout")),
        ),
        (
            "with an exit code",
            set(&recorded, &format!("{gate}/rc"), json!(1)),
        ),
        (
            "with a signal",
            set(&recorded, &format!("{gate}/signal"), json!(9)),
        ),
        (
            "a metric with text",
            set(
                &recorded,
                &format!("{gate}/metrics"),
                json!({address.as_str(): {"unit": null, "count": 0, "samples": []}}),
            ),
        ),
        (
            "a file with text",
            set(
                &recorded,
                &format!("{gate}/missing_files"),
                json!([address.as_str()]),
            ),
        ),
        (
            "a node with text",
            set(
                &recorded,
                &format!("{gate}/ranks"),
                json!([{"rank": 0, "node": address, "status": "pass", "reason": null, "rc": 0, "duration_s": 1.0}]),
            ),
        ),
        (
            "a time with text",
            set(&recorded, "/started_at", json!("2026-01-01T00:00:00Z[u-ca=x]")),
        ),
        (
            "a time without zone",
            set(&recorded, "/started_at", json!("2026-01-01 00:00:00Z")),
        ),
        (
            "a version with text",
            set(&recorded, "/evidence/tool", json!("0.1.0 x")),
        ),
        (
            "a driver with text",
            set(&recorded, "/evidence/driver", json!(address)),
        ),
        ("a rehearsal", set(&recorded, "/evidence/rehearsal", json!(true))),
    ] {
        let code = supply(&forged);
        assert_eq!(code, Some(2), "{what}");
        attack(what, says_pass(&forged), code == Some(0));
    }
}

#[test]
fn t10_impossible_results_in_other_readers() {
    let fixture = RunFixture::new();
    fixture.gate_with("cpu:ok", "true", "timeout_s = 60");
    fixture.sandbox.git(["init", "-q"]);
    let recorded = fixture.run(&["--gate", "cpu:ok"]).exits(0).results;
    let forged = fixture.sandbox.path("home/forged.json");
    let copy = fixture.sandbox.path("home/copy.json");
    let gate = "/results/cpu:ok";
    for (what, results) in [
        (
            "longer than its limit",
            set(&recorded, &format!("{gate}/duration_s"), json!(1e5)),
        ),
        (
            "with a reason",
            set(&recorded, &format!("{gate}/reason"), json!("timeout")),
        ),
        (
            "supplied by someone",
            set(&recorded, &format!("{gate}/supplied_by"), json!("someone")),
        ),
        ("outside of its budget", {
            let perf = json!({"compare_gate": "cpu:ok", "metric": "node_tps_p50", "delta_pct": -60.0, "budget_pct": -10.0});
            set(&recorded, &format!("{gate}/perf"), perf)
        }),
        (
            "a time with text",
            set(&recorded, "/started_at", json!("2026-01-01T00:00:00Z[u-ca=x]")),
        ),
        (
            "a bundle with text",
            set(&recorded, "/bundle", json!("a node at 7")),
        ),
    ] {
        std::fs::write(&forged, results.to_string()).unwrap();
        std::fs::write(&copy, results.to_string()).unwrap();
        let (forged, copy) = (forged.to_str().unwrap(), copy.to_str().unwrap());
        for words in [
            &["report", forged][..],
            &["report", forged, "--format", "json"],
            &["report", forged, "--format", "junit"],
            &["report", forged, copy],
            &["report", forged, "--gate", "cpu:ok"],
        ] {
            let out = fixture.sandbox.gates(words).run().any_output();
            attack(
                &format!("{what}: {words:?}"),
                says_pass(&results),
                out.code() == Some(0),
            );
            assert_eq!(out.code(), Some(2), "{what}: {words:?}: {}", out.stderr);
        }
    }
    std::fs::write(&forged, recorded.to_string()).unwrap();
    fixture
        .sandbox
        .gates(["report", forged.to_str().unwrap()])
        .run()
        .any_output()
        .exits(0);
}

/// Runs a lint on a document and returns its exit code, its output and its time.
fn timed(sandbox: &Sandbox, words: &[&str]) -> (Option<i32>, String, Duration) {
    let began = Instant::now();
    let out = sandbox.gates(words).run().any_output();
    let said = out.stdout.to_string() + &*out.stderr;
    (out.code(), said, began.elapsed())
}

#[test]
fn slow_t21_many_findings_on_one_line() {
    let count = 4_000;
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    let all = |one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let gates = "[gates.\"t:g\"]\ntier = \"a\"\ntimeout_s = 5\ncmd = \"true\"\n";
    let meta = "[meta]\nversion = \"1\"\ntarget = \"b200\"\n";
    let metrics = all(&|n| format!("{{name = \"m{n}\", pattern = \"(a|b){{0,500}}x{n} (?P<v>[0-9]+)\"}}"));
    sandbox.file(
        "configs/gates/gates.toml",
        format!("{meta}{gates}metrics = [{metrics}]\n"),
    );
    let bad = all(&|n| format!("\"a{n}/\\u200b**\""));
    sandbox.file(
        "contract.md",
        format!("```yaml\nnmoe: {{issue: \"00\", slug: abc}}\nscope: {{allow: [{bad}], deny: []}}\n```\n"),
    );
    let commits = all(&|n| format!("{{gate: \"g {n}\", status: ok}}"));
    sandbox.file(
        "pr.md",
        format!("```yaml\nnmoe_pr: {{issue: \"00\", gates: [{commits}]}}\n```\n"),
    );
    let allowed = all(&|n| format!("{{path = \"a{n}/../b\", code = \"c\", reason = \"\"}}"));
    sandbox.file(
        "settings.md",
        format!("```yaml\nnmoe: {{issue: [{allowed}]}}\n```\n"),
    );
    let jobs = all(&|n| {
        format!(
            "j{n}: {{runs-on: self-hosted, permissions: {{statuses: write}}, steps: [{{uses: \"a/b@main\"}}]}}"
        )
    });
    sandbox.file("w.yml", format!("on: pull_request_target\njobs: {{{jobs}}}\n"));
    let addresses = all(&|n| format!("10.{}.{}.7", n / 250, n % 250 + 1));
    sandbox.file("notes.txt", addresses.as_str());
    sandbox.file(
        "leaky.md",
        format!("```yaml\nnmoe: {{issue: \"00\", slug: \"{addresses}\"}}\n```\n"),
    );
    for words in [
        &["lint", "registry"][..],
        &["lint", "contract", "contract.md"],
        &["lint", "contract", "settings.md"],
        &["lint", "contract", "leaky.md"],
        &["lint", "attestation", "pr.md"],
        &["lint", "workflows", "w.yml"],
        &["lint", "safety", "notes.txt"],
    ] {
        let (code, said, took) = timed(&sandbox, words);
        assert_eq!(code, Some(1), "{words:?}: {}", &said[..said.len().min(2000)]);
        // A snippet with the line for each finding.
        let naive = count * addresses.len() > 64 << 20;
        let ours = said.len() > 4 << 20 || took > Duration::from_secs(20);
        attack(
            &format!("{words:?}: {} bytes in {took:?}", said.len()),
            naive,
            ours,
        );
        let (_, listed, took) = timed(&sandbox, &[words, &["--format", "json"]].concat());
        assert!(took < Duration::from_secs(20), "{words:?}: {took:?}");
        assert!(serde_json::from_str::<Value>(listed.trim()).is_ok(), "{words:?}");
    }
}
