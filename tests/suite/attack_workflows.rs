//! Attacks by a workflow file: forms that take the code of a change next to a token or a secret, and other writers of our status.
//!
//! The naive variant is the obvious rule: a checkout by the name of a pull request in a job that may write.

use crate::attack::attack;
use crate::driver::Sandbox;

/// A step that runs what was taken.
const MAKE: &str = "      - run: make\n";

/// Forms that the obvious rule does not see: name, events, more keys of the job, steps.
const FORMS: [(&str, &str, &str, &str); 36] = [
    (
        "checkout with the repository as option",
        "issue_comment",
        WRITE,
        "      - run: gh -R o/r pr checkout \"$NUMBER\"\n",
    ),
    (
        "checkout with an option of pr",
        "issue_comment",
        WRITE,
        "      - run: gh pr -R o/r checkout \"$NUMBER\"\n",
    ),
    (
        "remote of a fork",
        "pull_request_target",
        WRITE,
        "      - env:\n          FROM: ${{ github.event.pull_request.head.repo.clone_url }}\n        run: git remote add fork \"$FROM\"\n      - run: git fetch fork\n      - run: git checkout fork/main\n",
    ),
    (
        "fetch in one step and checkout in the next",
        "issue_comment",
        WRITE,
        "      - run: git fetch origin \"pull/$NUMBER/head\"\n      - run: git checkout FETCH_HEAD\n",
    ),
    (
        "single file of a fetched commit",
        "issue_comment",
        WRITE,
        "      - run: git fetch origin \"pull/$NUMBER/head\"\n      - run: git show FETCH_HEAD:setup.py > setup.py\n",
    ),
    (
        "archive of a fetched commit",
        "issue_comment",
        WRITE,
        "      - run: git fetch origin \"pull/$NUMBER/head\" && git archive FETCH_HEAD | tar x\n",
    ),
    (
        "tree of a fetched commit",
        "issue_comment",
        WRITE,
        "      - run: |\n          git fetch origin \"pull/$NUMBER/head\"\n          git read-tree -u --reset FETCH_HEAD\n",
    ),
    (
        "difference of a change",
        "issue_comment",
        WRITE,
        "      - run: gh pr diff \"$NUMBER\" > d; git apply d\n",
    ),
    (
        "commit by a copy of the event",
        "pull_request_target",
        WRITE,
        "      - id: look\n        uses: actions/github-script@v8\n        with:\n          script: |\n            const pr = context.payload.pull_request;\n            core.setOutput('sha', pr.head.sha);\n      - uses: actions/checkout@v7\n        with:\n          ref: ${{ steps.look.outputs.sha }}\n",
    ),
    (
        "artifact in its own folder",
        "workflow_run",
        WRITE,
        "      - run: gh run download \"$RUN\" -D out\n      - run: cd out; bash x.sh\n",
    ),
    (
        "artifact in the folder of the step",
        "workflow_run",
        WRITE,
        "      - run: gh run download \"$RUN\" -D out\n      - run: bash ./x.sh\n        working-directory: out\n",
    ),
    (
        "artifact as input of a shell",
        "workflow_run",
        WRITE,
        "      - run: gh run download \"$RUN\" -D out\n      - run: bash < out/x.sh\n",
    ),
    (
        "artifact through a pipe",
        "workflow_run",
        WRITE,
        "      - run: gh run download \"$RUN\" -D out\n      - run: cat out/x.sh | bash\n",
    ),
    (
        "artifact as environment",
        "workflow_run",
        WRITE,
        "      - run: gh run download \"$RUN\" -D out\n      - run: cat out/env >> \"$GITHUB_ENV\"\n",
    ),
    (
        "artifact that is installed",
        "workflow_run",
        WRITE,
        "      - run: gh run download \"$RUN\" -D dist\n      - run: pip install dist/*\n",
    ),
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

/// A machine that keeps what a job leaves must not run a change, however a workflow names the running commit.
#[test]
fn t01_running_commit_on_own_runner() {
    let checkout =
        |with: &str| format!("      - uses: actions/checkout@v7\n        with:\n          {with}\n");
    for steps in [
        checkout("ref: ${{ github.sha }}"),
        checkout("ref: ${{ github.ref }}"),
        checkout("ref: ${{ github.ref_name }}"),
        checkout("repository: ${{ github.repository }}"),
        "      - run: git fetch origin \"$GITHUB_REF\" && git checkout FETCH_HEAD\n".to_owned(),
    ] {
        for (events, runner) in [
            ("pull_request", "b200"),
            ("pull_request", "[ubuntu-latest, b200]"),
            ("pull_request", "ubuntu-x"),
            ("deployment", "ubuntu-24.04"),
        ] {
            let text = workflow(events, runner, WRITE, &steps);
            let sandbox = Sandbox::new();
            sandbox.file(".github/workflows/x.yml", &text);
            sandbox.file("configs/nmoe-gates.toml", "[runner]\nlabels = [\"ubuntu-x\"]\n");
            let out = sandbox.gates(["lint", "workflows", "--format", "json"]).run();
            let is_seen = out.findings()["summary"]["errors"] != 0;
            attack(
                &format!("{events} on {runner}: {steps}"),
                !is_obvious(&text),
                !is_seen,
            );
        }
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
            "pull_request",
            WRITE,
            "      - uses: actions/checkout@v7\n        with:\n          ref: ${{ github.sha }}\n",
        ),
        (
            "push",
            WRITE,
            "      - run: git fetch origin \"$GITHUB_REF\" && git checkout FETCH_HEAD\n",
        ),
        (
            "workflow_run",
            WRITE,
            "      - run: gh run download \"$RUN\" -D out\n      - run: echo \"NUMBER=$(cat out/number)\" >> \"$GITHUB_OUTPUT\"\n",
        ),
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
    // Another call in the same script has a plain name.
    let script = "      - uses: actions/github-script@v8\n        with:\n          script: |\n            console.log({ context: 'lint' });\n            github.rest.repos.createCommitStatus({ ...process.env, state: 'success' });\n";
    let decoy = "      - run: |\n          echo context=lint\n          gh api repos/o/n/statuses/$GITHUB_SHA -f state=success -f context=$NAME\n";
    for steps in [script, decoy] {
        let keys = "    permissions:\n      statuses: write\n";
        let text = workflow(
            "push",
            "ubuntu-24.04",
            keys,
            &format!("{steps}      - run: nmoe-gates --version\n"),
        );
        attack(steps, !is_obvious(&text), !is_refused(&text));
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
