//! Interrupts a comparison at every stage by a kill, a signal or a full disk: nothing remains that disturbs the next comparison.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::perf_bench::{Bench, perf};

/// The stages in order: snapshot, checkout, both builds, a warm-up, both measurements of the first pair, a measurement of the
/// second pair, and the last check of both checkouts.
const STAGES: [&str; 9] = [
    "git-fetch",
    "git-worktree",
    "build-base",
    "build-head",
    "launch-2",
    "launch-4",
    "launch-5",
    "launch-7",
    "git-read-tree",
];

/// Creates a folder for `PATH` with a `git` that runs the file `at-git-COMMAND` before each command.
fn watched_git(bench: &Bench) -> String {
    let folder = bench.sandbox.path("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let data = bench.sandbox.path("data");
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\nPATH='{path}'\nfor word in \"$@\"; do\n  case \"$word\" in fetch|worktree|read-tree)\n    \
         [ ! -e '{0}'/at-git-$word ] || . '{0}'/at-git-$word; break ;;\n  esac\ndone\nexec git \"$@\"\n",
        data.display()
    );
    let file = folder.join("git");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{path}", folder.display())
}

/// Interrupts a run in this stage, and checks the remaining files and the next run.
fn stopped(bench: &Bench, stage: &str, signal: &str) {
    let after = format!("after {signal} in {stage}");
    let there = bench.sandbox.path("data/there");
    let hook = bench.sandbox.path(&format!("data/at-{stage}"));
    // The interrupted process waits until its file is removed, so that it does not outlive the test.
    let waits = format!(
        ": > '{}'; while [ -e '{}' ]; do sleep 0.02; done\n",
        there.display(),
        hook.display()
    );
    let _ = std::fs::remove_file(&there);
    std::fs::write(&hook, waits).unwrap();
    bench.seed(0);
    let mut command = bench.call(&[]).env("PATH", watched_git(bench)).into_command();
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let mut child = command.spawn().unwrap();
    wait_for(&there);
    kill(signal, child.id());
    std::fs::remove_file(&hook).unwrap();
    child.wait().unwrap();
    if signal == "TERM" {
        let text = std::fs::read_to_string(bench.sandbox.path("results.json")).unwrap();
        let results: Value = serde_json::from_str(&text).unwrap();
        // At the last check of both checkouts every measurement is complete.
        if !stage.starts_with("git") {
            assert_eq!(perf(&results)["status"], "cancelled", "{after}");
        }
        assert_eq!(bench.left_over(), Vec::<PathBuf>::new(), "{after}");
    }
    bench.seed(0);
    let (outcome, results) = bench.run(&[]);
    outcome.exits(0).prints("perf: ");
    assert_eq!(perf(&results)["status"], "pass", "{after}");
    assert_eq!(bench.left_over(), Vec::<PathBuf>::new(), "{after}");
}

#[test]
fn killed_comparison_does_not_block_next_run() {
    let bench = Bench::speed(100_000, 100_000);
    stopped(&bench, "build-base", "KILL");
    stopped(&bench, "launch-4", "TERM");
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_kill_at_every_stage_leaves_nothing() {
    let bench = Bench::speed(100_000, 100_000);
    for signal in ["KILL", "TERM"] {
        for stage in STAGES {
            stopped(&bench, stage, signal);
        }
    }
}

/// Runs with state and run directories on a small disk. Prints the remaining files, then runs again with free space
/// and prints the results.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o size=8m,mode=0700 small "$DISK" || { echo "no mount"; exit 77; }
mkdir -p "$DISK/runs" "$DISK/state"
export XDG_STATE_HOME="$DISK/state" NMOE_RUN_ROOT="$DISK/runs"
left() { find "$DISK/state/nmoe-gates/perf" -mindepth 1 2>/dev/null; find "$DISK/runs/nmoe-gates-perf" 2>/dev/null; true; }
"$@" > "$LOG" 2>&1; echo "first $?"
cp "$RESULTS" "$RESULTS.first" 2>/dev/null
left
rm -f "$DISK"/filler "$NMOE_DATA_PATH"/at-*
echo 0 > "$NMOE_DATA_PATH/count"
"$@" > "$LOG.second" 2>&1; echo "second $?"
left
"#;

/// Fills the disk in this stage. Returns `None` if no disk can be mounted here.
fn filled(bench: &Bench, stage: &str) -> Option<()> {
    let disk = bench.sandbox.path("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let hook = bench.sandbox.path(&format!("data/at-{stage}"));
    std::fs::write(
        &hook,
        format!(
            "cat /dev/zero > '{}/filler' 2>/dev/null || true\n",
            disk.display()
        ),
    )
    .unwrap();
    bench.seed(0);
    let results = bench.sandbox.path("results.json");
    let _ = std::fs::remove_file(&results);
    let gates = bench.call(&[]).env("PATH", watched_git(bench));
    let mut command = gates.under(&["unshare", "-m", "--", "bash", "-c", ON_A_SMALL_DISK, "bash"]);
    command
        .env("DISK", &disk)
        .env("RESULTS", &results)
        .env("LOG", bench.sandbox.path("log"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let _ = std::fs::remove_file(&hook);
    if !said.contains("first ") {
        let why = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(
            std::env::var_os("NMOE_GATES_REQUIRE_TOOLS").is_none(),
            "no disk of one's own: {why}"
        );
        crate::attack::skipped(&format!("a small disk cannot be mounted here: {why}"));
        return None;
    }
    let log = |name: &str| std::fs::read_to_string(bench.sandbox.path(name)).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{stage}: left over\n{said}{}", log("log"));
    assert_ne!(
        lines[0],
        "first 0",
        "{stage}: a full disk proves nothing\n{}",
        log("log")
    );
    let first = std::fs::read_to_string(results.with_extension("json.first")).unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_ne!(first["overall"], "pass", "{stage}: {first}");
    assert_eq!(perf(&first)["reason"], "disk_full", "{stage}: {first}");
    assert_eq!(lines[1], "second 0", "{stage}: {}", log("log.second"));
    Some(())
}

#[test]
fn full_disk_is_reported_and_cleaned() {
    let bench = Bench::speed(100_000, 100_000);
    filled(&bench, "launch-5");
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_full_disk_at_every_stage_is_reported() {
    let bench = Bench::speed(100_000, 100_000);
    // After a measurement of the baseline its copy is removed, which makes room for the next one.
    let makes_room = |stage: &&str| matches!(*stage, "launch-4" | "launch-7");
    for stage in STAGES.iter().filter(|stage| !makes_room(stage)) {
        if filled(&bench, stage).is_none() {
            return;
        }
    }
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
