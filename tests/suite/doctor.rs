//! Tests `doctor`: each problem is reported with a fix, and a valid repository has no problems.

use serde_json::{Value, json};

use crate::driver::{Call, Sandbox};
use crate::fake_github::FakeGitHub;
use crate::support::registry::registry;

fn found<'a>(report: &'a Value, name: &str) -> Vec<(&'a str, &'a str)> {
    let checks = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["name"] == name);
    checks
        .map(|c| (c["state"].as_str().unwrap(), c["found"].as_str().unwrap()))
        .collect()
}

#[test]
fn empty_folder_lists_fix_for_each_problem() {
    let report = Sandbox::new()
        .gates(["doctor", "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(report["ready"], false);
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["state"] == "ok", check.get("remedy").is_none(), "{check}");
    }
    for name in ["registry", "forms", "workflows"] {
        assert!(
            found(&report, name).iter().all(|(state, _)| *state == "missing"),
            "{name}: {report}"
        );
    }
    // Registry, forms and workflows have the same remedy, which an agent can execute.
    let steps = report["next"].as_array().unwrap();
    let init: Vec<_> = steps
        .iter()
        .filter(|step| step["what"].as_str().unwrap().contains("nmoe-gates init"))
        .map(|step| &step["argv"])
        .collect();
    assert_eq!(init, [&json!(["nmoe-gates", "init"])]);
}

#[test]
fn each_registry_requirement_is_checked() {
    let sandbox = Sandbox::new();
    sandbox
        .registry(&registry().gate(
            "cpu:look",
            "true",
            "tier = \"a\"\nrequires = [\"T_DATA_PATH\", \"T_RUN_ROOT\"]\n\
             requires_files = [\"configs/there.toml\", \"configs/absent.toml\"]",
        ))
        .file("configs/there.toml", "");
    let data = sandbox.path("data");
    std::fs::create_dir(&data).unwrap();
    let doctor = |extra: &[&str]| {
        let call = sandbox
            .gates(["doctor", "--format", "json"].iter().chain(extra))
            .env("T_DATA_PATH", &data);
        call.run().exits(1).json()
    };
    let report = doctor(&[]);
    assert_eq!(
        found(&report, "environment"),
        [
            ("ok", "T_DATA_PATH is set"),
            ("hint", "T_RUN_ROOT is not set; needed by cpu:look")
        ]
    );
    assert_eq!(
        found(&report, "files"),
        [(
            "missing",
            "configs/absent.toml does not exist; needed by cpu:look"
        )]
    );
    assert_eq!(
        found(&report, "data"),
        [("hint", "what T_DATA_PATH names can be written")]
    );
    assert_eq!(
        std::fs::read_dir(&data).unwrap().count(),
        0,
        "the trial file is gone"
    );
    assert!(
        !report.to_string().contains(data.to_str().unwrap()),
        "a value of the environment is never shown"
    );

    let runner = doctor(&["--runner"]);
    assert_eq!(
        found(&runner, "environment")[1].0,
        "missing",
        "on the runner it is no hint"
    );
    assert_eq!(found(&runner, "gpus")[0].0, "missing");
}

/// Returns the workflows that `init` writes.
fn initialised() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    let pinned = format!("octo-org/nmoe-gates@{}", "1".repeat(40));
    sandbox
        .gates(["init", "--action", &pinned])
        .run()
        .exits(0)
        .any_files()
        .prints("create");
    sandbox
}

fn doctor(sandbox: &Sandbox, extra: &[&str]) -> Value {
    checked(sandbox.gates(["doctor", "--format", "json"].iter().chain(extra)))
}

/// Returns the report of a call of `doctor`, and checks that the exit code follows from the report.
fn checked(call: Call) -> Value {
    let out = call.run();
    let json = out.json();
    assert_eq!(out.code(), Some(i32::from(json["ready"] != true)), "{json}");
    json
}

fn states(report: &Value, name: &str) -> Vec<String> {
    found(report, name)
        .iter()
        .map(|(state, _)| (*state).to_owned())
        .collect()
}

/// B15: a bundle that was added later was no choice of the workflow, and its choices were no bundles.
#[test]
fn offered_bundles_are_compared_with_the_registry() {
    let sandbox = initialised();
    let path = sandbox.repo().join("configs/gates/gates.toml");
    let gates = std::fs::read_to_string(&path).unwrap();
    // The file ends with the table of bundles.
    std::fs::write(&path, format!("{gates}later = [\"cpu:compileall\"]\n")).unwrap();
    let workflow = sandbox.repo().join(".github/workflows/tier-b.yml");
    let text = std::fs::read_to_string(&workflow).unwrap();
    let options = regex::Regex::new(r"options: \[[^\]]*\]").unwrap();
    std::fs::write(
        &workflow,
        options.replace(&text, "options: [earlier, single]").as_ref(),
    )
    .unwrap();
    let report = doctor(&sandbox, &[]);
    let bundles = found(&report, "bundles");
    assert_eq!(bundles.len(), 1, "{report}");
    let (state, says) = bundles[0];
    assert!(
        state == "missing" && says.contains("does not offer later") && says.contains("offers earlier"),
        "{says}"
    );
}

#[test]
fn init_output_has_no_problems() {
    let report = doctor(&initialised(), &[]);
    for name in ["pins", "permissions", "labels", "forms"] {
        assert_eq!(states(&report, name), ["ok"], "{name}: {report}");
    }
    assert_eq!(states(&report, "workflows"), ["ok", "ok"], "{report}");
}

/// A workflow that is in the lockfile does not start if an action is missing there.
#[test]
fn lockfile_must_name_every_action() {
    let sandbox = initialised();
    assert_eq!(states(&doctor(&sandbox, &[]), "lockfile"), [""; 0]);
    let workflows = sandbox.repo().join(".github/workflows");
    let mut used: Vec<String> = ["tier-b.yml", "pr-lint.yml"]
        .iter()
        .flat_map(|name| {
            let text = std::fs::read_to_string(workflows.join(name)).unwrap();
            let uses = text.lines().filter_map(|line| line.trim().strip_prefix("uses: "));
            let names = uses.map(|uses| uses.split('@').next().unwrap().to_owned());
            names.collect::<Vec<_>>()
        })
        .collect();
    used.sort();
    used.dedup();
    assert!(used.iter().any(|name| name == "actions/checkout"), "{used:?}");
    let lock = |names: &[String]| {
        sandbox.file(".github/workflows/actions.lock", names.join("\n"));
        doctor(&sandbox, &[])
    };
    assert_eq!(states(&lock(&used), "lockfile"), ["ok"]);
    let (first, rest) = used.split_first().unwrap();
    let report = lock(rest);
    let found = found(&report, "lockfile");
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0].0, "hint", "{report}");
    assert!(found[0].1.contains(first.as_str()), "{report}");
}

/// `doctor --repo DIR` is often the first call, from a folder that is not the repository.
#[test]
fn next_step_names_the_same_repository() {
    let sandbox = initialised();
    let repo = sandbox.repo().display().to_string();
    let call = sandbox.gates(["doctor", "--repo", &repo, "--format", "json"]);
    let report = checked(call.current_dir(sandbox.path("tmp")));
    let steps: Vec<&str> = report["next"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| step["command"].as_str())
        .collect();
    assert_eq!(steps, [format!("nmoe-gates --repo {repo} plan")], "{report}");
}

/// No API tells the Actions policies, so `doctor` names what the workflows need and does not claim to know.
#[test]
fn actions_policies_are_a_hint() {
    let report = doctor(&initialised(), &[]);
    let found = found(&report, "policies");
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0].0, "hint", "{report}");
    assert!(found[0].1.contains("not asked"), "{report}");
}

#[test]
fn unsafe_workflow_settings_are_reported_with_line() {
    let sandbox = initialised();
    let path = ".github/workflows/tier-b.yml";
    let text = std::fs::read_to_string(sandbox.repo().join(path)).unwrap();
    let pinned = text
        .lines()
        .find(|line| line.contains("uses: actions/checkout@"))
        .unwrap();
    let changed = text
        .replacen(pinned, "      - uses: actions/checkout@v4", 1)
        .replace("runs-on: b200", "runs-on: [self-hosted, b20]");
    assert_ne!(changed, text);
    sandbox.file(path, &changed);
    sandbox.file(
        ".github/workflows/ours.yml",
        "on: push\njobs:\n  a:\n    timeout-minutes: 1\n    runs-on: { group: big, labels: [big-gpu, linux] }\n    steps:\n      - run: make\n",
    );
    let report = doctor(&sandbox, &[]);
    let line = changed.lines().position(|l| l.ends_with("checkout@v4")).unwrap() + 1;
    let says = format!("{path}: line {line}: the owner of `actions/checkout@v4` can move it to other code");
    assert_eq!(found(&report, "pins"), [("hint", says.as_str())]);
    let says = ".github/workflows/ours.yml: line 1: the workflow sets no permissions, so its jobs get the default token of the repository";
    assert_eq!(found(&report, "permissions"), [("hint", says)]);
    assert_eq!(
        found(&report, "labels"),
        [
            (
                "hint",
                ".github/workflows/ours.yml: job `a` asks for `big-gpu`, which no known runner has"
            ),
            (
                "missing",
                ".github/workflows/tier-b.yml: job `gates` asks for `b20`, which no known runner has"
            ),
        ]
    );
    let remedies: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["state"] != "ok")
        .map(|c| c["remedy"].as_str().unwrap())
        .collect();
    assert!(
        remedies.iter().any(|r| r.starts_with("did you mean `b200`?")),
        "{remedies:?}"
    );
    assert!(
        remedies.iter().any(|r| r.contains("git ls-remote")),
        "{remedies:?}"
    );

    sandbox.file(
        "configs/nmoe-gates.toml",
        "[runner]\nlabels = [\"b20\", \"big-gpu\"]\n",
    );
    assert_eq!(states(&doctor(&sandbox, &[]), "labels"), ["ok"]);
    // A token with write access next to the change is an error, not a hint.
    let write = changed.replacen("persist-credentials: false", "persist-credentials: true", 9);
    sandbox.file(path, write);
    assert!(states(&doctor(&sandbox, &[]), "permissions").contains(&"missing".to_owned()));
}

#[test]
fn environment_without_reviewers_is_reported() {
    let sandbox = initialised();
    assert_eq!(
        states(&doctor(&sandbox, &[]), "approval"),
        ["hint"],
        "nobody is asked without a token"
    );
    let api = FakeGitHub::start();
    let asked = || {
        let call = sandbox.gates(["doctor", "--format", "json"]);
        checked(api.serves(call))
    };
    let report = asked();
    assert_eq!(
        found(&report, "approval"),
        [(
            "missing",
            "environment b200-gates does not exist; the first run would create it without protection"
        )]
    );
    let with = |rules: Value| {
        let environment = json!({"name": "b200-gates", "protection_rules": rules});
        api.state()
            .environments
            .insert("b200-gates".to_owned(), environment);
    };
    with(json!([{"type": "wait_timer", "wait_timer": 5}]));
    assert_eq!(states(&asked(), "approval"), ["missing"]);
    with(json!([{"type": "required_reviewers", "reviewers": [{"type": "User"}]}]));
    assert_eq!(states(&asked(), "approval"), ["ok"]);
    assert_eq!(api.writes(), Vec::<String>::new());
}

/// T22: every workflow with `statuses: write` can set a required status without a source.
#[test]
fn source_of_required_status_is_checked() {
    let sandbox = initialised();
    let api = FakeGitHub::start();
    let asked = |checks: Value| {
        let rule =
            json!({"type": "required_status_checks", "parameters": {"required_status_checks": checks}});
        api.state().branch_rules = vec![json!({"type": "deletion"}), rule];
        let report = checked(api.serves(sandbox.gates(["doctor", "--format", "json"])));
        let (state, text) = found(&report, "required")[0];
        (state.to_owned(), text.to_owned())
    };
    for (checks, state, says) in [
        (
            json!([{"context": "ci"}]),
            "hint",
            "no ruleset of branch master requires a status",
        ),
        (
            json!([{"context": "nmoe-gates/full"}]),
            "hint",
            "from any source, so a job of that name in any workflow satisfies it",
        ),
        (
            json!([{"context": "nmoe-gates/full", "integration_id": 15368}]),
            "hint",
            "from GitHub Actions, so a job of that name in any workflow satisfies it",
        ),
        (
            json!([{"context": "nmoe-gates/full", "integration_id": 4711}]),
            "ok",
            "must come from one app",
        ),
    ] {
        let (found, text) = asked(checks);
        assert_eq!(found, state, "{text}");
        assert!(text.contains(says), "{text}");
    }
    // With an app that publishes, nothing is in the way of the right source.
    sandbox.file("configs/nmoe-gates.toml", "[publish]\nlogin = \"gates[bot]\"\n");
    for (source, wanted) in [
        (json!(null), "missing"),
        (json!(15368), "missing"),
        (json!(4711), "ok"),
    ] {
        let (found, text) = asked(json!([{"context": "nmoe-gates/full", "integration_id": source}]));
        assert_eq!(found, wanted, "{text}");
    }
}

#[test]
fn missing_gate_program_and_hosted_runner_are_reported() {
    let sandbox = Sandbox::new();
    sandbox.registry(
        &registry()
            .tier_a("cpu:x", "nobody-has-this --now")
            .tier_b("b200:x", "nor-this"),
    );
    let report = doctor(&sandbox, &[]);
    assert_eq!(
        found(&report, "tools"),
        [
            (
                "missing",
                "nobody-has-this is not on PATH; the command of cpu:x begins with it"
            ),
            (
                "hint",
                "nor-this is not on PATH; the command of b200:x begins with it"
            ),
        ]
    );
    assert_eq!(
        states(&doctor(&sandbox, &["--runner"]), "tools"),
        ["missing", "missing"]
    );
    for (environment, state) in [("github-hosted", "missing"), ("self-hosted", "ok")] {
        let call = sandbox.gates(["doctor", "--runner", "--format", "json"]);
        let report = checked(call.env("RUNNER_ENVIRONMENT", environment));
        assert_eq!(states(&report, "runner"), [state]);
    }
}

/// The Makefile of the subject names what the build needs; only that is checked.
#[test]
fn tools_of_kernel_build_are_checked() {
    let sandbox = Sandbox::new();
    sandbox
        .registry(&registry().gate("b200:train", "true", "tier = \"b\"\ngpus = 8"))
        .file("nmoe/csrc/Makefile", "FLASHMLA_HOME ?= x\n# pybind11, cublas\n");
    let toolkit = |version: &str, headers: &[&str]| {
        let home = sandbox.path("cuda");
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(home.join("bin")).unwrap();
        std::fs::create_dir_all(home.join("include")).unwrap();
        for header in headers {
            std::fs::write(home.join("include").join(header), "").unwrap();
        }
        let nvcc = home.join("bin/nvcc");
        std::fs::write(
            &nvcc,
            format!("#!/bin/sh\necho 'tools, release {version}, V{version}.1'\n"),
        )
        .unwrap();
        std::fs::set_permissions(&nvcc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        checked(
            sandbox
                .gates(["doctor", "--format", "json"])
                .env("CUDA_HOME", &home),
        )
    };
    let report = toolkit("12.4", &["cuda_runtime.h"]);
    assert_eq!(
        found(&report, "nvcc"),
        [("hint", "nvcc 12.4 does not compile for sm_100a")]
    );
    assert_eq!(
        found(&report, "headers"),
        [("hint", "the CUDA toolkit has no cublasLt.h, curand_kernel.h")]
    );
    assert_eq!(found(&report, "flashmla")[0].0, "hint");
    assert_eq!(found(&report, "pybind11").len(), 1);
    assert!(found(&report, "torch").is_empty());
    let csrc = "third_party/flashmla/csrc";
    sandbox
        .file(&format!("{csrc}/sm100/prefill/dense/interface.h"), "")
        .file(&format!("{csrc}/cutlass/include/cutlass/cutlass.h"), "");
    let report = toolkit("13.0", &["cuda_runtime.h", "cublasLt.h", "curand_kernel.h"]);
    for name in ["nvcc", "headers", "flashmla"] {
        assert_eq!(found(&report, name)[0].0, "ok", "{name}: {report}");
    }
}
