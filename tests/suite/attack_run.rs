//! Attacks by a gate: on the runner's log and files, on the program's memory and records, on git, and by outliving its run.
//!
//! Each attack is made twice: unprotected (`bash -c` in the runner's environment, as the inline runner does) and inside a gate of
//! the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::attack::{attack, runner};
use crate::driver::git;
use crate::perf_bench::{Bench, perf};
use crate::run_fixture::RunFixture;
use crate::support::contract::contract;
use crate::support::digest::sha256;
use crate::support::program::program;
use crate::support::registry::registry;

/// A run fixture with the environment of a runner, and a gate `evil` that runs this command.
struct AttackFixture {
    inner: RunFixture,
    evil: String,
}

impl AttackFixture {
    fn new(evil: &str) -> Self {
        let fixture = RunFixture::new();
        fixture.gate("cpu:evil", evil);
        let commands = fixture.sandbox.path("home/_runner_file_commands");
        std::fs::create_dir(&commands).unwrap();
        let fixture = AttackFixture {
            inner: fixture,
            evil: evil.to_owned(),
        };
        for (_, path) in fixture.files() {
            std::fs::write(path, "").unwrap();
        }
        fixture
    }

    /// Returns the runner's command files.
    fn files(&self) -> Vec<(&'static str, PathBuf)> {
        [
            "GITHUB_ENV",
            "GITHUB_PATH",
            "GITHUB_OUTPUT",
            "GITHUB_STATE",
            "GITHUB_STEP_SUMMARY",
        ]
        .map(|name| {
            (
                name,
                self.inner
                    .sandbox
                    .path(&format!("home/_runner_file_commands/{name}")),
            )
        })
        .to_vec()
    }

    /// Returns the other variables of the runner's environment.
    fn environment(&self) -> Vec<(String, String)> {
        let secret = |name: &str| (name.to_owned(), format!("planted-{}", name.to_lowercase()));
        let mut all: Vec<(String, String)> = [
            "GITHUB_TOKEN",
            "ACTIONS_RUNTIME_TOKEN",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "KUBERNETES_SERVICE_HOST",
        ]
        .map(secret)
        .to_vec();
        let files = self
            .files()
            .into_iter()
            .map(|(name, path)| (name.to_owned(), path.display().to_string()));
        all.extend(files);
        all.push((
            "VICTIM".to_owned(),
            self.inner.sandbox.path("home/victim").display().to_string(),
        ));
        all.push((
            "HOME".to_owned(),
            self.inner.sandbox.path("home").display().to_string(),
        ));
        all
    }

    /// Runs the attack unprotected and returns its output.
    fn naive(&self) -> String {
        let out = Command::new("timeout")
            .args(["5", "bash", "-c", &self.evil])
            .current_dir(self.inner.sandbox.repo())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(self.environment())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Runs the attack inside a gate and returns the log.
    fn ours(&self) -> String {
        let run = self.inner.run_with(&["--gate", "cpu:evil"], &self.environment());
        assert_ne!(run.out.code(), Some(2), "{}", run.out.stderr);
        assert!(
            run.results["results"]["cpu:evil"]["status"].is_string(),
            "{}",
            run.out.stderr
        );
        run.out.stdout.into()
    }

    /// Runs the attack both ways and asserts that this condition holds only without protection.
    #[track_caller]
    fn attack(&self, what: &str, succeeded: impl Fn(&str) -> bool) {
        let naive = succeeded(&self.naive());
        self.clean();
        attack(what, naive, succeeded(&self.ours()));
        self.clean();
    }

    fn clean(&self) {
        for (_, path) in self.files() {
            let _ = std::fs::remove_file(&path);
            std::fs::write(path, "").unwrap();
        }
        let _ = std::fs::remove_file(self.inner.sandbox.path("home/victim"));
    }
}

#[test]
fn t04_workflow_commands_in_gate_output() {
    for line in [
        r"printf '::set-env name=X::1\n'",
        r"printf '  ::error::at the start after blanks\n'",
        r"printf 'progress 50%%\r::add-mask::pass\n'",
        r"printf 'text ##[error]anywhere in a line\n'",
        r"printf '##[add-matcher]x.json\n'",
        r"printf '::stop-commands::x\n::x::\n::warning::back\n'",
        r"printf '::' ; sleep 0.05; printf 'error::in two pieces\n'",
        r"printf '\xff\xfe::error::behind bytes that are no text\n##[set-output name=a]b\n'",
        r"printf '\0::debug::x\n\r\r::save-state name=a::b'",
        r"echo '::group::mine'; echo '::endgroup::'; echo '::save-state name=a::b' >&2",
    ] {
        let fixture = AttackFixture::new(line);
        // The inline runner's log filter looks for two colons at the start of a line.
        let filtered = |text: &str| {
            text.split('\n')
                .filter(|l| !l.starts_with("::"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let naive = fixture.naive();
        let ours = fixture.ours();
        let (live, left) = (runner::commands(&naive), runner::commands(&ours));
        attack(
            line,
            !live.is_empty() || naive.is_empty() || filtered(&naive) != naive,
            !left.is_empty(),
        );
    }
    // That filter alone misses most of these commands.
    let through = ["a\r::error::x", "x ##[error]y", " ::error::z"];
    assert!(
        through
            .iter()
            .all(|line| !line.starts_with("::") && !runner::commands(line).is_empty())
    );
}

#[test]
fn t05_command_files_by_name() {
    for name in [
        "GITHUB_ENV",
        "GITHUB_PATH",
        "GITHUB_OUTPUT",
        "GITHUB_STATE",
        "GITHUB_STEP_SUMMARY",
    ] {
        let fixture = AttackFixture::new(&format!("echo 'planted=1' >> \"${{{name}:-/dev/null}}\""));
        let written = |_: &str| {
            fixture
                .files()
                .iter()
                .any(|(_, path)| std::fs::read_to_string(path).unwrap().contains("planted"))
        };
        fixture.attack(name, written);
    }
}

#[test]
fn t05_command_files_by_search() {
    let fixture = AttackFixture::new(
        "for f in $(find \"$HOME\" -path '*_runner_file_commands/*' -type f); do echo planted=1 >> \"$f\"; done",
    );
    let written = |_: &str| {
        fixture
            .files()
            .iter()
            .any(|(_, path)| std::fs::read_to_string(path).unwrap().contains("planted"))
    };
    fixture.attack("found and written", written);
    let run = fixture
        .inner
        .run_with(&["--gate", "cpu:evil"], &fixture.environment())
        .exits(1);
    assert_eq!(run.gate("cpu:evil")["reason"], "tampered", "and it is said");
    assert_ne!(run.results["overall"], "pass");
}

#[test]
fn t05_new_or_linked_command_file() {
    for evil in [
        "d=$(find \"$HOME\" -type d -name _runner_file_commands); echo planted=1 > \"$d/add_path_new\"",
        "d=$(find \"$HOME\" -type d -name _runner_file_commands); echo planted=1 > \"$HOME/own\"; ln -sf \"$HOME/own\" \"$d/GITHUB_ENV\"",
    ] {
        let fixture = AttackFixture::new(evil);
        let folder = fixture.inner.sandbox.path("home/_runner_file_commands");
        let planted = |_: &str| {
            let mut found = false;
            for file in std::fs::read_dir(&folder).unwrap().flatten() {
                if std::fs::read_to_string(file.path())
                    .unwrap_or_default()
                    .contains("planted")
                {
                    found = true;
                    std::fs::remove_file(file.path()).unwrap();
                }
            }
            found
        };
        fixture.attack(evil, planted);
    }
}

#[test]
fn t07_tokens_in_environment() {
    let fixture = AttackFixture::new("env -0 | tr '\\0' '\\n'");
    for name in [
        "github_token",
        "actions_runtime_token",
        "actions_id_token_request_token",
        "aws_secret_access_key",
        "kubernetes_service_host",
    ] {
        fixture.attack(name, |log| log.contains(&format!("planted-{name}")));
    }
}

#[test]
fn t02_environment_and_memory_of_parent() {
    // The environment of the parent still holds the token. Root could read it, so the gate runs as the user nobody.
    let spy = "tr '\\0' '\\n' < /proc/$PPID/environ; head -c 1 /proc/$PPID/mem 2>&1 | grep -q denied || { (: < /proc/$PPID/mem) 2>/dev/null && echo memory-open; }; true";
    let fixture = RunFixture::new();
    fixture.gate("cpu:spy", spy);
    let tool = fixture.sandbox.path("tool");
    std::fs::copy(program(), &tool).unwrap();
    for dir in [".", "repo", "home", "tmp"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(fixture.sandbox.path(dir), mode).unwrap();
    }
    let as_nobody = |program: &Path, args: &[&str]| {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        let out = command
            .args(args)
            .current_dir(fixture.sandbox.repo())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", fixture.sandbox.path("home"))
            .env("TMPDIR", fixture.sandbox.path("tmp"))
            .env("GITHUB_TOKEN", "planted-token")
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    // `env -u` alone cleans the environment of the child, but not of the parent.
    let inner = format!(
        "env -u GITHUB_TOKEN bash -c '{}'; true",
        spy.replace('\'', "'\\''")
    );
    let naive = as_nobody(Path::new("bash"), &["-c", &inner]);
    let ours = as_nobody(&tool, &["run", "--gate", "cpu:spy"]);
    attack(
        "the parent's environment",
        naive.contains("planted-token"),
        ours.contains("planted-token"),
    );
    attack(
        "the parent's memory",
        naive.contains("memory-open"),
        ours.contains("memory-open"),
    );
}

#[test]
fn t06_link_at_results_path() {
    for file in ["results.json", "results.json.journal"] {
        let fixture = AttackFixture::new("true");
        let (victim, path) = (
            fixture.inner.sandbox.path("home/victim"),
            fixture.inner.sandbox.path(&format!("home/{file}")),
        );
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let overwritten = || std::fs::read_to_string(&victim).unwrap() != "precious";
        Command::new("bash")
            .args(["-c", "echo '{}' > \"$1\"", "-", &path.display().to_string()])
            .status()
            .unwrap();
        let naive = overwritten();
        std::fs::write(&victim, "precious").unwrap();
        fixture
            .inner
            .run(&["--gate", "cpu:evil"])
            .exits(2)
            .reports("error: ");
        attack(file, naive, overwritten());
    }
}

#[test]
fn t10_results_committed_by_change() {
    let fixture = AttackFixture::new("exit 1");
    let forged = r#"{"overall": "pass"}"#;
    for path in ["results.json", "gates/results.json", ".nmoe/results.json"] {
        fixture.inner.sandbox.file(path, forged);
    }
    let naive = std::fs::read_to_string(fixture.inner.sandbox.repo().join("results.json")).unwrap();
    let ours = fixture.inner.run(&["--gate", "cpu:evil"]).exits(1).results;
    let green = |results: &Value| results["overall"] == "pass";
    attack(
        "a tracked results file is taken for this run's",
        green(&serde_json::from_str(&naive).unwrap()),
        green(&ours),
    );
}

#[test]
fn t10_gate_rewrites_results() {
    let evil = "for f in $(find \"$HOME\" -name 'results.json*' -type f); do printf '{\"overall\":\"pass\"}' > \"$f\"; done; exit 1";
    let fixture = AttackFixture::new(evil);
    let path = fixture.inner.results();
    std::fs::write(&path, r#"{"overall":"fail"}"#).unwrap();
    let green = || {
        serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).is_ok_and(|r| r["overall"] == "pass")
    };
    fixture.naive();
    let naive = green();
    let _ = std::fs::remove_file(&path);
    fixture
        .inner
        .run_with(&["--gate", "cpu:evil"], &fixture.environment())
        .exits(1);
    attack("the record is rewritten while it is made", naive, green());
}

/// Returns the living processes that have this mark on their command line.
fn alive(mark: &str) -> Vec<rustix::process::Pid> {
    let marked = |dir: std::fs::DirEntry| {
        let pid = dir.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(dir.path().join("stat")).ok()?;
        let line = std::fs::read(dir.path().join("cmdline")).ok()?;
        let ours = String::from_utf8_lossy(&line)
            .split('\0')
            .any(|word| word == mark);
        (ours && !stat.contains(") Z "))
            .then(|| rustix::process::Pid::from_raw(pid))
            .flatten()
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(marked)
        .collect()
}

#[test]
fn t08_processes_outlive_gate() {
    let sleeper = |mark: &str| format!("exec -a {mark} sleep 20");
    for (kind, wrap) in [
        ("background", "(SLEEP) >/dev/null 2>&1 &"),
        ("session", "setsid bash -c 'SLEEP' >/dev/null 2>&1 &"),
        (
            "double-fork",
            "bash -c '(setsid bash -c \"SLEEP\" &) &' >/dev/null 2>&1",
        ),
        (
            "deaf",
            "setsid bash -c 'trap \"\" TERM INT HUP; SLEEP' >/dev/null 2>&1 &",
        ),
        ("pipe-holder", "(SLEEP) &"),
        ("nohup", "nohup bash -c 'SLEEP' >/dev/null 2>&1 &"),
    ] {
        let mark = format!("nmoe-mark-{}-{kind}", std::process::id());
        let fixture = AttackFixture::new(&format!("{}\nsleep 0.2", wrap.replace("SLEEP", &sleeper(&mark))));
        // As the inline runner does: wait for the shell only.
        let mut shell = Command::new("bash")
            .args(["-c", &fixture.evil])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        shell.wait().unwrap();
        let left = alive(&mark);
        for pid in &left {
            // The process may have ended already.
            let _ = rustix::process::kill_process(*pid, rustix::process::Signal::KILL);
        }
        fixture.ours();
        attack(kind, !left.is_empty(), !alive(&mark).is_empty());
    }
}

/// Makes a process of an odd kind, which writes the time into a file every 20 ms for three seconds.
const ODD: &str = r#"import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None)
kind, beat = sys.argv[1:]
def live():
    end = time.time() + 3
    while time.time() < end and os.path.isdir(os.path.dirname(beat)):
        open(beat, "w").write(str(time.time()))
        time.sleep(0.02)
    os._exit(0)
if kind == "live": live()
def fork(flags=0):
    return libc.syscall(220 if os.uname().machine == "aarch64" else 56, flags, 0, 0, 0, 0) == 0
if kind == "without exit signal" and fork(): live()
if kind == "sibling of the gate" and fork(0x8000 | 17): live()
if kind == "traced" and fork(17):
    traced = os.fork()
    if traced == 0: live()
    libc.ptrace(16, traced, 0, 0); os.waitpid(traced, 0); libc.ptrace(7, traced, 0, 0)
    time.sleep(3); os._exit(0)
if kind == "namespace inside" and fork(17):
    libc.unshare(0x10000000 | 0x20000000)
    if os.fork() == 0: live()
    os._exit(0)
if kind == "program in memory" and fork(17):
    os.setsid()
    program = libc.memfd_create(b"x", 0)
    os.write(program, open("/usr/bin/env", "rb").read())
    os.execve("/proc/self/fd/%d" % program, ["env", "python3", __file__, "live", beat], os.environ)
if kind == "after attacks on process 1":
    for sign in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM) if os.getpid() < 50 else ():
        try: os.kill(1, sign)
        except OSError: pass
    if fork(17): live()
until = time.time() + 10
while not os.path.exists(beat) and time.time() < until: time.sleep(0.02)
"#;

#[test]
fn slow_t08_processes_of_odd_kinds() {
    for kind in [
        "without exit signal",
        "sibling of the gate",
        "traced",
        "namespace inside",
        "program in memory",
        "after attacks on process 1",
    ] {
        let fixture = RunFixture::new();
        fixture.sandbox.file("odd.py", ODD);
        let beat = fixture.sandbox.path("home/beat");
        let command = format!("python3 odd.py '{kind}' {}", beat.display());
        fixture.gate_with("cpu:odd", &command, "leaks = \"fail\"");
        let is_alive = || {
            let read = || std::fs::read_to_string(&beat).unwrap_or_default();
            let before = read();
            std::thread::sleep(std::time::Duration::from_millis(300));
            read() != before
        };
        let run = fixture.run(&["--gate", "cpu:odd"]).exits(1);
        let ours = is_alive();
        let result = &run.results["results"]["cpu:odd"];
        assert_eq!(result["reason"], "leaked_processes", "{kind}: {result}");
        std::fs::remove_file(&beat).unwrap();
        let naive = Command::new("bash")
            .args(["-c", &command])
            .current_dir(fixture.sandbox.repo())
            .status();
        assert!(naive.unwrap().success(), "{kind}");
        attack(kind, is_alive(), ours);
    }
}

#[test]
fn t13_required_files_outside_checkout() {
    let fixture = RunFixture::new();
    fixture.sandbox.git(["init", "-q"]);
    let outside = fixture.sandbox.path("home/outside.toml");
    std::fs::write(&outside, "x").unwrap();
    std::os::unix::fs::symlink(&outside, fixture.sandbox.repo().join("link.toml")).unwrap();
    for (what, path) in [("a link", "link.toml"), ("two dots", "../home/outside.toml")] {
        let id = format!("cpu:{}", what.replace(' ', "-"));
        fixture.gate_with(&id, "true", &format!("requires_files = [\"{path}\"]"));
        let naive = fixture.sandbox.repo().join(path).exists();
        let run = fixture.run(&["--gate", &id]).exits(3);
        attack(what, naive, run.gate(&id)["status"] == "pass");
    }
}

/// Configures the git of the subject so that it runs a program.
fn trapped(fixture: &RunFixture, mark: &Path) {
    let repo = fixture.sandbox.repo();
    let script = format!("#!/bin/sh\necho \"$0\" >> '{}'\ncat\n", mark.display());
    fixture.sandbox.file("trap.sh", &script);
    let trap = repo.join("trap.sh");
    let executable: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&trap, executable.clone()).unwrap();
    fixture.sandbox.git(["init", "-q"]);
    fixture
        .sandbox
        .file(".gitattributes", "*.txt filter=evil diff=evil\n");
    fixture.sandbox.file("a.txt", "one\n");
    fixture.sandbox.git(["add", "."]);
    fixture.sandbox.git(["commit", "-q", "-m", "one"]);
    for hook in ["post-checkout", "post-index-change", "reference-transaction"] {
        let path = repo.join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(&trap, &path).unwrap();
        std::fs::set_permissions(&path, executable.clone()).unwrap();
    }
    let trap = trap.display().to_string();
    for (key, value) in [
        ("core.fsmonitor", &trap),
        ("filter.evil.clean", &trap),
        ("filter.evil.smudge", &trap),
        ("diff.evil.textconv", &trap),
    ] {
        fixture.sandbox.git(["config", key, value]);
    }
}

#[test]
fn t14_git_hooks_monitors_and_filters() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:fine", "true");
    let mark = fixture.sandbox.path("home/mark");
    trapped(&fixture, &mark);
    // The size is unchanged, so git must read the file, and filter it.
    std::fs::write(fixture.sandbox.repo().join("a.txt"), "two\n").unwrap();
    let ran = || std::fs::remove_file(&mark).is_ok();
    let naive = |args: &[&str]| {
        let _ = Command::new("git")
            .args(args)
            .current_dir(fixture.sandbox.repo())
            .output()
            .unwrap();
        ran()
    };
    let (status, worktree) = (
        naive(&["status", "--porcelain"]),
        naive(&["worktree", "add", "-q", "--detach", "../home/w", "HEAD"]),
    );
    fixture.run(&["--gate", "cpu:fine"]).exits(0);
    let ours = ran();
    attack("git status runs a monitor and a filter", status, ours);
    attack("a worktree runs hooks and filters", worktree, ours);
}

/// A signed commit makes `git log` run the program for signatures, and a missing object makes git run the program of the remote.
#[test]
fn t14_signatures_and_missing_objects() {
    let fixture = RunFixture::new();
    let mark = fixture.sandbox.path("home/mark");
    trapped(&fixture, &mark);
    let repo = fixture.sandbox.repo();
    let trap = repo.join("trap.sh").display().to_string();
    // This program ends, so that git does not wait for an answer.
    let remote = format!("echo remote >> '{}'; false", mark.display());
    fixture.sandbox.file("b.txt", "b\n");
    fixture.sandbox.git(["add", "b.txt"]);
    let tree = fixture.sandbox.git(["write-tree"]);
    let parent = fixture.sandbox.git(["rev-parse", "HEAD"]);
    let signed = format!(
        "tree {}\nparent {}\nauthor A <a@example.com> 1767225600 +0000\ncommitter A <a@example.com> 1767225600 +0000\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\ntwo\n",
        tree.trim(),
        parent.trim()
    );
    std::fs::write(fixture.sandbox.path("home/commit"), signed).unwrap();
    let from = fixture.sandbox.path("home/commit").display().to_string();
    let id = fixture.sandbox.git(["hash-object", "-t", "commit", "-w", &from]);
    fixture
        .sandbox
        .git(["update-ref", "refs/heads/signed", id.trim()]);
    for (key, value) in [
        ("log.showSignature", "true"),
        ("gpg.program", &trap),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", "ssh://example.invalid/x"),
        ("remote.origin.promisor", "true"),
        ("core.sshCommand", &remote),
    ] {
        fixture.sandbox.git(["config", key, value]);
    }
    let ran = || std::fs::remove_file(&mark).is_ok();
    let naive = |args: &[&str]| {
        let mut git = Command::new("git");
        let _ = git
            .args(args)
            .current_dir(&repo)
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()
            .unwrap();
        ran()
    };
    let range = format!("{}..{}", parent.trim(), id.trim());
    let ours = || {
        let call = fixture.call(&["lint", "safety", "--diff", &range]);
        let _ = call.run().any_code().any_output();
        ran()
    };
    attack(
        "the program for signatures",
        naive(&["log", "-1", id.trim()]),
        ours(),
    );
    let blob = fixture.sandbox.git(["rev-parse", "signed:b.txt"]);
    let (folder, rest) = blob.trim().split_at(2);
    std::fs::remove_file(repo.join(".git/objects").join(folder).join(rest)).unwrap();
    attack(
        "the program of a remote",
        naive(&["cat-file", "-p", blob.trim()]),
        ours(),
    );
}

#[test]
fn t14_filters_of_submodule_and_lfs() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:fine", "true");
    let mark = fixture.sandbox.path("home/mark");
    let trap = fixture.sandbox.path("home/trap.sh");
    std::fs::write(&trap, format!("#!/bin/sh\necho x >> '{}'\ncat\n", mark.display())).unwrap();
    let executable: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&trap, executable).unwrap();
    let part = fixture.sandbox.path("part");
    std::fs::create_dir(&part).unwrap();
    git(&part, ["init", "-q"]);
    std::fs::write(part.join(".gitattributes"), "*.bin filter=lfs\n").unwrap();
    std::fs::write(part.join("a.bin"), "one\n").unwrap();
    git(&part, ["add", "."]);
    git(&part, ["commit", "-q", "-m", "one"]);
    fixture.sandbox.git(["init", "-q"]);
    let from = part.display().to_string();
    fixture
        .sandbox
        .git(["submodule", "--quiet", "add", from.as_str(), "part"]);
    fixture.sandbox.git(["add", "."]);
    fixture.sandbox.git(["commit", "-q", "-m", "one"]);
    let inner = fixture.sandbox.repo().join("part");
    let trap = trap.display().to_string();
    for key in ["clean", "smudge", "process"] {
        git(&inner, ["config", &format!("filter.lfs.{key}"), trap.as_str()]);
    }
    git(&inner, ["config", "filter.lfs.required", "true"]);
    // The size is unchanged, so git must read the content, and filter it.
    std::fs::write(inner.join("a.bin"), "two\n").unwrap();
    let ran = || std::fs::remove_file(&mark).is_ok();
    let naive = |dir: &Path| {
        let _ = Command::new("git")
            .args(["status", "--porcelain"])
            .current_dir(dir)
            .output()
            .unwrap();
        ran()
    };
    let (through, within) = (naive(&fixture.sandbox.repo()), naive(&inner));
    let run = fixture.run(&["--gate", "cpu:fine"]).exits(0);
    let ours = ran();
    attack("git status runs a submodule's filter", through, ours);
    attack("git status runs the filter of large files", within, ours);
    assert_eq!(
        run.results["evidence"]["dirty"], true,
        "the submodule's change is seen"
    );
}

/// A gate plants filters in the private repository of the baseline. Neither the checkout nor the last check may run them.
#[test]
fn t14_filter_in_baseline_repository() {
    let bench = Bench::speed(100_000, 100_000);
    let mark = bench.sandbox.path("home/mark");
    let trap = bench.sandbox.path("home/trap.sh");
    std::fs::write(&trap, format!("#!/bin/sh\nenv >> '{}'\ncat\n", mark.display())).unwrap();
    let executable: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&trap, executable).unwrap();
    let plant = |git: &str| {
        format!(
            "for git in {git}; do mkdir -p \"$git/info\"; echo '* filter=evil' > \"$git/info/attributes\"; for key in clean smudge; do \
             git config --file \"$git/config\" filter.evil.$key '{}'; done; done\n",
            trap.display()
        )
    };
    let ran = || std::fs::remove_file(&mark).is_ok();
    git(&bench.sandbox.path("."), ["clone", "-q", "repo", "victim"]);
    let victim = bench.sandbox.path("victim");
    let commands = plant(".git")
        + "GIT_INDEX_FILE=new git read-tree HEAD; GIT_INDEX_FILE=new git update-index -q --refresh";
    let _ = Command::new("bash")
        .args(["-c", &commands])
        .current_dir(&victim)
        .output()
        .unwrap();
    let naive = ran();
    // The first start of the trainer is the compared gate, and the baseline is checked out after it.
    let private = bench.sandbox.path("home/.local/state/nmoe-gates/perf");
    let plant =
        plant(&format!("'{}'/*/git", private.display())) + "echo planted > \"$NMOE_DATA_PATH/planted\"\n";
    std::fs::write(bench.sandbox.path("data/at-launch-1"), plant).unwrap();
    let (out, results) = bench.run(&[]);
    assert!(bench.sandbox.path("data/planted").exists(), "{out:?}");
    assert_eq!(perf(&results)["status"], "pass", "{results:#}");
    attack("a gate's filter runs on the baseline", naive, ran());
    out.exits(0).prints("perf: ");
}

#[test]
fn t14_merge_drivers() {
    let fixture = RunFixture::new();
    let mark = fixture.sandbox.path("home/mark");
    fixture.sandbox.git(["init", "-q"]);
    fixture.sandbox.file(".gitattributes", "*.txt merge=evil\n");
    fixture.sandbox.file("a.txt", "one\n");
    fixture.sandbox.git(["add", "."]);
    fixture.sandbox.git(["commit", "-q", "-m", "one"]);
    for (branch, text) in [("issue/01-x", "two\n"), ("issue/02-x", "three\n")] {
        fixture.sandbox.git(["checkout", "-q", "-B", branch, "master"]);
        fixture.sandbox.file("a.txt", text);
        fixture.sandbox.git(["commit", "-q", "-am", branch]);
    }
    fixture.sandbox.git(["checkout", "-q", "master"]);
    let trap = format!("echo x >> '{}'", mark.display());
    fixture
        .sandbox
        .git(["config", "merge.evil.driver", trap.as_str()]);
    let ran = || std::fs::remove_file(&mark).is_ok();
    let _ = Command::new("git")
        .args(["merge-tree", "--write-tree", "issue/01-x", "issue/02-x"])
        .current_dir(fixture.sandbox.repo())
        .output()
        .unwrap();
    let naive = ran();
    for issue in ["01", "02"] {
        let contract = contract(issue, "x").allow(&format!("own{issue}")).section();
        fixture.sandbox.file(&format!("work/{issue}.md"), contract);
    }
    let plan = fixture
        .sandbox
        .gates(["plan", "work", "--format", "json"])
        .run()
        .exits(0);
    attack("a trial merge runs a merge driver", naive, ran());
    assert_eq!(
        plan.json()["hotspots"][0]["path"],
        "a.txt (01 and 02)",
        "and what it would have settled is a conflict"
    );
}

#[test]
fn t15_baseline_looks_like_option() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:fine", "true");
    fixture.sandbox.git(["init", "-q"]);
    fixture.sandbox.git(["add", "."]);
    fixture.sandbox.git(["commit", "-q", "-m", "one"]);
    // git reads the ref as an option and HEAD as the commit, so the change is compared with itself.
    let naive = Command::new("git")
        .args(["worktree", "add", "--detach", "../home/w", "--lock"])
        .current_dir(fixture.sandbox.repo())
        .output()
        .unwrap();
    let ours = fixture
        .run(&["--gate", "cpu:fine", "--baseline-ref=--lock"])
        .reports("error: ");
    attack("--lock", naive.status.success(), ours.out.code() == Some(0));
}

#[test]
fn t16_registry_rewritten_by_change() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:check", "exit 1");
    let subject = fixture.sandbox.path("subject");
    std::fs::create_dir_all(subject.join("configs/gates")).unwrap();
    let own = registry().tier_a("cpu:check", "true").text();
    std::fs::write(subject.join("configs/gates/gates.toml"), own).unwrap();
    let subject = subject.display().to_string();
    // As the inline runner does: use the registry of the checkout under test.
    let naive = fixture
        .run(&["--gate", "cpu:check", "--repo", &subject, "--subject", &subject])
        .exits(0)
        .results;
    let ours = fixture
        .run(&["--gate", "cpu:check", "--subject", &subject])
        .exits(1)
        .results;
    attack(
        "the gate is `true` now",
        naive["overall"] == "pass",
        ours["overall"] == "pass",
    );
}

#[test]
fn t03_subject_differs_from_resolution() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:check", "true");
    fixture.sandbox.git(["init", "-q"]);
    fixture.sandbox.git(["add", "."]);
    fixture.sandbox.git(["commit", "-q", "-m", "approved"]);
    let origin = fixture.sandbox.path("origin.git");
    git(
        &fixture.sandbox.path("."),
        ["clone", "-q", "--bare", "repo", "origin.git"],
    );
    let approved = fixture.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    git(&origin, ["update-ref", "refs/pull/5/merge", &approved]);
    // After approval the ref moves.
    fixture.sandbox.file("evil.py", "");
    fixture.sandbox.git(["add", "."]);
    fixture.sandbox.git(["commit", "-q", "-m", "not approved"]);
    git(
        &fixture.sandbox.repo(),
        ["push", "-q", "../origin.git", "HEAD:refs/pull/5/merge"],
    );
    let moved = fixture.sandbox.path("moved");
    std::fs::create_dir(&moved).unwrap();
    git(&moved, ["init", "-q"]);
    git(&moved, ["fetch", "-q", "../origin.git", "refs/pull/5/merge"]);
    git(&moved, ["checkout", "-q", "FETCH_HEAD"]);
    let naive = moved.join("evil.py").exists();
    let tree = fixture
        .sandbox
        .git(["rev-parse", "HEAD~1^{tree}"])
        .trim()
        .to_owned();
    let registry = std::fs::read(fixture.sandbox.repo().join("configs/gates/gates.toml")).unwrap();
    let resolution = serde_json::json!({"schema": 1, "repository": "o/n", "pull": 5, "head": approved, "base": approved, "base_branch": "master",
        "merge": approved, "tree": tree, "bundle": "single", "gate_ids": ["cpu:check"], "uncovered": [],
        "registry": {"sha256": sha256(registry), "source": "base", "proposed": null}, "contract": null,
        "findings": {"errors": 0, "warnings": 0, "shown": []}, "gpu_minutes": 0.0,
        "nonce": "0".repeat(32), "tool": env!("CARGO_PKG_VERSION")});
    let file = fixture.sandbox.path("home/resolution.json");
    std::fs::write(&file, resolution.to_string()).unwrap();
    let (moved, file) = (moved.display().to_string(), file.display().to_string());
    let ours = fixture.run(&["--gate", "cpu:check", "--subject", &moved, "--resolution", &file]);
    attack("the moved ref is followed", naive, ours.out.code() == Some(0));
    assert!(
        ours.out.stderr.contains("differs from the resolution"),
        "{}",
        ours.out.stderr
    );
}

#[test]
fn t21_output_flood() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:flood", "yes | head -c 100000000; exit 3");
    // As the inline runner does: collect the output in memory.
    let naive = Command::new("bash")
        .args(["-c", "yes | head -c 100000000"])
        .output()
        .unwrap()
        .stdout
        .capacity();
    let script = "\"$@\" >/dev/null 2>&1 & pid=$!; peak=0; while kill -0 $pid 2>/dev/null; do now=$(awk '/VmHWM/ {print $2}' /proc/$pid/status 2>/dev/null); peak=${now:-$peak}; sleep 0.02; done; wait $pid; echo $? $peak";
    let mut shell = fixture
        .call(&["run", "--gate", "cpu:flood"])
        .under(&["bash", "-c", script, "-"]);
    let said = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    let (code, peak) = said.trim().split_once(' ').unwrap();
    assert_eq!(code, "1", "the verdict is right all the same");
    attack(
        "memory grows with the output",
        naive > 50 << 20,
        peak.parse::<u64>().unwrap() > 50 << 10,
    );
}
