//! Tests that all processes of a gate end with the gate: escaping processes, signals to the program, and a killed program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::attack::skipped;
use crate::run_fixture::RunFixture;
use crate::support::program::program;

/// Ways to escape, in shell syntax; `$1` is the process to leave behind.
const WAYS: &[(&str, &str)] = &[
    ("background", "$1 &"),
    ("setsid", "setsid $1 &"),
    ("double fork", "( ( setsid $1 & ) & )"),
    ("own group", "set -m; $1 & set +m"),
    ("closed output", "setsid $1 >/dev/null 2>&1 </dev/null &"),
    ("deaf", "(trap '' TERM HUP INT; $1; $1) &"),
    (
        "holds the pipe",
        "setsid bash -c \"while $1 & sleep 0.01; do echo still here; done\" &",
    ),
    (
        "tree",
        "for n in 1 2 3 4 5 6 7 8; do setsid bash -c \"setsid $1 & $1\" & done",
    ),
    ("hops", "bash -c 'f() { sleep 0.002; f & }; f' & $1 &"),
];

/// Returns a duration that no other process sleeps for.
fn mark(n: usize) -> String {
    let token = std::process::id();
    format!("86400.{token}{n:03}")
}

fn alive(mark: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.windows(mark.len()).any(|w| w == mark.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

fn end(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn gate_ends_with_process_and_counts_leaks() {
    let fixture = RunFixture::new();
    for (n, (_, way)) in WAYS.iter().enumerate() {
        fixture.gate_with(
            &format!("cpu:leak{n}"),
            &format!("set -- 'sleep {}'\n{way}\nsleep 0.1", mark(n)),
            "timeout_s = 60",
        );
    }
    let run = fixture.run(&["--tier", "a"]).exits(0).prints("still here");
    for (n, (name, _)) in WAYS.iter().enumerate() {
        let gate = run.gate(&format!("cpu:leak{n}"));
        assert_eq!(gate["status"], "pass", "{name}");
        assert!(gate["leaks"].as_u64().unwrap() >= 1, "{name}: {gate}");
        assert!(gate["duration_s"].as_f64().unwrap() < 30.0, "{name}: {gate}");
        assert!(alive(&mark(n)).is_empty(), "{name}");
    }
}

#[test]
fn slow_deadline_kills_every_gate_process() {
    let fixture = RunFixture::new();
    for (n, (_, way)) in WAYS.iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        let hang = format!("set -- 'sleep {}'\n{way}\ntrap '' TERM\n$1\n$1", mark(100 + n));
        fixture.gate_with(&format!("cpu:hang{n}"), &hang, "timeout_s = 1");
    }
    let run = fixture
        .run(&["--tier", "a", "--keep-going"])
        .exits(1)
        .prints("still here");
    for (n, (name, _)) in WAYS.iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        assert_eq!(run.gate(&format!("cpu:hang{n}"))["reason"], "timeout", "{name}");
        assert!(alive(&mark(100 + n)).is_empty(), "{name}");
    }
}

#[test]
fn t08_burst_of_processes_is_killed() {
    let fixture = RunFixture::new();
    let burst = format!("for n in $(seq 400); do (setsid sleep {} &); done", mark(200));
    fixture.gate("cpu:burst", &burst);
    let run = fixture.run(&["--gate", "cpu:burst"]).exits(0);
    assert_eq!(run.gate("cpu:burst")["leaks"], 400);
    assert!(alive(&mark(200)).is_empty());
}

#[test]
fn leaks_can_be_forbidden_by_registry() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:tidy", "echo x > >(cat >/dev/null)").gate_with(
        "cpu:strict",
        &format!("sleep {} &", mark(201)),
        "leaks = \"fail\"",
    );
    let run = fixture.run(&["--tier", "a"]).exits(1);
    assert_eq!(run.gate("cpu:tidy")["leaks"], 0);
    assert_eq!(run.gate("cpu:strict")["reason"], "leaked_processes");
    assert_eq!(run.gate("cpu:strict")["rc"], 0);
}

#[test]
fn earlier_processes_are_not_killed() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:leak", &format!("setsid sleep {} &", mark(203)));
    let script = format!("sleep {} & exec \"$@\"", mark(202));
    let status = fixture
        .call(&["run", "--gate", "cpu:leak"])
        .under(&["bash", "-c", &script, "bash"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let [bystander] = alive(&mark(202))[..] else {
        panic!("the bystander is gone")
    };
    end(bystander, Signal::KILL);
    assert!(alive(&mark(203)).is_empty());
}

/// Starts `run` with a gate that prints `up`, and waits for that output.
fn started(fixture: &RunFixture) -> Child {
    let results = fixture.results();
    let mut command = fixture
        .call(&["run", "--tier", "a", "--results", results.to_str().unwrap()])
        .into_command();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "up");
    // Reads on in the background, so that the pipe never blocks the program.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn recorded(fixture: &RunFixture) -> Value {
    serde_json::from_slice(&std::fs::read(fixture.results()).unwrap()).unwrap()
}

#[test]
fn signal_ends_gate_and_completes_results() {
    for (n, (signal, code)) in [(Signal::INT, 130), (Signal::TERM, 143)].into_iter().enumerate() {
        let fixture = RunFixture::new();
        let hang = format!(
            "trap '' TERM INT; setsid sleep {m} & echo up; sleep {m}; sleep {m}",
            m = mark(300 + n)
        );
        fixture
            .gate("cpu:first", "true")
            .gate("cpu:hang", &hang)
            .gate("cpu:rest", "true");
        let mut child = started(&fixture);
        end(child.id().cast_signed(), signal);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let results = recorded(&fixture);
        assert_eq!(results["overall"], "cancelled");
        assert_eq!(results["results"]["cpu:first"]["status"], "pass");
        for id in ["cpu:hang", "cpu:rest"] {
            assert_eq!(results["results"][id]["status"], "cancelled", "{id}");
        }
        assert!(results["duration_s"].is_number());
        let journal = std::fs::read_to_string(fixture.sandbox.path("home/results.json.journal")).unwrap();
        assert!(
            journal.ends_with('\n') && journal.lines().last().unwrap().contains("run_ended"),
            "{journal}"
        );
        assert!(alive(&mark(300 + n)).is_empty());
    }
}

/// Starts a run whose gate hangs and ignores signals, with a pipe that closes when the last process of the program ends.
fn hanging(n: usize) -> (RunFixture, Child, std::thread::JoinHandle<()>) {
    let fixture = RunFixture::new();
    let mark = mark(n);
    let hang = format!(
        "trap '' TERM; setsid sleep {mark} & ( ( setsid sleep {mark} & ) & ); echo up; sleep {mark}; sleep {mark}"
    );
    fixture.gate("cpu:first", "true").gate("cpu:hang", &hang);
    fixture.sandbox.git(["init", "-q"]);
    fixture.sandbox.git(["add", "."]);
    fixture.sandbox.git(["commit", "-q", "-m", "one"]);
    let results = fixture.results();
    let mut command = fixture
        .call(&["run", "--tier", "a", "--results", results.to_str().unwrap()])
        .into_command();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "up");
    let ended = std::thread::spawn(move || lines.for_each(drop));
    (fixture, child, ended)
}

/// Returns the worker below the started process.
fn worker(child: &Child) -> i32 {
    let id = child.id();
    let below = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    below.trim().parse().unwrap()
}

/// Checks that the first gate's verdict is kept, that the running gate is cancelled, and that the next run succeeds.
fn kept_and_goes_on(fixture: &RunFixture) {
    let results = recorded(fixture);
    assert_eq!(results["overall"], "cancelled");
    assert_eq!(results["results"]["cpu:first"]["status"], "pass");
    assert_eq!(results["results"]["cpu:hang"]["status"], "cancelled");
    let journal = std::fs::read_to_string(fixture.sandbox.path("home/results.json.journal")).unwrap();
    for line in journal.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    fixture.run(&["--gate", "cpu:first"]).exits(0);
}

#[test]
fn killed_supervisor_still_completes_results() {
    let (fixture, mut child, ended) = hanging(310);
    end(child.id().cast_signed(), Signal::KILL);
    child.wait().unwrap();
    ended.join().unwrap();
    assert!(alive(&mark(310)).is_empty());
    let results = recorded(&fixture);
    assert!(results["duration_s"].is_number(), "{results}");
    kept_and_goes_on(&fixture);
}

#[test]
fn killed_worker_still_completes_results() {
    let (fixture, child, ended) = hanging(312);
    end(worker(&child), Signal::KILL);
    let out = child.wait_with_output().unwrap();
    ended.join().unwrap();
    assert!(alive(&mark(312)).is_empty());
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(
        said.contains("killed (signal 9)") && said.contains("results.json"),
        "{said}"
    );
    assert!(recorded(&fixture)["duration_s"].is_null());
    kept_and_goes_on(&fixture);
}

#[test]
fn killing_both_processes_leaves_no_pass() {
    let (fixture, mut child, ended) = hanging(313);
    let worker = worker(&child);
    // Neither process sees the end of the other.
    end(worker, Signal::STOP);
    end(child.id().cast_signed(), Signal::KILL);
    end(worker, Signal::KILL);
    child.wait().unwrap();
    ended.join().unwrap();
    for pid in alive(&mark(313)) {
        // The kernel may be ending the namespace at this moment.
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }
    // The results may be one second old; the journal is current, and the next run continues from it.
    assert_ne!(recorded(&fixture)["overall"], "pass");
    let again = fixture
        .run(&["--tier", "a", "--resume", "--dry-run"])
        .exits(0)
        .reports("no gate was run");
    assert!(
        again.out.stdout.contains("proven   cpu:first"),
        "{}",
        again.out.stdout
    );
    fixture.run(&["--gate", "cpu:first"]).exits(0);
}

#[test]
fn concurrent_runs_do_not_share_results() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:hang", &format!("echo up; sleep {}", mark(311)));
    let mut child = started(&fixture);
    let run = fixture.run(&["--gate", "cpu:hang"]).exits(2);
    assert!(run.out.stderr.contains("another run"), "{}", run.out.stderr);
    end(child.id().cast_signed(), Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_injected_faults_lose_nothing() {
    let root = env!("CARGO_MANIFEST_DIR");
    let out = Command::new(format!("{root}/scripts/verify/faults"))
        .args(["--quick", "--program"])
        .arg(program())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("| all |"), "{said}");
}

/// A machine with many containers has thousands of mounts, and every gate needs a control group.
#[test]
fn mounts_are_read_once_per_run() {
    if !Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        skipped("strace is not installed, or may not trace");
        return;
    }
    let fixture = RunFixture::new();
    for n in 0..4 {
        fixture.gate(&format!("cpu:g{n}"), "true");
    }
    let trace = fixture.sandbox.path("trace");
    let reads = |gates: &[&str]| {
        let strace = ["strace", "-f", "-qq", "-e", "trace=openat", "-o"];
        let before = [&strace[..], &[trace.to_str().unwrap()]].concat();
        let mut run = fixture.call(&[&["run"], gates].concat()).under(&before);
        let out = run.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let calls = std::fs::read_to_string(&trace).unwrap();
        calls.matches("/proc/self/mountinfo").count()
    };
    assert_eq!(reads(&["--tier", "a"]), reads(&["--gate", "cpu:g0"]));
}
