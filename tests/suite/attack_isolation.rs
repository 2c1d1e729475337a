//! Attacks by a gate on what is above it and after it: processes that hide from `/proc`, the shell of the action's step, the
//! supervisor and the worker, and the program file.
//!
//! The attacks run at each level of isolation that this machine can provide: with and without PID namespaces, with and without
//! control groups, as root and as another user.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

use crate::attack::{attack, runner, skipped};
use crate::run_fixture::RunFixture;
use crate::support::program::program;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a machine offers to the program.
#[derive(Clone, Copy, Debug)]
struct Machine {
    is_root: bool,
    has_namespaces: bool,
    has_groups: bool,
}

/// Gives the command a control group of its own, or hides all groups.
const GROUP: &str = r#"at=$(findmnt -n -t cgroup2 -o TARGET | head -1)
if [ "$1" = true ]; then
  g=$at/nmoe-gates-test-$$; mkdir "$g"; echo $$ >"$g/cgroup.procs"; chown -R "$3" "$g"
elif [ -n "$at" ]; then mount -t tmpfs none "$at"; fi
"#;
/// Forbids PID namespaces to the command, as AppArmor or a limit of a container does.
const FORBID: &str = "exec unshare -U --map-current-user --keep-caps bash -c 'echo 0 >/proc/sys/user/max_pid_namespaces; exec setpriv --inh-caps=-all --ambient-caps=-all -- \"$@\"' - \"$@\"";
/// Forbids them to root: who is root needs no user namespace for one.
const FORBID_ROOT: &str =
    "exec unshare -Ur bash -c 'echo 0 >/proc/sys/user/max_pid_namespaces; exec \"$@\"' - \"$@\"";

impl Machine {
    /// Lists the machines that can be made here. Only root can change users and groups.
    fn all() -> Vec<Machine> {
        let all = [false, true].into_iter().flat_map(|is_root| {
            [false, true].into_iter().flat_map(move |has_namespaces| {
                [false, true].map(|has_groups| Machine {
                    is_root,
                    has_namespaces,
                    has_groups,
                })
            })
        });
        let is_possible = |machine: &Machine| geteuid().is_root() || !machine.is_root && !machine.has_groups;
        let (possible, other): (Vec<Machine>, Vec<Machine>) = all
            .filter(|machine| machine.needs_no_absent_group())
            .partition(is_possible);
        if !other.is_empty() {
            skipped(&format!("only root can provide {other:?}"));
        }
        possible
    }

    fn needs_no_absent_group(&self) -> bool {
        !self.has_groups || cgroup_mount().is_some()
    }

    /// Returns the words that start a command on this machine.
    fn words(self) -> Vec<String> {
        let user = if self.is_root || !geteuid().is_root() {
            ""
        } else {
            "setpriv --reuid=65534 --regid=65534 --clear-groups "
        };
        let mut script = String::from("set -e\n");
        if geteuid().is_root() {
            script += GROUP;
        }
        script += "shift 3\n";
        script += &match (self.has_namespaces, self.is_root) {
            (true, _) => format!("exec {user}\"$@\""),
            (false, false) => FORBID.replacen("exec ", &format!("exec {user}"), 1),
            (false, true) => FORBID_ROOT.to_owned(),
        };
        let owner = if self.is_root { "0:0" } else { "65534:65534" };
        let mut words: Vec<String> = Vec::new();
        if geteuid().is_root() {
            words.extend(["unshare", "-m"].map(str::to_owned));
        }
        words.extend(["bash", "-c"].map(str::to_owned));
        words.extend([
            script,
            "-".to_owned(),
            self.has_groups.to_string(),
            "-".to_owned(),
            owner.to_owned(),
        ]);
        words
    }
}

fn cgroup_mount() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    mount.split(' ').nth(4).map(PathBuf::from)
}

/// Removes the groups that the tests of this process left, which are empty.
fn remove_groups() {
    for entry in cgroup_mount()
        .into_iter()
        .flat_map(|at| std::fs::read_dir(at).unwrap())
        .flatten()
    {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("nmoe-gates-test-")
        {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// Opens a sandbox to every user, and copies the program into it.
fn opened(fixture: &RunFixture) -> PathBuf {
    let tool = fixture.sandbox.path("tool");
    std::fs::copy(program(), &tool).unwrap();
    for dir in [".", "repo", "home", "tmp"] {
        std::fs::set_permissions(fixture.sandbox.path(dir), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    tool
}

/// Returns a command that runs these words on a machine, in the checkout of a fixture.
fn on(machine: Machine, fixture: &RunFixture, words: &[&str]) -> Command {
    let prefix = machine.words();
    let mut command = Command::new(&prefix[0]);
    command
        .args(&prefix[1..])
        .args(words)
        .current_dir(fixture.sandbox.repo())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", fixture.sandbox.path("home"))
        .env("TMPDIR", fixture.sandbox.path("tmp"))
        .stdin(Stdio::null());
    command
}

/// Runs a gate on a machine and returns the exit code, the results and the log.
fn run_on(machine: Machine, fixture: &RunFixture, tool: &Path, gate: &str) -> (Option<i32>, Value, String) {
    let results = fixture.results();
    let _ = std::fs::remove_file(&results);
    let words = ["run", "--gate", gate, "--results", results.to_str().unwrap()];
    let words: Vec<&str> = std::iter::once(tool.to_str().unwrap()).chain(words).collect();
    let out = on(machine, fixture, &words).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    let results = std::fs::read(&results).unwrap_or_else(|error| panic!("{machine:?}: {error}\n{said}"));
    // The next machine has another owner.
    let _ = std::fs::remove_dir_all(fixture.sandbox.path("home"));
    std::fs::create_dir(fixture.sandbox.path("home")).unwrap();
    std::fs::set_permissions(
        fixture.sandbox.path("home"),
        std::fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    (out.status.code(), serde_json::from_slice(&results).unwrap(), said)
}

/// A process whose first thread has exited, and whose other thread writes to a file for 20 seconds, or until `FILE.stop` exists.
const HIDDEN: &str = r#"
import ctypes, os, platform, sys, threading, time
def beat():
    end = time.time() + 20
    while time.time() < end and not os.path.exists(sys.argv[1] + '.stop'):
        with open(sys.argv[1], 'a') as file:
            file.write('x')
        time.sleep(0.02)
threading.Thread(target=beat).start()
time.sleep(0.1)
ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)
"#;

/// Whether a process still writes to this file. Removes the file.
fn beats(file: &Path) -> bool {
    let size = || std::fs::metadata(file).map_or(0, |file| file.len());
    let before = size();
    std::thread::sleep(Duration::from_millis(300));
    let beats = size() > before;
    let _ = std::fs::remove_file(file);
    beats
}

#[test]
fn t08_process_without_first_thread() {
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    fixture.sandbox.file("hidden.py", HIDDEN);
    let file = fixture.sandbox.path("tmp/beats");
    let name = file.display();
    // `exec -a` and no output: the gate waits until the first thread is gone.
    let evil = format!(
        "setsid python3 hidden.py '{name}' >/dev/null 2>&1 </dev/null & until [ -s '{name}' ]; do sleep 0.02; done; sleep 0.3"
    );
    fixture.gate_with("cpu:evil", &evil, "leaks = \"fail\"");
    let mut shell = Command::new("timeout")
        .args(["10", "bash", "-c", &evil])
        .current_dir(fixture.sandbox.repo())
        .spawn()
        .unwrap();
    shell.wait().unwrap();
    let naive = beats(&file);
    let stop = fixture.sandbox.path("tmp/beats.stop");
    std::fs::write(&stop, "").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let _ = std::fs::remove_file(&file);
    std::fs::remove_file(&stop).unwrap();
    for machine in Machine::all() {
        let (code, results, said) = run_on(machine, &fixture, &tool, "cpu:evil");
        let survived = beats(&file);
        attack(&format!("{machine:?}"), naive, survived);
        let gate = &results["results"]["cpu:evil"];
        assert_eq!(
            (&gate["status"], &gate["reason"], &gate["leaks"], code),
            (&"fail".into(), &"leaked_processes".into(), &1.into(), Some(1)),
            "{machine:?}: {gate}\n{said}"
        );
        let level = &results["evidence"]["isolation"];
        let expected: &[&str] = match (machine.has_namespaces, machine.has_groups) {
            // A machine may forbid namespaces.
            (true, _) => &["pid_namespace", "cgroup", "process_tree"],
            (false, true) => &["cgroup"],
            (false, false) => &["process_tree"],
        };
        assert!(expected.iter().any(|name| level == name), "{machine:?}: {level}");
    }
    remove_groups();
}

/// A step of the action as the runner starts it: a shell that runs the `run:` text of action.yml.
fn step(fixture: &RunFixture, tool: &Path, machine: Machine) -> Command {
    let action = std::fs::read_to_string(Path::new(ROOT).join("action.yml")).unwrap();
    let line = action
        .lines()
        .find(|line| line.contains("scripts/action"))
        .unwrap();
    let script = line.trim().strip_prefix("run: ").unwrap();
    let mut command = on(
        machine,
        fixture,
        &["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
    );
    for (name, value) in secrets(fixture, tool) {
        command.env(name, value);
    }
    command
}

/// Returns the environment of a step, with secrets.
fn secrets(fixture: &RunFixture, tool: &Path) -> Vec<(&'static str, String)> {
    let scripts = fixture.sandbox.path("action/scripts");
    std::fs::create_dir_all(&scripts).unwrap();
    std::fs::copy(Path::new(ROOT).join("scripts/action"), scripts.join("action")).unwrap();
    for file in ["output", "summary"] {
        let file = fixture.sandbox.path(file);
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    vec![
        (
            "GITHUB_ACTION_PATH",
            fixture.sandbox.path("action").display().to_string(),
        ),
        (
            "GITHUB_OUTPUT",
            fixture.sandbox.path("output").display().to_string(),
        ),
        (
            "GITHUB_STEP_SUMMARY",
            fixture.sandbox.path("summary").display().to_string(),
        ),
        ("RUNNER_TEMP", fixture.sandbox.path("tmp").display().to_string()),
        ("NMOE_GATES", tool.display().to_string()),
        ("INPUT_COMMAND", "run".to_owned()),
        ("INPUT_REPO", ".".to_owned()),
        ("INPUT_GATE", "cpu:evil".to_owned()),
        ("GITHUB_TOKEN", "planted-token".to_owned()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "planted-oidc".to_owned()),
        ("OTHER_SECRET", "planted-secret".to_owned()),
    ]
}

/// The machines of a user who is not root: root reads every process.
fn user_machines() -> Vec<Machine> {
    let all = Machine::all().into_iter();
    all.filter(|machine| !machine.is_root && !machine.has_groups)
        .collect()
}

/// Runs this script below a shell that waits for it, as a step without `exec` does.
fn below_a_shell(fixture: &RunFixture, tool: &Path, machine: Machine, script: &str) -> String {
    let mut command = on(
        machine,
        fixture,
        &["bash", "-c", "bash -c \"$1\"; true", "-", script],
    );
    command.envs(secrets(fixture, tool));
    log_of(&mut command).1
}

/// Runs a command of the user nobody, whose standard output is a pipe of that user, as on a runner. Returns the exit code and the
/// output.
fn log_of(command: &mut Command) -> (Option<i32>, String) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    if geteuid().is_root() {
        let nobody = (rustix::fs::Uid::from_raw(65534), rustix::fs::Gid::from_raw(65534));
        rustix::fs::fchown(&writer, Some(nobody.0), Some(nobody.1)).unwrap();
    }
    let mut child = command.stdout(writer).spawn().unwrap();
    // Only the child and its children hold the pipe now.
    command.stdout(Stdio::null());
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    (
        child.wait().unwrap().code(),
        String::from_utf8_lossy(&log).into_owned(),
    )
}

#[test]
fn t02_environment_of_shell_above() {
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    let evil = "unset GITHUB_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN OTHER_SECRET; for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || tr '\\0' '\\n' <$p/environ 2>/dev/null | grep planted || true; done";
    fixture.gate("cpu:evil", evil);
    for machine in user_machines() {
        let naive = below_a_shell(&fixture, &tool, machine, evil);
        let out = step(&fixture, &tool, machine).output().unwrap();
        let log = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{log}");
        for secret in ["planted-token", "planted-oidc", "planted-secret"] {
            attack(
                &format!("{secret}, {machine:?}"),
                naive.contains(secret),
                log.contains(secret),
            );
        }
    }
}

#[test]
fn t04_pipe_of_shell_above() {
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    let evil = "for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || { echo '::error::past the filter' >$p/fd/1; } 2>/dev/null || true; done";
    fixture.gate("cpu:evil", evil);
    for machine in user_machines() {
        let naive = below_a_shell(&fixture, &tool, machine, evil);
        let (code, log) = log_of(step(&fixture, &tool, machine).env("GITHUB_ACTIONS", "true"));
        assert_eq!(code, Some(0), "{log}");
        attack(
            &format!("{machine:?}"),
            !runner::commands(&naive).is_empty(),
            runner::commands(&log)
                .iter()
                .any(|line| line.contains("past the filter")),
        );
    }
}

#[test]
fn t10_program_replaced_during_run() {
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    let forged = "#!/bin/sh\necho overall=pass >>\"$GITHUB_OUTPUT\"\n";
    fixture.sandbox.file("forged", forged);
    let name = tool.display();
    let evil =
        format!("cp forged '{name}.new' && chmod +x '{name}.new' && mv -f '{name}.new' '{name}'; exit 1");
    fixture.gate("cpu:evil", &evil);
    let said = |fixture: &RunFixture| {
        let text = std::fs::read_to_string(fixture.sandbox.path("output")).unwrap();
        text.lines().any(|line| line == "overall=pass")
    };
    for machine in user_machines() {
        std::fs::copy(program(), &tool).unwrap();
        // As the action did: a second call of the program renders the summary.
        below_a_shell(
            &fixture,
            &tool,
            machine,
            &format!("bash -c \"{evil}\"; \"$NMOE_GATES\" report || true"),
        );
        let naive = said(&fixture);
        std::fs::remove_file(&tool).unwrap();
        std::fs::copy(program(), &tool).unwrap();
        let out = step(&fixture, &tool, machine).output().unwrap();
        assert_eq!(
            out.status.code(),
            Some(1),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        attack(&format!("{machine:?}"), naive, said(&fixture));
        let summary = std::fs::read_to_string(fixture.sandbox.path("summary")).unwrap();
        assert!(summary.contains("**fail**"), "{summary}");
    }
}

#[test]
fn t10_supervisor_is_stopped_past_deadline() {
    // The parent and the parent of the parent: the worker and the supervisor. In a namespace they are not visible.
    let evil = "w=$PPID; k=$(awk '{print $4}' /proc/$w/stat); \
        (for i in $(seq 150); do kill -STOP $w $k 2>/dev/null; sleep 0.02; done; kill -CONT $k $w 2>/dev/null) & \
        sleep 2.5; kill -KILL $! 2>/dev/null; kill -CONT $k $w 2>/dev/null; exit 0";
    // As the reviewed program did: look for the end of the command before the deadline.
    let naive = "bash -c \"$1\" & pid=$!; for i in $(seq 10); do sleep 0.1; kill -0 $pid 2>/dev/null || { wait $pid; exit $?; }; done; \
        kill $pid; exit 124";
    let naive_evil = "kill -STOP $PPID; sleep 2.5; (sleep 0.2; kill -CONT $PPID) & exit 0";
    let shell = Command::new("timeout")
        .args(["20", "bash", "-c", naive, "-", naive_evil])
        .status()
        .unwrap();
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    fixture.gate_with("cpu:evil", evil, "timeout_s = 1");
    for machine in user_machines() {
        let (code, results, said) = run_on(machine, &fixture, &tool, "cpu:evil");
        attack(&format!("{machine:?}"), shell.code() == Some(0), code == Some(0));
        assert_ne!(results["overall"], "pass", "{said}");
    }
}

/// Stops these processes, and ends with success half a second later. A gate in a namespace sees none of them.
fn stops(who: &str) -> String {
    format!(
        "w=$PPID; k=$(awk '{{print $4}}' /proc/$w/stat); [ $k -lt 2 ] || kill -STOP {who}; sleep 0.5; exit 0"
    )
}

#[test]
fn t10_supervisor_stopped_for_good() {
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    for (number, who) in ["$w", "$k", "$w $k", "$k $w"].into_iter().enumerate() {
        let id = format!("cpu:evil{number}");
        let evil = stops(who);
        // Two processes that wait for each other, as supervisor and worker do, and continue nobody.
        let pair = "bash -c 'bash -c \"$1\"; exit $?' - \"$1\"; exit $?";
        let shell = Command::new("timeout")
            .args(["-s", "KILL", "3", "setsid", "-w", "bash", "-c", pair, "-", &evil])
            .status()
            .unwrap();
        fixture.gate_with(&id, &evil, "timeout_s = 20");
        for machine in user_machines() {
            let began = Instant::now();
            let (code, results, said) = run_on(machine, &fixture, &tool, &id);
            let hangs = began.elapsed() > Duration::from_secs(10);
            attack(&format!("{who}, {machine:?}"), shell.code().is_none(), hangs);
            let sees = results["evidence"]["isolation"] == "process_tree";
            let gate = &results["results"][&id];
            let expected = if sees {
                ("invalid", "supervisor_stopped".into(), Some(3))
            } else {
                ("pass", Value::Null, Some(0))
            };
            assert_eq!(
                (&results["overall"], &gate["reason"], code),
                (&expected.0.into(), &expected.1, expected.2),
                "{who}, {machine:?}: {gate}\n{said}"
            );
        }
    }
}

/// The processes of a program file.
fn running(tool: &Path) -> Vec<Pid> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let is_ours = |pid: &String| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == tool);
    all.filter_map(|entry| entry.file_name().into_string().ok())
        .filter(is_ours)
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

#[test]
fn t10_all_processes_of_another_run_stopped() {
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    fixture.gate_with("cpu:other", "touch $HOME/begun; sleep 1", "timeout_s = 20");
    for machine in user_machines() {
        let results = fixture.results();
        let _ = std::fs::remove_file(&results);
        let begun = fixture.sandbox.path("home/begun");
        let mut run = on(
            machine,
            &fixture,
            &[
                tool.to_str().unwrap(),
                "run",
                "--gate",
                "cpu:other",
                "--results",
                results.to_str().unwrap(),
            ],
        );
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !begun.exists() {
            assert_eq!(run.try_wait().unwrap(), None, "{machine:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        for pid in running(&tool) {
            kill_process(pid, Signal::STOP).unwrap();
        }
        // What nobody continues stays stopped.
        let naive = running(&tool).iter().any(|pid| {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            stat.contains(") T ")
        });
        let until = Instant::now() + Duration::from_secs(15);
        while run.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        let hangs = run.try_wait().unwrap().is_none();
        for pid in running(&tool) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let code = run.wait().unwrap().code();
        attack(&format!("{machine:?}"), naive, hangs);
        let results: Value = serde_json::from_slice(&std::fs::read(&results).unwrap()).unwrap();
        let gate = &results["results"]["cpu:other"];
        assert_eq!(
            (&results["overall"], &gate["reason"], code),
            (&"invalid".into(), &"supervisor_stopped".into(), Some(3)),
            "{machine:?}: {gate}"
        );
        std::fs::remove_file(&begun).unwrap();
        let _ = std::fs::remove_dir_all(fixture.sandbox.path("home"));
        std::fs::create_dir(fixture.sandbox.path("home")).unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(fixture.sandbox.path("home"), open).unwrap();
    }
}

#[test]
fn t08_daemon_without_namespace_or_group() {
    // The ways out of the tree of processes that a user has: a session of its own, two forks, a deaf process.
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    let file = fixture.sandbox.path("tmp/beats");
    let stop = fixture.sandbox.path("tmp/beats.stop");
    let beats_on = format!(
        "for i in $(seq 500); do [ ! -e {} ] || exit 0; echo x >>{}; sleep 0.02; done",
        stop.display(),
        file.display()
    );
    fixture.sandbox.file("beat.sh", format!("{beats_on}\n"));
    fixture
        .sandbox
        .file("deaf.sh", format!("trap '' TERM HUP INT\n{beats_on}\n"));
    fixture.sandbox.file("forks.sh", "setsid bash beat.sh &\n");
    for (what, id, daemon) in [
        ("session", "cpu:a", "setsid bash beat.sh"),
        ("double fork", "cpu:b", "setsid bash forks.sh"),
        ("deaf", "cpu:c", "setsid bash deaf.sh"),
    ] {
        let evil = format!("{daemon} >/dev/null 2>&1 & sleep 0.5");
        fixture.gate_with(id, &evil, "leaks = \"fail\"");
        let mut shell = Command::new("bash");
        shell.args(["-c", &evil]).current_dir(fixture.sandbox.repo());
        assert!(shell.status().unwrap().success());
        let naive = beats(&file);
        std::fs::write(&stop, "").unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let _ = std::fs::remove_file(&file);
        std::fs::remove_file(&stop).unwrap();
        for machine in user_machines()
            .into_iter()
            .filter(|machine| !machine.has_namespaces)
        {
            let (code, results, said) = run_on(machine, &fixture, &tool, id);
            attack(&format!("{what}, {machine:?}"), naive, beats(&file));
            let gate = &results["results"][id];
            assert_eq!(
                (&results["evidence"]["isolation"], &gate["reason"], code),
                (&"process_tree".into(), &"leaked_processes".into(), Some(1)),
                "{what}: {gate}\n{said}"
            );
        }
    }
}

#[test]
fn t10_journal_forged_and_worker_killed() {
    let fixture = RunFixture::new();
    let tool = opened(&fixture);
    let journal = fixture.sandbox.path("home/results.json.journal");
    let line = r#"{"event":"gate_ended","gate":"cpu:evil","result":{"status":"pass","reason":null,"rc":0,"duration_s":1.0,"node_tps_p50":null,"node_tps_samples":0,"leaks":0}}"#;
    let evil = format!(
        "sleep 0.3; echo '{line}' >>'{}'; kill -KILL $PPID; sleep 5",
        journal.display()
    );
    fixture.gate("cpu:evil", &evil);
    // A reader that believes the journal: the last line of a gate is its verdict.
    let started = r#"{"event":"gate_started","gate":"cpu:evil","at":"2026-01-01T00:00:00Z"}"#;
    std::fs::write(&journal, format!("{started}\n")).unwrap();
    let shell = ["-c", "bash -c \"$1\" & wait", "-", &evil];
    let _ = Command::new("bash")
        .args(shell)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let believed = std::fs::read_to_string(&journal).unwrap();
    let last: Value = serde_json::from_str(believed.lines().last().unwrap()).unwrap();
    let naive = last["result"]["status"] == "pass";
    for machine in user_machines() {
        let (code, results, said) = run_on(machine, &fixture, &tool, "cpu:evil");
        attack(
            &format!("appended, {machine:?}"),
            naive,
            code == Some(0) || results["results"]["cpu:evil"]["status"] == "pass",
        );
        assert_ne!(results["overall"], "pass", "{said}");
    }
    let rewrite = format!(
        "sleep 0.3; sed -i 's/cpu:rewrites/cpu:other/g' '{}'; kill -KILL $PPID; sleep 5",
        journal.display()
    );
    fixture.gate("cpu:rewrites", &rewrite);
    std::fs::create_dir_all(journal.parent().unwrap()).unwrap();
    std::fs::write(&journal, started.replace("cpu:evil", "cpu:rewrites") + "\n").unwrap();
    let _ = Command::new("bash")
        .args(["-c", "bash -c \"$1\" & wait", "-", &rewrite])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let naive = !std::fs::read_to_string(&journal)
        .unwrap()
        .contains("cpu:rewrites");
    std::fs::remove_file(&journal).unwrap();
    for machine in user_machines()
        .into_iter()
        .filter(|machine| !machine.has_namespaces)
    {
        let (code, results, said) = run_on(machine, &fixture, &tool, "cpu:rewrites");
        attack(&format!("rewritten, {machine:?}"), naive, code == Some(0));
        assert_eq!(results["refused"], "tampered", "{said}");
    }
}
