//! Tests runs that end early: a panic is recovered like a kill, results of an earlier run never remain as results of this run, and two
//! runs with the same results file exclude each other. The tests wait for events, never for times.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::fs::{CWD, Mode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::run_fixture::RunFixture;

/// As `explain exit-codes` documents it.
const DEFECT: i32 = 70;

/// Creates a repository with two gates. One passes silently. The other starts two processes, prints `up`, and waits until `go` is
/// opened and closed.
fn fixture() -> RunFixture {
    let fixture = RunFixture::new();
    fifo(&fixture.sandbox.path("tmp/go"));
    fixture.gate("cpu:first", "echo first >>\"$TMPDIR/ran\"").gate(
        "cpu:waits",
        "sleep 86400 & setsid sleep 86400 & echo up; cat <\"$TMPDIR/go\"",
    );
    fixture.sandbox.git(["init", "-q"]);
    fixture.sandbox.git(["add", "."]);
    fixture.sandbox.git(["commit", "-q", "-m", "one"]);
    fixture
}

fn fifo(path: &Path) {
    rustix::fs::mkfifoat(CWD, path, Mode::from(0o600)).unwrap();
}

fn command(fixture: &RunFixture, args: &[&str]) -> Command {
    let results = fixture.results();
    let common = ["run", "--results", results.to_str().unwrap()];
    let mut command = fixture.call(&[&common, args].concat()).into_command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A run whose gate has printed `up`. Its output ends when the last of its two processes has ended.
struct Started {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Started {
    fn new(fixture: &RunFixture, args: &[&str]) -> Self {
        let mut child = command(fixture, args).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line != "up\n" {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "the run ended too early");
        }
        Started { child, out }
    }

    /// Waits until all processes of the run have ended, and returns its exit code and standard error.
    fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.out.read_to_end(&mut Vec::new()).unwrap();
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (code, said)
    }
}

pub fn worker(reaper: u32) -> u32 {
    let below = std::fs::read_to_string(format!("/proc/{reaper}/task/{reaper}/children")).unwrap();
    below.trim().parse().unwrap()
}

/// Counts the processes of the gates of this fixture by their environment.
fn living(fixture: &RunFixture) -> usize {
    let mark = format!("TMPDIR={}\0", fixture.sandbox.path("tmp").display());
    let has_mark = |process: &std::fs::DirEntry| {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        environment
            .windows(mark.len())
            .any(|part| part == mark.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(has_mark).count()
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

fn recorded(fixture: &RunFixture) -> Value {
    serde_json::from_slice(&std::fs::read(fixture.results()).unwrap()).unwrap()
}

fn journal(fixture: &RunFixture) -> Vec<u8> {
    std::fs::read(fixture.sandbox.path("home/results.json.journal")).unwrap()
}

#[test]
fn panic_is_recovered_like_kill() {
    let fixture = fixture();
    let out = fixture
        .run(&["--tier", "a", "--panic-in-gate"])
        .exits(DEFECT)
        .reports("The panic message is hidden because it may")
        .out;
    assert!(
        out.stderr.contains("has a defect at src/cmd/run/progress.rs:"),
        "{}",
        out.stderr
    );
    assert!(
        out.stderr
            .contains("results.json contains the results that were recorded before"),
        "{}",
        out.stderr
    );
    let results = recorded(&fixture);
    assert_eq!(results["overall"], "cancelled");
    assert_eq!(results["results"]["cpu:first"]["status"], "pass");
    assert_eq!(results["results"]["cpu:waits"]["status"], "cancelled");
    assert_eq!(living(&fixture), 0);
    // The next run continues after the last recorded gate.
    let run = Started::new(&fixture, &["--tier", "a", "--resume"]);
    assert!(living(&fixture) >= 3);
    File::create(fixture.sandbox.path("tmp/go")).unwrap();
    let (code, said) = run.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        std::fs::read_to_string(fixture.sandbox.path("tmp/ran")).unwrap(),
        "first\n"
    );
    assert_eq!(recorded(&fixture)["overall"], "pass");
}

#[test]
fn crash_argument_is_refused_in_workflow() {
    let fixture = fixture();
    let run = fixture.run_with(&["--tier", "a", "--panic-in-gate"], &[("GITHUB_ACTIONS", "true")]);
    let run = run.exits(2);
    let run = run.reports("error: cannot use --panic-in-gate");
    assert_eq!(run.results["refused"], "refused");
    assert!(!fixture.sandbox.path("tmp/ran").exists());
}

#[test]
fn hidden_arguments_are_not_listed() {
    let fixture = RunFixture::new();
    let mut texts = Vec::new();
    for args in [
        "completions bash",
        "completions zsh",
        "completions fish",
        "completions elvish",
        "completions powershell",
        "man",
        "--help",
        "run --help",
        "explain --help",
        "help run",
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        texts.push((args.join(" "), fixture.call(&args).run().exits(0).stdout.into()));
    }
    let pages = fixture.sandbox.path("home/man");
    fixture
        .call(&["man", "--dir", pages.to_str().unwrap()])
        .run()
        .exits(0)
        .reports("wrote the pages into");
    for page in std::fs::read_dir(&pages).unwrap().flatten() {
        let text = std::fs::read_to_string(page.path()).unwrap().replace('\\', "");
        texts.push((page.file_name().display().to_string(), text));
    }
    for (name, text) in &texts {
        for unlisted in ["supervisor-pid", "panic-in-gate", "Print every page"] {
            assert!(!text.contains(unlisted), "{name} offers {unlisted}");
        }
    }
    let list = &texts.iter().find(|(name, _)| name == "--help").unwrap().1;
    assert!(list.contains("run          Run gates"), "{list}");
}

/// Creates a fixture whose last run passed.
fn passed() -> RunFixture {
    let fixture = fixture();
    assert_eq!(
        fixture.run(&["--gate", "cpu:first"]).exits(0).results["overall"],
        "pass"
    );
    fixture
}

#[test]
fn refused_run_writes_its_own_results() {
    for (args, env, reason) in [
        (&["--gate", "cpu:none"][..], None, "bad_registry"),
        (&["--bundle", "none"], None, "bad_registry"),
        (&["--gate", "cpu:first", "--contract", "none.md"], None, "refused"),
        (
            &["--gate", "cpu:first", "--contract", "configs/gates/gates.toml"],
            None,
            "refused",
        ),
        (
            &["--gate", "cpu:first", "--resolution", "none.json"],
            None,
            "refused",
        ),
        (
            &["--gate", "cpu:first", "--perf-budget-pct", "x"],
            None,
            "refused",
        ),
        (
            &["--gate", "cpu:first", "--baseline-ref=--x"],
            None,
            "bad_baseline",
        ),
        (
            &["--gate", "cpu:first", "--external", "cpu:first=x"],
            None,
            "external",
        ),
        (&["--gate", "cpu:first", "--subject", "none"], None, "refused"),
        (&["--gate", "cpu:first", "--format", "sarif"], None, "refused"),
        (
            &["--gate", "cpu:first", "--resume", "--contract", "none.md"],
            None,
            "refused",
        ),
        (
            &["--gate", "cpu:first"],
            Some(("NMOE_PRIVATE_TERMS", "re:(")),
            "prerequisite",
        ),
    ] {
        let fixture = passed();
        let run = fixture.run_with(args, env.as_slice()).exits(2).reports("error: ");
        assert_eq!(
            [&run.results["overall"], &run.results["refused"]],
            [&json!("invalid"), &json!(reason)],
            "{args:?}"
        );
    }
    let fixture = passed();
    fixture.sandbox.file("configs/gates/gates.toml", "[gates");
    let run = fixture
        .run(&["--gate", "cpu:first"])
        .exits(2)
        .reports("error: cannot use the registry");
    assert_eq!(run.results["refused"], "bad_registry");
    // An unusable path keeps no results of an earlier run either.
    for hostile in ["home/results.json.lock", "home/results.json.journal"] {
        let fixture = passed();
        let path = fixture.sandbox.path(hostile);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        fixture.run(&["--gate", "cpu:first"]).exits(2).reports("error: ");
        assert!(!fixture.results().exists(), "{hostile}");
    }
}

#[test]
fn dry_run_and_usage_error_keep_results() {
    let fixture = passed();
    let state = || {
        let file = |name: &str| {
            let path = fixture.sandbox.path(name);
            (
                std::fs::read(&path).unwrap(),
                std::fs::metadata(path).unwrap().modified().unwrap(),
            )
        };
        [
            "home/results.json",
            "home/results.json.journal",
            "home/results.json.lock",
        ]
        .map(file)
    };
    let before = state();
    fixture
        .run(&["--tier", "a", "--dry-run"])
        .exits(0)
        .prints("run      cpu:first")
        .reports("no gate was run");
    fixture
        .run(&["--gate", "cpu:none", "--dry-run"])
        .exits(2)
        .reports("error: cannot find the gate `cpu:none");
    fixture
        .run(&["--gate", "cpu:first", "--dry-run", "--format", "sarif"])
        .exits(2)
        .reports("error: ");
    fixture
        .run(&["--gate", "cpu:first", "--no-such-option"])
        .exits(2)
        .reports("error: unexpected argument '--no-such-option'");
    assert_eq!(state(), before);
}

/// Starts a run with earlier results that reads its contract from a FIFO, and returns the write end of the FIFO.
fn reading(fixture: &RunFixture) -> (Child, File) {
    let contract = fixture.sandbox.path("tmp/contract");
    fifo(&contract);
    let args = ["--gate", "cpu:first", "--contract", contract.to_str().unwrap()];
    let child = command(fixture, &args).spawn().unwrap();
    // This returns when the run has opened the other end.
    let writer = File::create(&contract).unwrap();
    assert!(!fixture.results().exists(), "the earlier results are still there");
    (child, writer)
}

#[test]
fn early_death_leaves_no_pass() {
    // The worker is killed.
    let fixture = passed();
    let (child, _writer) = reading(&fixture);
    signal(worker(child.id()), Signal::KILL);
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(
        said.contains("killed (signal 9)") && said.contains("nothing was recorded"),
        "{said}"
    );
    let results = recorded(&fixture);
    assert_eq!(
        [&results["overall"], &results["refused"]],
        [&json!("invalid"), &json!("cancelled")]
    );

    // The supervisor is killed, or a signal asks the run to stop. The worker notices after it has read the contract.
    let contract = include_str!("../fixtures/engine/contract.md");
    for (asked, code) in [
        (Signal::KILL, None),
        (Signal::TERM, Some(143)),
        (Signal::INT, Some(130)),
    ] {
        let fixture = passed();
        let (mut child, mut writer) = reading(&fixture);
        let worker = worker(child.id());
        // The worker also gets the signal, so that it arrives before the contract.
        if asked != Signal::KILL {
            signal(worker, asked);
        }
        signal(child.id(), asked);
        if asked == Signal::KILL {
            child.wait().unwrap();
        }
        writer.write_all(contract.as_bytes()).unwrap();
        drop(writer);
        let out = child.wait_with_output().unwrap();
        assert_eq!(
            out.status.code(),
            code,
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        assert_eq!(recorded(&fixture)["overall"], "cancelled", "{asked:?}");
    }

    // Both are killed.
    let fixture = passed();
    let (mut child, _writer) = reading(&fixture);
    let worker = worker(child.id());
    signal(worker, Signal::STOP);
    signal(child.id(), Signal::KILL);
    signal(worker, Signal::KILL);
    child.wait().unwrap();
    assert!(!fixture.results().exists());
    fixture.run(&["--gate", "cpu:first"]).exits(0);
}

#[test]
fn full_disk_removes_earlier_pass() {
    let fixture = passed();
    let small = fixture.sandbox.path("home/small");
    std::fs::create_dir(&small).unwrap();
    let results = small.join("results.json");
    let run = fixture
        .call(&[
            "run",
            "--gate",
            "cpu:first",
            "--results",
            results.to_str().unwrap(),
        ])
        .into_command();
    // The disk has no free block and no free inode, and removing the earlier results frees neither.
    let script = "mount -t tmpfs -o size=64k,nr_inodes=16 tmpfs \"$1\" || exit 99; cd \"$1\"; shift; \
                  cp ../results.json ../results.json.journal .; mkdir kept; ln results.json results.json.journal kept; \
                  cat /dev/zero >full; n=0; while : >f$n; do n=$((n+1)); done; (cd \"$repo\"; \"$@\"); code=$?; \
                  [ ! -e results.json ] || exit 98; exit $code";
    let out = Command::new("unshare")
        .args(["-rm", "bash", "-c", script, "bash"])
        .arg(&small)
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(fixture.sandbox.repo())
        .env("TMPDIR", fixture.sandbox.path("tmp"))
        .env("repo", fixture.sandbox.repo())
        .output();
    // Without a mount namespace the test has no disk to fill.
    let Ok(out) = out else { return };
    let said = String::from_utf8_lossy(&out.stderr);
    if out.status.code() == Some(99) || said.starts_with("unshare") {
        return;
    }
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("results.json (disk_full)"), "{said}");
}

#[test]
fn second_run_is_locked_out() {
    let fixture = fixture();
    let first = Started::new(&fixture, &["--gate", "cpu:waits"]);
    let before = journal(&fixture);
    for more in [&[][..], &["--resume"]] {
        let out = fixture
            .run(&[&["--gate", "cpu:first"], more].concat())
            .exits(2)
            .out;
        let says = format!(
            "cannot write {}: another run is writing it",
            fixture.results().display()
        );
        assert!(out.stderr.contains(&says), "{}", out.stderr);
    }
    fixture
        .run(&["--gate", "cpu:first", "--dry-run"])
        .exits(0)
        .prints("run      cpu:first")
        .reports("no gate was run");
    assert_eq!(journal(&fixture), before);
    File::create(fixture.sandbox.path("tmp/go")).unwrap();
    let (code, said) = first.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(recorded(&fixture)["results"]["cpu:waits"]["status"], "pass");
}

#[test]
fn lock_outlives_first_killed_process() {
    let fixture = passed();
    let (mut child, writer) = reading(&fixture);
    // The worker continues to read without its supervisor.
    signal(child.id(), Signal::KILL);
    child.wait().unwrap();
    let out = fixture.run(&["--gate", "cpu:first"]).exits(2).out;
    assert!(out.stderr.contains("another run is writing"), "{}", out.stderr);
    drop(writer);
    child.wait_with_output().unwrap();
    assert_eq!(recorded(&fixture)["refused"], "refused");
    fixture.run(&["--gate", "cpu:first"]).exits(0);
}

#[test]
fn simultaneous_runs_are_not_tampering() {
    let fixture = fixture();
    fixture.gate("cpu:fds", "! ls -l /proc/self/fd | grep '\\.lock'");
    let runs: Vec<Child> = (0..8)
        .map(|_| command(&fixture, &["--gate", "cpu:fds"]).spawn().unwrap())
        .collect();
    let mut passed = 0;
    for run in runs {
        let out = run.wait_with_output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        match out.status.code() {
            Some(0) => passed += 1,
            code => assert!(
                code == Some(2) && said.contains("another run is writing"),
                "{code:?}: {said}"
            ),
        }
    }
    assert!(passed > 0);
    assert_eq!(recorded(&fixture)["overall"], "pass");
}

#[test]
fn stale_lock_is_ignored() {
    let fixture = fixture();
    std::fs::write(fixture.sandbox.path("home/results.json.lock"), "4711\n").unwrap();
    fixture.run(&["--gate", "cpu:first"]).exits(0);
    let into = |results: &Path| {
        fixture
            .call(&[
                "run",
                "--gate",
                "cpu:first",
                "--results",
                results.to_str().unwrap(),
            ])
            .run()
            .any_files()
    };
    let absent = fixture.sandbox.path("home/new/folder/results.json");
    into(&absent).exits(0);
    assert!(absent.exists());
    std::fs::write(fixture.sandbox.path("home/file"), "").unwrap();
    for unusable in [
        fixture.sandbox.path("home/file/results.json"),
        "/proc/results.json".into(),
    ] {
        let out = into(&unusable).exits(2);
        let folder = unusable.parent().unwrap().to_str().unwrap();
        assert!(
            out.stderr.starts_with("error: ") && out.stderr.contains(folder),
            "{}",
            out.stderr
        );
    }
}
