//! Tests `attest`: the block states what was run, every other byte is kept, and an unmeasured number is a finding.

use serde_json::Value;

use crate::driver::Sandbox;
use crate::fake_github::FakeGitHub;
use crate::support::contract::contract;
use crate::support::results::{CONTRACT, REGISTRY, results};

/// Creates a checkout with a contract's branch and one commit of work.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("docs/a.md", "a\n");
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "Begin"]);
    sandbox.git(["checkout", "-qb", "issue/07-x"]);
    sandbox
        .file("docs/a.md", "better\n")
        .git(["commit", "-qam", "Work"]);
    std::fs::write(sandbox.path("contract.md"), CONTRACT).unwrap();
    sandbox
}

fn record(sandbox: &Sandbox, name: &str, results: &Value) -> String {
    let path = sandbox.path(name);
    std::fs::write(&path, serde_json::to_vec(results).unwrap()).unwrap();
    path.display().to_string()
}

fn ids(sandbox: &Sandbox) -> (String, String) {
    let of = |rev: &str| sandbox.git(["rev-parse", rev]).trim().to_owned();
    (of("HEAD"), of("HEAD^{tree}"))
}

const ALL: [(&str, &str); 4] = [
    ("cpu:import", "pass"),
    ("cpu:compileall", "pass"),
    ("b200:moonlight_8x20", "pass"),
    ("perf:baseline_delta", "pass"),
];

#[test]
fn changed_number_fails_verification() {
    let sandbox = sandbox();
    let (head, tree) = ids(&sandbox);
    let recorded = record(&sandbox, "results.json", &results(&head, &tree, &ALL));
    let common = ["--contract", "../contract.md", "--results", recorded.as_str()];
    let body = sandbox.path("pr.md");
    let out = sandbox
        .gates(
            ["attest", "--write", "../pr.md", "--format", "json"]
                .iter()
                .chain(&common),
        )
        .run()
        .exits(0)
        .json();
    assert_eq!(
        (out["changed"].as_bool(), out["tier_a"].as_array().unwrap().len()),
        (Some(true), 2)
    );
    let text = std::fs::read_to_string(&body).unwrap();
    let full = format!(
        "{text}\n## Summary\n- Better.\n\n## Links\n- Fixes: #7\n\n## Public-safety (required)\n- [x] No internal names.\n- [x] No credentials.\n\n## Reviewer focus\n- docs\n"
    );
    std::fs::write(&body, &full).unwrap();
    let verify = || {
        sandbox
            .gates(["attest", "--verify", "../pr.md"].iter().chain(&common))
            .run()
    };
    verify().exits(0);
    let again = sandbox
        .gates(
            ["attest", "--write", "../pr.md", "--format", "json"]
                .iter()
                .chain(&common),
        )
        .run()
        .exits(0);
    assert_eq!(again.json()["changed"], false);

    std::fs::write(&body, full.replace("98765.4", "99999.9")).unwrap();
    let out = verify().exits(1);
    assert!(out.stdout.contains("unmeasured-number"), "{}", out.stdout);
    std::fs::write(&body, &full).unwrap();
    sandbox.file("nmoe/x.py", "out of scope\n").git(["add", "."]);
    sandbox.git(["commit", "-qm", "More"]);
    let out = verify().exits(1);
    for code in ["stale-results", "wrong-head", "out-of-scope"] {
        assert!(out.stdout.contains(code), "{code}\n{}", out.stdout);
    }
}

/// On the base branch, the printed steps pushed the base and opened a pull request of it into itself.
#[test]
fn base_branch_is_not_pushed() {
    let sandbox = sandbox();
    sandbox.git(["checkout", "-q", "master"]);
    let args = ["attest", "--write", "../pr.md", "--contract", "../contract.md"];
    let out = sandbox.gates(args).run().exits(0).any_output();
    let has = |words: &str| out.stderr.contains(words);
    assert!(
        has("nmoe-gates start 07") && !has("git push") && !has("gh pr create"),
        "{}",
        out.stderr
    );
}

#[test]
fn template_is_filled_and_unmeasured_fields_removed() {
    let sandbox = sandbox();
    let (head, tree) = ids(&sandbox);
    let recorded = record(&sandbox, "results.json", &results(&head, &tree, &ALL[..2]));
    let template = include_str!("../../.github/pull_request_template.md");
    sandbox.file(".github/pull_request_template.md", template);
    let cold = contract("07", "x").allow("docs/**").section();
    std::fs::write(sandbox.path("contract.md"), cold).unwrap();
    let args = [
        "attest",
        "--write",
        "../new.md",
        "--contract",
        "../contract.md",
        "--results",
        &recorded,
    ];
    sandbox.gates(args).run().exits(0).reports("next: ");
    let text = std::fs::read_to_string(sandbox.path("new.md")).unwrap();
    let (block, rest) = text.split_once("```\n\n## Summary").unwrap();
    assert!(
        block.ends_with("  tier_b: []                # filled from the maintainer's run\n"),
        "{text}"
    );
    assert!(!block.contains('<') && template.ends_with(rest), "{text}");
    // The same for a comparison that no result describes.
    let stale = text.replacen(
        "```\n\n## S",
        "perf:\n  gate: perf:baseline_delta\n  result: 7\n```\n\n## S",
        1,
    );
    let stale = stale.replace(&head, &"1".repeat(40));
    std::fs::write(sandbox.path("new.md"), stale).unwrap();
    sandbox.gates(args).run().exits(0).reports("next: ");
    assert_eq!(std::fs::read_to_string(sandbox.path("new.md")).unwrap(), text);
}

#[test]
fn dirty_or_stale_results_are_refused() {
    let sandbox = sandbox();
    let (head, tree) = ids(&sandbox);
    let mut dirty = results(&head, &tree, &ALL);
    dirty["evidence"]["dirty"] = true.into();
    let stale = results(&"1".repeat(40), &"2".repeat(40), &ALL);
    for (one, code) in [(dirty, "dirty-results"), (stale, "stale-results")] {
        let path = record(&sandbox, "r.json", &one);
        let out = sandbox
            .gates([
                "attest",
                "--contract",
                "../contract.md",
                "--results",
                &path,
                "--format",
                "json",
            ])
            .run()
            .exits(0)
            .json();
        assert_eq!(out["findings"][0]["code"], code);
        assert_eq!(out["tier_a"], serde_json::json!([]));
    }
    let out = sandbox
        .gates(["attest", "--contract", "../contract.md", "--format", "json"])
        .run()
        .exits(0);
    assert_eq!(out.json()["findings"][0]["code"], "no-results");
    sandbox
        .gates(["attest"])
        .run()
        .exits(2)
        .reports("error: cannot find a contract");
    sandbox
        .gates(["attest", "--verify", "--contract", "../contract.md"])
        .run()
        .exits(2)
        .reports("error: cannot verify an attestation");
}

#[test]
fn concurrently_edited_pull_request_is_not_overwritten() {
    let sandbox = sandbox();
    let (head, tree) = ids(&sandbox);
    let recorded = record(&sandbox, "results.json", &results(&head, &tree, &ALL));
    let api = FakeGitHub::start();
    let body = format!(
        "## PR Attestation (YAML, required)\r\n\r\n```yaml\r\nnmoe_pr:\r\n  issue: 07 # ours\r\n  pr_sha: {}\r\n  risk: hot\r\n\r\ngates_passed:\r\n  tier_a: []\r\n  tier_b: []\r\n```\r\n\r\nHello.",
        &head[..9]
    );
    api.pull(9, "issue/07-x", &head, &"3".repeat(40), &body);
    let call = || {
        api.serves(sandbox.gates([
            "attest",
            "--pr",
            "9",
            "--contract",
            "../contract.md",
            "--results",
            &recorded,
        ]))
        .run()
    };
    call().exits(0).reports("next: ");
    let now = api.state().pulls[&9]["body"].as_str().unwrap().to_owned();
    assert!(
        now.contains("tier_a: [cpu:import, cpu:compileall]\r\n") && now.ends_with("```\r\n\r\nHello."),
        "{now}"
    );
    assert!(
        now.contains(&format!("pr_sha: {}\r\n", &head[..9])) && now.contains("issue: 07 # ours"),
        "{now}"
    );
    assert_eq!(api.writes().len(), 1);
    call().exits(0).reports("next: ");
    assert_eq!(api.writes().len(), 1, "nothing changed, so nothing is written");

    api.state().pulls.get_mut(&9).unwrap()["body"] = body.as_str().into();
    let reads = std::sync::atomic::AtomicUsize::new(0);
    api.before(move |seen, state| {
        if seen.path.contains("/pulls/9") && reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            state.pulls.get_mut(&9).unwrap()["body"] = "somebody else's words".into();
        }
    });
    let out = call().exits(3);
    assert!(out.stderr.contains("changed meanwhile"), "{}", out.stderr);
    assert_eq!(api.writes().len(), 1);
}

/// REST has no conditional write, so an edit between the last reading and the write was lost silently.
#[test]
fn edit_that_crosses_the_write_is_reported() {
    let sandbox = sandbox();
    let (head, tree) = ids(&sandbox);
    let recorded = record(&sandbox, "results.json", &results(&head, &tree, &ALL));
    let body =
        "```yaml\nnmoe_pr:\n  issue: 07\n  risk: hot\ngates_passed:\n  tier_a: []\n  tier_b: []\n```\n";
    let call = |api: &FakeGitHub| {
        let pr = ["attest", "--pr", "9", "--contract", "../contract.md"];
        api.serves(sandbox.gates(pr.into_iter().chain(["--results", &recorded])))
            .run()
    };
    let crossed = "cannot confirm the description of pull request #9: another edit crossed this one";
    // Somebody edits in the moment before the write is executed, for the first time and again.
    for edited in [false, true] {
        let api = FakeGitHub::start();
        api.pull(9, "issue/07-x", &head, &"3".repeat(40), body);
        if edited {
            api.state().edit(9, "writer", &format!("{body}\nMore.\n"));
        }
        api.before(|seen, state| {
            if seen.method == "PATCH" {
                state.edit(9, "mallory", "other words");
            }
        });
        let out = call(&api).exits(3);
        assert!(out.stderr.contains(crossed), "{}", out.stderr);
        assert!(out.stderr.contains("mallory"), "{}", out.stderr);
        let now = api.state().pulls[&9]["body"].as_str().unwrap().to_owned();
        assert!(now.contains("tier_a: [cpu:import"), "{now}");
    }
    // Somebody replaces what was written before it is read back.
    let api = FakeGitHub::start();
    api.pull(9, "issue/07-x", &head, &"3".repeat(40), body);
    let queries = std::sync::atomic::AtomicUsize::new(0);
    api.before(move |seen, state| {
        let asks = seen.path == "/graphql";
        if asks && queries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            state.edit(9, "mallory", "other words");
        }
    });
    call(&api).exits(3).reports(crossed);
    // Two edits without a record of the original text are as many records as one edit with it.
    let api = FakeGitHub::start();
    api.pull(9, "issue/07-x", &head, &"3".repeat(40), body);
    api.state().forgets_originals = true;
    api.before(|seen, state| {
        if seen.method == "PATCH" {
            state.edit(9, "mallory", "other words");
        }
    });
    call(&api).exits(3).reports(crossed);
    // Without another edit nothing is reported.
    for forgets in [false, true] {
        let api = FakeGitHub::start();
        api.pull(9, "issue/07-x", &head, &"3".repeat(40), body);
        api.state().forgets_originals = forgets;
        call(&api).exits(0).reports("next: ");
    }
}
