//! Tests the scripts of the action directly: inputs are never evaluated, signals arrive, outputs are single words.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::driver::Sandbox;
use crate::support::program::{folder, program};
use crate::support::registry::registry;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns a step with these inputs, in a checkout with this registry.
fn step(sandbox: &Sandbox, script: &str, inputs: &[(&str, &str)]) -> Command {
    // The runner creates these files before the step.
    std::fs::write(sandbox.path("output"), "").unwrap();
    std::fs::write(sandbox.path("summary"), "").unwrap();
    // A shell cannot trap a signal that was ignored at its start, as INT is in a background job. The runner ignores no signal.
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT,TERM,HUP")
        .arg(Path::new(ROOT).join("scripts").join(script))
        .current_dir(sandbox.repo())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", sandbox.path("home"))
        .env("LC_ALL", "C.UTF-8")
        .env("RUNNER_TEMP", sandbox.path("tmp"))
        .env("GITHUB_OUTPUT", sandbox.path("output"))
        .env("GITHUB_STEP_SUMMARY", sandbox.path("summary"))
        .env("NMOE_GATES", program())
        .env("INPUT_REPO", ".")
        .stdin(Stdio::null());
    for (name, value) in inputs {
        command.env(name, value);
    }
    command
}

fn output(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("output")).unwrap_or_default()
}

fn write_registry(sandbox: &Sandbox, command: &str) {
    sandbox.registry(
        &registry()
            .tier_a("cpu:one", command)
            .bundle("small", &["cpu:one"]),
    );
}

#[test]
fn outputs_are_single_words() {
    let sandbox = Sandbox::new();
    write_registry(&sandbox, "echo 'node_tps: 12,345'; exit 3");
    let inputs = [("INPUT_COMMAND", "run"), ("INPUT_BUNDLE", "small")];
    let status = step(&sandbox, "action", &inputs).output().unwrap().status;
    assert_eq!(status.code(), Some(1));
    let put = output(&sandbox);
    assert!(put.lines().any(|l| l == "overall=fail"), "{put}");
    let results = put.lines().find_map(|l| l.strip_prefix("results=")).unwrap();
    assert!(Path::new(results).starts_with(sandbox.path("tmp")), "{results}");
    let summary = std::fs::read_to_string(sandbox.path("summary")).unwrap();
    assert!(summary.contains("| `cpu:one` | **fail** | 12,345 |"), "{summary}");
}

#[test]
fn inputs_are_never_evaluated() {
    let hostile = [
        "$(touch pwned)",
        "`touch pwned`",
        "x; touch pwned",
        "x\ntouch pwned",
        "* ?",
        "--results=/dev/null",
        "${IFS}",
        "'\"",
    ];
    for text in hostile {
        for input in ["INPUT_BUNDLE", "INPUT_OPTIONS", "INPUT_COMMAND", "INPUT_EXTERNAL"] {
            let sandbox = Sandbox::new();
            write_registry(&sandbox, "true");
            let inputs = [("INPUT_COMMAND", "run"), (input, text)];
            let out = step(&sandbox, "action", &inputs).output().unwrap();
            let left: Vec<_> = std::fs::read_dir(sandbox.repo())
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            assert_eq!(left, ["configs"], "{input}={text}");
            assert_ne!(out.status.code(), Some(0), "{input}={text}");
            assert!(!output(&sandbox).contains("overall=pass"), "{input}={text}");
        }
    }
}

#[test]
fn cancelled_step_writes_report() {
    let sandbox = Sandbox::new();
    write_registry(&sandbox, "echo started; sleep 600");
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 143)] {
        let inputs = [("INPUT_COMMAND", "run"), ("INPUT_BUNDLE", "small")];
        let mut child = step(&sandbox, "action", &inputs)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|l| l.unwrap().contains("started")));
        // The runner signals the process of the step, not its group.
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        drop(lines);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let put = output(&sandbox);
        assert!(put.lines().any(|l| l == "overall=cancelled"), "{put}");
        assert!(
            std::fs::read_to_string(sandbox.path("summary"))
                .unwrap()
                .contains("**cancelled**")
        );
    }
}

/// A runner that kills the step gives the script no chance to forward a signal, and later kills what carries its tracking id.
#[test]
fn killed_step_ends_gates_and_records_cancelled() {
    let sandbox = Sandbox::new();
    write_registry(&sandbox, "echo started; env | grep TRACKING || true; sleep 601");
    let tracking = "github_00000000-0601";
    let results = sandbox.path("tmp/results.json");
    let inputs = [
        ("INPUT_COMMAND", "run"),
        ("INPUT_BUNDLE", "small"),
        ("INPUT_RESULTS", results.to_str().unwrap()),
        ("RUNNER_TRACKING_ID", tracking),
    ];
    let mut child = step(&sandbox, "action", &inputs)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|l| l.unwrap().contains("started")));
    child.kill().unwrap();
    child.wait().unwrap();
    // At the end of the job, the runner kills every process with its id in the environment. A gate does not get the id.
    kill_tracked(tracking);
    // The pipe closes when the last process of the run has ended.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let text = std::fs::read_to_string(&results).unwrap_or_else(|e| panic!("{e}: {rest:?}"));
    let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(recorded["overall"], "cancelled", "{text}");
    assert!(!rest.iter().any(|line| line.contains(tracking)), "{rest:?}");
}

/// Kills the processes whose environment has this tracking id, after the time that a runner needs to end a step.
fn kill_tracked(id: &str) {
    std::thread::sleep(std::time::Duration::from_secs(1));
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(&format!("RUNNER_TRACKING_ID={id}")) {
            let process = path.file_name().unwrap();
            Command::new("kill").arg("-KILL").arg(process).status().unwrap();
        }
    }
}

#[test]
fn trailing_newline_of_input_is_removed() {
    let sandbox = Sandbox::new();
    write_registry(&sandbox, "true");
    let inputs = [
        ("INPUT_COMMAND", "run\n"),
        ("INPUT_REPO", ".\n"),
        ("INPUT_BUNDLE", "small\n"),
        ("INPUT_OPTIONS", "--keep-going\n"),
    ];
    let out = step(&sandbox, "action", &inputs).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(output(&sandbox).contains("overall=pass"));
}

/// B17: a published failure had `outcome=fail` and `overall=pass`.
#[test]
fn outputs_of_publish_agree() {
    let sandbox = Sandbox::new();
    let stub = sandbox.path("stub");
    let script = "#!/bin/sh\nfor word; do case $word in --output=*) echo \"$OUTCOME\" >\"${word#--output=}\" ;; esac; done\n";
    std::fs::write(&stub, script).unwrap();
    std::fs::set_permissions(&stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (outcome, overall) in [
        ("fail", "fail"),
        ("pass", "pass"),
        ("stale", "invalid"),
        ("pending", "invalid"),
    ] {
        let inputs = [
            ("INPUT_COMMAND", "publish"),
            ("INPUT_PR", "7"),
            ("INPUT_RESULTS", "results.json"),
            ("NMOE_GATES", stub.to_str().unwrap()),
            ("OUTCOME", outcome),
        ];
        let out = step(&sandbox, "action", &inputs).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        let expected = format!("outcome={outcome}\noverall={overall}\n");
        assert_eq!(output(&sandbox), expected);
    }
}

#[test]
fn lint_mode_outputs_findings() {
    let sandbox = Sandbox::new();
    sandbox.file("issue.md", "no block at all");
    let inputs = [("INPUT_COMMAND", "lint contract issue.md")];
    let out = step(&sandbox, "action", &inputs).output().unwrap();
    assert_eq!(
        out.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(String::from_utf8_lossy(&out.stdout).contains("::error "));
    let put = output(&sandbox);
    let path = put.lines().find_map(|l| l.strip_prefix("findings=")).unwrap();
    let findings: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(!findings["findings"].as_array().unwrap().is_empty());
    assert!(put.lines().any(|l| l == "overall=fail"), "{put}");
}

#[test]
fn program_is_from_input_or_matching_path() {
    let sandbox = Sandbox::new();
    let program = program().to_str().unwrap();
    let get = |inputs: &[(&str, &str)]| {
        let out = step(&sandbox, "get", inputs).output().unwrap();
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stdout).into_owned(),
        )
    };
    assert_eq!(get(&[("NMOE_GATES_BINARY", program)]).0, Some(0));
    assert_eq!(output(&sandbox), format!("path={program}\n"));

    sandbox.file("bin/nmoe-gates", "#!/bin/sh\necho 'nmoe-gates 9.9.9'\n");
    let other = sandbox.repo().join("bin/nmoe-gates");
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (code, said) = get(&[("NMOE_GATES_BINARY", other.to_str().unwrap())]);
    assert_eq!(code, Some(2));
    assert!(said.contains("another version"), "{said}");
    let (code, said) = get(&[("NMOE_GATES_BINARY", "/no/such/program")]);
    assert_eq!(code, Some(2), "{said}");

    // Another version on PATH and a missing cargo are both reported.
    let path = format!("{}:/usr/bin:/bin", other.parent().unwrap().display());
    let (code, said) = get(&[("PATH", &path)]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("not used") && said.contains("no cargo"), "{said}");
    let ours = folder().display();
    assert_eq!(get(&[("PATH", &format!("{ours}:/usr/bin:/bin"))]).0, Some(0));
}
