//! Tests the records of `run`: evidence, resumption, external results, and the clauses of a contract.

use std::path::Path;

use serde_json::{Value, json};

use crate::run_fixture::RunFixture;

fn commit(fixture: &RunFixture, message: &str) -> String {
    fixture.sandbox.git(["add", "-A"]);
    fixture
        .sandbox
        .git(["commit", "-q", "--allow-empty", "-m", message]);
    fixture.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned()
}

#[test]
fn run_needs_own_state_folder() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:ok", "true");
    let run = || fixture.call(&["run", "--gate", "cpu:ok"]);
    run()
        .env("XDG_STATE_HOME", "relative")
        .env("HOME", "")
        .run()
        .exits(2)
        .reports("error: cannot choose a results file: cannot find the state directory: neither XDG_STATE_HOME nor HOME is set\n  help: set one of them to an absolute path, or name a file with --results");
    let state = fixture.sandbox.path("home/.local/state/nmoe-gates");
    std::fs::create_dir_all(&state).unwrap();
    if std::os::unix::fs::chown(&state, Some(1), None).is_err() {
        return crate::attack::skipped("only root can give a folder to another user");
    }
    run()
        .run()
        .exits(2)
        .reports("is owned by another user, not by you");
}

#[test]
fn verdict_names_tested_commit() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:ok", "true");
    let evidence =
        |fixture: &RunFixture| fixture.run(&["--gate", "cpu:ok"]).exits(0).results["evidence"].clone();
    let none = evidence(&fixture);
    for id in ["head", "base", "merge", "tree", "contract", "target"] {
        assert_eq!(none[id], Value::Null, "{id}");
    }
    assert_eq!(none["registry"].as_str().unwrap().len(), 64);
    fixture.sandbox.git(["init", "-q"]);
    let base = commit(&fixture, "base");
    let plain = evidence(&fixture);
    assert_eq!(
        (&plain["head"], &plain["merge"], &plain["dirty"]),
        (&json!(base), &Value::Null, &json!(false))
    );
    fixture.sandbox.git(["checkout", "-q", "-b", "work"]);
    let head = commit(&fixture, "head");
    fixture.sandbox.git(["checkout", "-q", "master"]);
    fixture
        .sandbox
        .git(["merge", "-q", "--no-ff", "-m", "merge", "work"]);
    let merge = fixture.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    let tree = fixture
        .sandbox
        .git(["rev-parse", "HEAD^{tree}"])
        .trim()
        .to_owned();
    let merged = evidence(&fixture);
    assert_eq!(
        [
            &merged["base"],
            &merged["head"],
            &merged["merge"],
            &merged["tree"]
        ],
        [&json!(base), &json!(head), &json!(merge), &json!(tree)]
    );
    fixture.sandbox.file("new.py", "x");
    assert_eq!(evidence(&fixture)["dirty"], true);
}

#[test]
fn resume_repeats_gates_without_matching_evidence() {
    let fixture = RunFixture::new();
    fixture
        .gate("cpu:a", "echo a >> \"$TMPDIR/ran\"")
        .gate("cpu:b", "echo b >> \"$TMPDIR/ran\"; test -e \"$TMPDIR/mended\"");
    fixture.sandbox.git(["init", "-q"]);
    commit(&fixture, "one");
    let ran = || {
        std::fs::read_to_string(fixture.sandbox.path("tmp/ran"))
            .unwrap()
            .replace('\n', "")
    };
    fixture.run(&["--tier", "a"]).exits(1);
    assert_eq!(ran(), "ab");
    std::fs::write(fixture.sandbox.path("tmp/mended"), "").unwrap();
    let run = fixture.run(&["--tier", "a", "--resume"]).exits(0);
    assert_eq!(ran(), "abb");
    assert_eq!(run.gate("cpu:a")["status"], "pass");
    fixture.run(&["--tier", "a", "--resume"]).exits(0);
    assert_eq!(ran(), "abb");
    commit(&fixture, "two");
    fixture.run(&["--tier", "a", "--resume"]).exits(0);
    assert_eq!(ran(), "abbab");
    fixture.sandbox.file("new.py", "x");
    fixture.run(&["--tier", "a", "--resume"]).exits(0);
    assert_eq!(ran(), "abbabab");
}

#[test]
fn external_pass_requires_same_evidence() {
    let fixture = RunFixture::new();
    fixture
        .raw("[gates.\"zero2:x\"]\ntier = \"b\"\nkind = \"external\"\n")
        .gate("cpu:ok", "true");
    fixture.sandbox.git(["init", "-q"]);
    commit(&fixture, "one");
    let mut recorded = fixture.run(&["--gate", "zero2:x"]).exits(3).results;
    let elsewhere = fixture.sandbox.path("home/elsewhere.json");
    let given = format!("zero2:x={}", elsewhere.display());
    let supply = |recorded: &Value| {
        std::fs::write(&elsewhere, recorded.to_string()).unwrap();
        fixture.run_with(
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
    supply(&forged)
        .exits(2)
        .reports("error: cannot use --external zero2:x");
    fixture
        .run(&[
            "--gate",
            "cpu:ok",
            "--external",
            &format!("cpu:ok={}", elsewhere.display()),
        ])
        .exits(2)
        .reports("error: cannot use --external cpu:ok: the registry has no");
}

#[test]
fn contract_reports_uncovered_gates_and_bounds_budget() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixture = RunFixture::new();
    fixture.gate("cpu:import", "true");
    let contract = std::fs::read_to_string(root.join("tests/fixtures/engine/contract.md")).unwrap();
    let perf = "  perf:\n    gate: perf:baseline_delta\n    compare: b200:moonlight_8x20\n    metric: node_tps_p50\n    budget_pct: -10\n```";
    fixture.sandbox.file(
        "contract.md",
        contract.trim_end().strip_suffix("```").unwrap().to_owned() + perf,
    );
    let run = fixture
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
        let run = fixture.run(&[
            "--gate",
            "cpu:import",
            "--contract",
            "contract.md",
            "--perf-budget-pct",
            budget,
        ]);
        let refused = run.exits(code).out.stderr.contains("error: --perf-budget-pct");
        assert_eq!(refused, code == 2, "{budget}");
    }
    fixture
        .run(&["--gate", "cpu:import", "--contract", "none.md"])
        .exits(2)
        .reports("error: cannot read none.md: No such file or");
}

#[test]
fn perf_gate_without_compare_gate_is_refused() {
    let fixture = RunFixture::new();
    fixture
        .gate("cpu:train", "touch \"$TMPDIR/ran\"")
        .raw("[gates.\"perf:d\"]\ntier = \"b\"\nkind = \"perf\"\ncompare_gate = \"cpu:other\"\nmetric = \"node_tps_p50\"")
        .gate("cpu:other", "true");
    let run = fixture.run(&["--gate", "cpu:train", "--gate", "perf:d"]).exits(3);
    assert_eq!(run.gate("perf:d")["reason"], "compare_missing");
    assert!(!fixture.sandbox.path("tmp/ran").exists());
}

#[test]
fn dry_run_lists_missing_requirements() {
    let fixture = RunFixture::new();
    fixture
        .gate("cpu:ok", "touch \"$TMPDIR/ran\"")
        .gate_with("cpu:env", "true", "requires = [\"NMOE_X\"]");
    let dry = |args: &[&str]| {
        fixture
            .call(&[&["run", "--dry-run", "--format", "json"], args].concat())
            .run()
    };
    assert_eq!(
        dry(&["--gate", "cpu:ok"]).exits(0).json()["gates"][0]["would"],
        "run"
    );
    let refused = dry(&["--tier", "a"]).exits(3).json();
    assert_eq!(refused["gates"][1]["missing_env"], json!(["NMOE_X"]));
    assert!(!fixture.sandbox.path("tmp/ran").exists());
    assert!(!fixture.sandbox.path("home/.local").exists());
}

#[test]
fn t06_hostile_files_at_written_paths() {
    for name in [
        "home/results.json",
        "home/results.json.journal",
        "home/results.json.lock",
    ] {
        for kind in ["link", "dangling", "pipe", "folder", "socket"] {
            let fixture = RunFixture::new();
            fixture.gate("cpu:ok", "true");
            let (victim, path) = (fixture.sandbox.path("home/victim"), fixture.sandbox.path(name));
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
            let results = fixture.results();
            let out = fixture
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
fn t05_gate_rewriting_journal_fails() {
    let fixture = RunFixture::new();
    let journal = "$HOME/results.json.journal";
    fixture
        .gate("cpu:append", &format!("echo '{{}}' >> \"{journal}\""))
        .gate("cpu:replace", &format!("rm \"{journal}\"; mkdir \"{journal}\""))
        .gate("cpu:forge", "sed -i 's/fail/pass/' \"$HOME/results.json\"");
    let run = fixture.run(&["--tier", "a", "--keep-going"]).exits(1);
    for id in ["cpu:append", "cpu:replace"] {
        assert_eq!(run.gate(id)["reason"], "tampered", "{id}");
    }
    assert_eq!(run.results["overall"], "fail");
    let journal = std::fs::read_to_string(fixture.sandbox.path("home/results.json.journal")).unwrap();
    assert_eq!(journal.lines().count(), 8, "{journal}");
}

#[test]
fn unrecorded_pass_is_not_a_pass() {
    let fixture = RunFixture::new();
    for n in 0..12 {
        fixture.gate(&format!("cpu:{n}"), "true");
    }
    fixture.run(&["--tier", "a"]).exits(0);
    let results = fixture.results();
    let journal = std::fs::read_to_string(format!("{}.journal", results.display())).unwrap();
    let (kept, end) = journal.trim_end().rsplit_once('\n').unwrap();
    assert!(end.contains("run_ended"));
    // The disk has space for all but the last line.
    let limit = format!("--fsize={}", kept.len() + end.len() / 2);
    let run = fixture.call(&["run", "--tier", "a", "--results", results.to_str().unwrap()]);
    let out = run.under(&["prlimit", &limit]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("results.json (disk_full)"), "{said}");
}
