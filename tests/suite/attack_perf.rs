//! T15: a change that slows the baseline down, plants code in it, or prints wrong numbers.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::attack::attack;
use crate::driver::git;
use crate::perf_bench::{Bench, TRAINER, perf};

/// Returns whether git sees a difference in the tracked files of a clone in which a file was planted.
fn tracked_files_differ(bench: &Bench, planted: &str) -> bool {
    let clone = bench.sandbox.path("naive");
    let (from, to) = (bench.sandbox.repo(), clone.display().to_string());
    let _ = std::fs::remove_dir_all(&clone);
    git(&from, ["clone", "-q", ".", &to]);
    std::fs::write(clone.join(planted), "import time\n").unwrap();
    let status = Command::new("git")
        .args(["diff-files", "--quiet"])
        .current_dir(&clone)
        .status();
    !status.unwrap().success()
}

#[test]
fn slow_t15_code_planted_into_baseline() {
    let perf_folder = "\"$HOME\"/.local/state/nmoe-gates/perf/*";
    for (what, planted, line) in [
        (
            "the import hook",
            "hook.txt",
            format!(
                "for f in {perf_folder}/hook-base/sitecustomize.py; do echo 'import time' >> \"$f\"; done"
            ),
        ),
        (
            "an untracked module",
            "random.py",
            format!("for d in {perf_folder}/*/nmoe; do echo 'import time' > \"$d/../random.py\"; done"),
        ),
        (
            "the place of the copies",
            "random.py",
            format!(
                "for d in {perf_folder}; do [ -e \"$d/sealed\" ] && mkdir -p \"$d/baseline\" && echo 'import time' > \"$d/baseline/random.py\"; done"
            ),
        ),
        (
            "bytecode",
            "module.pyc",
            format!(
                "for d in {perf_folder}/*/nmoe; do mkdir -p \"$d/__pycache__\"; echo x > \"$d/__pycache__/gone.pyc\"; done"
            ),
        ),
    ] {
        let bench = Bench::new("100000", |sandbox| {
            let attack = format!("shopt -s nullglob\ncase \"$PWD\" in */subject) {line};; esac\n");
            sandbox.file("train.sh", format!("{attack}{TRAINER}"));
        });
        let (outcome, results) = bench.run(&[]);
        let outcome = outcome.any_code().any_output();
        attack(
            what,
            !tracked_files_differ(&bench, planted),
            perf(&results)["status"] == "pass",
        );
        assert_eq!(outcome.code(), Some(1), "{what}");
        assert_eq!(perf(&results)["reason"], "tampered", "{what}: {outcome:?}");
    }
}

/// A trainer whose steps take some hundredths of a second, and that prints what it wants.
fn trainer(step: f64, printed: u32) -> String {
    let log = TRAINER.split("awk -v seed").next().unwrap().to_owned();
    format!(
        "{log}sleep 0.3\nfor step in $(seq 1 24); do sleep {step}; echo \"step: $step  loss: 2.5  node_tps: $(({printed} + count * 7 % 100))\"; done\n"
    )
}

#[test]
fn slow_t15_printed_throughput_disagrees_with_wall_time() {
    for (step, printed, status, reason) in [
        // Slower by more than half, and prints as the baseline does.
        (0.25, 100_000, "invalid", "wall_time"),
        // Does no work, and prints the whole log at once.
        (0.0, 100_000, "fail", "tampered"),
    ] {
        let bench = Bench::from(
            "100000",
            |sandbox| {
                sandbox.file("train.sh", trainer(0.1, 100_000));
            },
            |sandbox| {
                sandbox.file("train.sh", trainer(step, printed));
            },
        );
        let (outcome, results) = bench.run(&[]);
        let outcome = outcome.any_code().any_output();
        let result = perf(&results);
        // The unprotected variant compares only what was printed.
        let delta = result["perf"]["delta_pct"].as_f64().unwrap();
        attack(
            &format!("{step} s a step"),
            delta > -10.0,
            result["status"] == "pass" || outcome.code() == Some(0),
        );
        assert_eq!(
            (&result["status"], &result["reason"]),
            (&status.into(), &reason.into()),
            "{outcome:?}"
        );
    }
    // A change that prints what it does.
    let honest = |step: &str| {
        let log = TRAINER.split("awk -v seed").next().unwrap().to_owned();
        format!(
            "{log}for step in $(seq 1 24); do began=${{EPOCHREALTIME/[.,]/}}; sleep {step}; took=$((${{EPOCHREALTIME/[.,]/}} - began)); echo \"step: $step  loss: 2.5  node_tps: $((10000000000 / took))\"; done\n"
        )
    };
    let bench = Bench::from(
        "100000",
        |sandbox| {
            sandbox.file("train.sh", honest("0.1"));
        },
        |sandbox| {
            sandbox.file("train.sh", honest("0.2"));
        },
    );
    let (outcome, results) = bench.run(&[]);
    outcome.exits(1).prints("perf: ");
    assert_eq!(perf(&results)["reason"], "over_budget");
}

#[test]
fn t06_folder_behind_link_is_not_deleted() {
    let bench = Bench::speed(100_000, 100_000);
    let foreign = bench.sandbox.path("foreign");
    for name in ["precious", "0123456789abcdef"] {
        std::fs::create_dir_all(foreign.join(name)).unwrap();
        std::fs::write(foreign.join(name).join("file"), "kept").unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        let folder = std::fs::File::open(foreign.join(name)).unwrap();
        folder.set_modified(old).unwrap();
    }
    let link = bench.sandbox.path("runs/nmoe-gates-perf");
    symlink(&foreign, &link).unwrap();
    let behind = std::fs::read_dir(&link).unwrap().count();
    let (outcome, _) = bench.run(&[]);
    outcome.exits(0).prints("perf: ").any_files();
    let kept = std::fs::read_dir(&foreign).unwrap().count();
    let is_whole = ["precious", "0123456789abcdef"]
        .iter()
        .all(|name| foreign.join(name).join("file").is_file());
    // The unprotected variant removes every old folder that it finds behind the link.
    attack("old folders behind a link", behind == 2, kept != 2 || !is_whole);
    assert!(link.symlink_metadata().unwrap().is_symlink());

    // The same names in a folder of our own, without our lock.
    std::fs::remove_file(&link).unwrap();
    std::fs::rename(&foreign, &link).unwrap();
    let (outcome, _) = bench.run(&[]);
    outcome.exits(0).prints("perf: ").any_files();
    assert!(link.join("precious/file").is_file() && link.join("0123456789abcdef/file").is_file());
}
