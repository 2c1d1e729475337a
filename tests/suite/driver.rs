//! Runs the real program in a temporary directory with a clean environment, and checks its exit code, output and files.
#![allow(dead_code, reason = "a driver offers more than each state of the suite uses")]

use std::ffi::OsStr;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use tempfile::TempDir;

use crate::exit_codes;
use crate::expectation::Expectation;
use crate::gh_commands::check_gh_commands;
use crate::statement::{Changes, Files, Output, Place, Status};
use crate::support::program::folder;
use crate::support::registry::Registry;

/// A temporary directory: `repo/` for a checkout, `home/` for other files that the program writes.
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    /// Creates an empty sandbox.
    pub fn new() -> Self {
        let prefix = if hostile() {
            "nmoe-gates-test ğİ ß-"
        } else {
            "nmoe-gates-test-"
        };
        let root = TempDir::with_prefix(prefix).unwrap();
        for dir in ["repo", "home", "tmp"] {
            std::fs::create_dir(root.path().join(dir)).unwrap();
        }
        Sandbox { root }
    }

    /// Returns the path of the checkout.
    pub fn repo(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    /// Returns a path next to the checkout.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Writes a file into the checkout.
    pub fn file(&self, relative: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.repo().join(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Writes the registry of the checkout.
    pub fn registry(&self, registry: &Registry) -> &Self {
        self.file("configs/gates/gates.toml", registry.text())
    }

    /// Runs a git command in the checkout, with a fixed identity and clock, and returns its standard output.
    pub fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        git(&self.repo(), args)
    }

    /// Returns a call of the program in the checkout.
    pub fn gates<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Call {
        // Calls the program by its usual name, because help and usage repeat that name.
        self.gates_of(&folder().join("nmoe-gates"), args)
    }

    /// Returns a call of a copy of the program.
    pub fn gates_of<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, program: &Path, args: I) -> Call {
        let mut command = scrubbed(program);
        command
            .args(args)
            .current_dir(self.repo())
            .env("TMPDIR", self.path("tmp"));
        if hostile() {
            // Not even root can write below a file. State that must be kept has a separate directory.
            command
                .env("HOME", "/dev/null")
                .env("XDG_STATE_HOME", self.path("home/.local/state"));
        } else {
            command.env("HOME", self.path("home"));
        }
        Call {
            command,
            stdin: None,
            root: self.path(""),
        }
    }
}

/// Returns a command whose environment has only `PATH` and a locale. In a hostile run it also has variables that disturb programs.
pub fn scrubbed(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    if hostile() {
        command
            .env("LANG", "tr_TR.UTF-8")
            .env("RUST_BACKTRACE", "full")
            .env("TZ", "Pacific/Kiritimati");
    } else {
        command.env("LC_ALL", "C.UTF-8");
    }
    command
}

/// Returns whether `NMOE_GATES_TEST_HOSTILE=1` requests a hostile environment: backtraces, a Turkish locale, a distant time zone,
/// a read-only HOME, blanks and non-ASCII characters in paths, and files that only their owner may read.
pub fn hostile() -> bool {
    static HOSTILE: LazyLock<bool> = LazyLock::new(|| {
        let asked = std::env::var_os("NMOE_GATES_TEST_HOSTILE").is_some_and(|value| value == "1");
        if asked {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        }
        asked
    });
    *HOSTILE
}

/// Runs a git command in a directory, with a fixed identity and clock, and returns its standard output.
pub fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(dir: &Path, args: I) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "init.defaultBranch=master",
            "-c",
            "protocol.file.allow=always",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.com")
        .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A call of the program that has not started yet.
pub struct Call {
    command: Command,
    stdin: Option<Vec<u8>>,
    root: PathBuf,
}

impl Call {
    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the current directory.
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets the standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Appends the call to another command, with the same environment.
    pub fn under<S: AsRef<OsStr>>(self, words: &[S]) -> Command {
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .current_dir(self.command.get_current_dir().unwrap())
            .env_clear()
            .envs(
                self.command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        command
    }

    /// Returns the command, for tests that send signals or use the pipes.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Starts a strict expectation; see [`Expectation`].
    pub fn expect(self) -> Expectation {
        Expectation::new(self)
    }

    /// Returns the path of the sandbox.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs the program until it exits.
    ///
    /// The test must state the exit code, the output and the changed files; see [`Outcome`].
    #[track_caller]
    pub fn run(mut self) -> Outcome {
        use std::io::Write as _;
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let before = Files::below(&self.root);
        let mut child = self.command.spawn().unwrap();
        let feeder = self.stdin.take().map(|bytes| {
            let mut pipe = child.stdin.take().unwrap();
            std::thread::spawn(move || {
                // A command that has read enough may close the pipe.
                let _ = pipe.write_all(&bytes);
            })
        });
        let output = child.wait_with_output().unwrap();
        if let Some(feeder) = feeder {
            feeder.join().unwrap();
        }
        let call = Arc::new(Place::of(&self.command));
        exit_codes::check_exit_code(self.command.get_args(), output.status.code());
        let mut variables = self.command.get_envs();
        let repository = variables.find(|(name, _)| *name == "GITHUB_REPOSITORY");
        let repository = repository.and_then(|(_, value)| value);
        for bytes in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(bytes);
            check_gh_commands(self.command.get_args(), repository, &text);
        }
        Outcome {
            status: Status::new(output.status.code(), &call),
            stdout: Output::new("standard output", &output.stdout, &call),
            stderr: Output::new("standard error", &output.stderr, &call),
            changes: Changes::new(before.changes(&Files::below(&self.root)), &call),
        }
    }
}

/// The exit code, the output and the changed files of a call.
///
/// A test must state each of them: an exit code that the test does not read, output that it does not read, and a changed file
/// that it does not name fail the test.
#[derive(Debug)]
pub struct Outcome {
    status: Status,
    pub stdout: Output,
    pub stderr: Output,
    changes: Changes,
}

impl Outcome {
    /// Asserts the exit code, and prints the complete output if it differs.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        self.status.call.now_at(Location::caller());
        let found = self.code();
        assert!(
            found == Some(code),
            "expected exit code {code}, found {found:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Returns the exit code; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.stated.set(true);
        self.status.code
    }

    /// Asserts that standard output contains this text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} in\n{}", self.stdout);
        self
    }

    /// Asserts that standard error contains this text.
    #[track_caller]
    pub fn reports(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in\n{}", self.stderr);
        self
    }

    /// Asserts that the call changed exactly these files, named relative to the sandbox.
    #[track_caller]
    pub fn changes(self, paths: &[&str]) -> Self {
        self.changes.stated.set(true);
        assert_eq!(self.changes.paths, paths);
        self
    }

    /// States that the call may exit with any code, because the effect that the test checks does not depend on the code.
    pub fn any_code(self) -> Self {
        self.status.stated.set(true);
        self
    }

    /// States that the call may print anything, because the test only checks other effects.
    pub fn any_output(self) -> Self {
        self.stdout.stated.set(true);
        self.stderr.stated.set(true);
        self
    }

    /// States that the call may change any file, because the test supplies the commands that change files.
    pub fn any_files(self) -> Self {
        self.changes.stated.set(true);
        self
    }

    /// Parses the findings of a lint, and asserts that the exit code follows from them.
    #[track_caller]
    pub fn findings(&self) -> serde_json::Value {
        let json = self.json();
        let errors = json["summary"]["errors"].as_u64().unwrap();
        assert_eq!(self.code(), Some(i32::from(errors > 0)), "{json}");
        json
    }

    /// Parses standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{}\n{}", self.stdout, self.stderr))
    }
}
