//! Tests that the lints read the sections of a form as GitHub renders them, for every kind of answer.

use serde_json::Value;

use crate::driver::Sandbox;
use crate::support::contract::contract;
use crate::support::results::REGISTRY;

const BOX: &str = "### Public-safety confirmation (required)\n\n- [x] Nothing internal.\n";
const OPEN_BOX: &str = "### Public-safety confirmation (required)\n\n- [ ] Nothing internal.\n";

/// An issue with these answers, as GitHub renders it from the form.
fn issue(summary: &str, notes: &str, confirmation: &str) -> String {
    let block = contract("07", "loader").allow("nmoe/**").section();
    format!(
        "### Summary (what + why)\n\n{summary}\n\n{block}\n### Notes (optional)\n\n{notes}\n\n{confirmation}"
    )
}

fn lint(kind: &str, body: &str) -> Vec<Value> {
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/train.py", "");
    let json = sandbox
        .gates(["lint", kind, "-", "--format", "json"])
        .stdin(body)
        .run()
        .findings();
    json["findings"].as_array().unwrap().clone()
}

fn codes(kind: &str, body: &str) -> Vec<String> {
    let found = lint(kind, body);
    found
        .iter()
        .map(|f| f["code"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn headings_inside_answer_belong_to_it() {
    for heading in ["## Why", "### Why", "#### Why", "Why\n---", "Why\n==="] {
        let body = issue(&format!("{heading}\n\nLonger contexts."), "_No response_", BOX);
        assert_eq!(codes("contract", &body), [""; 0], "{heading}");
        let empty = issue(heading, "_No response_", BOX);
        assert_eq!(codes("contract", &empty), ["empty-summary"], "{heading}");
    }
}

#[test]
fn comment_over_several_lines_is_no_summary() {
    for hidden in ["<!--\nSay why.\n-->", "<!-- a\n\nb -->"] {
        let body = issue(hidden, "_No response_", BOX);
        assert_eq!(codes("contract", &body), ["empty-summary"], "{hidden}");
        let body = issue(&format!("{hidden}\n\nFaster."), "_No response_", BOX);
        assert_eq!(codes("contract", &body), [""; 0], "{hidden}");
    }
}

/// A ticked box in an answer must not stand for the form's own box.
#[test]
fn only_box_of_form_confirms() {
    let own = "### Public safety\n\n- [x] I looked.";
    for (summary, notes) in [(own, "_No response_"), ("Faster.", own), (own, own)] {
        let summary = format!("Faster.\n\n{summary}");
        assert_eq!(codes("contract", &issue(&summary, notes, BOX)), [""; 0]);
        assert_eq!(
            codes("contract", &issue(&summary, notes, OPEN_BOX)),
            ["unticked-box"]
        );
    }
    // The label of the form itself, inside an answer and below the form.
    let ticked = BOX;
    assert_eq!(
        codes("contract", &issue("Faster.", ticked, OPEN_BOX)),
        ["unticked-box"]
    );
    let appended = format!("{OPEN_BOX}\n{ticked}");
    assert_eq!(
        codes("contract", &issue("Faster.", "", &appended)),
        ["unticked-box"]
    );
    // A quoted form is a quotation.
    let quoted = "> ### Public-safety confirmation (required)\n>\n> - [ ] Nothing internal.";
    assert_eq!(codes("contract", &issue("Faster.", quoted, BOX)), [""; 0]);
    assert_eq!(
        codes("contract", &issue("Faster.", quoted, "")),
        ["missing-confirmation"]
    );
}

#[test]
fn pull_request_sections_end_at_form_labels() {
    let body = |summary: &str, boxes: &str| {
        format!(
            "## PR Attestation (YAML, required)\n\n```yaml\nnmoe_pr:\n  issue: 07\n  pr_sha: 1188731\n  risk: cold\n\
             gates_passed:\n  tier_a: [cpu:import]\n  tier_b: []\n```\n\n## Summary\n\n{summary}\n\n## Links\n\n- Fixes: #7\n\n\
             ## Public-safety (required)\n\n{boxes}\n"
        )
    };
    let ticked = "- [x] a\n- [x] b";
    assert_eq!(
        codes("attestation", &body("### What\n\nFaster.", ticked)),
        [""; 0]
    );
    assert_eq!(
        codes("attestation", &body("<!--\nwhat\n-->", ticked)),
        ["empty-summary"]
    );
    assert_eq!(
        codes(
            "attestation",
            &body("### Public safety notes\n\n- [x] a\n- [x] b", "- [ ] a\n- [x] b")
        ),
        ["unticked-box"]
    );
}

/// Authors add keys for their readers. A near miss of a known key is a mistake.
#[test]
fn added_key_of_attestation_is_warning() {
    let block = |more: &str| {
        format!(
            "nmoe_pr:\n  issue: 07\n  pr_sha: 1188731\n  risk: cold\ngates_passed:\n  tier_a: [cpu:import]\n  tier_b: []\n{more}"
        )
    };
    let found = lint("attestation", &block("evidence:\n  log: see below\n"));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["code"], &found[0]["severity"]),
        (&Value::from("unknown-key"), &Value::from("warning"))
    );
    let found = lint("attestation", &block("prf:\n  gate: x\n"));
    assert_eq!(found[0]["severity"], "error");
    assert_eq!(found[0]["help"], "did you mean `perf`?");
    // The right key can be there too.
    let found = lint("attestation", &block("gates_pased:\n  tier_a: []\n"));
    assert_eq!(found[0]["code"], "unknown-key");
    assert_eq!(found[0]["severity"], "error");
    assert_eq!(
        found[0]["help"],
        "`gates_passed` is already there; remove this key, or give it another name"
    );
}
