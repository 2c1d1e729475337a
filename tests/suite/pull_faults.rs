//! Tests that a fault of GitHub at any request of `resolve`, `publish` and `ready` is an error or changes nothing, and that the same
//! command repairs what a fault left.

use serde_json::Value;

use crate::driver::{Outcome, git};
use crate::fake_github::Fault;
use crate::pull_on_github::Loop;

/// The distinct requests of a clean call, as method and path.
fn requests(way: &Loop, call: impl FnOnce()) -> Vec<(String, String)> {
    way.github.api.state().seen.clear();
    call();
    let mut all: Vec<(String, String)> = Vec::new();
    for line in way.github.api.log() {
        let (method, path) = line.split_once(' ').unwrap();
        let one = (method.to_owned(), path.to_owned());
        if !all.contains(&one) {
            all.push(one);
        }
    }
    assert!(!all.is_empty());
    all
}

/// Calls `ready`, and returns the pull request as it prints it.
fn ready(way: &Loop, number: u64, patience: &str) -> (Outcome, Value) {
    let call = way.call(&["ready", &number.to_string(), "--format", "json"]);
    let out = call
        .env("NMOE_API_PATIENCE_S", patience)
        // Answers that are known already would not be asked for in the same way.
        .env("XDG_STATE_HOME", "/proc/none")
        .run()
        .any_code()
        .any_output();
    let pull = serde_json::from_str::<Value>(&out.stdout).unwrap_or_default()["pulls"][0].clone();
    (out, pull)
}

/// Calls `publish` as the report job does.
fn publish(way: &Loop, number: u64, run: u64, patience: &str) -> Outcome {
    let number = number.to_string();
    let args = ["publish", "../results.json", "--pr", &number];
    let more = ["--resolution", "../resolution.json", "--evidence", "../evidence"];
    let out = way
        .call(&[args.as_slice(), &more].concat())
        .env("NMOE_API_PATIENCE_S", patience)
        .env("GITHUB_RUN_ID", run.to_string())
        .env("GITHUB_RUN_ATTEMPT", "1")
        .run()
        .any_code()
        .any_output();
    way.github.api.upload_evidence(run, &way.sandbox.path("evidence"));
    out
}

#[test]
fn slow_broken_request_is_an_error_or_without_effect() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.github.settle(number);
    let which = ["--bundle", "one"];
    way.resolved(number, &which);
    let resolve = |patience: &str| {
        let args = ["resolve", "--pr", "11", "--output", "../resolution.json"];
        way.call(&[args.as_slice(), &which].concat())
            .env("NMOE_API_PATIENCE_S", patience)
            .env("XDG_STATE_HOME", "/proc/none")
            .run()
            .any_code()
            .any_output()
    };
    let steps = requests(&way, || assert_eq!(resolve("4").code(), Some(0)));
    // Each resolution has a nonce of its own.
    let resolution = || {
        let mut resolution = way.resolution();
        resolution["nonce"].take();
        resolution
    };
    let clean = resolution();
    let broken = || Fault::Status(502, "Bad Gateway", Vec::new());
    for (method, path) in &steps {
        let _ = std::fs::remove_file(way.sandbox.path("resolution.json"));
        way.github.api.fault(method, path, broken(), 100);
        let out = resolve("0");
        way.github.api.heal();
        match out.code() {
            Some(0) => assert_eq!(resolution(), clean, "{method} {path}"),
            Some(3) => assert!(
                out.stderr.contains("answered 502"),
                "{method} {path}: {}",
                out.stderr
            ),
            code => panic!("{method} {path}: {code:?} {}", out.stderr),
        }
        assert_eq!(resolve("4").code(), Some(0), "{method} {path}");
    }
    way.gates(&which);
    std::fs::create_dir_all(way.sandbox.path("evidence")).unwrap();
    // Each run publishes anew, so that no request is left out.
    way.github.api.tier_b_run(1, &way.github.tip("master"));
    let steps = requests(&way, || assert_eq!(publish(&way, number, 1, "4").code(), Some(0)));
    for (run, (method, path)) in (2..).zip(&steps) {
        way.github.api.tier_b_run(run, &way.github.tip("master"));
        way.github.api.fault(method, path, broken(), 100);
        let out = publish(&way, number, run, "0");
        way.github.api.heal();
        assert!(
            matches!(out.code(), Some(0 | 3)),
            "{method} {path}: {:?} {}",
            out.code(),
            out.stderr
        );
        let again = publish(&way, number, run, "4");
        assert_eq!(again.code(), Some(0), "{method} {path}: {}", again.stderr);
        let comments = way.github.api.comments(number);
        assert_eq!(comments.len(), 1, "{method} {path}");
        assert!(
            comments[0].contains(&format!("/actions/runs/{run}")),
            "{method} {path}: {}",
            comments[0]
        );
        assert_eq!(way.status(number, "one").0, "success", "{method} {path}");
    }
    let steps = requests(&way, || assert_eq!(ready(&way, number, "4").0.code(), Some(0)));
    for (method, path) in &steps {
        way.github.api.fault(method, path, broken(), 100);
        let (out, pull) = ready(&way, number, "0");
        way.github.api.heal();
        match out.code() {
            Some(0) => assert_eq!(pull["ready"], true, "{method} {path}"),
            Some(3) => assert!(
                out.stderr.contains("answered 502"),
                "{method} {path}: {}",
                out.stderr
            ),
            code => panic!("{method} {path}: {code:?} {}", out.stderr),
        }
    }
}

/// A secondary limit tells when to come back. The commands wait, and no comment is written twice.
#[test]
fn slow_secondary_limit_at_each_request_is_waited_for() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    way.github.settle(number);
    way.resolved(number, &["--bundle", "one"]);
    way.gates(&["--bundle", "one"]);
    std::fs::create_dir_all(way.sandbox.path("evidence")).unwrap();
    way.github.api.tier_b_run(1, &way.github.tip("master"));
    let steps = requests(&way, || assert_eq!(publish(&way, number, 1, "4").code(), Some(0)));
    for (run, (method, path)) in (2..).zip(&steps) {
        way.github.api.tier_b_run(run, &way.github.tip("master"));
        let headers = vec![("retry-after", "1".to_owned())];
        let limit = Fault::Status(403, "You have exceeded a secondary rate limit.", headers);
        way.github.api.fault(method, path, limit, 1);
        let out = publish(&way, number, run, "20");
        way.github.api.heal();
        assert_eq!(out.code(), Some(0), "{method} {path}: {}", out.stderr);
        assert_eq!(way.github.api.comments(number).len(), 1, "{method} {path}");
        assert_eq!(way.status(number, "one").0, "success", "{method} {path}");
    }
}

/// The head of a fork is only in `refs/pull/N/head`, and its test merge is as old as that of a branch.
#[test]
fn slow_fork_with_stale_merge_is_proven() {
    let way = Loop::new();
    let number = way.offer("01", "a", "2\n", "host:one");
    let remote = way.github.remote();
    let fork = "refs/forks/outsider/issue/01-x";
    git(&remote, ["update-ref", fork, "refs/heads/issue/01-x"]);
    let (body, reviews) = {
        let state = way.github.api.state();
        (
            state.pulls[&number]["body"].as_str().unwrap().to_owned(),
            state.reviews[&number].clone(),
        )
    };
    way.github.open(number, "outsider:issue/01-x", "outsider", &body);
    way.github.api.state().reviews.insert(number, reviews);
    git(&remote, ["update-ref", "-d", "refs/heads/issue/01-x"]);
    way.github.settle(number);
    way.github.push("master", &[("b", "2\n")]);
    way.tier_b(number, 1, &["--bundle", "one"]);
    assert_eq!(way.resolution()["base"], way.github.tip("master"));
    assert_eq!(way.status(number, "one").0, "success");
    assert_eq!(way.codes(number), Vec::<String>::new());
    // A draft keeps its evidence.
    way.github.api.state().pulls.get_mut(&number).unwrap()["draft"] = true.into();
    assert_eq!(way.codes(number), ["draft"]);
    // The author deletes the fork.
    git(&remote, ["update-ref", "-d", fork]);
    let mut state = way.github.api.state();
    let pull = state.pulls.get_mut(&number).unwrap();
    pull["draft"] = false.into();
    pull["head"]["repo"] = Value::Null;
    drop(state);
    assert_eq!(way.codes(number), Vec::<String>::new());
}
