//! Tests `run --container` with a stand-in for docker, and the containers that gates start.
//!
//! The stand-in (`tests/fixtures/container/docker`) runs the first process of a container without isolation.
//! `scripts/verify/containers` runs the same gates with real engines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::driver::Sandbox;
use crate::run_fixture::{Run, RunFixture};
use crate::support::program::program;

pub const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A checkout with an image in its registry and the stand-in on PATH.
pub struct ContainerFixture(pub RunFixture);

/// Copies the stand-in of an engine into a folder `bin` of the sandbox, and lets git use the checkouts of other users. Returns a search
/// path that begins with the folder.
pub fn stand_in(sandbox: &Sandbox, name: &str) -> String {
    let bin = sandbox.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/container/docker");
    std::fs::copy(stand_in, bin.join(name)).unwrap();
    std::fs::create_dir_all(sandbox.path("home")).unwrap();
    std::fs::write(sandbox.path("home/.gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

/// Gives a checkout to a user who is not root, as a gate in a container must not be root.
pub fn disown(checkout: &Path) {
    if rustix::process::geteuid().is_root() {
        let status = Command::new("chown")
            .args(["-R", "4242:4242"])
            .arg(checkout)
            .status();
        assert!(status.unwrap().success());
    }
}

impl ContainerFixture {
    pub fn new() -> Self {
        let fixture = RunFixture::new();
        fixture.raw(&format!(
            "[container]\nimage = \"registry.example/octo/train@{DIGEST}\"\n"
        ));
        stand_in(&fixture.sandbox, "docker");
        ContainerFixture(fixture)
    }

    pub fn path(&self) -> String {
        let bin = self.0.sandbox.path("bin");
        format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
    }

    fn disown(&self) {
        disown(&self.0.sandbox.repo());
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.disown();
        let args: Vec<&str> = ["--container"].into_iter().chain(args.iter().copied()).collect();
        self.0.run_with(&args, &[("PATH", self.path())])
    }

    /// Returns the arguments of each call of the stand-in that begins with this word.
    pub fn calls(&self, word: &str) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.0.sandbox.path("bin/calls")).unwrap_or_default();
        let calls = text
            .lines()
            .map(|line| serde_json::from_str::<Vec<String>>(line).unwrap());
        calls.filter(|call| call[0] == word).collect()
    }
}

/// Returns a duration that no other process sleeps for.
fn mark(n: usize) -> String {
    format!("86500.{}{n:03}", std::process::id())
}

fn is_alive(mark: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.windows(mark.len()).any(|window| window == mark.as_bytes())
    })
}

#[track_caller]
fn ends(mark: &str) {
    // A machine under load may starve the processes of the container.
    let until = Instant::now() + Duration::from_secs(120);
    while is_alive(mark) {
        assert!(
            Instant::now() < until,
            "a process of the container is still alive"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Removes what may differ between a run in a container and a run without: times, and the evidence of the image.
fn comparable(run: &Run) -> Value {
    let mut results = run.results.clone();
    for key in ["started_at", "duration_s"] {
        results[key] = Value::Null;
    }
    results["evidence"]["image"] = Value::Null;
    results["evidence"]["isolation"] = Value::Null;
    for gate in results["results"].as_object_mut().unwrap().values_mut() {
        gate["duration_s"] = Value::Null;
        gate.as_object_mut().unwrap().remove("image");
    }
    results
}

#[test]
fn results_are_the_same_inside_and_outside() {
    let fixture = ContainerFixture::new();
    fixture
        .0
        .gate("cpu:pass", "echo 'loss: 1.5'; echo error >&2; echo x >written")
        .gate("cpu:fail", "exit 7")
        .gate("cpu:signal", "kill -SEGV $$")
        .gate(
            "cpu:leak",
            &format!("setsid sleep {} & sleep {} &", mark(1), mark(1)),
        )
        .gate_with("cpu:strict", &format!("sleep {} &", mark(2)), "leaks = \"fail\"")
        .gate_with(
            "cpu:timeout",
            &format!("sleep {} & sleep {}", mark(3), mark(3)),
            "timeout_s = 1",
        )
        .gate_with("cpu:silent", "echo x; sleep 1000", "silence_timeout_s = 1")
        .raw("[[gates.\"cpu:pass\".metrics]]\nname = \"loss\"\npattern = 'loss: ([0-9.]+)'\n");
    fixture.disown();
    let outside = fixture
        .0
        .run(&["--tier", "a", "--keep-going"])
        .exits(1)
        .prints("x");
    let inside = fixture.run(&["--tier", "a", "--keep-going"]).exits(1).prints("x");
    assert_eq!(comparable(&inside), comparable(&outside));
    assert_eq!(inside.gate("cpu:leak")["leaks"], 2);
    assert_eq!(inside.gate("cpu:silent")["reason"], "silence");
    assert_eq!(inside.results["evidence"]["image"], DIGEST);
    assert_eq!(inside.results["evidence"]["isolation"], "container");
    assert_eq!(inside.gate("cpu:pass")["image"], DIGEST);
    assert!(!is_alive(&mark(1)) && !is_alive(&mark(2)) && !is_alive(&mark(3)));
}

#[test]
fn container_gets_checkout_and_nothing_else() {
    let fixture = ContainerFixture::new();
    fixture
        .0
        .gate_with("cpu:look", "env | sort", "requires = [\"T_DATA\"]\n[gates.\"cpu:look\".container]\ndata = [\"T_DATA\"]\nmemory = \"2g\"\nprocesses = 99")
        .raw("[gates.\"cpu:net\"]\ntier = \"a\"\ncmd = \"true\"\ncontainer = { network = true }\n");
    fixture.disown();
    let data = fixture.0.sandbox.path("tmp");
    let run = fixture.0.run_with(
        &["--container", "--tier", "a"],
        &[
            ("PATH", fixture.path().as_str()),
            ("T_DATA", data.to_str().unwrap()),
            ("GITHUB_TOKEN", "not-for-gates"),
            ("PYTHONPATH", "/outside"),
            ("CUDA_VISIBLE_DEVICES", "3"),
        ],
    );
    let out = &run.exits(0).out.stdout;
    for line in [
        "FROM_IMAGE=yes",
        "HOME=/tmp",
        "CUDA_VISIBLE_DEVICES=3",
        &format!("T_DATA={}", data.display()),
    ] {
        assert!(out.lines().any(|l| l == line), "{line}: {out}");
    }
    for absent in ["not-for-gates", "/outside", "DOCKER_"] {
        assert!(!out.contains(absent), "{absent}: {out}");
    }
    let calls = fixture.calls("run");
    let options = calls[0].join(" ");
    for option in [
        "--rm",
        "--network none",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--read-only",
        "--pull never",
        "--memory 2g --memory-swap 2g",
        "--pids-limit 99",
        "target=/workspace --mount",
        "target=/nmoe-gates-init,readonly=true",
    ] {
        assert!(options.contains(option), "{option}: {options}");
    }
    assert!(
        options.contains(&format!("source={0},target={0},readonly=true", data.display())),
        "{options}"
    );
    let user = &calls[0][calls[0].iter().position(|w| w == "--user").unwrap() + 1];
    assert!(!user.starts_with("0:"), "{user}");
    assert!(
        !options.contains("results.json") && !options.contains("docker.sock"),
        "{options}"
    );
    assert!(calls[1].join(" ").contains("--network bridge"), "{:?}", calls[1]);
}

/// Without private caches, a gate would use what another run compiled. A gate without the kernel library compiles as well.
#[test]
fn gpu_gate_in_a_container_has_private_caches() {
    let fixture = ContainerFixture::new();
    let cubin = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kernel/sm_100a_plain.fatbin");
    // Behind the headers of the container and of its entry.
    let cubin = std::fs::read(cubin).unwrap()[16 + 112..].to_vec();
    fixture.0.sandbox.file("kernel.cubin", &cubin);
    fixture.0.raw(
        "[gates.\"b200:jit\"]\ntier = \"b\"\ngpus = 1\nkernel = false\ncmd = \"cp kernel.cubin $TRITON_CACHE_DIR\"\n",
    );
    let driver = crate::kernel_driver::b200(&fixture.0.sandbox);
    fixture.disown();
    let driver = driver.display().to_string();
    let digest = crate::support::digest::sha256(&cubin);
    for (more, path) in [("--container", fixture.path()), ("--keep-going", fixture.path())] {
        let run = fixture.0.run_with(
            &["--gate", "b200:jit", more],
            &[("PATH", path.as_str()), ("LD_LIBRARY_PATH", driver.as_str())],
        );
        let run = run.exits(0).prints("jit_inspect: 1 files");
        assert_eq!(
            run.results["evidence"]["jit"],
            json!({"triton": [digest]}),
            "{more}"
        );
    }
}

#[test]
fn signals_and_kills_end_the_container() {
    for (n, (victim, signal, code, is_deaf)) in [
        ("program", Signal::INT, Some(130), false),
        ("program", Signal::TERM, Some(143), false),
        ("worker", Signal::KILL, Some(3), false),
        ("both", Signal::KILL, None, false),
        ("worker", Signal::KILL, Some(3), true),
        ("both", Signal::KILL, None, true),
    ]
    .into_iter()
    .enumerate()
    {
        let fixture = ContainerFixture::new();
        let mark = mark(10 + n);
        if is_deaf {
            // Only the reaper can end this container.
            std::fs::write(fixture.0.sandbox.path("bin/deaf"), "").unwrap();
        }
        fixture
            .0
            .gate("cpu:hang", &format!("echo runs; sleep {mark} & sleep {mark}"));
        fixture.disown();
        let results = fixture.0.results();
        let args = [
            "run",
            "--container",
            "--gate",
            "cpu:hang",
            "--results",
            results.to_str().unwrap(),
        ];
        let mut child = fixture
            .0
            .call(&args)
            .env("PATH", fixture.path())
            .into_command()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "runs"));
        let worker = worker_of(child.id());
        let victims: Vec<Pid> = [("worker", worker), ("program", Pid::from_child(&child))]
            .into_iter()
            .filter_map(|(name, pid)| (victim == name || victim == "both").then_some(pid))
            .collect();
        if victim == "both" {
            // Neither process may act on the death of the other one.
            victims
                .iter()
                .for_each(|pid| kill_process(*pid, Signal::STOP).unwrap());
        }
        victims.iter().for_each(|pid| kill_process(*pid, signal).unwrap());
        let ended = child.wait().unwrap();
        assert_eq!(ended.code(), code, "{victim} {signal:?}");
        ends(&mark);
        if is_deaf {
            assert!(!fixture.calls("rm").is_empty(), "{victim}");
        }
    }
}

/// A client may pass on no signal, and it may not end with its container, as seen with Podman.
#[test]
fn slow_stuck_client_changes_no_result() {
    let fixture = ContainerFixture::new();
    let mark = mark(40);
    fixture
        .0
        .gate("cpu:fail", "exit 7")
        .gate_with(
            "cpu:timeout",
            &format!("trap 'echo asked to end; exit' TERM; sleep {mark} & wait"),
            "timeout_s = 1",
        )
        .gate_with("cpu:late", "sleep 0.5", "timeout_s = 2");
    std::fs::write(fixture.0.sandbox.path("bin/stuck"), "").unwrap();
    let run = fixture
        .run(&["--tier", "a", "--keep-going"])
        .exits(1)
        .prints("asked to end");
    assert_eq!(run.gate("cpu:fail")["rc"], 7);
    assert_eq!(run.gate("cpu:fail")["reason"], "exit_code");
    assert_eq!(run.gate("cpu:timeout")["reason"], "timeout");
    // The client lasts longer than the limit, and the command does not.
    assert_eq!(run.gate("cpu:late")["status"], "pass");
    assert!(!is_alive(&mark));
    for call in fixture.calls("run") {
        let name = &call[call.iter().position(|word| word == "--name").unwrap() + 1];
        assert!(fixture.calls("rm").iter().any(|call| call.last() == Some(name)));
    }
}

/// Starts the first process of a container with a command that sleeps, and returns it with its input.
fn init(mark: &str, lost_after_s: u64, reports: impl Into<Stdio>) -> (Child, ChildStdin) {
    let task = json!({
        "token": "t", "command": format!("sleep {mark} & sleep {mark}"), "directory": "/",
        "environment": {"PATH": std::env::var("PATH").unwrap()}, "defaults": null, "lost_after_s": lost_after_s,
    });
    let mut init = Command::new(program())
        .arg("container-init")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(reports)
        .spawn()
        .unwrap();
    let mut stdin = init.stdin.take().unwrap();
    writeln!(stdin, "{task}").unwrap();
    (init, stdin)
}

/// The supervisor may be killed after the command has started and before the report of that.
#[test]
fn lost_supervisor_ends_the_command() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mark = mark(30);
    let (mut init, _stdin) = init(&mark, 120, writer);
    init.wait().unwrap();
    ends(&mark);
}

/// A daemon that is killed leaves its containers, and their input stays open.
#[test]
fn lost_daemon_ends_the_command() {
    let mark = mark(31);
    let (mut init, mut stdin) = init(&mark, 1, Stdio::piped());
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(500));
        stdin.write_all(b"\n").unwrap();
    }
    assert!(init.try_wait().unwrap().is_none(), "signs of life are ignored");
    let said = init.wait_with_output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["report"]["ended"]["stopped"], true, "{said}");
    assert!(!is_alive(&mark));
    drop(stdin);
}

fn worker_of(parent: u32) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let first = children.split_whitespace().next().unwrap();
    Pid::from_raw(first.parse().unwrap()).unwrap()
}

#[test]
fn unusable_container_is_refused_with_reason() {
    let fixture = ContainerFixture::new();
    fixture.0.gate("cpu:x", "true");
    std::fs::write(fixture.0.sandbox.path("bin/fail"), "").unwrap();
    let run = fixture.run(&["--gate", "cpu:x"]).exits(3);
    assert_eq!(run.gate("cpu:x")["reason"], "container_failed");
    assert!(
        run.out.stdout.contains("no space left on device"),
        "{}",
        run.out.stdout
    );

    let bare = RunFixture::new();
    bare.gate("cpu:x", "true").raw(
        "[gates.\"b200:x\"]\ntier = \"b\"\ngpus = 1\ncmd = \"true\"\ncontainer = { dockerfile = \"Dockerfile\" }\n",
    );
    let run = bare.run(&[
        "--dry-run",
        "--container",
        "--gate",
        "cpu:x",
        "--gate",
        "b200:x",
        "--format",
        "json",
    ]);
    let gates = run.exits(3).out.any_output().json()["gates"].clone();
    assert_eq!(
        (&gates[0]["reason"], &gates[1]["reason"]),
        (&json!("no_container"), &json!("no_container"))
    );
    // Without an engine, the message names the ones to install.
    let path = bare.sandbox.path("bin");
    std::fs::create_dir(&path).unwrap();
    let run = bare
        .run_with(&["--container", "--gate", "cpu:x"], &[("PATH", &path)])
        .exits(3);
    assert!(
        run.out.stderr.contains("docker, podman or apptainer"),
        "{}",
        run.out.stderr
    );
    assert_eq!(run.results["refused"], "container_failed");
}

#[test]
fn checkout_of_root_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let fixture = ContainerFixture::new();
    fixture.0.gate("cpu:x", "true");
    let run = fixture
        .0
        .run_with(&["--container", "--gate", "cpu:x"], &[("PATH", fixture.path())])
        .exits(3);
    assert!(run.out.stderr.contains("belongs to root"), "{}", run.out.stderr);
}

/// An engine that lists one container after the first question, and removes it on request.
fn engine(socket: &Path) -> Arc<Mutex<Vec<String>>> {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0u8; 1];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let line = String::from_utf8(head)
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .to_owned();
            let mut log = log.lock().unwrap();
            let body = match (line.starts_with("GET"), log.len()) {
                (true, 0) => json!([{"Id": "0ld", "State": "running", "Labels": {}}]),
                (true, _) => json!([
                    {"Id": "0ld", "State": "running", "Labels": {}},
                    {"Id": "new1", "State": "running", "Labels": {}},
                    {"Id": "new2", "State": "exited", "Labels": null},
                    {"Id": "other", "State": "running", "Labels": {"nmoe-gates.gate": "x"}},
                ]),
                (false, _) => json!(null),
            };
            log.push(line);
            let body = body.to_string();
            let _ = write!(
                stream,
                "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    asked
}

#[test]
fn containers_of_a_gate_are_ended_and_counted() {
    for (command, leaks, removed) in [
        ("# docker run -d x", 1, vec!["new1", "new2"]),
        ("bash start.sh", 1, vec!["new1", "new2"]),
        ("true", 0, vec![]),
    ] {
        let fixture = RunFixture::new();
        fixture.gate("cpu:x", command);
        fixture.sandbox.file("start.sh", "true || docker run -d x\n");
        let socket = fixture.sandbox.path("engine.sock");
        let asked = engine(&socket);
        let run = fixture
            .run_with(
                &["--gate", "cpu:x"],
                &[("DOCKER_HOST", format!("unix://{}", socket.display()))],
            )
            .exits(0);
        assert_eq!(run.gate("cpu:x")["leaks"], leaks, "{command}");
        let asked = asked.lock().unwrap();
        let ended: Vec<&str> = asked
            .iter()
            .filter_map(|line| line.strip_prefix("DELETE /containers/")?.split('?').next())
            .collect();
        assert_eq!(ended, removed, "{command}: {asked:?}");
        assert_eq!(
            run.out.stdout.contains("new1 appeared during the gate"),
            leaks == 0,
            "{}",
            run.out.stdout
        );
    }
}

#[test]
fn registry_lint_names_the_safe_form() {
    let fixture = RunFixture::new();
    fixture
        .gate("cpu:socket", "docker run --rm train make test")
        .gate_with("cpu:tag", "true", "container = { image = \"train:latest\" }");
    let out = fixture
        .call(&["lint", "registry", "--format", "json"])
        .run()
        .exits(1)
        .json();
    let findings = out["findings"].as_array().unwrap();
    let found = |code: &str| {
        findings
            .iter()
            .find(|f| f["code"] == code)
            .unwrap_or_else(|| panic!("{code}: {out}"))
    };
    assert!(
        found("engine-socket")["help"]
            .as_str()
            .unwrap()
            .contains("run --container")
    );
    assert!(
        found("image-without-digest")["message"]
            .as_str()
            .unwrap()
            .contains("train:latest")
    );
}
