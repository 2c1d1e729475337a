//! Tests `run --rehearse`: a bundle runs without its target, everything is marked, and nothing counts as evidence.

use serde_json::Value;

use crate::run_fixture::RunFixture;

const GATES: &str = "[gates.\"b200:smoke\"]\ntier = \"b\"\ngpus = 8\nrequires = [\"ABSENT_DATA\"]\ncmd = \"exit 9\"\nrehearse = \"echo node_tps: 5\"\n\
    [gates.\"b200:long\"]\ntier = \"b\"\ngpus = 8\ncmd = \"exit 9\"\n\
    [gates.\"perf:delta\"]\ntier = \"b\"\nkind = \"perf\"\ncompare_gate = \"b200:smoke\"\nmetric = \"node_tps_p50\"\n\
    [bundles]\nfull = [\"cpu:import\", \"b200:smoke\", \"b200:long\", \"perf:delta\"]\nsmall = [\"cpu:import\", \"b200:smoke\"]\n";

fn stage() -> RunFixture {
    let stage = RunFixture::new();
    stage.gate("cpu:import", "echo fine").raw(GATES);
    stage.sandbox.git(["init", "-q"]);
    stage.sandbox.git(["add", "-A"]);
    stage.sandbox.git(["commit", "-qm", "Begin"]);
    stage
}

#[test]
fn gates_run_their_command_or_are_skipped() {
    let stage = stage();
    let run = stage
        .run(&["--bundle", "full", "--rehearse", "--keep-going"])
        .exits(3);
    let status = |id: &str| (run.gate(id)["status"].clone(), run.gate(id)["reason"].clone());
    assert_eq!(status("cpu:import"), ("pass".into(), Value::Null));
    assert_eq!(status("b200:smoke"), ("pass".into(), Value::Null));
    for skipped in ["b200:long", "perf:delta"] {
        assert_eq!(
            status(skipped),
            ("not_run".into(), "rehearsal".into()),
            "{skipped}"
        );
    }
    assert_eq!(run.results["evidence"]["rehearsal"], true);
    run.reports("Gates: full — rehearsal").prints("fine");
    let dry = stage
        .call(&["run", "--bundle", "full", "--rehearse", "--dry-run"])
        .run()
        .exits(0);
    assert_eq!(
        dry.stdout,
        "run      cpu:import\nrun      b200:smoke\nskipped  b200:long\nskipped  perf:delta\n"
    );
    assert_eq!(dry.stderr, "no gate was run\n");
    // Without --rehearse the machine lacks the target.
    stage
        .call(&["run", "--bundle", "small"])
        .run()
        .exits(3)
        .any_output();
}

#[test]
fn rehearsal_is_no_evidence() {
    let stage = stage();
    let run = stage
        .run(&["--bundle", "small", "--rehearse"])
        .exits(0)
        .prints("fine");
    assert_eq!(run.results["overall"], "pass");
    let results = stage.results();
    let results = results.to_str().unwrap();
    let call = |args: &[&str]| stage.call(args).run();
    call(&["report", results])
        .exits(0)
        .prints("Gates: small — rehearsal");
    call(&["report", results, "--format", "github"])
        .exits(0)
        .prints("overall=rehearsal");
    call(&["report", results, "--format", "in-toto"])
        .exits(2)
        .reports("a rehearsal");
    let body = "```yaml\nnmoe_pr:\n  issue: 07\n  pr_sha: 1188731\n  risk: cold\ngates_passed:\n  tier_a: [cpu:import]\n  tier_b: [b200:smoke]\n```\n";
    stage.sandbox.file("pr.md", body);
    call(&["lint", "attestation", "pr.md", "--results", results])
        .exits(2)
        .reports("a rehearsal");
    // A later run keeps no pass of a rehearsal.
    let real = stage
        .run(&["--gate", "cpu:import", "--resume"])
        .exits(0)
        .prints("fine");
    assert_eq!(real.results["evidence"]["rehearsal"], Value::Null);
}
