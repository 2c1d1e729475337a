//! Attacks on the environment of a run: its workflows, the libraries that it loads, the source of the program, shared data,
//! and readers of planted files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::attack::{attack, skipped};
use crate::driver::Sandbox;
use crate::run_fixture::RunFixture;
use crate::support::program::program;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A workflow with a single job for everything, as many repositories have.
const ONE_JOB: &str = "name: gates
on:
  workflow_dispatch:
    inputs:
      pr: {type: string}
jobs:
  gates:
    runs-on: b200
    permissions:
      pull-requests: write
    steps:
      - uses: actions/checkout@v4
        with:
          ref: refs/pull/${{ inputs.pr }}/merge
      - run: ./gates.sh ${{ inputs.pr }}
";

fn workflows() -> Vec<String> {
    let folder = Path::new(ROOT).join(".github/workflows");
    let files = std::fs::read_dir(folder).unwrap().flatten();
    files
        .map(|file| std::fs::read_to_string(file.path()).unwrap())
        .collect()
}

fn jobs(workflow: &str) -> Vec<Value> {
    let workflow: Value = serde_yaml::from_str(workflow).unwrap();
    workflow["jobs"].as_object().unwrap().values().cloned().collect()
}

fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().into_iter().flatten()
}

/// Returns whether a job checks out code that is not in the base.
fn takes_the_change(job: &Value) -> bool {
    steps(job).any(|step| {
        let reference = step["with"]["ref"].as_str().unwrap_or_default();
        // The base branch of a merge group is not the group.
        reference != "${{ github.event.merge_group.base_ref }}"
            && (reference.contains("pull") || reference.contains("merge") || reference.contains("head"))
    })
}

/// Whether a job of a workflow runs for a merge group.
fn runs_for_group(workflow: &Value, name: &str) -> bool {
    let job = &workflow["jobs"][name];
    let condition = job["if"].as_str().unwrap_or_default();
    let events = workflow["on"].as_object();
    if !events.is_some_and(|events| events.contains_key("merge_group"))
        || condition.contains("github.event_name == 'workflow_dispatch'") && !condition.contains("||")
    {
        return false;
    }
    let needs = match &job["needs"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    // A job is skipped with one that it needs, unless its condition says otherwise.
    let is_independent = ["always()", "failure()", "cancelled()"]
        .iter()
        .any(|word| condition.contains(word));
    is_independent || needs.iter().all(|need| runs_for_group(workflow, need))
}

/// Whether a job checks out the commit of a merge group, because it names no other.
fn takes_the_group(workflow: &Value, name: &str) -> bool {
    let is_default = |step: &Value| {
        let action = step["uses"].as_str().unwrap_or_default();
        action.starts_with("actions/checkout") && step["with"]["ref"].is_null()
    };
    runs_for_group(workflow, name) && steps(&workflow["jobs"][name]).any(is_default)
}

#[test]
fn t01_write_token_with_untrusted_code() {
    let writes = |job: &Value| {
        job["permissions"]
            .as_object()
            .is_some_and(|p| p.values().any(|v| v == "write"))
    };
    let exposed = |text: &str| {
        let workflow: Value = serde_yaml::from_str(text).unwrap();
        let mut jobs = workflow["jobs"].as_object().unwrap().iter();
        jobs.any(|(name, job)| writes(job) && (takes_the_change(job) || takes_the_group(&workflow, name)))
    };
    let ours = workflows().iter().any(|text| exposed(text));
    attack("a token that can write", exposed(ONE_JOB), ours);
    // Each line of tier-b.yml that keeps the code of a merge group away from the token that answers the queue.
    let tier_b = std::fs::read_to_string(Path::new(ROOT).join(".github/workflows/tier-b.yml")).unwrap();
    let base = "ref: ${{ github.event.merge_group.base_ref }}";
    for (from, to) in [
        (base, "ref: ${{ github.event.merge_group.head_sha }}"),
        (
            base,
            "ref: ${{ github.event.merge_group.base_ref || github.event.merge_group.head_ref }}",
        ),
        (base, "clean: true"),
        (
            "if: ${{ always() && github.event_name == 'workflow_dispatch' }}",
            "if: ${{ always() }}",
        ),
        (
            "if: ${{ always() && github.event_name == 'workflow_dispatch' }}",
            "if: ${{ always() && github.event_name == 'workflow_dispatch' || true }}",
        ),
    ] {
        let weaker = tier_b.replace(from, to);
        assert_ne!(weaker, tier_b, "{from}");
        attack(to, exposed(&weaker), exposed(&tier_b));
    }
}

#[test]
fn t01_persisted_checkout_credential() {
    let left = |text: &str| {
        jobs(text).iter().any(|job| {
            takes_the_change(job)
                && steps(job).any(|step| {
                    let checkout = step["uses"]
                        .as_str()
                        .unwrap_or_default()
                        .starts_with("actions/checkout");
                    checkout && step["with"]["persist-credentials"] != false
                })
        })
    };
    attack(
        "in .git/config",
        left(ONE_JOB),
        workflows().iter().any(|text| left(text)),
    );
}

#[test]
fn t01_default_permissions() {
    let open =
        |text: &str| serde_yaml::from_str::<Value>(text).unwrap()["permissions"] != serde_json::json!({});
    attack(
        "permissions that nobody named",
        open(ONE_JOB),
        workflows().iter().any(|text| open(text) && text.contains("b200")),
    );
}

#[test]
fn t01_lint_covers_gaps_of_zizmor() {
    let sandbox = Sandbox::new();
    sandbox.file(".github/workflows/gates.yml", ONE_JOB);
    sandbox
        .gates(["lint", "workflows"])
        .run()
        .exits(1)
        .prints("error[workflow-write-beside-change]: job `gates` checks out");
    sandbox
        .gates(["lint", "workflows", "--repo", ROOT])
        .run()
        .exits(0);
}

#[test]
fn t03_moving_ref_in_workflow() {
    let moving = |text: &str| {
        jobs(text).iter().any(|job| {
            steps(job).any(|step| {
                step["with"]["ref"]
                    .as_str()
                    .is_some_and(|reference| reference.starts_with("refs/pull/"))
            })
        })
    };
    attack(
        "checked out by name",
        moving(ONE_JOB),
        workflows().iter().any(|text| moving(text)),
    );
}

#[test]
fn t12_input_interpolated_into_script() {
    let spliced = |text: &str| {
        jobs(text)
            .iter()
            .any(|job| steps(job).any(|step| step["run"].as_str().is_some_and(|run| run.contains("${{"))))
    };
    attack(
        "an expression inside `run`",
        spliced(ONE_JOB),
        workflows().iter().any(|text| spliced(text)),
    );
    // The effect: the input is part of a script.
    let sandbox = Sandbox::new();
    let input = "5; touch victim";
    let naive = format!("echo {input}");
    Command::new("bash")
        .args(["-c", &naive])
        .current_dir(sandbox.repo())
        .status()
        .unwrap();
    let spoiled = std::fs::remove_file(sandbox.repo().join("victim")).is_ok();
    let action = Path::new(ROOT).join("scripts/action");
    for input in [
        "INPUT_GATE",
        "INPUT_BUNDLE",
        "INPUT_PR",
        "INPUT_BASELINE_REF",
        "INPUT_OPTIONS",
        "INPUT_COMMAND",
    ] {
        let mut command = Command::new(&action);
        command
            .current_dir(sandbox.repo())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", sandbox.path("home"))
            .env("TMPDIR", sandbox.path("tmp"))
            .env("NMOE_GATES", program())
            .env("INPUT_REPO", ".")
            .env("INPUT_COMMAND", "gates list")
            .env(input, "5; touch victim $(touch victim) `touch victim`");
        let _ = command.output().unwrap();
        attack(input, spoiled, sandbox.repo().join("victim").exists());
    }
}

#[test]
fn t18_moved_action_tag() {
    let movable = |text: &str| {
        jobs(text).iter().any(|job| {
            steps(job)
                .filter_map(|step| step["uses"].as_str())
                .filter(|uses| *uses != "./")
                .any(|uses| {
                    let pin = uses.split_once('@').map_or("", |(_, pin)| pin);
                    pin.len() != 40 || !pin.bytes().all(|b| b.is_ascii_hexdigit())
                })
        })
    };
    attack(
        "a tag",
        movable(ONE_JOB),
        workflows().iter().any(|text| movable(text)),
    );
}

#[test]
fn t18_planted_program_of_other_version() {
    let sandbox = Sandbox::new();
    let planted = sandbox.path("home/nmoe-gates");
    std::fs::write(&planted, "#!/bin/sh\necho 'nmoe-gates 9.9.9'\n").unwrap();
    std::fs::set_permissions(&planted, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", sandbox.path("home").display(), "/usr/bin:/bin");
    let which = Command::new("bash")
        .args(["-c", "command -v nmoe-gates"])
        .env("PATH", &path)
        .output()
        .unwrap();
    let output = sandbox.path("output");
    let get = Command::new(Path::new(ROOT).join("scripts/get"))
        .env_clear()
        // Without cargo nothing is built.
        .env("PATH", &path)
        .env("HOME", sandbox.path("home"))
        .env("GITHUB_OUTPUT", &output)
        .output()
        .unwrap();
    let taken = std::fs::read_to_string(&output)
        .unwrap_or_default()
        .contains("home/nmoe-gates");
    attack("whatever is on PATH is run", which.status.success(), taken);
    assert!(!get.status.success(), "it fails closed");
}

#[test]
fn t17_code_in_library_constructor() {
    let sandbox = Sandbox::new();
    let mark = sandbox.path("home/mark");
    let source = format!(
        "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((constructor)) static void born(void) {{ const char *t = getenv(\"GITHUB_TOKEN\"); FILE *f = fopen(\"{}\", \"w\"); if (f) {{ fputs(t ? t : \"\", f); fclose(f); }} }}\n",
        mark.display()
    );
    std::fs::write(sandbox.path("evil.c"), source).unwrap();
    let library = sandbox.path("evil.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(sandbox.path("evil.c"))
        .status();
    if !built.is_ok_and(|status| status.success()) {
        skipped("there is no C compiler");
        return;
    }
    let stolen = || {
        let read = std::fs::read_to_string(&mark);
        let _ = std::fs::remove_file(&mark);
        read.ok()
    };
    // `ldd` and a loader in the same process both run the constructor.
    Command::new("true")
        .env("LD_PRELOAD", &library)
        .env("GITHUB_TOKEN", "planted")
        .status()
        .unwrap();
    let naive = stolen();
    let path = library.display().to_string();
    sandbox
        .gates(["kernels", "inspect", &path])
        .env("GITHUB_TOKEN", "planted")
        .run()
        .exits(1)
        .any_output();
    attack("looking at it runs it", naive.is_some(), stolen().is_some());
    sandbox
        .gates(["kernels", "check", &path, "--cpu", "--timeout", "5"])
        .env("GITHUB_TOKEN", "planted")
        .run()
        .exits(1)
        .any_output();
    attack(
        "loading it gives it a token",
        naive.is_some_and(|t| t == "planted"),
        stolen().is_some_and(|t| t == "planted"),
    );
}

#[test]
fn t09_shared_data_modified() {
    let fixture = RunFixture::new();
    let data = fixture.sandbox.path("home/data");
    std::fs::create_dir(&data).unwrap();
    fixture.gate_with(
        "cpu:spoil",
        "echo x > \"$NMOE_DATA_PATH/spoiled\"",
        "requires = [\"NMOE_DATA_PATH\"]",
    );
    fixture
        .run_with(&["--gate", "cpu:spoil"], &[("NMOE_DATA_PATH", &data)])
        .exits(0);
    let spoiled = data.join("spoiled").exists();
    let out = fixture
        .call(&["doctor"])
        .env("NMOE_DATA_PATH", &data)
        .run()
        .exits(1);
    let silent = !out.stdout.contains("NMOE_DATA_PATH names can be written");
    attack("nobody is told", spoiled, silent);
}

#[test]
fn t20_concurrent_runs() {
    let tier_b = std::fs::read_to_string(Path::new(ROOT).join(".github/workflows/tier-b.yml")).unwrap();
    let unguarded = |text: &str| {
        let workflow: Value = serde_yaml::from_str(text).unwrap();
        // Only a merge queue has this commit. It runs no gate, so its runs may be parallel.
        let queue = "tier-b-${{ github.event.merge_group.head_sha || 'b200-gates' }}";
        let group = workflow["concurrency"]["group"].as_str();
        let is_shared = group.is_none_or(|group| group != queue && group.contains("${{"));
        let mut jobs = workflow["jobs"].as_object().unwrap().iter();
        is_shared
            || jobs.any(|(name, job)| job["runs-on"] != "ubuntu-latest" && runs_for_group(&workflow, name))
    };
    attack("two runs share a machine", unguarded(ONE_JOB), unguarded(&tier_b));
    for (from, to) in [
        ("head_sha || 'b200-gates'", "head_sha || inputs.pr_number"),
        ("|| 'b200-gates' }}", "|| 'b200-gates' }}${{ github.actor }}"),
        ("needs: resolve\n", "if: always()\n"),
        ("needs: resolve\n", "needs: resolve\n    if: always()\n"),
    ] {
        let weaker = tier_b.replacen(from, to, 1);
        assert_ne!(weaker, tier_b, "{from}");
        attack(to, unguarded(&weaker), unguarded(&tier_b));
    }
}
