//! A fluent way to run the real binary in a scratch place with a scrubbed environment, and to look at what came out.
#![allow(dead_code, reason = "a driver offers more than each state of the suite uses")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::support::program::folder;

/// A scratch place: `repo/` for a checkout, `home/` for everything a tool might write elsewhere.
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    /// An empty place.
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

    /// The checkout.
    pub fn repo(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    /// A path beside the checkout.
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

    /// A git command in the checkout, with a fixed identity and clock; returns what it printed.
    pub fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        git(&self.repo(), args)
    }

    /// A call of the binary in the checkout.
    pub fn gates<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Call {
        // By the name that users call: help and usage repeat that name.
        let mut command = scrubbed(folder().join("nmoe-gates"));
        command
            .args(args)
            .current_dir(self.repo())
            .env("TMPDIR", self.path("tmp"));
        if hostile() {
            // Below a file nothing can be written, not even by root. What must be kept has its own place then.
            command
                .env("HOME", "/dev/null")
                .env("XDG_STATE_HOME", self.path("home/.local/state"));
        } else {
            command.env("HOME", self.path("home"));
        }
        Call { command, stdin: None }
    }
}

/// Returns a command whose environment is only `PATH` and a locale; in a hostile run also what disturbs programs most.
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

/// Whether `NMOE_GATES_TEST_HOSTILE=1` asks for an environment that disturbs programs: backtraces, a Turkish locale, a far
/// time zone, a HOME that cannot be written, blanks and non-ASCII characters in paths, files that only their owner may read.
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

/// A git command in a directory, with a fixed identity and clock; returns what it printed.
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

/// A call that has not been made yet.
pub struct Call {
    command: Command,
    stdin: Option<Vec<u8>>,
}

impl Call {
    /// With this environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// In this directory.
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// With this on standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// The call as the last words of another command, in the same environment.
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

    /// The command itself, for tests that signal it or take its pipes.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Makes the call and waits for its end.
    pub fn run(mut self) -> Outcome {
        use std::io::Write as _;
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let mut child = self.command.spawn().unwrap();
        let feeder = self.stdin.map(|bytes| {
            let mut pipe = child.stdin.take().unwrap();
            std::thread::spawn(move || {
                // A command that has read enough may close its end.
                let _ = pipe.write_all(&bytes);
            })
        });
        let output = child.wait_with_output().unwrap();
        if let Some(feeder) = feeder {
            feeder.join().unwrap();
        }
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a call left.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Asserts the exit code, showing everything where it differs.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as a runner shows it: what it was asked to mask is masked from there on, the asking included.
    pub fn on_a_runner(&self) -> String {
        let (mut shown, mut masks) = (String::new(), Vec::<&str>::new());
        for line in self.stdout.split_inclusive('\n') {
            match line.strip_prefix("::add-mask::") {
                Some(name) => masks.push(name.trim_end()),
                None => shown.push_str(
                    &masks
                        .iter()
                        .fold(line.to_owned(), |l, mask| l.replace(mask, "***")),
                ),
            }
        }
        shown
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{}\n{}", self.stdout, self.stderr))
    }
}
