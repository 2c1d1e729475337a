//! Facts that several commands decide have one answer: the linter, the preflight, the engine and `ready` agree.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::driver::Sandbox;
use crate::fake_github::FakeGitHub;
use crate::kernel_check::library;
use crate::lint_pr;
use crate::repo_fixture::{RepoFixture, commit, write};
use crate::support::registry::registry;

/// Returns the findings of `lint registry` as `severity code`.
fn registry_findings(sandbox: &Sandbox) -> Vec<String> {
    let json = sandbox
        .gates(["lint", "registry", "--format", "json"])
        .run()
        .findings();
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = json["findings"].as_array().unwrap().iter();
    findings
        .map(|f| format!("{} {}", word(f, "severity"), word(f, "code")))
        .collect()
}

#[test]
fn linter_and_engine_agree_on_passed_variables() {
    let sandbox = Sandbox::new();
    let command = "echo nccl=$NCCL_DEBUG omp=$OMP_NUM_THREADS runner=$RUNNER_NAME host=${HOSTNAME:+set}";
    sandbox.registry(&registry().gate("cpu:env", command, "tier = \"a\"\nenv = [\"RUNNER_NAME\"]"));
    assert_eq!(registry_findings(&sandbox), Vec::<String>::new());
    let out = sandbox
        .gates(["run", "--gate", "cpu:env"])
        .env("NCCL_DEBUG", "INFO")
        .env("OMP_NUM_THREADS", "3")
        .env("RUNNER_NAME", "any")
        .run()
        .exits(0);
    assert!(
        out.stdout.contains("nccl=INFO omp=3 runner=any host=set"),
        "{}",
        out.stdout
    );
}

#[test]
fn forbidden_variables_are_findings() {
    let sandbox = Sandbox::new();
    sandbox.registry(&registry().gate(
        "cpu:env",
        "echo key=[$HF_API_KEY] preload=[$LD_PRELOAD]",
        "tier = \"a\"\nenv = [\"HF_API_KEY\", \"LD_PRELOAD\"]",
    ));
    assert_eq!(registry_findings(&sandbox), ["error forbidden-env"; 4]);
    let out = sandbox
        .gates(["run", "--gate", "cpu:env"])
        .env("HF_API_KEY", "plain")
        .run()
        .exits(0);
    assert!(out.stdout.contains("key=[] preload=[]"), "{}", out.stdout);
}

/// `run` refuses such a gate and names `lint registry`, which must then say what is wrong.
#[test]
fn refused_requirement_is_a_finding() {
    let sandbox = Sandbox::new();
    sandbox.registry(&registry().gate("cpu:env", "true", "tier = \"a\"\nrequires = [\"HF_API_KEY\"]"));
    let run = sandbox.gates(["run", "--gate", "cpu:env"]).env("HF_API_KEY", "x");
    let out = run.run().exits(3);
    assert!(
        out.stderr.contains("lint registry") || out.stdout.contains("lint registry"),
        "{out:?}"
    );
    assert_eq!(registry_findings(&sandbox), ["error forbidden-env"]);
}

/// The base already contains the work as a squashed commit, but the pull request is still open.
#[test]
fn merged_work_is_not_ordered_again() {
    let fixture = RepoFixture::begin();
    let core = fixture.start("01");
    write(&core, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
    commit(&core);
    let head = fixture.offer(&core, 1);
    fixture.tier_b(1, &head);
    let order = || {
        fixture
            .here(&["ready", "--all", "--format", "json"])
            .exits(0)
            .json()["order"]
            .clone()
    };
    assert_eq!(order()[0]["pull"], 11);
    fixture.sandbox.git(["reset", "-q", "--hard", "origin/master"]);
    fixture.sandbox.git(["merge", "-q", "--squash", &head]);
    fixture.sandbox.git(["commit", "-qm", "Squash"]);
    fixture.sandbox.git(["push", "-q", "origin", "master"]);
    assert_eq!(order(), json!([]));
}

#[test]
fn kernel_patterns_are_evaluated_as_linted() {
    let sandbox = Sandbox::new();
    let driver = crate::kernel_driver::b200(&sandbox);
    library(&sandbox, "nmoe/csrc/rdep.so", Some("sm_100a_zstd"));
    sandbox.file("nmoe/csrc/rdep.cu", "// a source\n");
    let checked = |patterns: &str| {
        let target = format!("[target.b200]\nkernels = [{patterns}]");
        sandbox.registry(&registry().raw(&target).tier_a("cpu:x", "true"));
        let call = sandbox.gates(["kernels", "check", "--format", "json"]);
        let seen = call.env("LD_LIBRARY_PATH", &driver).run().any_code().json();
        (
            registry_findings(&sandbox),
            seen["libraries"].as_array().map_or(0, Vec::len),
        )
    };
    assert_eq!(checked("\"nmoe/csrc\""), (vec![], 1));
    assert_eq!(checked("\"nmoe/csrc/*.so\""), (vec![], 1));
    let braces = vec!["warning literal-braces".to_owned()];
    assert_eq!(checked("\"nmoe/csrc/{rdep,muon}.so\""), (braces, 0));
}

/// The first issue that the description closes is a bug report; the second holds the contract.
#[test]
fn contract_is_found_behind_a_bug_report() {
    let mut pull = lint_pr::pull(&[("nmoe/model.py", "b\n")]);
    pull.edit("Fixes: #5", "Fixes: #7\n- Fixes: #8");
    std::fs::write(pull.sandbox.path("event.json"), pull.event.to_string()).unwrap();
    let api = FakeGitHub::start();
    api.issue(7, "A bug", "It crashes.");
    api.issue(8, "[03a] Attention", lint_pr::CONTRACT);
    let call = pull
        .sandbox
        .gates(["lint", "pr", "--format", "json"])
        .env("GITHUB_EVENT_PATH", pull.sandbox.path("event.json"))
        .env("GITHUB_EVENT_NAME", "pull_request");
    assert_eq!(api.serves(call).run().exits(0).json()["findings"], json!([]));
}

/// Returns pull request 14 with its worktree.
fn offered() -> (RepoFixture, PathBuf) {
    let fixture = RepoFixture::begin();
    let tree = fixture.start("04");
    write(&tree, "tools/shared.py", "1\ntwo\nthree\nfour\n");
    commit(&tree);
    fixture.offer(&tree, 4);
    (fixture, tree)
}

/// Results with a key twice, and results whose overall verdict contradicts the gates.
#[test]
fn dishonest_results_are_refused_everywhere() {
    let (fixture, tree) = offered();
    let gate =
        json!({"status": "fail", "reason": "exit_code", "rc": 1, "duration_s": 1.0, "node_tps_p50": null});
    let results = json!({
        "schema": 1, "bundle": null, "gate_ids": ["cpu:import"], "overall": "pass", "evidence": {"dirty": false},
        "started_at": null, "duration_s": null, "results": {"cpu:import": gate},
    })
    .to_string();
    let twice = results.replacen("\"schema\":1", "\"schema\":1,\"schema\":1", 1);
    for (text, why) in [(&results, "contradict themselves"), (&twice, "duplicate key")] {
        let path = fixture.sandbox.path("dishonest.json");
        std::fs::write(&path, text).unwrap();
        refused_everywhere(&fixture, &tree, path.to_str().unwrap(), why);
    }
}

#[test]
fn linked_results_are_refused_everywhere() {
    let (fixture, tree) = offered();
    let (file, link) = (
        fixture.sandbox.path("file.json"),
        fixture.sandbox.path("link.json"),
    );
    std::fs::write(&file, "{}").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    refused_everywhere(&fixture, &tree, link.to_str().unwrap(), "a symbolic link");
}

/// Asserts that every command that takes recorded results refuses these.
#[track_caller]
fn refused_everywhere(fixture: &RepoFixture, tree: &Path, path: &str, why: &str) {
    for args in [
        vec!["ready", "14", "--results", path],
        vec!["attest", "--pr", "14", "--verify", "--results", path],
        vec!["lint", "attestation", "-", "--results", path],
        vec!["report", path],
        vec!["perf", "history", "record", path],
        vec!["perf", "calibrate", "--gate", "perf:x", "--from", path],
    ] {
        let out = fixture.call(tree, &args).exits(2);
        assert!(out.stderr.contains(why), "{args:?}: {}", out.stderr);
    }
}

/// A results file is not read as a log, from which its numbers would count without a check.
#[test]
fn dishonest_results_are_not_compared() {
    let sandbox = Sandbox::new();
    let gate =
        json!({"status": "fail", "reason": "exit_code", "rc": 1, "duration_s": 1.0, "node_tps_p50": null});
    let results = json!({
        "schema": 1, "bundle": null, "gate_ids": ["cpu:import"], "overall": "pass", "evidence": {"dirty": false},
        "started_at": null, "duration_s": null, "results": {"cpu:import": gate},
    });
    sandbox.file("r.json", results.to_string());
    sandbox
        .gates(["perf", "compare", "--baseline", "r.json", "--head", "r.json"])
        .run()
        .exits(2)
        .reports("error: cannot use r.json: the results contradict themselves");
}

#[test]
fn metric_patterns_are_read_as_linted() {
    let cases = [
        // Bytes that are not UTF-8, which a log can have.
        (r"(?-u:\xB7)tps: ([0-9.]+)", vec![], 0),
        // Larger than the reader accepts.
        ("tps: ([0-9]{40000})", vec!["error invalid-pattern"], 3),
        ("tps: [0-9]+", vec!["error invalid-pattern"], 3),
    ];
    for (pattern, findings, code) in cases {
        let sandbox = Sandbox::new();
        let metrics = format!("tier = \"a\"\nmetrics = [{{ name = \"tps\", pattern = '{pattern}' }}]");
        sandbox.registry(&registry().gate("cpu:x", "true", &metrics));
        assert_eq!(registry_findings(&sandbox), findings, "{pattern}");
        let run = sandbox.gates(["run", "--gate", "cpu:x", "--dry-run"]).run();
        run.exits(code).any_output();
    }
}

#[test]
fn file_behind_outer_link_is_missing() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("outside.toml"), "").unwrap();
    std::os::unix::fs::symlink("../outside.toml", sandbox.repo().join("inside.toml")).unwrap();
    sandbox.registry(&registry().gate(
        "cpu:x",
        "true",
        "tier = \"a\"\nrequires_files = [\"inside.toml\"]",
    ));
    assert_eq!(registry_findings(&sandbox), ["error missing-file"]);
    let run = sandbox.gates(["run", "--gate", "cpu:x", "--dry-run"]).run();
    run.exits(3)
        .prints("missing files: inside.toml")
        .reports("no gate was run");
}

#[test]
fn gpus_of_the_named_target_count() {
    let sandbox = Sandbox::new();
    let targets = "[meta]\ntarget = \"b200\"\n[target.small]\ngpus = 4\n[target.b200]\ngpus = 8";
    sandbox.registry(&registry().raw(targets).tier_b("b200:x", "true"));
    // The other target is invalid. It does not limit the gates of the named one.
    assert_eq!(registry_findings(&sandbox), ["error off-target-definition"]);
}

#[test]
fn names_of_formed_bundles_are_reserved() {
    for name in ["single", "tier_a", "tier_b"] {
        let sandbox = Sandbox::new();
        sandbox.registry(&registry().tier_a("cpu:x", "true").bundle(name, &["cpu:x"]));
        assert_eq!(registry_findings(&sandbox), ["error reserved-name"], "{name}");
    }
}

/// Without `metric`, a perf gate compares `node_tps_p50`: the linter checks that the compared gate prints it.
#[test]
fn perf_gate_has_default_metric() {
    let linted = |command: &str| {
        let sandbox = Sandbox::new();
        let perf = "[gates.\"perf:x\"]\ntier = \"b\"\nkind = \"perf\"\ncompare_gate = \"b200:x\"";
        sandbox.registry(&registry().tier_b("b200:x", command).raw(perf));
        registry_findings(&sandbox)
    };
    assert_eq!(linted("bash train.sh"), Vec::<String>::new());
    assert_eq!(
        linted("python -m nmoe.train configs/x.toml"),
        ["error metric-not-yielded"]
    );
}

#[test]
fn invalid_nonce_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.registry(&registry().tier_a("cpu:x", "true"));
    for nonce in ["1234567890", &"F".repeat(32)] {
        sandbox
            .gates(["run", "--gate", "cpu:x", "--dry-run"])
            .env("NMOE_RUN_NONCE", nonce)
            .run()
            .exits(2)
            .reports("error: cannot use NMOE_RUN_NONCE: must be 32 lower-case hex digits");
    }
}
