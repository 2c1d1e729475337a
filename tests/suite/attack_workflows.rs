//! Attacks by a workflow file: forms that take the code of a change next to a token or a secret, and other writers of our status.
//!
//! The naive variant is the obvious rule: a checkout by the name of a pull request in a job that may write.

use crate::attack::attack;
use crate::driver::Sandbox;

/// A step that runs what was taken.
const MAKE: &str = "      - run: make\n";

/// Forms that the obvious rule does not see: name, events, more keys of the job, steps.
const FORMS: [(&str, &str, &str, &str); 21] = [
    (
        "index syntax",
        "pull_request_target",
        WRITE,
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ github.event['pull_request']['head']['sha'] }}\n",
    ),
    (
        "gh pr checkout",
        "issue_comment",
        WRITE,
        "      - run: gh pr checkout \"$NUMBER\"\n",
    ),
    (
        "git fetch of a number",
        "issue_comment",
        WRITE,
        "      - run: git fetch origin \"pull/$NUMBER/head\" && git checkout FETCH_HEAD\n",
    ),
    (
        "repository without ref",
        "pull_request_target",
        WRITE,
        "      - uses: actions/checkout@v7\n        with:\n          repository: ${{ github.event.pull_request.head.repo.full_name }}\n",
    ),
    (
        "ref by variable of the job",
        "pull_request_target",
        "    env:\n      WANTED: ${{ github.event.pull_request.head.sha }}\n    permissions:\n      contents: write\n",
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ env.WANTED }}\n",
    ),
    (
        "ref by variable of the step",
        "pull_request_target",
        WRITE,
        "      - env:\n          WANTED: ${{ github.head_ref }}\n        run: git checkout \"$WANTED\"\n",
    ),
    (
        "ref by output of a step",
        "issue_comment",
        WRITE,
        "      - id: look\n        run: gh api \"repos/o/n/pulls/$NUMBER\" --jq .head.sha | sed s/^/at=/ >>\"$GITHUB_OUTPUT\"\n      - uses: actions/checkout@v7\n        with:\n          ref: ${{ steps.look.outputs.at }}\n",
    ),
    (
        "ref by format",
        "issue_comment",
        WRITE,
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ format('refs/pull/{0}/merge', github.event.issue.number) }}\n",
    ),
    (
        "other case of the action",
        "pull_request_target",
        WRITE,
        "      - uses: Actions/Checkout@v7\n        with:\n          ref: ${{ github.event.pull_request.head.sha }}\n",
    ),
    (
        "runner by group",
        "workflow_dispatch",
        "    permissions:\n      contents: write\n",
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ inputs.pr_head }}\n",
    ),
    (
        "secret instead of a token",
        "pull_request_target",
        SECRET,
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ github.event.pull_request.head.sha }}\n",
    ),
    (
        "secret by index",
        "pull_request_target",
        "    env:\n      KEY: ${{ secrets['KEY'] }}\n",
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ github.event.pull_request.head.sha }}\n",
    ),
    (
        "head of a workflow run",
        "workflow_run",
        WRITE,
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ github.event.workflow_run.head_sha }}\n",
    ),
    (
        "branch of a workflow run",
        "workflow_run",
        WRITE,
        "      - env:\n          BRANCH: ${{ github.event.workflow_run.head_branch }}\n        run: git switch \"$BRANCH\"\n",
    ),
    (
        "payload of a dispatch",
        "repository_dispatch",
        WRITE,
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ github.event.client_payload.sha }}\n",
    ),
    (
        "clone of a fork",
        "pull_request_target",
        WRITE,
        "      - env:\n          FROM: ${{ github.event.pull_request.head.repo.clone_url }}\n        run: git clone \"$FROM\" change\n",
    ),
    (
        "archive of a fork",
        "pull_request_target",
        WRITE,
        "      - run: curl -L https://github.com/o/n/archive/${{ github.event.pull_request.head.sha }}.tar.gz | tar xz\n",
    ),
    (
        "input with a commit",
        "workflow_dispatch",
        WRITE,
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ inputs.head_sha }}\n",
    ),
    (
        "called workflow",
        "workflow_call",
        WRITE,
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ inputs.pull_request }}\n",
    ),
    (
        "all permissions",
        "pull_request_target",
        "    permissions: write-all\n",
        "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ github.event.pull_request.merge_commit_sha }}\n",
    ),
    (
        "worktree of a change",
        "pull_request_target",
        WRITE,
        "      - env:\n          SHA: ${{ github.event.pull_request.head.sha }}\n        run: git worktree add change \"${SHA}\"\n",
    ),
];
const WRITE: &str = "    permissions:\n      contents: write\n";
const SECRET: &str = "    env:\n      KEY: ${{ secrets.KEY }}\n";

fn workflow(events: &str, runner: &str, keys: &str, steps: &str) -> String {
    format!(
        "on: {events}\npermissions: {{}}\njobs:\n  a:\n    runs-on: {runner}\n{keys}    steps:\n{steps}{MAKE}"
    )
}

/// Whether the obvious rule sees a workflow.
fn is_obvious(text: &str) -> bool {
    let by_name = text.lines().any(|line| {
        let reference = line.trim().strip_prefix("ref: ").unwrap_or_default();
        reference.starts_with("refs/pull/") || reference.contains("github.event.pull_request.head.sha")
    });
    by_name && text.contains("uses: actions/checkout@") && text.contains(": write\n")
}

/// Returns whether `lint workflows` reports an error.
fn is_refused(text: &str) -> bool {
    let sandbox = Sandbox::new();
    sandbox.file(".github/workflows/x.yml", text);
    let out = sandbox.gates(["lint", "workflows", "--format", "json"]).run();
    out.findings()["summary"]["errors"] != 0
}

#[test]
fn t01_forms_past_obvious_rule() {
    for (form, events, keys, steps) in FORMS {
        let runner = if form == "runner by group" {
            "{ group: big }"
        } else {
            "ubuntu-24.04"
        };
        let text = workflow(events, runner, keys, steps);
        attack(form, !is_obvious(&text), !is_refused(&text));
    }
}

#[test]
fn t01_runner_by_expression() {
    let steps = "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ needs.resolve.outputs.merge }}\n";
    for runner in [
        "${{ inputs.big && 'b200' || 'ubuntu-24.04' }}",
        "{ group: big, labels: gpu }",
    ] {
        let text = workflow("workflow_dispatch", runner, WRITE, steps);
        attack(runner, !is_obvious(&text), !is_refused(&text));
    }
}

#[test]
fn safe_forms_are_no_errors() {
    // On `pull_request`, a fork has neither rights nor secrets. A release never sees a change.
    for (events, keys, steps) in [
        (
            "pull_request",
            WRITE,
            "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ github.head_ref }}\n",
        ),
        (
            "[push, pull_request]",
            SECRET,
            "      - uses: actions/checkout@v7\n",
        ),
        (
            "release",
            WRITE,
            "      - uses: actions/checkout@v7\n      - run: git fetch --tags && git checkout \"$GITHUB_REF\"\n",
        ),
        (
            "workflow_dispatch",
            WRITE,
            "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ inputs.tag }}\n",
        ),
        ("pull_request_target", WRITE, "      - uses: actions/labeler@v6\n"),
        (
            "push",
            WRITE,
            "      - run: echo \"${{ matrix.target }}\" \"${{ github.workspace }}\"\n",
        ),
    ] {
        let text = workflow(events, "ubuntu-24.04", keys, steps);
        assert!(!is_refused(&text), "{text}");
    }
}

#[test]
fn t22_other_workflow_writes_our_status() {
    let status =
        "      - run: gh api repos/o/n/statuses/$GITHUB_SHA -f state=success -f context=nmoe-gates/full\n";
    let check = "      - run: gh api repos/o/n/check-runs -f name=nmoe-gates/full -f head_sha=$GITHUB_SHA -f status=completed -f conclusion=success\n";
    for (permission, steps) in [("statuses", status), ("checks", check)] {
        let keys = format!("    permissions:\n      {permission}: write\n");
        let text = workflow("push", "ubuntu-24.04", &keys, steps);
        attack(permission, !is_obvious(&text), !is_refused(&text));
    }
}

#[test]
fn t18_code_that_moves_next_to_rights() {
    let calls = "on: push\npermissions: {}\njobs:\n  a:\n    uses: other/repo/.github/workflows/x.yml@main\n    secrets: inherit\n";
    let image = workflow(
        "push",
        "ubuntu-24.04",
        WRITE,
        "      - uses: docker://example/tool:latest\n",
    );
    for text in [calls, image.as_str()] {
        let sandbox = Sandbox::new();
        sandbox.file(".github/workflows/x.yml", text);
        let out = sandbox.gates(["lint", "workflows"]).run().exits(0);
        attack(
            text,
            !is_obvious(text),
            !out.stdout.contains("warning[workflow-moving-code]"),
        );
    }
}
