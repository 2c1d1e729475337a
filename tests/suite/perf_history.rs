//! Tests the history of comparisons: which commit they belong to, steps, the cumulative budget, the plot, renewed noise.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::driver::{Sandbox, git};
use crate::perf_bench::{Bench, perf};

/// What a run measured.
struct Measured<'a> {
    /// The tested commit: the head, or the trial merge.
    head: &'a str,
    merge: Option<&'a str>,
    base: &'a str,
    tree: Option<&'a str>,
    status: &'a str,
    /// Three measurements of each side.
    sides: [[f64; 3]; 2],
}

impl<'a> Measured<'a> {
    /// A passed comparison of a commit with the one before it, without a trial merge.
    fn passed(head: &'a str, base: &'a str, sides: [[f64; 3]; 2]) -> Self {
        Measured {
            head,
            merge: None,
            base,
            tree: None,
            status: "pass",
            sides,
        }
    }
}

/// Three measurements around a level that differ by 0.1 %.
fn around(level: f64) -> [f64; 3] {
    [level * 0.999, level, level * 1.001]
}

fn results(sandbox: &Sandbox, name: &str, measured: &Measured<'_>) -> PathBuf {
    // Another start for each name, so that no record is of the same run.
    let at = name
        .bytes()
        .fold(0, |at, byte| (at * 31 + u32::from(byte)) % 86_400);
    let [base, change] = measured.sides;
    let pairs: Vec<Value> = (0..3)
        .map(|i| {
            json!({"order": "ab", "baseline": base[i], "result": change[i], "log_ratio": (change[i] / base[i]).ln()})
        })
        .collect();
    let (baseline, result) = (base[1], change[1]);
    let reason = (measured.status == "fail").then_some("over_budget");
    let text = json!({
        "schema": 1, "bundle": null, "gate_ids": ["perf:baseline_delta"], "overall": measured.status,
        "evidence": {"head": measured.head, "base": measured.base, "merge": measured.merge, "tree": measured.tree,
            "dirty": false, "registry": null, "contract": null, "image": null, "tool": null, "target": null, "run": null},
        "started_at": format!("2026-01-01T{:02}:{:02}:{:02}Z", at / 3600, at / 60 % 60, at % 60), "duration_s": 1.0,
        "results": {"perf:baseline_delta": {"status": measured.status, "reason": reason, "rc": null, "duration_s": 1.0,
            "node_tps_p50": null,
            "perf": {"compare_gate": "cpu:train", "metric": "node_tps_p50", "direction": "higher",
                "baseline_sha": measured.base, "baseline": baseline, "result": result, "method": "paired",
                "budget_pct": -10.0, "delta_pct": (result / baseline - 1.0) * 100.0, "interval_pct": [-9.0, 9.0],
                "pairs": pairs}}}
    });
    let path = sandbox.path(&format!("{name}.json"));
    std::fs::write(&path, text.to_string()).unwrap();
    path
}

fn commit(sandbox: &Sandbox, subject: &str) -> String {
    sandbox.git(["commit", "-q", "--allow-empty", "-m", subject]);
    sandbox.git(["rev-parse", "HEAD"]).trim().to_owned()
}

fn history(sandbox: &Sandbox, args: &[&str]) -> crate::driver::Outcome {
    sandbox.gates([&["perf", "history"], args].concat()).run()
}

/// Empty output would look like a history without a loss.
#[test]
fn history_without_comparisons_is_no_answer() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    commit(&sandbox, "Commit");
    for (args, code) in [
        (&["steps"][..], 3),
        (&["check"], 3),
        (&["plot", "--output", "history.html"], 2),
    ] {
        let out = history(&sandbox, args).exits(code);
        assert!(
            out.stderr.contains(": no comparison is recorded"),
            "{}",
            out.stderr
        );
    }
    history(&sandbox, &["show"])
        .exits(0)
        .reports("no comparison is recorded");
}

#[test]
fn small_losses_exceed_cumulative_budget() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    let ids: Vec<String> = (0..4).map(|i| commit(&sandbox, &format!("Commit {i}"))).collect();
    let mut level = 100_000.0;
    for i in 1..4 {
        let before = level;
        level *= 0.97;
        let measured = Measured::passed(&ids[i], &ids[i - 1], [around(before), around(level)]);
        let path = results(&sandbox, &format!("r{i}"), &measured);
        let path = path.to_str().unwrap();
        history(&sandbox, &["record", path])
            .exits(0)
            .reports("1 new entries in refs/nmoe-gates/perf");
        // Recording the same results again changes nothing.
        let again = history(&sandbox, &["record", path]).exits(0);
        assert!(again.stderr.contains("0 new"), "{}", again.stderr);
    }
    history(&sandbox, &["check"])
        .exits(3)
        .reports("error: no epoch is pinned: set `perf.epoch` in");
    let settings = |text: String| {
        sandbox.file("configs/nmoe-gates.toml", format!("[perf]\n{text}"));
    };
    settings(format!("epoch = \"{}\"\n", ids[0]));
    let out = history(&sandbox, &["check"]).exits(1);
    assert!(
        out.stdout.contains("−8.7 %") && out.stdout.contains("over"),
        "{}",
        out.stdout
    );
    settings(format!("epoch = \"{}\"\ncumulative_budget_pct = -9.0\n", ids[0]));
    history(&sandbox, &["check"])
        .exits(0)
        .prints("cpu:train node_tps on cpu at");
    settings("epoch = \"0000000\"\n".to_owned());
    history(&sandbox, &["check"])
        .exits(2)
        .reports("error: cannot use the epoch `0000000`: it is not a commit of the branch");
    // Of 17 commits, two begin with the same digit.
    let mut digits: Vec<String> = Vec::new();
    let shared = loop {
        let digit = commit(&sandbox, &format!("Later {}", digits.len()))[..1].to_owned();
        if digits.contains(&digit) {
            break digit;
        }
        digits.push(digit);
    };
    settings(format!("epoch = \"{shared}\"\n"));
    history(&sandbox, &["check"]).exits(2).reports(&format!(
        "error: cannot use the epoch `{shared}`: it is the beginning of"
    ));
    // Every commit lost 3 %, and is named with its subject.
    let out = history(&sandbox, &["steps"]).exits(1);
    for (id, subject) in ids.iter().zip(["", "Commit 1", "Commit 2", "Commit 3"]).skip(1) {
        assert!(
            out.stdout
                .contains(format!("{}  −3.0 %  loss  {subject}", &id[..12]).as_str()),
            "{}",
            out.stdout
        );
    }
    // Append-only: each version of the file begins with the previous version.
    let states: Vec<String> = sandbox
        .git(["rev-list", "--reverse", "refs/nmoe-gates/perf"])
        .lines()
        .map(|id| sandbox.git(["cat-file", "blob", &format!("{id}:records.jsonl")]))
        .collect();
    assert_eq!(states.len(), 3);
    assert!(states.windows(2).all(|w| w[1].starts_with(&w[0])));
}

/// The tested commit is a trial merge, which is never on the branch. What landed has its tree, or merges its head.
#[test]
fn comparison_belongs_to_the_commit_that_landed() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q", "-b", "master"]);
    let base = commit(&sandbox, "Base");
    sandbox.git(["checkout", "-qb", "work"]);
    sandbox.file("a.txt", "a\n");
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Work"]);
    let head = sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    let tree = sandbox.git(["rev-parse", "HEAD^{tree}"]).trim().to_owned();
    sandbox.git(["checkout", "-q", "master"]);
    let trial = "7".repeat(40);
    let measured = |status| Measured {
        head: &head,
        merge: Some(&trial),
        base: &base,
        tree: Some(&tree),
        status,
        sides: [around(1000.0), around(970.0)],
    };
    let path = results(&sandbox, "waived", &measured("fail"));
    let path = path.to_str().unwrap();
    history(&sandbox, &["record", path])
        .exits(3)
        .reports("no commit of the branch has what was tested; name it with --commit")
        .reports("error: nothing was recorded: no tested commit has landed");
    // A squash has the tested tree. A comparison that failed, and was waived, is kept too.
    sandbox.git(["merge", "-q", "--squash", "work"]);
    sandbox.git(["commit", "-qm", "Squashed"]);
    let landed = sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    history(&sandbox, &["record", path])
        .exits(0)
        .reports("1 new entries");
    let entries = |sandbox: &Sandbox| {
        let out = history(sandbox, &["show", "--format", "json"]).exits(0);
        out.json()["entries"].as_array().unwrap().clone()
    };
    let known = entries(&sandbox);
    assert_eq!(known[0]["commit"], landed.as_str(), "{known:?}");
    assert_eq!(known[0]["status"], "fail");
    assert!((known[0]["log_ratio"].as_f64().unwrap() - 0.97f64.ln()).abs() < 1e-12);
    // A merge onto a branch that moved has another tree, and the tested head as a parent.
    sandbox.git(["reset", "-q", "--hard", &base]);
    sandbox.file("b.txt", "b\n");
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Meanwhile"]);
    sandbox.git(["merge", "-q", "--no-ff", "-m", "Merge", "work"]);
    let landed = sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    history(&sandbox, &["record", path])
        .exits(0)
        .reports("1 new entries");
    let known = entries(&sandbox);
    assert_eq!(known[0]["commit"], landed.as_str(), "{known:?}");
    // The squashed commit has left the branch.
    let shown = history(&sandbox, &["show"]).exits(0);
    assert!(shown.stdout.contains("(not on the branch)"), "{}", shown.stdout);
    // A person can name the commit.
    history(&sandbox, &["record", path, "--commit", &base])
        .exits(0)
        .reports("1 new entries");
}

/// 500 commits with three steps, a drift, a spike and a faster machine: each step at its commit.
#[test]
fn five_hundred_results_give_three_steps() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    let mut stream = String::new();
    for i in 0..500 {
        stream.push_str(&format!(
            "commit refs/heads/long\ncommitter a <a@example.org> {} +0000\ndata 10\nCommit {i:03}\n",
            1_700_000_000 + i
        ));
    }
    let import = sandbox.path("import");
    std::fs::write(&import, stream).unwrap();
    let imported = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(sandbox.repo())
        .stdin(std::fs::File::open(&import).unwrap())
        .status();
    assert!(imported.unwrap().success());
    sandbox.git(["checkout", "-q", "long"]);
    let ids: Vec<String> = sandbox
        .git(["rev-list", "--reverse", "HEAD"])
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(ids.len(), 500);
    // The same numbers in every repetition of the test.
    let mut state = 1u64;
    let mut noise = |size: f64| {
        let sum: f64 = (0..12)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64
            })
            .sum();
        size * (sum - 6.0)
    };
    let mut level = 100_000f64;
    let mut args = vec!["record".to_owned()];
    for i in 1..500 {
        let before = level;
        level *= match i {
            120 | 260 | 400 => 0.97,
            61 => 0.92,
            62 => 1.0 / 0.92,
            200..350 => 1.0 - 0.02 / 150.0,
            _ => 1.0,
        };
        let session = 1.0 + noise(0.01) + if i >= 350 { 0.06 } else { 0.0 };
        let mut side = |level: f64| [0; 3].map(|_| level * session * (1.0 + noise(0.004)));
        let measured = Measured::passed(&ids[i], &ids[i - 1], [side(before), side(level)]);
        args.push(
            results(&sandbox, &format!("r{i:03}"), &measured)
                .display()
                .to_string(),
        );
    }
    // Recorded in another order than that of the branch.
    args[1..].reverse();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    history(&sandbox, &args).exits(0).reports("499 new entries");
    let out = history(&sandbox, &["steps", "--format", "json"]).exits(1);
    let found = out.json();
    let steps = found["series"][0]["steps"].as_array().unwrap().clone();
    let lost: Vec<&str> = steps
        .iter()
        .filter(|s| s["loss"] == true && s["recovered_at"].is_null())
        .map(|s| s["commit"].as_str().unwrap())
        .collect();
    assert_eq!(lost, [ids[120].as_str(), &ids[260], &ids[400]], "{steps:?}");
    assert_eq!(steps.len(), 5, "only the spike is found too: {steps:?}");
    assert_eq!(steps[0]["recovered_at"], ids[62].as_str());
    sandbox.file(
        "configs/nmoe-gates.toml",
        format!("[perf]\nepoch = \"{}\"\n", ids[0]),
    );
    history(&sandbox, &["plot", "--output", "history.html"])
        .exits(0)
        .reports("written to history.html")
        .changes(&["repo/history.html"]);
    let page = std::fs::read_to_string(sandbox.repo().join("history.html")).unwrap();
    assert_eq!(page.matches("<circle").count(), 2 * 499);
    assert_eq!(page.matches("class=\"step loss\"").count(), 2 * 3);
    assert!(
        page.contains("Commit 120") && page.contains("since"),
        "the page names the commit"
    );
}

/// The pairs of recorded comparisons calibrate the next one, without noise that is stored by hand.
#[test]
fn recorded_comparisons_renew_stored_noise() {
    let bench = Bench::speed(100_000, 100_000);
    let (outcome, before) = bench.run(&[]);
    outcome.exits(0).any_output();
    assert_eq!(perf(&before)["perf"]["calibrated"], false);
    let path = bench.sandbox.path("results.json");
    // The trial merge landed as it is.
    history(
        &bench.sandbox,
        &["record", path.to_str().unwrap(), "--branch", "merged"],
    )
    .exits(0)
    .reports("1 new entries");
    let (outcome, after) = bench.run(&[]);
    outcome.exits(0).any_output();
    assert_eq!(perf(&after)["perf"]["calibrated"], true, "{after}");
    assert!(
        perf(&after)["perf"]["pairs"].as_array().unwrap().len()
            <= perf(&before)["perf"]["pairs"].as_array().unwrap().len()
    );
}

/// `git bisect run` as docs/explanation/performance.md writes it.
#[test]
fn bisect_finds_the_slow_commit() {
    let docs = include_str!("../../docs/explanation/performance.md");
    let from = docs.find("git bisect run").expect("the page has the command");
    let text: String = docs[from..]
        .lines()
        .take_while(|line| !line.starts_with("git bisect reset"))
        .collect::<Vec<_>>()
        .join("\n");
    let bench = Bench::speed(100_000, 100_000);
    let sandbox = &bench.sandbox;
    let subject = sandbox.path("subject");
    let at = |args: &[&str]| git(&subject, args.to_vec());
    let good = at(&["rev-parse", "HEAD"]).trim().to_owned();
    let mut slow = String::new();
    for i in 0..4 {
        if i == 2 {
            std::fs::write(subject.join("speed.txt"), "80000\n").unwrap();
        }
        std::fs::write(subject.join("README"), format!("{i}\n")).unwrap();
        at(&["add", "-A"]);
        at(&["commit", "-qm", &format!("Change {i}")]);
        if i == 2 {
            slow = at(&["rev-parse", "HEAD"]).trim().to_owned();
        }
    }
    at(&["bisect", "start", "HEAD", &good]);
    let program = bench.call(&[]).into_command();
    let script = text
        .replace(
            "nmoe-gates ",
            &format!("{} ", program.get_program().to_string_lossy()),
        )
        .replace("b200:moonlight_8x20", "cpu:train")
        .replace("-1.5", "-10")
        .replace("GOOD", &good);
    let out = sandbox.path("bisect.log");
    let mut command = Command::new("bash");
    command.env_clear();
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .args(["-c", &script])
        .current_dir(&subject)
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(std::process::Stdio::null());
    let status = command.status().unwrap();
    let said = std::fs::read_to_string(&out).unwrap();
    assert!(status.success(), "{script}\n{said}");
    assert!(
        said.contains(&format!("{slow} is the first bad commit")),
        "{said}"
    );
}

#[test]
fn concurrent_history_writers_lose_nothing() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    let remote = sandbox.path("remote.git");
    git(&sandbox.path(""), ["init", "-q", "--bare", "remote.git"]);
    sandbox.git(["remote", "add", "origin", remote.to_str().unwrap()]);
    let ids: Vec<String> = (0..7).map(|i| commit(&sandbox, &format!("Commit {i}"))).collect();
    git(&sandbox.path(""), ["clone", "-q", "repo", "other"]);
    git(
        &sandbox.path("other"),
        ["remote", "set-url", "origin", remote.to_str().unwrap()],
    );
    let writers: Vec<_> = (0..6)
        .map(|i| {
            let measured = Measured::passed(&ids[i + 1], &ids[i], [around(100.0), around(99.0)]);
            let path = results(&sandbox, &format!("w{i}"), &measured);
            let dir = if i % 2 == 0 {
                sandbox.repo()
            } else {
                sandbox.path("other")
            };
            let mut command = sandbox
                .gates([
                    "perf",
                    "history",
                    "record",
                    path.to_str().unwrap(),
                    "--push",
                    "origin",
                ])
                .current_dir(dir)
                .into_command();
            command.stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = git(
        &remote,
        ["cat-file", "blob", "refs/nmoe-gates/perf:records.jsonl"],
    );
    assert_eq!(text.lines().count(), 6, "{text}");
}
