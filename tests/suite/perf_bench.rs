//! A small trainer repository and machine for the perf gate, with real history, builds and processes.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::driver::{Call, Outcome, Sandbox, git};

/// Prints a log like the trainer's. The noise depends on a count of runs that is stored outside both checkouts, so it differs
/// between runs and is equal in every repetition of the test. A file `at-launch-N` holds commands for the N-th run: the first
/// is the compared gate, then one warm-up per checkout, then the pairs.
pub const TRAINER: &str = r#"set -euo pipefail
read -r speed < speed.txt
read -r built < nmoe/csrc/kernel.so
count=$(($(cat "$NMOE_DATA_PATH/count") + 1)); echo "$count" > "$NMOE_DATA_PATH/count"
echo "$PWD $NMOE_RUN_ROOT $built" >> "$NMOE_DATA_PATH/launches"
case "$NMOE_RUN_ROOT" in *perf*) [ -z "$(ls -A "$NMOE_RUN_ROOT")" ] || { echo "a used run root"; exit 1; } ;; esac
: > "$NMOE_RUN_ROOT/checkpoint"
[ ! -e "$NMOE_DATA_PATH/at-launch-$count" ] || . "$NMOE_DATA_PATH/at-launch-$count"
awk -v seed="$((count * 7919))" -v speed="$speed" '
    function random() { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648 - 0.5 }
    BEGIN {
        for (i = 0; i < 5; i++) random()
        level = speed * (1 + 0.01 * random())
        for (step = 1; step <= 24; step++) {
            tps = int(level * (1 + 0.01 * random()) * (step < 4 ? 0.4 : 1))
            printf (tps < 1000 ? "step: %2d  loss: 2.5  node_tps: %d\n" : "step: %2d  loss: 2.5  node_tps: %d,%03d\n"), step, (tps < 1000 ? tps : tps / 1000), tps % 1000
        }
    }'
"#;

pub const MAKEFILE: &str = r#".PHONY: kernel.so
kernel.so: kernel.cu
	case "$$PWD" in */baseline/*) at=build-base ;; *) at=build-head ;; esac; [ ! -e "$$NMOE_DATA_PATH/at-$$at" ] || . "$$NMOE_DATA_PATH/at-$$at"
	cp kernel.cu kernel.so
"#;

pub const REGISTRY: &str = r#"
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
pub struct Bench {
    pub sandbox: Sandbox,
    pub base: String,
}

impl Bench {
    /// Creates a base with `before`, and merges a branch with `change`.
    pub fn new(before: &str, change: impl FnOnce(&Sandbox)) -> Self {
        Bench::from(before, |_| (), change)
    }

    /// Creates the same history with more files in the base.
    pub fn from(before: &str, before_base: impl FnOnce(&Sandbox), change: impl FnOnce(&Sandbox)) -> Self {
        let sandbox = Sandbox::new();
        sandbox.git(["init", "-q"]);
        sandbox
            .file("configs/gates/gates.toml", REGISTRY)
            .file("train.sh", TRAINER)
            .file("speed.txt", format!("{before}\n"))
            .file(".gitignore", "*.so\n")
            .file("nmoe/csrc/kernel.cu", "base\n")
            .file("nmoe/csrc/Makefile", MAKEFILE)
            .file("nmoe/gone.py", "");
        before_base(&sandbox);
        sandbox.git(["add", "-A"]);
        sandbox.git(["commit", "-qm", "Base"]);
        sandbox.git(["checkout", "-qb", "work"]);
        sandbox.file("nmoe/csrc/kernel.cu", "head\n");
        change(&sandbox);
        sandbox.git(["add", "-A"]);
        sandbox.git(["commit", "-qm", "Change"]);
        sandbox.git(["checkout", "-q", "master"]);
        sandbox.file("README", "meanwhile\n");
        sandbox.git(["add", "-A"]);
        sandbox.git(["commit", "-qm", "Meanwhile"]);
        let base = sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
        sandbox.git(["checkout", "-qb", "merged"]);
        sandbox.git(["merge", "-q", "--no-ff", "-m", "Merge", "work"]);
        git(
            &sandbox.path(""),
            ["clone", "-q", "--no-hardlinks", "-b", "merged", "repo", "subject"],
        );
        sandbox.git(["checkout", "-q", "master"]);
        for dir in ["data", "runs"] {
            std::fs::create_dir(sandbox.path(dir)).unwrap();
        }
        std::fs::write(sandbox.path("data/count"), "0\n").unwrap();
        // The workflow builds the subject before the first gate.
        let built = Command::new("make")
            .args(["-s", "-C", "nmoe/csrc"])
            .current_dir(sandbox.path("subject"))
            .env("NMOE_DATA_PATH", sandbox.path("data"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{built:?}");
        Bench { sandbox, base }
    }

    /// Creates the base and a change of the reported speed.
    pub fn speed(before: u32, after: u32) -> Self {
        Bench::new(&before.to_string(), |sandbox| {
            sandbox.file("speed.txt", format!("{after}\n"));
        })
    }

    pub fn seed(&self, seed: u32) {
        std::fs::write(self.sandbox.path("data/count"), format!("{seed}\n")).unwrap();
    }

    pub fn call(&self, more: &[&str]) -> Call {
        self.call_with(&[&["--bundle", "full"], more].concat())
    }

    /// Runs gates that the arguments select.
    pub fn call_with(&self, more: &[&str]) -> Call {
        let results = self.sandbox.path("results.json");
        let subject = self.sandbox.path("subject");
        let mut args = vec!["run", "--results", results.to_str().unwrap()];
        args.extend(["--subject", subject.to_str().unwrap()]);
        args.extend(more);
        self.sandbox
            .gates(args)
            .env("NMOE_DATA_PATH", self.sandbox.path("data"))
            .env("NMOE_RUN_ROOT", self.sandbox.path("runs"))
    }

    #[track_caller]
    pub fn run(&self, more: &[&str]) -> (Outcome, Value) {
        self.run_bundle(&[&["--bundle", "full"], more].concat())
    }

    #[track_caller]
    pub fn run_bundle(&self, more: &[&str]) -> (Outcome, Value) {
        let outcome = self.call_with(more).run();
        let text = std::fs::read_to_string(self.sandbox.path("results.json")).unwrap();
        (outcome, serde_json::from_str(&text).unwrap())
    }

    /// Returns every folder in which a comparison may leave files.
    pub fn left_over(&self) -> Vec<PathBuf> {
        [
            self.sandbox.path("home/.local/state/nmoe-gates/perf"),
            self.sandbox.path("runs/nmoe-gates-perf"),
        ]
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flatten()
        .map(|e| e.unwrap().path())
        .collect()
    }

    pub fn launches(&self) -> Vec<String> {
        std::fs::read_to_string(self.sandbox.path("data/launches"))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

/// Returns the result of the perf gate.
pub fn perf(results: &Value) -> &Value {
    &results["results"]["perf:baseline_delta"]
}
