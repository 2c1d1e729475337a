//! Tests `run`: metrics, deadlines, preflight, output and the reasons in the results.

use crate::driver::Sandbox;
use crate::run_fixture::RunFixture;

#[test]
fn samples_with_thousands_separators_are_found() {
    let run = RunFixture::new()
        .gate(
            "cpu:train",
            "for n in 9,000 12,345 30,000; do echo \"step | node_tps: $n | x\"; done",
        )
        .run(&["--gate", "cpu:train"])
        .exits(0)
        .prints("step | node_tps: 9,000 | x");
    let gate = run.gate("cpu:train");
    assert_eq!(gate["node_tps_p50"], 12345.0);
    assert_eq!(gate["node_tps_samples"], 3);
    assert_eq!(run.results["bundle"], "single");
}

#[test]
fn silent_gate_is_killed_at_deadline() {
    let run = RunFixture::new()
        .gate_with("cpu:mute", "sleep 100000", "timeout_s = 1")
        .run(&["--gate", "cpu:mute"])
        .exits(1);
    let gate = run.gate("cpu:mute");
    assert_eq!(
        (&gate["status"], &gate["reason"]),
        (&"fail".into(), &"timeout".into())
    );
    let took = gate["duration_s"].as_f64().unwrap();
    assert!((1.0..30.0).contains(&took), "{took}");
}

#[test]
fn repeated_run_has_same_verdict() {
    let fixture = RunFixture::new();
    for n in 0..3 {
        fixture.gate_with(&format!("cpu:race{n}"), "sleep 2", "timeout_s = 1");
    }
    fixture.gate_with("cpu:chatty", "while :; do echo x; done", "timeout_s = 1");
    let run = fixture.run(&["--tier", "a", "--keep-going"]).exits(1).prints("x");
    for (_, gate) in run.results["results"].as_object().unwrap() {
        assert_eq!(gate["reason"], "timeout");
    }
}

#[test]
fn silence_limit_ends_gate() {
    let run = RunFixture::new()
        .gate_with("cpu:mute", "echo once; sleep 1000", "silence_timeout_s = 1")
        .run(&["--gate", "cpu:mute"])
        .exits(1);
    assert_eq!(run.gate("cpu:mute")["reason"], "silence");
    assert!(run.out.stdout.contains("once"));
}

#[test]
fn closed_output_uses_no_cpu() {
    let fixture = RunFixture::new();
    fixture.gate(
        "cpu:closed",
        "exec >&- 2>&-; sleep 1; cat /proc/$PPID/stat > \"$TMPDIR/stat\"",
    );
    fixture.run(&["--gate", "cpu:closed"]).exits(0);
    // The CPU time of the program, in ticks of 10 ms; a busy loop uses about a hundred.
    let stat = std::fs::read_to_string(fixture.sandbox.path("tmp/stat")).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    let ticks: u64 = fields.skip(11).take(2).map(|f| f.parse::<u64>().unwrap()).sum();
    assert!(ticks < 50, "{ticks} ticks");
}

#[test]
fn preflight_lists_all_missing_requirements() {
    let fixture = RunFixture::new();
    fixture
        .gate_with(
            "cpu:one",
            "true",
            "requires = [\"NMOE_A\", \"NMOE_B\"]\nrequires_files = [\"no/such.toml\"]",
        )
        .gate_with(
            "cpu:two",
            "true",
            "requires = [\"NMOE_C\"]\nrequires_files = [\"../outside\", \"/etc/passwd\"]",
        )
        .gate("cpu:fine", "touch ../ran");
    let run = fixture.run(&["--tier", "a"]).exits(3);
    assert_eq!(run.results["overall"], "invalid");
    let one = run.gate("cpu:one");
    assert_eq!(
        (&one["status"], &one["reason"]),
        (&"invalid".into(), &"missing_env".into())
    );
    assert_eq!(one["missing_env"], serde_json::json!(["NMOE_A", "NMOE_B"]));
    assert_eq!(one["missing_files"], serde_json::json!(["no/such.toml"]));
    assert_eq!(
        run.gate("cpu:two")["missing_files"],
        serde_json::json!(["../outside", "/etc/passwd"])
    );
    let fine = run.gate("cpu:fine");
    assert_eq!(
        (&fine["status"], &fine["reason"]),
        (&"not_run".into(), &"refused".into())
    );
    assert!(!fixture.sandbox.path("ran").exists());
}

#[test]
fn unusable_input_still_writes_results() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:ok", "true");
    for args in [
        &["--gate", "cpu:okk"][..],
        &["--bundle", "nope"],
        &["--gate", "cpu:ok", "--perf-budget-pct", "nan"],
        &["--gate", "cpu:ok", "--baseline-ref=--lock"],
    ] {
        let run = fixture.run(args).exits(2).reports("error: ");
        assert_eq!(run.results["overall"], "invalid", "{args:?}");
        assert!(run.results["refused"].is_string(), "{args:?}");
    }
    let run = fixture.run(&["--gate", "cpu:okk"]).exits(2);
    assert!(
        run.out.stderr.contains("did you mean `cpu:ok`?"),
        "{}",
        run.out.stderr
    );
    fixture.sandbox.file("configs/gates/gates.toml", "[gates");
    let run = fixture
        .run(&["--gate", "cpu:ok"])
        .exits(2)
        .reports("error: cannot use the registry")
        .reports("help: `nmoe-gates lint registry`");
    assert_eq!(run.results["refused"], "bad_registry");
}

#[test]
fn arbitrary_output_bytes_are_kept() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:bytes", r"printf 'a\xff\xfe\x00b\n\xc3'");
    let output = fixture
        .call(&["run", "--gate", "cpu:bytes"])
        .into_command()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"a\xff\xfe\0b\n\xc3\n");
}

#[test]
fn failing_pipeline_member_fails_gate() {
    let fixture = RunFixture::new();
    fixture
        .gate("cpu:e", "false; echo on")
        .gate("cpu:pipe", "false | true; echo on");
    let run = fixture.run(&["--tier", "a", "--keep-going"]).exits(1);
    for id in ["cpu:e", "cpu:pipe"] {
        let gate = run.gate(id);
        assert_eq!(
            (&gate["status"], &gate["reason"], &gate["rc"]),
            (&"fail".into(), &"exit_code".into(), &1.into())
        );
    }
    assert!(!run.out.stdout.contains("on"));
}

#[test]
fn workflow_commands_are_neutralised() {
    let fixture = RunFixture::new();
    fixture.gate(
        "cpu:say",
        r"printf '::error::x\n  ::add-mask::y\na ##[error]z\nold\r::set-output name=a::b\n'",
    );
    let call = fixture
        .call(&["run", "--gate", "cpu:say"])
        .env("GITHUB_ACTIONS", "true");
    let out = call.run().exits(0);
    let shown = &out.stdout;
    let lines: Vec<&str> = shown.split(['\n', '\r']).collect();
    assert_eq!(lines[0], "::group::cpu:say");
    let token = lines[1].strip_prefix("::stop-commands::").unwrap();
    assert_eq!(token.len(), 32);
    assert_eq!(
        lines[2..6],
        ["\\::error::x", "  \\::add-mask::y", "a ##\\[error]z", "old"]
    );
    assert_eq!(
        lines[6..9],
        [
            "\\::set-output name=a::b",
            &format!("::{token}::"),
            "::endgroup::"
        ]
    );
}

#[test]
fn command_files_are_not_writable_by_gates() {
    let fixture = RunFixture::new();
    let folder = fixture.sandbox.path("tmp/_runner_file_commands");
    std::fs::create_dir(&folder).unwrap();
    let mut call_env = Vec::new();
    for name in ["ENV", "PATH", "OUTPUT", "STATE", "STEP_SUMMARY"] {
        let path = folder.join(format!("file_{name}"));
        std::fs::write(&path, format!("{name}=before\n")).unwrap();
        call_env.push((format!("GITHUB_{name}"), path));
    }
    std::fs::write(folder.join("beside"), "kept").unwrap();
    fixture.gate(
        "cpu:evil",
        "env | grep '^GITHUB_' && exit 9; cd \"$TMPDIR/_runner_file_commands\"; for f in *; do echo evil >> $f; done; \
         rm -f file_ENV; ln -s /etc/passwd file_ENV; mkdir more; rm -f file_STATE; mkfifo file_STATE",
    );
    let run = fixture.run_with(&["--gate", "cpu:evil"], &call_env).exits(1);
    let gate = run.gate("cpu:evil");
    assert_eq!(
        (&gate["status"], &gate["reason"]),
        (&"fail".into(), &"tampered".into())
    );
    for (name, path) in &call_env {
        let name = name.strip_prefix("GITHUB_").unwrap();
        assert!(std::fs::symlink_metadata(path).unwrap().is_file(), "{name}");
        let text = std::fs::read_to_string(path).unwrap();
        let rest = text.strip_prefix(&format!("{name}=before\n")).unwrap();
        if name == "OUTPUT" {
            assert!(rest.starts_with("overall=fail\nresults=/"), "{rest}");
            assert_eq!(rest.lines().count(), 2);
        } else {
            assert_eq!(rest, "");
        }
    }
    assert_eq!(std::fs::read(folder.join("beside")).unwrap(), b"kept");
    assert!(!folder.join("more").exists());
}

#[test]
fn gates_after_failure_have_reason() {
    let fixture = RunFixture::new();
    fixture
        .gate("cpu:a", "true")
        .gate("cpu:b", "exit 7")
        .gate("cpu:c", "true");
    let run = fixture.run(&["--tier", "a"]).exits(1);
    assert_eq!(run.results["overall"], "fail");
    assert_eq!(run.gate("cpu:a")["reason"], serde_json::Value::Null);
    assert_eq!(run.gate("cpu:b")["rc"], 7);
    let rest = run.gate("cpu:c");
    assert_eq!(
        (&rest["status"], &rest["reason"]),
        (&"not_run".into(), &"stopped_after_failure".into())
    );
    assert_eq!(
        fixture
            .run(&["--tier", "a", "--keep-going"])
            .exits(1)
            .gate("cpu:c")["status"],
        "pass"
    );
}

#[test]
fn pending_gate_is_not_a_pass() {
    let fixture = RunFixture::new();
    fixture
        .raw("[gates.\"zero2:x\"]\ntier = \"b\"\nkind = \"external\"\n")
        .gate("cpu:ok", "true");
    let run = fixture.run(&["--bundle", "single", "--gate", "zero2:x"]).exits(3);
    assert_eq!(run.results["overall"], "inconclusive");
    let gate = run.gate("zero2:x");
    assert_eq!(
        (&gate["status"], &gate["reason"]),
        (&"pending".into(), &"external".into())
    );
    let run = fixture.run(&["--gate", "cpu:ok", "--gate", "zero2:x"]).exits(3);
    assert_eq!(run.results["overall"], "inconclusive");
}

#[test]
fn missing_gpu_refuses_gpu_gate() {
    let fixture = RunFixture::new();
    fixture.gate_with("b200:one", "true", "gpus = 1");
    let run = fixture
        .run(&["--gate", "b200:one"])
        .exits(3)
        .reports("found no NVIDIA driver (libcuda.so.1)");
    let reason = run.gate("b200:one")["reason"].as_str().unwrap().to_owned();
    assert!(["no_gpu", "off_target"].contains(&reason.as_str()), "{reason}");
}

#[test]
fn results_inside_checkout_are_refused() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:ok", "true");
    fixture.sandbox.git(["init", "-q"]);
    let out = fixture
        .call(&["run", "--gate", "cpu:ok", "--results", "out/results.json"])
        .run()
        .exits(2);
    assert!(
        out.stderr.contains("must be outside of every checkout"),
        "{}",
        out.stderr
    );
    fixture.call(&["run", "--gate", "cpu:ok"]).run().exits(0);
    assert_eq!(fixture.sandbox.git(["status", "--porcelain"]), "?? configs/\n");
}

#[test]
fn json_format_sends_gate_output_to_stderr() {
    let fixture = RunFixture::new();
    fixture.gate("cpu:ok", "echo from the gate");
    let out = Sandbox::gates(&fixture.sandbox, ["run", "--gate", "cpu:ok", "--format", "json"])
        .run()
        .exits(0);
    assert_eq!(out.json()["overall"], "pass");
    assert!(out.stderr.contains("from the gate"));
}

#[test]
fn import_of_namespace_package_is_refused() {
    let fixture = RunFixture::new();
    let import = "python3 -c 'import trainer'";
    fixture.gate("cpu:hollow", import).gate_with(
        "cpu:import",
        import,
        "requires_files = [\"trainer/__init__.py\"]",
    );
    // A namespace package: the import succeeds although a module does not parse.
    fixture.sandbox.file("trainer/moe.py", "def broken(:\n");
    fixture.run(&["--gate", "cpu:hollow"]).exits(0);
    let run = fixture.run(&["--gate", "cpu:import"]).exits(3);
    let gate = run.gate("cpu:import");
    assert_eq!(
        (&gate["status"], &gate["reason"]),
        (&"invalid".into(), &"missing_file".into())
    );
    assert_eq!(gate["missing_files"][0], "trainer/__init__.py");
    fixture
        .sandbox
        .file("trainer/__init__.py", "from trainer import moe\n");
    fixture
        .run(&["--gate", "cpu:import"])
        .exits(1)
        .prints("Traceback (most recent call last)");
    fixture.sandbox.file("trainer/moe.py", "");
    fixture.run(&["--gate", "cpu:import"]).exits(0);
}

/// An editor or `core.autocrlf` may write CRLF. The shell would take the carriage return for a part of the last word.
#[test]
fn registry_with_crlf_runs_like_one_with_lf() {
    let sandbox = Sandbox::new();
    let registry = "[gates.\"cpu:one\"]\ntier = \"a\"\ncmd = \"\"\"\ntest x = x\ntest y = y\n\"\"\"\n";
    sandbox.file("configs/gates/gates.toml", registry.replace('\n', "\r\n"));
    sandbox.gates(["run", "--gate", "cpu:one"]).run().exits(0);
}

/// git's own reason must not turn into "no commit" or "no checkout", and a run must not go on without evidence.
#[test]
fn folder_of_another_user_is_named() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "configs/gates/gates.toml",
        "[gates.\"cpu:one\"]\ntier = \"a\"\ncmd = \"true\"\n",
    );
    sandbox.git(["init", "-q"]);
    for entry in [sandbox.repo(), sandbox.repo().join(".git")] {
        if std::os::unix::fs::chown(&entry, Some(1), None).is_err() {
            crate::attack::skipped("only root can give a folder to another user");
            return;
        }
    }
    for args in [
        &["init"][..],
        &["run", "--gate", "cpu:one"],
        &["lint", "safety", "--diff", "HEAD..HEAD"],
    ] {
        let out = sandbox.gates(args).run();
        assert_ne!(out.code(), Some(0), "{args:?}");
        let said = out.stderr;
        assert!(
            said.contains("belongs to another user\n  help: git config --global --add safe.directory"),
            "{args:?}: {said}"
        );
    }
}
