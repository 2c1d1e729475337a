//! Tests `lint workflows` with a workflow like the inline runner's: every fault is reported with its line.

use crate::driver::Sandbox;

/// A workflow with the structure of the inline runner's: one job for everything.
const INLINE_RUNNER: &str = r#"name: gates
on:
  workflow_dispatch:
    inputs:
      pr: {type: string}
jobs:
  gates:
    runs-on: b200
    permissions:
      contents: read
      pull-requests: write
    steps:
      - uses: actions/checkout@v4
        with:
          ref: refs/pull/${{ inputs.pr }}/merge
      - run: |
          python - <<'PY'
          import re, subprocess, tomllib
          gates = tomllib.load(open("configs/gates/gates.toml", "rb"))
          tps = re.findall(r"\\bnode_tps:\\s*([0-9,]+)", log)
          subprocess.check_call(["git", "worktree", "add", "--detach", "base", ref])
          open("summary.md", "w").write("\\n".join(rows))
          PY
"#;

#[test]
fn inline_runner_faults_are_found_with_line() {
    let sandbox = Sandbox::new();
    sandbox.file(".github/workflows/gates.yml", INLINE_RUNNER);
    let report = sandbox
        .gates(["lint", "workflows", "--format", "json"])
        .expect()
        .status(1)
        .stdout_json()
        .check()
        .json();
    let found: Vec<(&str, u64)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["code"].as_str().unwrap(), f["line"].as_u64().unwrap()))
        .collect();
    for expected in [
        ("workflow-self-hosted-write", 11),
        ("workflow-write-beside-change", 11),
        ("workflow-unpinned-action", 13),
        ("workflow-moving-ref", 15),
        ("workflow-persisted-credential", 15),
        ("workflow-policy-from-change", 19),
        ("workflow-doubled-backslash", 20),
        ("workflow-unbuilt-baseline", 21),
        ("workflow-doubled-backslash", 22),
    ] {
        assert!(found.contains(&expected), "{expected:?} is not among {found:#?}");
    }
}

#[test]
fn folder_without_workflows_is_refused() {
    Sandbox::new()
        .gates(["lint", "workflows"])
        .expect()
        .status(2)
        .stderr_matches("error: [^\n]*\\.github/workflows: [^\n]*\n  help: nmoe-gates init\n")
        .check();
}
