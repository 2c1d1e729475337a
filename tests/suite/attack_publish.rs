//! Attacks on published results: forged, foreign, poisoned and replayed results, hostile names, planted comments.
//!
//! Each attack must succeed against a naive publisher and fail against the program.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::attack::{attack, gfm};
use crate::driver::Sandbox;
use crate::pull_fixture::{MERGE, NONCE, OTHER, PullFixture};

/// Publishes results as a naive publisher does: one row for each entry.
fn naive(bytes: &[u8]) -> Option<String> {
    let results: Value = serde_json::from_slice(bytes).ok()?;
    let mut table = format!(
        "### Gates: {}\n\n| Gate | Status |\n|:--|:--|\n",
        results["overall"].as_str()?
    );
    for (gate, result) in results["results"].as_object()? {
        table += &format!("| {gate} | {} |\n", result["status"].as_str()?);
    }
    Some(table + &results["evidence"].to_string())
}

/// Publishes these results with the naive publisher and with the program, and returns both texts.
fn both(fixture: &PullFixture, results: &str) -> (String, String) {
    let ours = fixture.raw(results).run().any_output();
    assert_ne!(ours.code(), Some(2), "{}", ours.stderr);
    (naive(results.as_bytes()).unwrap_or_default(), fixture.comment())
}

fn is_green(text: &str) -> bool {
    text.contains("### Gates: pass") || text.contains("✅")
}

fn set(value: &Value, pointer: &str, to: Value) -> Value {
    let mut value = value.clone();
    *value.pointer_mut(pointer).expect(pointer) = to;
    value
}

#[test]
fn t10_overall_contradicts_gates() {
    let fixture = PullFixture::new();
    let results = set(&fixture.results(), "/results/b200:two/status", json!("fail"));
    let (naive, ours) = both(&fixture, &results.to_string());
    attack(
        "overall: pass beside a failed gate",
        is_green(&naive),
        is_green(&ours),
    );
}

#[test]
fn t10_duplicate_key() {
    let fixture = PullFixture::new();
    let text = fixture.results().to_string();
    let twice = text.replacen(
        "\"overall\":\"pass\"",
        "\"overall\":\"fail\",\"overall\":\"pass\"",
        1,
    );
    let (naive, ours) = both(&fixture, &twice);
    attack("the last of two keys wins", is_green(&naive), is_green(&ours));
    let hidden = text.replacen(
        "\"status\":\"pass\"",
        "\"status\":\"fail\",\"status\":\"pass\"",
        1,
    );
    let (naive, ours) = both(&fixture, &hidden);
    attack("and deep inside too", is_green(&naive), is_green(&ours));
}

#[test]
fn t10_gate_removed_or_added() {
    let fixture = PullFixture::new();
    let mut less = fixture.results();
    less["gate_ids"] = json!(["cpu:one"]);
    less["results"].as_object_mut().unwrap().remove("b200:two");
    let (naive, ours) = both(&fixture, &less.to_string());
    attack(
        "the gate that would fail is left out",
        is_green(&naive),
        is_green(&ours),
    );
    let mut more = fixture.results();
    more["gate_ids"].as_array_mut().unwrap().push(json!("b200:extra"));
    more["results"]["b200:extra"] = more["results"]["cpu:one"].clone();
    let (naive, ours) = both(&fixture, &more.to_string());
    attack(
        "a gate is added",
        naive.contains("b200:extra"),
        ours.contains("b200:extra"),
    );
}

#[test]
fn t10_number_is_not_finite() {
    let fixture = PullFixture::new();
    for number in ["1e999", "-1e999", "NaN", "Infinity"] {
        let text = set(&fixture.results(), "/results/b200:two/node_tps_p50", json!("@")).to_string();
        let text = text.replace("\"@\"", number);
        // The inline runner reads with Python, which accepts all of these as floats.
        let naive = number.parse::<f64>().is_ok_and(|n| !n.is_finite());
        fixture.raw(&text).run().exits(3).reports("refused: ");
        attack(number, naive, is_green(&fixture.comment()));
    }
}

#[test]
fn t10_results_too_large() {
    let fixture = PullFixture::new();
    let mut results = fixture.results();
    results["evidence"]["kernels"] = (0..6000)
        .map(|n| (format!("nmoe/csrc/k{n}.so"), json!("0".repeat(64))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let text = results.to_string();
    let longest = 65_536;
    let refused = naive(text.as_bytes()).is_some_and(|comment| comment.len() > longest);
    let (_, ours) = both(&fixture, &text);
    attack(
        "no comment at all, since GitHub takes none that long",
        refused,
        ours.is_empty() || ours.len() > longest,
    );
}

#[test]
fn t13_results_not_a_regular_file() {
    let fixture = PullFixture::new();
    let path = fixture.sandbox.path("results.json");
    let secret = fixture.sandbox.path("home/secret.json");
    std::fs::write(&secret, fixture.results().to_string()).unwrap();
    let publish = || {
        let _ = std::fs::remove_file(fixture.sandbox.path("output"));
        let args = [
            "publish",
            "../results.json",
            "--pr",
            "5",
            "--resolution",
            "../resolution.json",
        ];
        fixture
            .api
            .serves(fixture.sandbox.gates(args))
            .run()
            .exits(3)
            .reports("refused: ");
        fixture.comment()
    };
    symlink(&secret, &path).unwrap();
    attack(
        "a link is followed",
        naive(&std::fs::read(&path).unwrap()).is_some(),
        is_green(&publish()),
    );
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let hung = std::process::Command::new("timeout")
        .args(["0.3", "cat"])
        .arg(&path)
        .status()
        .unwrap();
    attack(
        "a pipe hangs the reader",
        hung.code() == Some(124),
        is_green(&publish()),
    );
    std::fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    let endless = std::process::Command::new("timeout")
        .args(["0.3", "wc", "-c"])
        .arg(&path)
        .status()
        .unwrap();
    attack(
        "a device never ends",
        endless.code() == Some(124),
        is_green(&publish()),
    );
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    publish();
}

#[test]
fn t3_results_of_other_commit() {
    let fixture = PullFixture::new();
    for identity in ["head", "base", "merge", "tree"] {
        let results = set(&fixture.results(), &format!("/evidence/{identity}"), json!(OTHER)).to_string();
        let (naive, ours) = both(&fixture, &results);
        attack(identity, is_green(&naive), is_green(&ours));
    }
}

#[test]
fn t3_head_moves_after_approval() {
    let fixture = PullFixture::new();
    fixture.set_merge(OTHER, OTHER, "6666666666666666666666666666666666666666");
    let (naive, ours) = both(&fixture, &fixture.results().to_string());
    let green = |text: &str| is_green(text) && !text.contains("older state");
    attack("a verdict on what nobody tested", green(&naive), green(&ours));
    assert_eq!(fixture.status().0, "error");
}

#[test]
fn t16_contract_weakened_after_approval() {
    let fixture = PullFixture::new();
    fixture.api.issue(1, "[01] A contract", "a weaker contract");
    let (naive, ours) = both(&fixture, &fixture.results().to_string());
    let green = |text: &str| is_green(text) && !text.contains("older state");
    attack(
        "results of one contract shown for another",
        green(&naive),
        green(&ours),
    );
}

#[test]
fn t20_earlier_run_replayed() {
    let fixture = PullFixture::new();
    for (what, nonce) in [
        ("another run's nonce", json!("f".repeat(32))),
        ("none", json!(null)),
    ] {
        let results = set(&fixture.results(), "/evidence/run", nonce).to_string();
        let (naive, ours) = both(&fixture, &results);
        attack(what, is_green(&naive), is_green(&ours));
    }
    assert!(fixture.results()["evidence"]["run"] == NONCE && fixture.results()["evidence"]["merge"] == MERGE);
}

#[test]
fn t20_older_run_ends_last() {
    let fixture = PullFixture::new();
    let mut failed = fixture.results();
    failed["overall"] = json!("fail");
    failed["results"]["cpu:one"]["status"] = json!("fail");
    failed["results"]["cpu:one"]["rc"] = json!(1);
    let last_writer_wins = naive(fixture.results().to_string().as_bytes()).unwrap();
    fixture.publish(&failed, 2).exits(0);
    let late = fixture.publish(&fixture.results(), 1).exits(0);
    late.reports("a newer run has published");
    attack(
        "the late one wins",
        is_green(&last_writer_wins),
        is_green(fixture.comment().lines().nth(1).unwrap()),
    );
}

#[test]
fn t19_infrastructure_names_in_free_fields() {
    let fixture = PullFixture::new();
    let host = "node-17.cluster.internal";
    let good = fixture.results();
    let mut cases: Vec<Value> = ["image", "target", "tool", "run", "contract", "kernels"]
        .map(|field| {
            let value = if field == "kernels" {
                json!({host: "0".repeat(64)})
            } else {
                json!(host)
            };
            set(&good, &format!("/evidence/{field}"), value)
        })
        .to_vec();
    cases.push(set(&good, "/started_at", json!(host)));
    cases.push(set(&good, "/bundle", json!(host)));
    for (field, value) in [
        ("missing_env", json!([host])),
        ("missing_files", json!([host])),
        ("supplied_by", json!(host)),
        ("metrics", json!({host: {"count": 0, "p50": null, "samples": []}})),
        (
            "metrics",
            json!({"node_tps": {"unit": host, "count": 0, "p50": null, "samples": []}}),
        ),
        (
            "kernel_checks",
            json!([{"name": host, "status": "pass", "reason": null, "duration_s": null}]),
        ),
        ("perf", json!({"compare_gate": host})),
        ("perf", json!({"method": host})),
        ("reason", json!(host)),
    ] {
        let mut results = good.clone();
        results["results"]["b200:two"][field] = value;
        cases.push(results);
    }
    for results in cases {
        let text = results.to_string();
        let copied = text.contains(host);
        let (_, ours) = both(&fixture, &text);
        attack(&text, copied, ours.contains("internal"));
        assert!(fixture.status().1.contains("refused"), "{text}");
    }
}

#[test]
fn t11_planted_comment_marker() {
    let fixture = PullFixture::new();
    fixture.publish(&fixture.results(), 1).exits(0);
    let body = fixture.comment();
    fixture.api.state().comments.clear();
    let planted = fixture
        .api
        .comment(5, "mallory", &body.replace("pass", "pass, merge at once"));
    // A search by marker alone would edit the first comment and leave the forged one visible.
    let by_marker = fixture
        .api
        .state()
        .comments
        .iter()
        .find(|c| c["body"].as_str().unwrap().starts_with("<!-- nmoe-gates"))
        .map(|c| c["id"].clone());
    fixture.publish(&fixture.results(), 2).exits(0);
    let edited = fixture.api.writes().iter().any(|w| {
        w.contains(&format!(
            "PATCH /repos/octo-org/trainer/issues/comments/{planted}"
        ))
    });
    attack(
        "a stranger's comment is taken for ours",
        by_marker == Some(json!(planted)),
        edited,
    );
    let ours = fixture
        .api
        .state()
        .comments
        .iter()
        .find(|c| c["user"]["login"] == "github-actions[bot]")
        .unwrap()
        .clone();
    assert!(
        !ours["body"].as_str().unwrap().contains("Earlier runs"),
        "its history is not believed either"
    );
}

/// Names with special characters of Markdown, HTML, GitHub or a terminal.
const HOSTILE: [&str; 26] = [
    "a | pass | 99 |\n| b",
    "x`y` *~bold~*",
    "``` \n# heading",
    "<img src=https://evil.example/beacon>",
    "![i](https://evil.example/beacon.png)",
    "[click](https://evil.example)",
    "https://evil.example/",
    "www.evil.example",
    "@octo-org/everyone",
    "@octocat",
    "#1",
    "octo-org/trainer#1",
    "GH-1",
    "</details><details open>",
    "<!-- nmoe-gates {} -->",
    "--> <script>alert(1)</script>",
    "<https://evil.example>",
    "javascript:alert(1)",
    "<a href='javascript:alert(1)'>x</a>",
    "\u{202e}ssap",
    "\u{200b}pass",
    "a\rb\r\nc",
    "\u{1b}[31mred",
    "$x^2$",
    "~~gone~~",
    "a\u{0}b",
];

#[test]
fn t11_hostile_names_in_table() {
    let sandbox = Sandbox::new();
    for name in HOSTILE {
        let results = json!({"schema": 1, "bundle": null, "gate_ids": [name], "overall": "fail", "uncovered": [name],
            "evidence": {"head": null, "base": null, "merge": null, "tree": null, "dirty": false, "registry": null,
                "contract": null, "image": null, "tool": null, "target": null, "run": null},
            "started_at": null, "duration_s": null,
            "results": {name: {"status": "fail", "reason": "exit_code", "rc": 1, "duration_s": 1.0, "node_tps_p50": null}}});
        std::fs::write(sandbox.path("results.json"), results.to_string()).unwrap();
        let out = sandbox
            .gates(["report", "../results.json", "--format", "comment"])
            .run()
            .any_output();
        let naive = format!("| Gate | Status |\n|:--|:--|\n| {name} | fail |\n");
        // A name with a control character is refused.
        let harm = gfm::harm(&naive);
        let ours = if out.code() == Some(0) {
            gfm::harm(&out.stdout)
        } else {
            Vec::new()
        };
        assert!(ours.is_empty(), "{name:?}: {ours:?}\n{}", out.stdout);
        attack(name, !harm.is_empty(), !ours.is_empty());
    }
}

#[test]
fn t10_results_of_failed_job() {
    let fixture = PullFixture::new();
    let results = fixture.results();
    for result in ["failure", "cancelled", "skipped"] {
        let ours = fixture
            .call(&results)
            .arg(format!("--job-result={result}"))
            .run()
            .any_output();
        assert_eq!(ours.code(), Some(3), "{}", ours.stderr);
        attack(
            result,
            is_green(&naive(results.to_string().as_bytes()).unwrap()),
            is_green(&fixture.comment()) || fixture.status().0 == "success",
        );
    }
    let expected = "refused: the job that ran the gates did not succeed";
    assert_eq!(fixture.status(), ("error".to_owned(), expected.to_owned()));
    fixture
        .call(&results)
        .arg("--job-result=success")
        .run()
        .exits(0)
        .reports("is updated");
    assert_eq!(fixture.status().0, "success");
}

#[test]
fn workflows_pass_result_of_gates_job() {
    for file in [".github/workflows/tier-b.yml", "examples/tier-b-fan-out.yml"] {
        let text =
            std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let (_, publish) = text.split_once("command: publish\n").unwrap();
        let step = publish.split("- name:").next().unwrap();
        assert!(
            step.contains("--job-result ${{ needs.gates.result }}"),
            "{file}: {step}"
        );
    }
}

#[test]
fn t10_impossible_passes() {
    let fixture = PullFixture::new();
    let results = fixture.results();
    let long = set(&results, "/results/b200:two/duration_s", json!(1_000_000.0));
    let untargeted = set(&results, "/evidence/target", Value::Null);
    let extended = set(&results, "/started_at", json!("2026-01-01T00:00:00Z[u-ca=x]"));
    let offset = set(&results, "/started_at", json!("2026-01-01T00:00:00+00:00"));
    for (what, forged) in [
        ("277 hours", long),
        ("no target", untargeted),
        ("text in a time", extended),
        ("another form of time", offset),
    ] {
        let (naive, ours) = both(&fixture, &forged.to_string());
        attack(what, is_green(&naive), is_green(&ours));
    }
}
