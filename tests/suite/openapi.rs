//! Validates every request of `publish`, `resolve` and `ready` against GitHub's OpenAPI description and its GraphQL schema.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::attack::skipped;
use crate::fake_github::{Fault, RecordedRequest};
use crate::pull_fixture::{HEAD, OTHER, PullFixture};
use crate::pull_on_github::Loop;

/// Validates these requests. Returns `None` if the tools are not available and not required.
fn validate(requests: &[Value]) -> Option<(bool, String)> {
    let mut child = Command::new("scripts/ci/check-github-requests")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = requests.iter().map(|r| format!("{r}\n")).collect();
    // A script that fails early reads no input; its exit code and output explain the failure.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    if said.contains(" complaints") {
        return Some((out.status.success(), said));
    }
    let why = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        std::env::var_os("NMOE_GATES_REQUIRE_TOOLS").is_none(),
        "scripts/ci/check-github-requests failed: {why}"
    );
    skipped(&format!(
        "requests were not validated, since scripts/ci/check-github-requests failed: {why}"
    ));
    None
}

fn plain(seen: &RecordedRequest) -> Value {
    json!({"method": seen.method, "path": seen.path, "body": seen.body})
}

#[test]
fn slow_openapi_requests_match_github_description() {
    let fixture = PullFixture::new();
    let comments = "/repos/octo-org/trainer/issues/5/comments";
    // Created after a broken response, updated, deduplicated, stale, refused; resolved before.
    fixture.api.fault("POST", comments, Fault::DoneThenReset, 1);
    fixture.publish(&fixture.results(), 1).exits(0);
    let twin = fixture.comment();
    fixture.api.comment(5, "github-actions[bot]", &twin);
    fixture.publish(&fixture.results(), 2).exits(0);
    fixture.set_merge(OTHER, HEAD, OTHER);
    fixture.publish(&fixture.results(), 3).exits(0);
    fixture
        .raw("{}")
        .run()
        .exits(3)
        .reports("refused: the results do not follow the schema: missing field `schema`");
    fixture
        .api
        .serves(
            fixture
                .sandbox
                .gates(["resolve", "--pr", "5", "--bundle", "full"]),
        )
        .run()
        .exits(0)
        .any_output();
    // The requests matter here, not the answers.
    fixture
        .api
        .serves(fixture.sandbox.gates(["plan"]))
        .run()
        .any_code()
        .any_output();
    let tier_b = "jobs:\n  gates:\n    environment: b200 gates\n    runs-on: b200\n";
    fixture.sandbox.file(".github/workflows/tier-b.yml", tier_b);
    fixture
        .api
        .serves(fixture.sandbox.gates(["doctor"]))
        .run()
        .any_code()
        .any_output();
    let way = Loop::new();
    way.offer("01", "a", "2\n", "host:one");
    way.call(&["ready", "--all"]).run().exits(1).any_output();
    let mut seen: Vec<RecordedRequest> = fixture.api.state().seen.clone();
    seen.extend(way.github.api.state().seen.clone());
    let requests: Vec<Value> = seen.iter().map(plain).collect();
    let batched = |request: &&RecordedRequest| {
        request.body["query"]
            .to_string()
            .contains("pullRequest(number:11)")
    };
    assert_eq!(seen.iter().filter(batched).count(), 1);
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        assert!(
            requests.iter().any(|r| r["method"] == method),
            "no {method} among them"
        );
    }
    let Some((good, said)) = validate(&requests) else {
        return;
    };
    assert!(good, "{said}");
    // The validator rejects a wrong request.
    for bad in [
        json!({"method": "POST", "path": comments, "body": {"text": "x"}}),
        json!({"method": "POST", "path": format!("/repos/octo-org/trainer/statuses/{HEAD}"), "body": {"state": "green"}}),
        json!({"method": "GET", "path": "/repos/octo-org/trainer/pull/5", "body": null}),
        json!({"method": "GET", "path": "/repos/octo-org/trainer/pulls/five", "body": null}),
        json!({"method": "GET", "path": format!("{comments}?size=100"), "body": null}),
        json!({"method": "POST", "path": "/graphql", "body": {"query": "query{repository(owner:\"o\",name:\"n\"){reviews}}"}}),
    ] {
        let (good, said) = validate(&[bad]).unwrap();
        assert!(!good, "{said}");
    }
}
