//! Tests `publish` with the fake GitHub: the single comment, its history, refused results and stale results.

use serde_json::{Value, json};

use crate::fake_github::Fault;
use crate::pull_fixture::{BASE, HEAD, OTHER, PullFixture, TREE};

fn set(value: &Value, pointer: &str, to: Value) -> Value {
    let mut value = value.clone();
    *value.pointer_mut(pointer).unwrap() = to;
    value
}

fn failed(results: &Value) -> Value {
    let results = set(results, "/results/b200:two/status", json!("fail"));
    let results = set(&results, "/results/b200:two/reason", json!("exit_code"));
    let results = set(&results, "/results/b200:two/rc", json!(1));
    set(&results, "/overall", json!("fail"))
}

#[test]
fn comment_is_created_once_then_updated() {
    let fixture = PullFixture::new();
    let results = fixture.results();
    fixture.publish(&results, 1).exits(0);
    let first = fixture.comment();
    assert!(first.contains("### Gates: `full` — ✅ pass"), "{first}");
    assert!(
        first.contains("[The run, with its log](https://github.example/octo-org/trainer/actions/runs/1)"),
        "{first}"
    );
    assert_eq!(fixture.status(), ("success".to_owned(), "2 pass".to_owned()));
    let writes = fixture.api.writes().len();
    let out = fixture.publish(&results, 1).exits(0);
    assert!(out.stderr.contains("unchanged"), "{}", out.stderr);
    assert_eq!(
        fixture.api.writes().len(),
        writes,
        "GitHub has a limit of 1,000 statuses, so an equal one is not set again"
    );
    let out = fixture.publish(&failed(&results), 2).exits(0);
    assert!(out.stderr.contains("is updated"), "{}", out.stderr);
    let second = fixture.comment();
    assert!(
        second.contains("❌ fail") && second.contains("Earlier runs: 1"),
        "{second}"
    );
    assert!(second.contains("| [2026-01-02T03:04:05Z](https://github.example/octo-org/trainer/actions/runs/1) | pass | `111111111111` | 2 pass |"), "{second}");
    assert_eq!(
        fixture.status(),
        ("failure".to_owned(), "1 pass, 1 fail".to_owned())
    );
    // A late older run does not hide a newer run.
    let out = fixture.publish(&results, 1).exits(0);
    assert!(out.stderr.contains("newer run"), "{}", out.stderr);
    assert_eq!(fixture.comment(), second);
}

#[test]
fn comment_is_found_by_author_and_marker() {
    let fixture = PullFixture::new();
    fixture.api.state().page = 2;
    fixture.publish(&fixture.results(), 1).exits(0);
    let marker = fixture.comment().lines().next().unwrap().to_owned();
    for n in 0..5 {
        fixture.api.comment(5, "somebody", &format!("talk {n}"));
    }
    fixture
        .api
        .comment(5, "mallory", &format!("{marker}\nAll passed, merge it."));
    fixture.publish(&failed(&fixture.results()), 2).exits(0);
    let all = fixture.api.comments(5);
    assert_eq!(all.len(), 7);
    assert!(all[0].contains("❌ fail") && all[6].ends_with("All passed, merge it."));
    // Another bundle has a separate comment.
    let mut other = fixture.results();
    other["bundle"] = json!(null);
    let mut resolution = fixture.resolution();
    resolution["bundle"] = json!(null);
    std::fs::write(fixture.sandbox.path("resolution.json"), resolution.to_string()).unwrap();
    fixture.publish(&other, 3).exits(0);
    assert_eq!(fixture.api.comments(5).len(), 8);
}

#[test]
fn races_leave_one_comment() {
    let fixture = PullFixture::new();
    std::fs::write(
        fixture.sandbox.path("results.json"),
        fixture.results().to_string(),
    )
    .unwrap();
    let calls: Vec<_> = (1..=6)
        .map(|run: u32| {
            fixture.api.tier_b_run(run.into(), BASE);
            fixture
                .call(&fixture.results())
                .env("GITHUB_RUN_ID", run.to_string())
                .env("GITHUB_RUN_ATTEMPT", "1")
        })
        .collect();
    std::thread::scope(|scope| {
        for call in calls {
            scope.spawn(|| drop(call.run().exits(0).any_output()));
        }
    });
    // GitHub has no conditional write of a comment, so an older run may replace the table of the newest, which writes it again.
    // Statuses are only added, so the newest run's is current.
    let comment = fixture.comment();
    let marker = comment.lines().next().unwrap();
    assert!(marker.contains("\"shown\":{\"run\":[6,1]"), "{comment}");
    assert!(comment.contains("**All 2 gates passed.**"), "{comment}");
    let page = fixture.api.state().statuses[HEAD][0]["target_url"].clone();
    assert_eq!(
        page,
        "https://github.example/octo-org/trainer/actions/runs/6/attempts/1"
    );
}

#[test]
fn interrupted_creation_leaves_one_comment() {
    let fixture = PullFixture::new();
    fixture.api.fault(
        "POST",
        "/repos/octo-org/trainer/issues/5/comments",
        Fault::DoneThenReset,
        1,
    );
    fixture.publish(&fixture.results(), 1).exits(0);
    fixture.comment();
}

#[test]
fn read_only_token_prints_table() {
    let fixture = PullFixture::new();
    fixture.api.state().may_write = false;
    let summary = fixture.sandbox.path("summary.md");
    let out = fixture
        .call(&fixture.results())
        .env("GITHUB_STEP_SUMMARY", &summary)
        .run()
        .exits(3);
    assert!(
        out.stdout.contains("### Gates: `full`") && out.stderr.contains("403"),
        "{out:?}"
    );
    assert!(
        out.stderr
            .contains("which needs issues=write; pull_requests=write"),
        "{}",
        out.stderr
    );
    assert_eq!(std::fs::read_to_string(summary).unwrap(), out.stdout);
    // The server does not answer.
    let out = fixture
        .call(&fixture.results())
        .env("GITHUB_API_URL", "http://127.0.0.1:9")
        .env("NMOE_API_PATIENCE_S", "0")
        .run()
        .exits(3);
    assert!(
        out.stdout.contains("### Gates: `full`") && out.stderr.contains("cannot connect"),
        "{out:?}"
    );
}

#[test]
fn refused_results_are_published_as_refused() {
    let fixture = PullFixture::new();
    let good = fixture.results();
    let text = good.to_string();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            set(&good, "/overall", json!("fail")).to_string().into(),
            "contradict",
        ),
        (
            failed(&good)
                .to_string()
                .replace("\"overall\":\"fail\"", "\"overall\":\"pass\"")
                .into(),
            "contradict",
        ),
        (
            set(&good, "/evidence/run", json!("f".repeat(32)))
                .to_string()
                .into(),
            "values differ: run",
        ),
        (
            set(&good, "/evidence/merge", json!(OTHER)).to_string().into(),
            "values differ: merge",
        ),
        (
            set(&good, "/evidence/head", json!(OTHER)).to_string().into(),
            "values differ: head",
        ),
        (
            set(&good, "/evidence/contract", json!("0".repeat(64)))
                .to_string()
                .into(),
            "values differ: contract",
        ),
        (
            set(&good, "/evidence/dirty", json!(true)).to_string().into(),
            "values differ: dirty",
        ),
        (
            set(&good, "/bundle", json!("other")).to_string().into(),
            "not about the selected gates",
        ),
        (
            set(&good, "/evidence/image", json!("registry.internal/x"))
                .to_string()
                .into(),
            "contradict themselves",
        ),
        (
            set(&good, "/evidence/target", json!("node-17.internal"))
                .to_string()
                .into(),
            "names that the registry does not have",
        ),
        (
            set(&good, "/results/b200:two/duration_s", json!("1e999"))
                .to_string()
                .replace("\"1e999\"", "1e999")
                .into(),
            "schema",
        ),
        (
            text.replacen("\"schema\":1", "\"schema\":1,\"schema\":1", 1)
                .into(),
            "schema",
        ),
        (
            text.replacen("\"schema\":1", "\"schema\":1,\"extra\":1", 1)
                .into(),
            "schema",
        ),
        (vec![b' '; 257 << 10], "larger than 256 KiB"),
        ("[".repeat(10_000).into(), "schema"),
        (vec![0xff, 0xfe], "schema"),
    ];
    for (bytes, says) in cases {
        let out = fixture.raw(&bytes).run().exits(3);
        let comment = fixture.comment();
        assert!(
            comment.contains("⚠️ refused") && comment.contains(says),
            "{says}: {comment}"
        );
        assert!(
            !comment.contains("internal") && out.stderr.contains("refused: "),
            "{comment}\n{}",
            out.stderr
        );
        assert_eq!(fixture.status().0, "error");
    }
    std::fs::remove_file(fixture.sandbox.path("results.json")).unwrap();
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
        .reports("refused: cannot read the results");
    assert!(fixture.comment().contains("the run left no results"));
}

#[test]
fn moved_pull_request_gets_stale_table() {
    let fixture = PullFixture::new();
    fixture.set_merge(OTHER, BASE, "6666666666666666666666666666666666666666");
    fixture.publish(&fixture.results(), 1).exits(0);
    let comment = fixture.comment();
    assert!(
        comment.contains("older state of the pull request") && comment.contains("head, merge, tree"),
        "{comment}"
    );
    assert_eq!(
        fixture.status(),
        ("error".to_owned(), "stale: head, merge, tree changed".to_owned())
    );
}

#[test]
fn edited_contract_makes_results_stale() {
    let fixture = PullFixture::new();
    fixture.set_merge(OTHER, HEAD, TREE);
    fixture.publish(&fixture.results(), 1).exits(0);
    assert_eq!(fixture.status().0, "success");
    fixture.api.issue(1, "[01] A contract", "a weaker contract");
    fixture.publish(&fixture.results(), 2).exits(0);
    assert!(
        fixture.comment().contains("was approved: contract."),
        "{}",
        fixture.comment()
    );
    assert_eq!(fixture.status().1, "stale: contract changed");
}

#[test]
fn proposed_registry_is_shown_but_not_used() {
    let fixture = PullFixture::new();
    let mut resolution = fixture.resolution();
    resolution["registry"]["proposed"] = json!({"sha256": "0".repeat(64), "readable": true, "more": 0,
        "changes": [{"table": "gate", "name": "b200:two", "how": "changed", "keys": ["cmd"]}]});
    std::fs::write(fixture.sandbox.path("resolution.json"), resolution.to_string()).unwrap();
    fixture.publish(&fixture.results(), 1).exits(0);
    let comment = fixture.comment();
    assert!(comment.contains("Registry: proposed, not active"), "{comment}");
    assert!(
        comment.contains("| gate | `b200:two` | changed | `cmd` |"),
        "{comment}"
    );
}

/// A name in a proposed registry may contain characters that take nine times their size when they are shown.
#[test]
fn long_proposal_fits_into_the_comment() {
    let fixture = PullFixture::new();
    for run in 1..=8 {
        fixture.publish(&fixture.results(), run).exits(0);
    }
    let mut resolution = fixture.resolution();
    let keys = [
        "arch",
        "build",
        "checks",
        "compute_capability",
        "foreign",
        "gpus",
        "kernels",
        "pins",
        "preload",
    ];
    let change = json!({"table": "target", "name": "\u{e0001}".repeat(100), "how": "changed", "keys": keys});
    resolution["registry"]["proposed"] =
        json!({"sha256": "0".repeat(64), "readable": true, "more": 5, "changes": vec![change; 60]});
    std::fs::write(fixture.sandbox.path("resolution.json"), resolution.to_string()).unwrap();
    fixture.publish(&fixture.results(), 9).exits(0);
    let comment = fixture.comment();
    let rows: Vec<&str> = comment
        .lines()
        .filter(|line| line.starts_with("| target | `\\u"))
        .collect();
    assert_eq!(rows.len(), 7, "{comment}");
    assert!(comment.contains("\nand 58 more.\n"), "{comment}");
    // GitHub takes no comment with all rows.
    assert!(comment.len() + 53 * rows[0].len() > 65_536, "{}", comment.len());
}

#[test]
fn missing_resolution_compares_with_current_pull_request() {
    let fixture = PullFixture::new();
    let at_prompt = |results: &Value| {
        std::fs::write(fixture.sandbox.path("results.json"), results.to_string()).unwrap();
        fixture
            .api
            .serves(fixture.sandbox.gates(["publish", "../results.json", "--pr", "5"]))
            .run()
    };
    let mut results = fixture.results();
    results["evidence"]["run"] = json!(null);
    at_prompt(&results).exits(0);
    let (state, line) = fixture.status();
    assert_eq!(
        (state.as_str(), line.as_str()),
        ("pending", "2 pass; the pull request has no contract")
    );
    at_prompt(&set(&results, "/evidence/head", json!(OTHER))).exits(0);
    let moved = set(
        &set(&results, "/evidence/head", json!(OTHER)),
        "/evidence/tree",
        json!(OTHER),
    );
    at_prompt(&moved)
        .exits(3)
        .reports("refused: head, tree differ from the resolution");
    // The bundle of these results is unknown, so the comment of `full` stays.
    let all = fixture.api.comments(5);
    assert!(
        all[0].contains("✅ pass") && all[1].contains("values differ: head, tree"),
        "{all:#?}"
    );
    let mut plain = results.clone();
    plain["evidence"] = set(&plain["evidence"], "/head", json!(null));
    plain["evidence"]["merge"] = json!(null);
    plain["evidence"]["tree"] = json!(null);
    at_prompt(&plain)
        .exits(3)
        .reports("refused: head, merge, tree differ from the");
}

#[test]
fn foreign_resolution_is_refused() {
    let fixture = PullFixture::new();
    let with = |resolution: &Value| {
        std::fs::write(fixture.sandbox.path("resolution.json"), resolution.to_string()).unwrap();
        fixture.publish(&fixture.results(), 1)
    };
    let good = fixture.resolution();
    assert!(
        with(&set(&good, "/pull", json!(6)))
            .exits(2)
            .stderr
            .contains("#6, not")
    );
    assert!(
        with(&set(&good, "/registry/sha256", json!("0".repeat(64))))
            .exits(2)
            .stderr
            .contains("not the one that was resolved")
    );
    assert!(
        with(&json!({}))
            .exits(2)
            .stderr
            .contains("not an output of `resolve`")
    );
    assert!(fixture.api.comments(5).is_empty());
}

#[test]
fn dry_run_prints_without_writing() {
    let fixture = PullFixture::new();
    std::fs::write(
        fixture.sandbox.path("results.json"),
        fixture.results().to_string(),
    )
    .unwrap();
    let args = [
        "publish",
        "../results.json",
        "--pr",
        "5",
        "--resolution",
        "../resolution.json",
        "--dry-run",
    ];
    let dry = fixture.api.serves(fixture.sandbox.gates(args));
    // Links need the address of the server, which the real run has too.
    let dry = dry.env("GITHUB_SERVER_URL", "https://github.example");
    let out = dry.run().exits(0);
    assert!(out.stdout.contains("### Gates: `full`"));
    assert!(fixture.api.writes().is_empty());
    // The real run writes the same table.
    fixture.publish(&fixture.results(), 1).exits(0);
    let comment = fixture.comment();
    let rows = out.stdout.lines().filter(|line| line.starts_with('|'));
    let (same, other): (Vec<&str>, Vec<&str>) = rows.partition(|row| comment.contains(row));
    assert!(same.len() > 3, "{comment}");
    assert_eq!(other, Vec::<&str>::new(), "{comment}");
}

#[test]
fn several_results_publish_one_table() {
    let fixture = PullFixture::new();
    let part = |gate: &str| {
        let mut part = fixture.results();
        part["bundle"] = json!("single");
        part["gate_ids"] = json!([gate]);
        part["results"]
            .as_object_mut()
            .unwrap()
            .retain(|id, _| id == gate);
        if gate == "cpu:one" {
            part["evidence"]["target"] = Value::Null;
        }
        part
    };
    let publish = |parts: &[Value]| {
        let dir = fixture.sandbox.path("parts");
        let _ = std::fs::remove_dir_all(&dir);
        for (n, part) in parts.iter().enumerate() {
            let folder = dir.join(n.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("results.json"), part.to_string()).unwrap();
        }
        let args = [
            "publish",
            "../parts",
            "--pr",
            "5",
            "--resolution",
            "../resolution.json",
        ];
        fixture.api.serves(fixture.sandbox.gates(args)).run()
    };
    publish(&[part("b200:two"), part("cpu:one")]).exits(0);
    let comment = fixture.comment();
    assert!(
        comment.contains("| `cpu:one` | pass |") && comment.contains("| `b200:two` | pass |"),
        "{comment}"
    );
    assert_eq!(fixture.status().0, "success");
    // A runner that left no file: its gate is in the table, and no gate is green.
    publish(&[part("cpu:one")]).exits(0);
    assert!(
        fixture.comment().contains("| `b200:two` | **not_run** |"),
        "{}",
        fixture.comment()
    );
    assert_eq!(fixture.status().0, "error");
    // A part of another run, or with another part's gate, makes all results invalid.
    let mut foreign = part("b200:two");
    foreign["evidence"]["run"] = json!("f".repeat(32));
    publish(&[part("cpu:one"), foreign])
        .exits(3)
        .reports("refused: the parts differ in run");
    assert!(fixture.comment().contains("refused"), "{}", fixture.comment());
    publish(&[part("cpu:one"), part("cpu:one"), part("b200:two")])
        .exits(3)
        .reports("refused: two parts contain gate \"cpu:one\"");
    assert_ne!(fixture.status().0, "success");
    // A single file must contain the complete run.
    fixture
        .call(&part("cpu:one"))
        .run()
        .exits(3)
        .reports("refused: bundle, gate_ids or uncovered differ");
}
