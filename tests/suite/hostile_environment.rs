//! Checks that no environment variable, closed descriptor or full device changes what an error prints or how the program ends.

use std::process::{Command, Stdio};

use regex::Regex;

use crate::driver::Sandbox;
use crate::support::registry::registry;

/// Command lines that fail, for every subcommand.
const FAILING: &[&str] = &[
    "",
    "nosuch",
    "--no-such-option",
    "--format nosuch explain",
    "init --no-such-option",
    "init --format sarif",
    "doctor --no-such-option",
    "doctor --format dot",
    "explain nosuch",
    "explain timeout --format dot",
    "explain timeuot",
    "schema nosuch",
    "completions",
    "completions nosuch",
    "man --dir configs/gates/gates.toml/man",
    "lint",
    "lint nosuch",
    "lint contract none.md",
    "lint contract empty.md",
    "lint attestation none.md",
    "lint attestation empty.md",
    "lint registry",
    "lint safety none",
    "lint safety --baseline none.json .",
    "lint workflows none.yml",
    "lint scope",
    "lint scope --contract none.md --diff none.diff",
    "lint pr",
    "kernels",
    "kernels inspect none.so",
    "kernels inspect empty.md",
    "kernels check none.so",
    "kernels check --cpu empty.md",
    "kernels collectives none",
    "kernels driver --format dot",
    "gates show cpu:none",
    "gates resolve --bundle none",
    "gates resolve --gate cpu:none --format dot",
    "gates list --repo none",
    "perf compare",
    "perf compare none.log none.log",
    "perf calibrate --gate cpu:none",
    "perf history show none",
    "plan none",
    "plan --format sarif",
    "publish none.json --pr 1",
    "publish --pr x",
    "demo --keep configs",
    "demo --format json",
    "report none.json",
    "report empty.md",
    "report --format dot",
    "run",
    "run --gate cpu:none",
    "run --gate cpu:ok --contract none.md",
    "run --gate cpu:ok --results results.json",
    "run --gate cpu:ok --heartbeat x",
    "run --gate cpu:missing",
    "resolve --pr x --bundle none",
    "resolve --pr 1 --bundle none",
    "start",
    "start 01",
    "start --format sarif 01",
    "attest none.md",
    "attest --verify none.md",
    "ready",
    "ready 1",
    "images --base none",
    "images --format sarif",
];

/// The result of a command line.
#[derive(Debug, PartialEq)]
struct Left {
    /// Exit code; `None` after a signal.
    code: Option<i32>,
    /// Standard error, without paths, times and the width of the terminal.
    said: String,
    /// Whether anything was printed to standard output.
    printed: bool,
}

/// An environment in which every command line is called.
struct Surrounding {
    name: &'static str,
    /// Variables to set or to unset.
    variables: &'static [(&'static str, Option<&'static str>)],
    /// Redirections in shell syntax.
    redirections: &'static str,
    /// The part of the result that must equal the result in the fixed environment.
    same: Same,
}

enum Same {
    /// Standard error and exit code.
    Everything,
    /// The same, unless the command prints to standard output.
    UnlessPrinted,
    /// The exit code, because standard error is closed.
    Code,
    /// Nothing, because a program or a folder is missing; the exit code must still be a documented one.
    Documented,
}

const SURROUNDINGS: &[Surrounding] = &[
    Surrounding {
        name: "backtraces, a stack of one byte, a hostile terminal and language",
        variables: &[
            ("RUST_BACKTRACE", Some("1")),
            ("RUST_LIB_BACKTRACE", Some("1")),
            ("RUST_MIN_STACK", Some("1")),
            ("RUST_LOG", Some("trace")),
            ("TERM", Some("\u{1b}]0;x\u{7}")),
            ("LANG", Some("tr_TR.UTF-8")),
            ("LC_ALL", Some("../../../etc/passwd")),
            ("TZ", Some("../../../etc/passwd")),
            ("COLUMNS", Some("40")),
            ("LINES", Some("-1")),
            ("CLICOLOR_FORCE", Some("1")),
            ("TMPDIR", Some("/nonexistent")),
        ],
        redirections: "",
        same: Same::Everything,
    },
    Surrounding {
        name: "full backtraces, a stack larger than memory, a dumb terminal, no language",
        variables: &[
            ("RUST_BACKTRACE", Some("full")),
            ("RUST_MIN_STACK", Some("9223372036854775807")),
            ("RUSTFLAGS", Some("-Cx")),
            ("TERM", Some("dumb")),
            ("NO_COLOR", Some("1")),
            ("COLUMNS", Some("99999999999999999999")),
            ("LC_ALL", None),
        ],
        redirections: "",
        same: Same::Everything,
    },
    Surrounding {
        name: "no home and no path",
        variables: &[("HOME", None), ("PATH", None), ("RUST_BACKTRACE", Some("1"))],
        redirections: "",
        same: Same::Documented,
    },
    Surrounding {
        name: "the home is a file, the path leads nowhere",
        variables: &[("HOME", Some("/dev/null")), ("PATH", Some("/nonexistent"))],
        redirections: "",
        same: Same::Documented,
    },
    Surrounding {
        name: "nothing open",
        variables: &[("RUST_BACKTRACE", Some("1"))],
        redirections: "<&- >&- 2>&-",
        same: Same::Code,
    },
    Surrounding {
        name: "input closed, output full",
        variables: &[("RUST_BACKTRACE", Some("1"))],
        redirections: "<&- >/dev/full",
        same: Same::UnlessPrinted,
    },
    Surrounding {
        name: "output closed, error full",
        variables: &[("RUST_BACKTRACE", Some("1"))],
        redirections: ">&- 2>/dev/full",
        same: Same::Code,
    },
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .registry(
            &registry()
                .tier_a("cpu:ok", "true")
                .gate("cpu:missing", "true", "tier = \"a\"\nrequires = [\"NMOE_NONE\"]")
                .bundle("broken", &["cpu:gone"]),
        )
        .file("empty.md", "");
    sandbox.git(["init", "-q"]);
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-q", "-m", "one"]);
    sandbox
}

fn call(sandbox: &Sandbox, line: &str, surrounding: Option<&Surrounding>) -> Left {
    let call = sandbox.gates(line.split(' ').filter(|word| !word.is_empty()));
    let call = call.into_command();
    let redirections = surrounding.map_or("", |s| s.redirections);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &format!("exec \"$@\" {redirections}"), "sh"])
        .arg(call.get_program())
        .args(call.get_args())
        .current_dir(sandbox.repo())
        .env_clear()
        .envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null());
    for (name, value) in surrounding.iter().flat_map(|s| s.variables) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let out = command.output().unwrap();
    let varying = Regex::new("\u{1b}\\[[0-9;]*m|[0-9]+\\.[0-9] s|[0-9a-f]{16}/results").unwrap();
    let said = String::from_utf8_lossy(&out.stderr).replace(sandbox.path("").to_str().unwrap(), "");
    let said = varying.replace_all(&said, "");
    Left {
        code: out.status.code(),
        said: said.split_whitespace().collect::<Vec<_>>().join(" "),
        printed: !out.stdout.is_empty(),
    }
}

#[test]
fn errors_do_not_depend_on_environment() {
    let plain = sandbox();
    let expected: Vec<Left> = FAILING.iter().map(|line| call(&plain, line, None)).collect();
    let passing: Vec<_> = FAILING
        .iter()
        .zip(&expected)
        .filter(|(_, left)| !matches!(left.code, Some(1..=3)))
        .collect();
    assert!(passing.is_empty(), "these do not fail: {passing:?}");
    let differences: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = SURROUNDINGS
            .iter()
            .map(|surrounding| scope.spawn(|| differences(surrounding, &expected)))
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn differences(surrounding: &Surrounding, expected: &[Left]) -> Vec<String> {
    let sandbox = sandbox();
    let mut found = Vec::new();
    for (line, expected) in FAILING.iter().zip(expected) {
        let left = call(&sandbox, line, Some(surrounding));
        let same = (left.code, &left.said) == (expected.code, &expected.said);
        let as_expected = match surrounding.same {
            Same::Everything => same,
            Same::UnlessPrinted if expected.printed => {
                left.code == Some(2) && left.said.contains("No space left")
            }
            Same::UnlessPrinted => same,
            Same::Code => left.code == expected.code,
            Same::Documented => matches!(left.code, Some(0..=3)),
        };
        if !as_expected {
            found.push(format!(
                "{}: `{line}`: expected {expected:?}, found {left:?}",
                surrounding.name
            ));
        }
    }
    found
}

#[test]
fn gate_receives_runtime_variables() {
    let fixture = crate::run_fixture::RunFixture::new();
    fixture.gate_with(
        "cpu:sees",
        "echo \"$RUST_BACKTRACE $RUST_MIN_STACK\"",
        "env = [\"RUST_BACKTRACE\", \"RUST_MIN_STACK\"]",
    );
    let variables = [("RUST_BACKTRACE", "full"), ("RUST_MIN_STACK", "123456789012345")];
    let out = fixture
        .run_with(&["--gate", "cpu:sees"], &variables)
        .exits(0)
        .out
        .stdout;
    assert!(out.contains("full 123456789012345"), "{out}");
}

#[test]
fn threads_start_with_any_stack_limit() {
    let sandbox = sandbox();
    for size in ["0", "1", "9223372036854775807"] {
        sandbox
            .gates(["lint", "safety", "."])
            .env("RUST_MIN_STACK", size)
            .run()
            .exits(0);
    }
}

/// A caller that ignores `SIGCHLD` passes this on. The kernel then reaps children, and waiting for their status never ends.
#[test]
fn ignored_child_signal_is_reset() {
    let fixture = crate::run_fixture::RunFixture::new();
    fixture.gate("cpu:pass", "true").gate("cpu:fail", "false");
    let ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])";
    for (gate, code) in [("cpu:pass", 0), ("cpu:fail", 1)] {
        let results = fixture.results();
        let call = fixture
            .sandbox
            .gates(["run", "--gate", gate, "--results", results.to_str().unwrap()]);
        let status = call
            .under(&["timeout", "--signal=KILL", "60", "python3", "-c", ignoring])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{gate}");
    }
}

#[test]
fn unreadable_actor_is_ignored() {
    use std::os::unix::ffi::OsStrExt as _;
    let fixture = crate::run_fixture::RunFixture::new();
    fixture.gate("cpu:fail", "false");
    let actor = [("GITHUB_ACTOR", std::ffi::OsStr::from_bytes(b"\xff"))];
    let run = fixture.run_with(&["--gate", "cpu:fail"], &actor).exits(1);
    assert_eq!(run.results["overall"], "fail");
}
