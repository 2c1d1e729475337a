//! Tests `run` and its environment: the variables and memory that a gate can read, output floods, slow readers.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::run_fixture::RunFixture;
use crate::support::program::program;

fn seen(stdout: &str) -> BTreeMap<String, String> {
    stdout
        .split('\0')
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

#[test]
fn t07_gate_environment_is_allow_list() {
    let fixture = RunFixture::new();
    fixture.gate_with(
        "cpu:env",
        "env -0",
        "requires = [\"NMOE_DATA_PATH\"]\nenv = [\"MY_FLAG\", \"GITHUB_TOKEN\", \"UNSET_ONE\"]",
    );
    let mut call = fixture.call(&["run", "--gate", "cpu:env"]);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..500 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let stem = [
            "KUBERNETES_",
            "AWS_",
            "GITHUB_",
            "RUNNER_",
            "NMOE_PRIVATE_",
            "ACTIONS_",
            "X",
            "BASH_FUNC_",
        ][n % 8];
        call = call.env(&format!("{stem}{seed:X}"), "leak");
    }
    for name in [
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "GITHUB_ENV",
        "GITHUB_PATH",
        "GITHUB_STATE",
        "GITHUB_STEP_SUMMARY",
        "NMOE_PRIVATE_TERMS",
        "LD_PRELOAD",
        "NVIDIA_API_KEY",
        "CUDA_SECRET",
        "NMOE_OTHER",
    ] {
        call = call.env(name, "leak");
    }
    for name in [
        "NMOE_DATA_PATH",
        "MY_FLAG",
        "CUDA_VISIBLE_DEVICES",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "LC_TIME",
    ] {
        call = call.env(name, "wanted");
    }
    let out = call.run().exits(0);
    let seen = seen(&out.stdout);
    // All six have the same value. The log shows the name of the variable that the gate requires.
    let is_wanted = |value: &str| value == "${NMOE_DATA_PATH}";
    let wanted = seen.values().filter(|v| is_wanted(v)).count();
    assert_eq!(wanted, 6, "{seen:?}");
    let known = ["PATH", "HOME", "TMPDIR", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"];
    for (name, value) in &seen {
        assert!(
            is_wanted(value) || known.contains(&name.as_str()),
            "{name}={value}"
        );
    }
    assert!(!out.stdout.contains("leak"));
}

#[test]
fn t02_memory_is_closed_to_same_user() {
    let root = rustix::process::geteuid().is_root();
    let fixture = RunFixture::new();
    fixture.gate(
        "cpu:spy",
        "test \"$(id -u)\" = 0 && exit 0\ncat /proc/$PPID/environ >/dev/null 2>&1 && exit 9\n(: < /proc/$PPID/mem) 2>/dev/null && exit 8\nexit 0",
    );
    if !root {
        fixture.run(&["--gate", "cpu:spy"]).exits(0);
        return;
    }
    // Root can read every memory, so this runs as the user nobody, with a copy of the program that nobody can read.
    let tool = fixture.sandbox.path("tool");
    std::fs::copy(program(), &tool).unwrap();
    for dir in [".", "repo", "home", "tmp"] {
        std::fs::set_permissions(fixture.sandbox.path(dir), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let out = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&tool)
        .args(["run", "--gate", "cpu:spy"])
        .current_dir(fixture.sandbox.repo())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", fixture.sandbox.path("home"))
        .env("TMPDIR", fixture.sandbox.path("tmp"))
        .output();
    // Without setpriv the test cannot change the user.
    if let Ok(out) = out {
        assert_eq!(
            out.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
}

#[test]
fn slow_memory_is_bounded_for_any_output() {
    let fixture = RunFixture::new();
    let peak = "grep VmHWM /proc/$PPID/status > \"$TMPDIR/peak\"";
    fixture.gate(
        "cpu:flood",
        &format!("head -c 40000000 < <(yes); head -c 40000000 /dev/zero; head -c 40000000 /dev/zero | tr '\\0' '['; {peak}"),
    );
    let file = std::fs::File::create(fixture.sandbox.path("home/out")).unwrap();
    let status = fixture
        .call(&["run", "--gate", "cpu:flood"])
        .into_command()
        .stdout(file)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let size = std::fs::metadata(fixture.sandbox.path("home/out")).unwrap().len();
    assert_eq!(size, 120_000_001, "all of it and a line's end");
    let peak = std::fs::read_to_string(fixture.sandbox.path("tmp/peak")).unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    // A debug build maps about twenty of them; the flood is 117.
    assert!(kib < 32 * 1024, "{kib} KiB");
}

#[test]
fn stopped_reader_does_not_delay_deadline() {
    let fixture = RunFixture::new();
    fixture.gate_with(
        "cpu:chatty",
        "while :; do echo 0123456789012345678901234567890123456789; done",
        "timeout_s = 1",
    );
    let results = fixture.results();
    let mut command = fixture
        .call(&[
            "run",
            "--gate",
            "cpu:chatty",
            "--results",
            results.to_str().unwrap(),
        ])
        .into_command();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The reader is gone, but the verdict is recorded.
    let verdict = || {
        let text = std::fs::read(&results).ok()?;
        let results: serde_json::Value = serde_json::from_slice(&text).ok()?;
        (results["overall"] == "fail").then_some(results)
    };
    let found = loop {
        if let Some(found) = verdict() {
            break found;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended without a verdict");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(found["results"]["cpu:chatty"]["reason"], "timeout");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn closed_reader_does_not_change_verdict() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:long", "head -c 3000000 < <(yes)");
    let mut command = fixture.call(&["run", "--gate", "cpu:long"]).into_command();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn private_terms_are_redacted() {
    let fixture = RunFixture::new();
    fixture.gate(
        "cpu:say",
        "printf 'the heron'; printf ' seven\\nnode_tps: 5, heron seven 12\\n'",
    );
    let results = fixture.results();
    let out = fixture
        .call(&["run", "--gate", "cpu:say", "--results", results.to_str().unwrap()])
        .env("NMOE_PRIVATE_TERMS", "heron seven")
        .run()
        .exits(0);
    assert!(!out.stdout.contains("heron"), "{}", out.stdout);
    assert!(out.stdout.contains("node_tps: 5"), "{}", out.stdout);
    let results = std::fs::read_to_string(results).unwrap();
    assert!(results.contains("\"node_tps_p50\": 5.0"), "{results}");
    fixture
        .call(&["run", "--gate", "cpu:say"])
        .env("NMOE_PRIVATE_TERMS", "re:(")
        .run()
        .exits(2)
        .reports("error: line 1 of the private terms is not a");
}

#[test]
fn t21_full_disk_ends_with_report() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:ok", "touch \"$TMPDIR/ran\"");
    let small = fixture.sandbox.path("home/small");
    std::fs::create_dir(&small).unwrap();
    let script =
        "mount -t tmpfs -o size=8k tmpfs \"$1\" && head -c 8k /dev/zero >\"$1/full\"; shift; exec \"$@\"";
    let out = fixture
        .call(&["run", "--gate", "cpu:ok", "--format", "json", "--results"])
        .under(&[
            "unshare",
            "-rm",
            "bash",
            "-c",
            script,
            "bash",
            small.to_str().unwrap(),
        ])
        .arg(small.join("results.json"))
        .output();
    // Without a mount namespace the test has no disk to fill.
    let Ok(out) = out else { return };
    if !small.join("full").exists() && String::from_utf8_lossy(&out.stderr).contains("unshare") {
        return;
    }
    assert_eq!(
        out.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let results: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (&results["overall"], &results["refused"]),
        (&"invalid".into(), &"disk_full".into())
    );
    assert!(!fixture.sandbox.path("tmp/ran").exists());
}

#[test]
fn inherited_descriptors_do_not_reach_gates() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:fds", "test ! -e /proc/self/fd/7");
    let status = fixture
        .call(&["run", "--gate", "cpu:fds"])
        .under(&["bash", "-c", "exec 7</dev/null; exec \"$@\"", "bash"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
