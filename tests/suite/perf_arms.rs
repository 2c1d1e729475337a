//! The perf gate end to end: a stand-in trainer on the CPU whose reported speed a commit changes by a known amount, a real
//! merge, real builds in both arms.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::driver::{Call, Outcome, Place, git};

/// Prints a log like the trainer's. The noise comes from a count of launches that lies outside both arms, so it is another
/// for every launch and the same in every run of the test.
const TRAINER: &str = r#"set -euo pipefail
read -r speed < speed.txt
read -r built < nmoe/csrc/kernel.so
count=$(($(cat "$NMOE_DATA_PATH/count") + 1)); echo "$count" > "$NMOE_DATA_PATH/count"
echo "$PWD $NMOE_RUN_ROOT $built" >> "$NMOE_DATA_PATH/launches"
case "$NMOE_RUN_ROOT" in *perf*) [ -z "$(ls -A "$NMOE_RUN_ROOT")" ] || { echo "a used run root"; exit 1; } ;; esac
: > "$NMOE_RUN_ROOT/checkpoint"
case "$PWD" in */baseline) [ ! -e "$NMOE_DATA_PATH/hang-launch" ] || { : > "$NMOE_DATA_PATH/hangs"; sleep 600; } ;; esac
awk -v seed="$((count * 7919))" -v speed="$speed" '
    function random() { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648 - 0.5 }
    BEGIN {
        for (i = 0; i < 5; i++) random()
        level = speed * (1 + 0.01 * random())
        for (step = 1; step <= 24; step++) {
            tps = int(level * (1 + 0.01 * random()) * (step < 4 ? 0.4 : 1))
            printf "step: %2d  loss: 2.5  node_tps: %d,%03d\n", step, tps / 1000, tps % 1000
        }
    }'
"#;

const MAKEFILE: &str = r#"kernel.so: kernel.cu
	case "$$PWD" in */baseline/*) [ ! -e "$$NMOE_DATA_PATH/hang-build" ] || { : > "$$NMOE_DATA_PATH/hangs"; sleep 600; } ;; esac
	cp kernel.cu kernel.so
"#;

const REGISTRY: &str = r#"
[gates."cpu:train"]
tier = "a"
timeout_s = 60
requires = ["NMOE_DATA_PATH", "NMOE_RUN_ROOT"]
cmd = """
bash train.sh \
  --steps=24
"""

[gates."perf:baseline_delta"]
tier = "a"
kind = "perf"
timeout_s = 0
compare_gate = "cpu:train"
metric = "node_tps_p50"

[bundles]
full = ["cpu:train", "perf:baseline_delta"]
"#;

/// A policy checkout at the base, and a subject at the merge of a change into it.
struct Bench {
    place: Place,
    base: String,
}

impl Bench {
    /// The base says `before`; `change` is committed on a branch and merged.
    fn new(before: &str, change: impl FnOnce(&Place)) -> Self {
        Bench::from(before, |_| (), change)
    }

    /// The same with something more in the base.
    fn from(before: &str, before_base: impl FnOnce(&Place), change: impl FnOnce(&Place)) -> Self {
        let place = Place::new();
        place.git(["init", "-q"]);
        place
            .file("configs/gates/gates.toml", REGISTRY)
            .file("train.sh", TRAINER)
            .file("speed.txt", format!("{before}\n"))
            .file(".gitignore", "*.so\n")
            .file("nmoe/csrc/kernel.cu", "base\n")
            .file("nmoe/csrc/Makefile", MAKEFILE)
            .file("nmoe/gone.py", "");
        before_base(&place);
        place.git(["add", "-A"]);
        place.git(["commit", "-qm", "Base"]);
        place.git(["checkout", "-qb", "work"]);
        place.file("nmoe/csrc/kernel.cu", "head\n");
        change(&place);
        place.git(["add", "-A"]);
        place.git(["commit", "-qm", "Change"]);
        place.git(["checkout", "-q", "master"]);
        place.file("README", "meanwhile\n");
        place.git(["add", "-A"]);
        place.git(["commit", "-qm", "Meanwhile"]);
        let base = place.git(["rev-parse", "HEAD"]).trim().to_owned();
        place.git(["checkout", "-qb", "merged"]);
        place.git(["merge", "-q", "--no-ff", "-m", "Merge", "work"]);
        git(
            &place.path(""),
            ["clone", "-q", "--no-hardlinks", "-b", "merged", "repo", "subject"],
        );
        place.git(["checkout", "-q", "master"]);
        for dir in ["data", "runs"] {
            std::fs::create_dir(place.path(dir)).unwrap();
        }
        std::fs::write(place.path("data/count"), "0\n").unwrap();
        // The workflow builds the subject before the first gate.
        let built = Command::new("make")
            .args(["-s", "-C", "nmoe/csrc"])
            .current_dir(place.path("subject"))
            .env("NMOE_DATA_PATH", place.path("data"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{built:?}");
        Bench { place, base }
    }

    /// The same base and a change of the reported speed.
    fn speed(before: u32, after: u32) -> Self {
        Bench::new(&before.to_string(), |place| {
            place.file("speed.txt", format!("{after}\n"));
        })
    }

    fn seed(&self, seed: u32) {
        std::fs::write(self.place.path("data/count"), format!("{seed}\n")).unwrap();
    }

    fn call(&self, more: &[&str]) -> Call {
        let results = self.place.path("results.json");
        let subject = self.place.path("subject");
        let mut args = vec!["run", "--bundle", "full", "--results", results.to_str().unwrap()];
        args.extend(["--subject", subject.to_str().unwrap()]);
        args.extend(more);
        self.place
            .gates(args)
            .env("NMOE_DATA_PATH", self.place.path("data"))
            .env("NMOE_RUN_ROOT", self.place.path("runs"))
    }

    fn run(&self, more: &[&str]) -> (Outcome, Value) {
        let outcome = self.call(more).run();
        let text = std::fs::read_to_string(self.place.path("results.json")).unwrap();
        (outcome, serde_json::from_str(&text).unwrap())
    }

    /// Every folder a comparison may leave something in.
    fn left_over(&self) -> Vec<PathBuf> {
        [
            self.place.path("home/.local/state/nmoe-gates/perf"),
            self.place.path("runs/nmoe-gates-perf"),
        ]
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flatten()
        .map(|e| e.unwrap().path())
        .collect()
    }

    fn launches(&self) -> Vec<String> {
        std::fs::read_to_string(self.place.path("data/launches"))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

fn perf(results: &Value) -> &Value {
    &results["results"]["perf:baseline_delta"]
}

#[test]
fn row_17_both_arms_are_built_from_their_own_checkout() {
    let bench = Bench::speed(100_000, 100_000);
    let (outcome, results) = bench.run(&[]);
    let outcome = outcome.exits(0);
    let perf = perf(&results);
    assert_eq!(perf["status"], "pass", "{outcome:?}");
    assert_eq!(perf["perf"]["baseline_sha"], bench.base.as_str());
    assert_eq!(perf["perf"]["budget_pct"], -10.0);
    let launches = bench.launches();
    // The compared gate, one thrown away per arm, then AB BA AB.
    let built: Vec<&str> = launches.iter().filter_map(|l| l.rsplit(' ').next()).collect();
    assert_eq!(
        built,
        [
            "head", "base", "head", "base", "head", "head", "base", "base", "head"
        ]
    );
    let roots: std::collections::BTreeSet<&str> =
        launches.iter().filter_map(|l| l.split(' ').nth(1)).collect();
    assert_eq!(roots.len(), 9, "a run root for every launch: {launches:?}");
    let subject = bench.place.path("subject").canonicalize().unwrap();
    for line in launches.iter().filter(|l| l.ends_with(" base")) {
        assert!(!line.starts_with(subject.to_str().unwrap()), "{line}");
    }
    assert!(outcome.stdout.contains("budget −10: pass"), "{}", outcome.stdout);
    assert_eq!(bench.left_over(), Vec::<PathBuf>::new());
    let worktrees = git(&bench.place.repo(), ["worktree", "list", "--porcelain"]);
    assert_eq!(worktrees.matches("worktree ").count(), 1, "{worktrees}");
}

/// Writes down where each module is imported from.
const IMPORTS: &str = r#"python3 - <<'END' >> "$NMOE_DATA_PATH/imports"
import importlib, os
found = []
for name in ["gone", "only_head", "installed"]:
    try:
        found.append(importlib.import_module("nmoe." + name).__file__)
    except ImportError:
        found.append("-")
print(os.getcwd(), *found)
END
"#;

#[test]
fn row_17_neither_arm_imports_the_others_modules_or_an_installed_copys() {
    let bench = Bench::from(
        "100000",
        |place| {
            place.file("train.sh", format!("{IMPORTS}{TRAINER}"));
        },
        |place| {
            place.git(["rm", "-q", "nmoe/gone.py"]);
            place.file("nmoe/only_head.py", "");
        },
    );
    let site = bench.place.path("site/nmoe");
    std::fs::create_dir_all(&site).unwrap();
    for module in ["gone.py", "only_head.py", "installed.py"] {
        std::fs::write(site.join(module), "").unwrap();
    }
    let subject = bench.place.path("subject");
    // The other arm's checkout on the path is no way in either.
    let path = std::env::join_paths([bench.place.path("site"), subject.clone()]).unwrap();
    bench.call(&[]).env("PYTHONPATH", path).run().exits(0);
    let imports = std::fs::read_to_string(bench.place.path("data/imports")).unwrap();
    let subject = subject.canonicalize().unwrap();
    // The first is the compared gate's own run, as the runner is set up.
    for line in imports.lines().skip(1) {
        let found: Vec<&str> = line.split(' ').collect();
        let expected = if found[0] == subject.to_str().unwrap() {
            [
                "-".to_owned(),
                format!("{}/nmoe/only_head.py", found[0]),
                "-".to_owned(),
            ]
        } else {
            [
                format!("{}/nmoe/gone.py", found[0]),
                "-".to_owned(),
                "-".to_owned(),
            ]
        };
        assert_eq!(found[1..], expected, "{imports}");
    }
}

#[test]
fn a_loss_beyond_the_budget_fails_and_one_inside_it_passes() {
    let (outcome, results) = Bench::speed(100_000, 85_000).run(&[]);
    outcome.exits(1);
    assert_eq!(perf(&results)["status"], "fail");
    assert_eq!(perf(&results)["reason"], "over_budget");
    let delta = perf(&results)["perf"]["delta_pct"].as_f64().unwrap();
    assert!((-16.5..-13.5).contains(&delta), "{delta}");

    let (outcome, results) = Bench::speed(100_000, 97_000).run(&[]);
    outcome.exits(0);
    assert_eq!(perf(&results)["status"], "pass");
    let delta = perf(&results)["perf"]["delta_pct"].as_f64().unwrap();
    assert!((-4.5..-1.5).contains(&delta), "{delta}");
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_ten_runs_of_each_change_have_the_same_verdict() {
    for (after, status) in [(100_000, "pass"), (97_000, "pass"), (85_000, "fail")] {
        let bench = Bench::speed(100_000, after);
        for seed in 0..10 {
            bench.seed(seed * 100);
            let (outcome, results) = bench.run(&[]);
            assert_eq!(
                perf(&results)["status"],
                status,
                "{after}, seed {seed}: {outcome:?}"
            );
        }
    }
}

#[test]
fn row_18_a_baseline_that_is_no_commit_below_the_change_is_refused_before_anything_runs() {
    let bench = Bench::speed(100_000, 100_000);
    let head = git(&bench.place.path("subject"), ["rev-parse", "HEAD"]);
    for bad in [
        "--lock",
        "no-such-branch",
        head.trim(),
        "work",
        "HEAD:train.sh",
        "master@{1}",
    ] {
        let (outcome, results) = bench.run(&[&format!("--baseline-ref={bad}")]);
        assert!(outcome.code == Some(2), "{bad}: {outcome:?}");
        assert_eq!(results["refused"], "bad_baseline", "{bad}");
        assert_ne!(results["overall"], "pass");
    }
    assert_eq!(bench.launches().len(), 0);
    assert_eq!(bench.left_over(), Vec::<PathBuf>::new());
}

#[test]
fn row_18_budgets_that_are_no_percentage_are_refused() {
    let bench = Bench::speed(100_000, 50_000);
    for bad in ["nan", "inf", "-inf", "-100", "100", "ten"] {
        let (outcome, results) = bench.run(&[&format!("--perf-budget-pct={bad}")]);
        assert!(matches!(outcome.code, Some(2 | 3)), "{bad}: {outcome:?}");
        assert_ne!(results["overall"], "pass", "{bad}");
    }
}

#[test]
fn row_18_a_baseline_that_reports_zero_is_invalid() {
    let (outcome, results) = Bench::speed(0, 100_000).run(&[]);
    outcome.exits(3);
    assert_eq!(perf(&results)["status"], "invalid");
    assert_eq!(perf(&results)["reason"], "no_samples");
}

#[test]
fn row_18_a_baseline_that_has_no_kernels_of_its_own_is_no_baseline() {
    let (outcome, results) = Bench::from(
        "100000",
        |place| {
            place.file("nmoe/csrc/Makefile", "kernel.so:\n\tfalse\n");
        },
        |place| {
            place.file("nmoe/csrc/Makefile", MAKEFILE);
        },
    )
    .run(&[]);
    outcome.exits(3);
    assert_eq!(perf(&results)["status"], "invalid");
    assert_eq!(perf(&results)["reason"], "kernel_missing");
}

#[test]
fn row_18_killed_at_any_stage_leaves_nothing_that_the_next_run_trips_over() {
    let bench = Bench::speed(100_000, 100_000);
    for (stage, signal) in [
        ("build", "KILL"),
        ("launch", "KILL"),
        ("build", "TERM"),
        ("launch", "TERM"),
    ] {
        let hangs = bench.place.path("data/hangs");
        let hang = bench.place.path(&format!("data/hang-{stage}"));
        // A hanging orphan of an earlier round may not have written it yet.
        let _ = std::fs::remove_file(&hangs);
        std::fs::write(&hang, "").unwrap();
        let mut command = bench.call(&[]).into_command();
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = command.spawn().unwrap();
        wait_for(&hangs);
        kill(signal, child.id());
        child.wait().unwrap();
        std::fs::remove_file(&hang).unwrap();
        if signal == "TERM" {
            let text = std::fs::read_to_string(bench.place.path("results.json")).unwrap();
            let results: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(perf(&results)["status"], "cancelled");
            assert_eq!(
                bench.left_over(),
                Vec::<PathBuf>::new(),
                "after {signal} in the {stage}"
            );
        }
        let (outcome, results) = bench.run(&[]);
        outcome.exits(0);
        assert_eq!(perf(&results)["status"], "pass");
        assert_eq!(
            bench.left_over(),
            Vec::<PathBuf>::new(),
            "after {signal} in the {stage}"
        );
    }
}

#[test]
fn row_19_the_baseline_is_the_base_parent_of_the_merge_even_when_the_branch_has_moved() {
    let bench = Bench::speed(100_000, 97_000);
    bench.place.file("speed.txt", "10\n");
    bench
        .place
        .git(["commit", "-qam", "A slow commit on the base branch"]);
    for named in ["", "master", "origin/master"] {
        let (outcome, results) = bench.run(&[&format!("--baseline-ref={named}")]);
        outcome.exits(0);
        assert_eq!(
            perf(&results)["perf"]["baseline_sha"],
            bench.base.as_str(),
            "{named}"
        );
    }
}

#[test]
fn a_single_pair_is_judged_by_the_threshold_and_named_as_that() {
    let bench = Bench::speed(100_000, 97_000);
    let registry = REGISTRY.replace("kind = \"perf\"", "kind = \"perf\"\npairs = 1");
    bench.place.file("configs/gates/gates.toml", registry);
    let (outcome, results) = bench.run(&[]);
    let outcome = outcome.exits(0);
    let perf = &perf(&results)["perf"];
    assert_eq!(perf["method"], "threshold");
    assert_eq!(perf["pairs"].as_array().unwrap().len(), 1);
    assert!(outcome.stdout.contains("threshold only"), "{}", outcome.stdout);
}

#[test]
fn what_the_change_does_to_the_baseline_is_found_out() {
    let bench = Bench::new("100000", |place| {
        // It knows where the baseline is and makes it slow.
        let attack = "case \"$PWD\" in */subject) for f in \"$HOME\"/.local/state/nmoe-gates/perf/*/baseline/speed.txt; do \
                      [ ! -e \"$f\" ] || echo 50000 > \"$f\"; done;; esac\n";
        place.file("train.sh", format!("{attack}{TRAINER}"));
    });
    let (outcome, results) = bench.run(&[]);
    outcome.exits(1);
    assert_eq!(perf(&results)["reason"], "tampered");
}

fn wait_for(path: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !path.exists() {
        assert!(
            std::time::Instant::now() < deadline,
            "{} never came",
            path.display()
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}
