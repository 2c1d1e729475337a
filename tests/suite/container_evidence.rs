//! Tests the digest of the image as evidence: `run --container`, `publish` and `ready` on the GitHub stand-in.

use serde_json::{Value, json};

use crate::container::{DIGEST, disown, stand_in};
use crate::pull_on_github::{Loop, gates};

const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Returns the registry of the stand-in with an image.
fn registry(digest: &str) -> String {
    format!(
        "{}\n[container]\nimage = \"registry.example/octo/train@{digest}\"\n",
        gates().text()
    )
}

/// Runs Tier B in the image of the base, as tier-b.yml does before it publishes.
fn tier_b(way: &Loop, number: u64) {
    let bundle = ["--bundle", "one"];
    way.update();
    way.resolved(number, &bundle);
    disown(&way.checkout());
    let path = stand_in(&way.sandbox, "docker");
    let results = way.gates_with(&["--bundle", "one", "--container"], &path);
    assert_eq!(results["overall"], "pass", "{results}");
}

/// Returns the codes and messages of what blocks a pull request.
fn blockers(way: &Loop, number: u64, more: &[&str]) -> Vec<(String, String)> {
    let number = number.to_string();
    let args = [&["ready", &number, "--format", "json"], more].concat();
    let out = way.call(&args).run().any_code().any_output();
    let all = out.json()["pulls"][0]["blockers"].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = all.as_array().unwrap().iter();
    all.map(|b| (text(&b["code"]), text(&b["message"]))).collect()
}

/// A pull request with results of Tier B in the image that the registry names.
fn tested() -> (Loop, u64) {
    let way = Loop::with(&[
        ("configs/gates/gates.toml", &registry(DIGEST)),
        ("a", "1\n"),
        ("b", "1\n"),
    ]);
    let number = way.offer("01", "a", "2\n", "host:one");
    tier_b(&way, number);
    (way, number)
}

#[test]
fn slow_ready_accepts_results_of_the_image() {
    let (way, number) = tested();
    way.publish(number, 1).exits(0).any_output();
    let results = std::fs::read_to_string(way.sandbox.path("results.json")).unwrap();
    assert_eq!(
        results.matches(DIGEST).count(),
        2,
        "run and gate name it: {results}"
    );
    assert_eq!(blockers(&way, number, &[]), []);

    // The base names another image.
    way.github
        .push("master", &[("configs/gates/gates.toml", &registry(OTHER))]);
    way.update();
    let found = blockers(&way, number, &[]);
    let [(code, message)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(code, "evidence-stale");
    assert!(message.ends_with(": base, tree, registry, image"), "{message}");

    // Results of the new image are accepted.
    tier_b(&way, number);
    way.publish(number, 2).exits(0).any_output();
    assert_eq!(blockers(&way, number, &[]), []);
}

/// Everything but the image is as the base has it.
#[test]
fn slow_ready_refuses_results_of_another_image() {
    let (way, number) = tested();
    let file = way.sandbox.path("results.json");
    let results = std::fs::read_to_string(&file).unwrap();
    let honest: Value = serde_json::from_str(&results).unwrap();
    // Each as the image of the run, and that of the gate.
    let forged = [
        (json!(OTHER), Some(OTHER)),
        (json!(OTHER), None),
        (Value::Null, None),
    ];
    for (run, (of_run, of_gate)) in (1..).zip(forged) {
        let mut results = honest.clone();
        results["evidence"]["image"] = of_run;
        for gate in results["results"].as_object_mut().unwrap().values_mut() {
            gate["image"] = json!(of_gate);
        }
        std::fs::write(&file, results.to_string()).unwrap();
        let found = blockers(&way, number, &["--results", "../results.json"]);
        let [(code, message)] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(code, "evidence-stale");
        assert!(message.ends_with(": image"), "{message}");

        way.publish(number, run).any_code().any_output();
        let (state, line) = way.status(number, "one");
        assert_eq!(state, "error", "{of_gate:?}");
        assert!(line.contains("refused"), "{line}");
        assert_eq!(blockers(&way, number, &[])[0].0, "tier-b-missing");
    }
}
