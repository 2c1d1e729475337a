//! What `run` binds a verdict to and keeps of it: evidence, resumption, results from elsewhere, the terms of a contract.

use std::path::Path;

use serde_json::{Value, json};

use crate::stage::Stage;

fn commit(stage: &Stage, message: &str) -> String {
    stage.place.git(["add", "-A"]);
    stage.place.git(["commit", "-q", "--allow-empty", "-m", message]);
    stage.place.git(["rev-parse", "HEAD"]).trim().to_owned()
}

#[test]
fn a_verdict_is_bound_to_what_was_tested() {
    let stage = Stage::new();
    stage.gate("cpu:ok", "true");
    let evidence = |stage: &Stage| stage.run(&["--gate", "cpu:ok"]).exits(0).results["evidence"].clone();
    let none = evidence(&stage);
    for id in ["head", "base", "merge", "tree", "contract", "target"] {
        assert_eq!(none[id], Value::Null, "{id}");
    }
    assert_eq!(none["registry"].as_str().unwrap().len(), 64);
    stage.place.git(["init", "-q"]);
    let base = commit(&stage, "base");
    let plain = evidence(&stage);
    assert_eq!(
        (&plain["head"], &plain["merge"], &plain["dirty"]),
        (&json!(base), &Value::Null, &json!(false))
    );
    stage.place.git(["checkout", "-q", "-b", "work"]);
    let head = commit(&stage, "head");
    stage.place.git(["checkout", "-q", "master"]);
    stage.place.git(["merge", "-q", "--no-ff", "-m", "merge", "work"]);
    let merge = stage.place.git(["rev-parse", "HEAD"]).trim().to_owned();
    let tree = stage.place.git(["rev-parse", "HEAD^{tree}"]).trim().to_owned();
    let merged = evidence(&stage);
    assert_eq!(
        [
            &merged["base"],
            &merged["head"],
            &merged["merge"],
            &merged["tree"]
        ],
        [&json!(base), &json!(head), &json!(merge), &json!(tree)]
    );
    stage.place.file("new.py", "x");
    assert_eq!(evidence(&stage)["dirty"], true);
}

#[test]
fn resume_runs_what_is_not_proven_for_the_same_evidence() {
    let stage = Stage::new();
    stage
        .gate("cpu:a", "echo a >> \"$TMPDIR/ran\"")
        .gate("cpu:b", "echo b >> \"$TMPDIR/ran\"; test -e \"$TMPDIR/mended\"");
    stage.place.git(["init", "-q"]);
    commit(&stage, "one");
    let ran = || {
        std::fs::read_to_string(stage.place.path("tmp/ran"))
            .unwrap()
            .replace('\n', "")
    };
    stage.run(&["--tier", "a"]).exits(1);
    assert_eq!(ran(), "ab");
    std::fs::write(stage.place.path("tmp/mended"), "").unwrap();
    let run = stage.run(&["--tier", "a", "--resume"]).exits(0);
    assert_eq!(ran(), "abb");
    assert_eq!(run.gate("cpu:a")["status"], "pass");
    stage.run(&["--tier", "a", "--resume"]).exits(0);
    assert_eq!(ran(), "abb");
    commit(&stage, "two");
    stage.run(&["--tier", "a", "--resume"]).exits(0);
    assert_eq!(ran(), "abbab");
    stage.place.file("new.py", "x");
    stage.run(&["--tier", "a", "--resume"]).exits(0);
    assert_eq!(ran(), "abbabab");
}

#[test]
fn an_external_gate_turns_green_only_by_a_result_for_the_same_evidence() {
    let stage = Stage::new();
    stage
        .raw("[gates.\"zero2:x\"]\ntier = \"b\"\nkind = \"external\"\n")
        .gate("cpu:ok", "true");
    stage.place.git(["init", "-q"]);
    commit(&stage, "one");
    let mut recorded = stage.run(&["--gate", "zero2:x"]).exits(3).results;
    let elsewhere = stage.place.path("home/elsewhere.json");
    let given = format!("zero2:x={}", elsewhere.display());
    let supply = |recorded: &Value| {
        std::fs::write(&elsewhere, recorded.to_string()).unwrap();
        stage.run_with(
            &["--gate", "zero2:x", "--external", &given],
            &[("GITHUB_ACTOR", "a-maintainer")],
        )
    };
    recorded["results"]["zero2:x"]["status"] = json!("pass");
    recorded["results"]["zero2:x"]["reason"] = Value::Null;
    recorded["overall"] = json!("pass");
    let run = supply(&recorded).exits(0);
    let gate = run.gate("zero2:x");
    assert_eq!(
        [&gate["status"], &gate["reason"], &gate["supplied_by"]],
        [&json!("pass"), &json!("external"), &json!("a-maintainer")]
    );
    let mut other = recorded.clone();
    other["evidence"]["tree"] = json!("0".repeat(40));
    let run = supply(&other).exits(3);
    assert_eq!(run.gate("zero2:x")["reason"], "stale_evidence");
    let mut failed = recorded.clone();
    failed["results"]["zero2:x"]["status"] = json!("fail");
    failed["results"]["zero2:x"]["reason"] = json!("exit_code");
    failed["overall"] = json!("fail");
    assert_eq!(supply(&failed).exits(1).gate("zero2:x")["status"], "fail");
    let mut forged = recorded.clone();
    forged["extra"] = json!(1);
    supply(&forged).exits(2);
    stage
        .run(&[
            "--gate",
            "cpu:ok",
            "--external",
            &format!("cpu:ok={}", elsewhere.display()),
        ])
        .exits(2);
}

#[test]
fn the_contract_names_what_was_left_out_and_bounds_the_budget() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stage = Stage::new();
    stage.gate("cpu:import", "true");
    let contract = std::fs::read_to_string(root.join("tests/fixtures/engine/contract.md")).unwrap();
    let perf = "  perf:\n    gate: perf:baseline_delta\n    compare: b200:moonlight_8x20\n    metric: node_tps_p50\n    budget_pct: -10\n```";
    stage.place.file(
        "contract.md",
        contract.trim_end().strip_suffix("```").unwrap().to_owned() + perf,
    );
    let run = stage
        .run(&["--gate", "cpu:import", "--contract", "contract.md"])
        .exits(0);
    assert_eq!(
        run.results["uncovered"],
        json!([
            "b200:moonlet_1x10",
            "b200:profile_fp8",
            "b200:moonlight_8x20",
            "perf:baseline_delta"
        ])
    );
    assert_eq!(run.results["evidence"]["contract"].as_str().unwrap().len(), 64);
    for (budget, code) in [
        ("-5", 0),
        ("-10", 0),
        ("-20", 2),
        ("inf", 2),
        ("x", 2),
        ("-100", 2),
    ] {
        stage
            .run(&[
                "--gate",
                "cpu:import",
                "--contract",
                "contract.md",
                "--perf-budget-pct",
                budget,
            ])
            .exits(code);
    }
    stage
        .run(&["--gate", "cpu:import", "--contract", "none.md"])
        .exits(2);
}

#[test]
fn a_perf_gate_without_its_compare_gate_is_refused_before_anything_runs() {
    let stage = Stage::new();
    stage
        .gate("cpu:train", "touch \"$TMPDIR/ran\"")
        .raw("[gates.\"perf:d\"]\ntier = \"b\"\nkind = \"perf\"\ncompare_gate = \"cpu:other\"\nmetric = \"node_tps_p50\"")
        .gate("cpu:other", "true");
    let run = stage.run(&["--gate", "cpu:train", "--gate", "perf:d"]).exits(3);
    assert_eq!(run.gate("perf:d")["reason"], "compare_missing");
    assert!(!stage.place.path("tmp/ran").exists());
}

#[test]
fn a_dry_run_runs_nothing_and_says_what_is_missing() {
    let stage = Stage::new();
    stage
        .gate("cpu:ok", "touch \"$TMPDIR/ran\"")
        .gate_with("cpu:env", "true", "requires = [\"NMOE_X\"]");
    let dry = |args: &[&str]| {
        stage
            .call(&[&["run", "--dry-run", "--format", "json"], args].concat())
            .run()
    };
    assert_eq!(
        dry(&["--gate", "cpu:ok"]).exits(0).json()["gates"][0]["would"],
        "run"
    );
    let refused = dry(&["--tier", "a"]).exits(3).json();
    assert_eq!(refused["gates"][1]["missing_env"], json!(["NMOE_X"]));
    assert!(!stage.place.path("tmp/ran").exists());
    assert!(!stage.place.path("home/.local").exists());
}

#[test]
fn t06_nothing_hostile_at_a_path_that_is_written() {
    for name in [
        "home/results.json",
        "home/results.json.journal",
        "home/results.json.lock",
    ] {
        for kind in ["link", "dangling", "pipe", "folder", "socket"] {
            let stage = Stage::new();
            stage.gate("cpu:ok", "true");
            let (victim, path) = (stage.place.path("home/victim"), stage.place.path(name));
            std::fs::write(&victim, "kept").unwrap();
            let _socket;
            match kind {
                "link" => std::os::unix::fs::symlink(&victim, &path).unwrap(),
                "dangling" => std::os::unix::fs::symlink("nowhere", &path).unwrap(),
                "pipe" => rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &path,
                    rustix::fs::FileType::Fifo,
                    0o600.into(),
                    0,
                )
                .unwrap(),
                "folder" => std::fs::create_dir(&path).unwrap(),
                _ => _socket = std::os::unix::net::UnixListener::bind(&path).unwrap(),
            }
            let results = stage.results();
            let out = stage
                .call(&["run", "--gate", "cpu:ok", "--results", results.to_str().unwrap()])
                .run()
                .exits(2);
            assert!(
                out.stderr.contains("not a regular file"),
                "{name} {kind}: {}",
                out.stderr
            );
            assert_eq!(std::fs::read(&victim).unwrap(), b"kept");
        }
    }
}

#[test]
fn t05_a_gate_that_rewrites_the_journal_fails() {
    let stage = Stage::new();
    let journal = "$HOME/results.json.journal";
    stage
        .gate("cpu:append", &format!("echo '{{}}' >> \"{journal}\""))
        .gate("cpu:replace", &format!("rm \"{journal}\"; mkdir \"{journal}\""))
        .gate("cpu:forge", "sed -i 's/fail/pass/' \"$HOME/results.json\"");
    let run = stage.run(&["--tier", "a", "--keep-going"]).exits(1);
    for id in ["cpu:append", "cpu:replace"] {
        assert_eq!(run.gate(id)["reason"], "tampered", "{id}");
    }
    assert_eq!(run.results["overall"], "fail");
    let journal = std::fs::read_to_string(stage.place.path("home/results.json.journal")).unwrap();
    assert_eq!(journal.lines().count(), 8, "{journal}");
}

#[test]
fn a_pass_that_could_not_be_recorded_is_none() {
    let stage = Stage::new();
    for n in 0..12 {
        stage.gate(&format!("cpu:{n}"), "true");
    }
    stage.run(&["--tier", "a"]).exits(0);
    let results = stage.results();
    let journal = std::fs::read_to_string(format!("{}.journal", results.display())).unwrap();
    let (kept, end) = journal.trim_end().rsplit_once('\n').unwrap();
    assert!(end.contains("run_ended"));
    // All but the last line fits.
    let limit = format!("--fsize={}", kept.len() + end.len() / 2);
    let run = stage.call(&["run", "--tier", "a", "--results", results.to_str().unwrap()]);
    let out = run.under(&["prlimit", &limit]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("cannot be written (disk_full)"), "{said}");
}
