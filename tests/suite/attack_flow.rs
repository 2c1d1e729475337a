//! Attacks by a workflow file that a reader of single lines does not see: the change, the rights, the runner or the name of a status
//! reach their place through other keys, jobs, files or spellings.
//!
//! The naive variant is the rule set before this one: an expression of the event next to a checkout, a literal label, a literal name.

use crate::attack::attack;
use crate::driver::{Outcome, Sandbox};
use crate::lint_pr::{Pull, pull};

const GATES: &str = "on: workflow_dispatch\npermissions: {}\njobs:\n  g:\n    runs-on: ubuntu-24.04\n    steps: [{ run: nmoe-gates --version }]\n";
const ON_PR: &str = "pull_request_target";
const WRITE: &str = "    permissions: { contents: write }\n";
const HEAD: &str = "${{ github.event.pull_request.head.sha }}";
const FORK: &str = "https://github.com/${{ github.event.pull_request.head.repo.full_name }}";
const BRANCH: &str = "${{ github.event.pull_request.head.ref }}";
const CHECKOUT: &str = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1";

fn workflow(events: &str, job: &str, steps: &str) -> String {
    format!(
        "on: {events}\npermissions: {{}}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n{job}    steps:\n{steps}      - run: make\n"
    )
}

fn checkout(reference: &str) -> String {
    format!(
        "      - uses: {CHECKOUT}\n        with: {{ persist-credentials: false, ref: \"{reference}\" }}\n"
    )
}

/// Lints these workflows of one repository.
fn lint(files: &[(&str, &str)]) -> Outcome {
    let sandbox = Sandbox::new();
    // The repository runs gates.
    sandbox.file(".github/workflows/gates.yml", GATES);
    for (name, text) in files {
        sandbox.file(name, text);
    }
    sandbox.gates(["lint", "workflows", "--format", "json"]).run()
}

/// Returns the codes of the errors of these workflows.
fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let report = lint(files).findings();
    let findings = report["findings"].as_array().unwrap();
    let errors = findings.iter().filter(|finding| finding["severity"] == "error");
    errors
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether the rule before this one sees the workflow: an event field or `refs/pull/` in the `ref` of a checkout, with `write`.
fn sees_expression(text: &str) -> bool {
    let references = text
        .split("ref: ")
        .skip(1)
        .map(|rest| rest.lines().next().unwrap_or_default());
    let mut references =
        references.filter(|reference| !reference.contains("env.") && !reference.contains("outputs."));
    let taken = references
        .any(|reference| reference.contains("pull_request.head") || reference.contains("refs/pull/"));
    taken && text.contains("actions/checkout@") && text.contains(": write")
}

#[track_caller]
fn is_refused(what: &str, naive: bool, files: &[(&str, &str)], code: &str) {
    let found = errors(files);
    attack(what, naive, !found.iter().any(|found| found == code));
}

const X: &str = ".github/workflows/x.yml";

/// A job of the change's workflow makes a check run with the name of our status. No permission is needed for it.
#[test]
fn t22_check_run_takes_our_name() {
    let job = |keys: &str| {
        format!(
            "on: pull_request\npermissions: {{}}\njobs:\n  a:\n{keys}    runs-on: ubuntu-24.04\n    steps: [{{ run: 'true' }}]\n"
        )
    };
    let matrix = |values: &str| format!("    strategy: {{ matrix: {values} }}\n");
    for (what, text) in [
        ("literal", job("    name: nmoe-gates/full\n")),
        ("blanks", job("    name: 'nmoe-gates / full'\n")),
        ("matrix", job(&format!("    name: ${{{{ matrix.n }}}}\n{}", matrix("{ n: [a, nmoe-gates/full] }")))),
        ("parts", job(&format!("    name: nmoe-${{{{ matrix.n }}}}\n{}", matrix("{ include: [{ n: gates/full }] }")))),
        ("format", job("    name: ${{ format('{0}-gates/full', 'nmoe') }}\n")),
        ("join", job("    name: ${{ join(fromJSON('[\"nmoe\", \"gates/full\"]'), '-') }}\n")),
        ("matrix of JSON", job(&format!("    name: ${{{{ matrix.n }}}}\n{}", matrix("\"${{ fromJSON('{\\\"n\\\":[\\\"nmoe-gates/full\\\"]}') }}\"")))),
        ("variable", job("    env: { N: nmoe-gates/full }\n    name: ${{ env.N }}\n")),
        ("branch of the change", job("    name: ${{ github.head_ref }}\n")),
        ("output", job("    name: ${{ needs.b.outputs.n }}\n")),
        ("start of a branch", job("    name: nmoe-${{ github.head_ref }}\n")),
        ("alias", format!("on: pull_request\npermissions: {{}}\nenv: {{ A: &n nmoe-gates/full }}\n{}", &job("    name: *n\n")[33..])),
        ("call", "on: pull_request\npermissions: {}\njobs:\n  a:\n    name: nmoe-gates\n    uses: ./.github/workflows/y.yml\n".to_owned()),
        ("input by hand", job("    name: ${{ inputs.n }}\n").replace("on: pull_request", "on: { workflow_dispatch: { inputs: { n: { type: choice, options: [nmoe-gates/full] } } } }")),
    ] {
        // A search for jobs with `statuses: write` or `checks: write` finds nothing.
        is_refused(what, !text.contains("write"), &[(X, &text)], "workflow-taken-name");
    }
}

#[test]
fn other_check_runs_are_no_finding() {
    for name in [
        "Gates",
        "build (${{ matrix.os }})",
        "${{ matrix.os }}",
        "nmoe ${{ github.head_ref }}",
        "${{ matrix.os == 'x' && 'Linux' || 'Other' }} ${{ github.ref }}",
    ] {
        let text = format!(
            "on: push\npermissions: {{}}\njobs:\n  a:\n    name: {name}\n    strategy: {{ matrix: {{ os: [linux, mac] }} }}\n    runs-on: ubuntu-24.04\n    steps: [{{ run: 'true' }}]\n"
        );
        assert_eq!(errors(&[(X, &text)]), Vec::<String>::new(), "{name}");
    }
}

/// A machine that keeps what a job leaves on it, with the code of a pull request and rights.
#[test]
fn t01_own_runner_on_pull_request() {
    let many = format!("{{ r: [{}b200] }}", "'${{ matrix.r }}', ".repeat(60));
    let runners = [
        ("literal", "[self-hosted, gpu]", ""),
        ("label", "b200", ""),
        ("label like one of GitHub", "github-b200", ""),
        ("label like our key", "runs-on-b200", ""),
        ("labels like those of providers", "['warp-b200', depot-gpu]", ""),
        ("other case", "${{ Matrix.R }}", "{ r: [b200] }"),
        ("matrix", "${{ matrix.r }}", "{ r: [self-hosted] }"),
        (
            "list with matrix",
            "['${{ matrix.r }}', gpu]",
            "{ r: [self-hosted] }",
        ),
        ("include", "${{ matrix.r }}", "{ include: [{ r: b200, n: 1 }] }"),
        ("JSON", "${{ fromJSON('[\"self-hosted\", \"gpu\"]') }}", ""),
        (
            "matrix of JSON",
            "${{ matrix.r }}",
            "\"${{ fromJSON('{\\\"r\\\":[\\\"b200\\\"]}') }}\"",
        ),
        ("format", "${{ format('{0}-{1}', 'self', 'hosted') }}", ""),
        (
            "choice",
            "${{ github.actor == 'x' && 'ubuntu-24.04' || 'b200' }}",
            "",
        ),
        ("group", "{ group: gpus }", ""),
        ("too many values", "${{ matrix.r }}", &many),
        ("variable", "${{ env.R }}", ""),
    ];
    let rights = [
        (
            "permissions: { contents: write }",
            "",
            "workflow-self-hosted-write",
        ),
        (
            "permissions: { id-token: write }",
            "",
            "workflow-self-hosted-write",
        ),
        (
            "permissions: { contents: read }",
            "    env: { K: '${{ secrets.K }}' }\n",
            "workflow-secret-beside-change",
        ),
    ];
    for (what, runner, matrix) in runners {
        let strategy = if matrix.is_empty() {
            String::new()
        } else {
            format!("    strategy: {{ matrix: {matrix} }}\n")
        };
        for (permissions, env, code) in rights {
            let text = format!(
                "on: pull_request\n{permissions}\nenv: {{ R: b200 }}\njobs:\n  a:\n{strategy}    runs-on: {runner}\n{env}    steps:\n      - uses: {CHECKOUT}\n        with: {{ persist-credentials: false }}\n      - run: make\n"
            );
            is_refused(
                &format!("{what}, {permissions}{env}"),
                !sees_expression(&text),
                &[(X, &text)],
                code,
            );
        }
    }
}

/// The change reaches a checkout, an installer or an image through variables, outputs, inputs and other events.
#[test]
fn t01_change_reaches_step_by_detour() {
    let env_file = "      - run: echo \"REF=refs/pull/${{ github.event.number }}/merge\" >>\"$GITHUB_ENV\"\n";
    let local = "      - run: |\n          WANTED=\"refs/pull/$N/head\"\n          git fetch origin \"$WANTED\"\n          git checkout FETCH_HEAD\n        env: { N: '${{ github.event.number }}' }\n";
    let number = "        env: { N: '${{ github.event.number }}' }\n";
    let run = |script: &str| format!("      - run: {script}\n{number}");
    for (what, events, steps) in [
        ("variable by file", ON_PR, format!("{env_file}{}", checkout("${{ env.REF }}"))),
        ("variable of the script", ON_PR, local.to_owned()),
        ("deployed ref", "deployment", checkout("${{ github.event.deployment.ref }}")),
        ("deployed commit", "deployment", format!("      - uses: {CHECKOUT}\n        with: {{ persist-credentials: false }}\n")),
        ("head of a check", "check_suite", checkout("${{ github.event.check_suite.head_sha }}")),
        ("commit of a status", "status", checkout("${{ github.event.sha }}")),
        ("text of a comment", "issue_comment", checkout("${{ github.event.comment.body }}")),
        ("member by expression", ON_PR, checkout("${{ github.event[format('pull_{0}', 'request')].head.sha }}")),
        ("pull request of a nightly run", "schedule", "      - id: look\n        run: echo \"at=$(gh pr list --json headRefOid --jq '.[0].headRefOid')\" >>\"$GITHUB_OUTPUT\"\n".to_owned() + &checkout("${{ steps.look.outputs.at }}")),
        ("number of a nightly run", "schedule", "      - run: gh pr checkout 7\n".to_owned()),
        ("number of a sent event", "repository_dispatch", "      - run: git fetch origin \"pull/$N/head\" && git checkout FETCH_HEAD\n        env: { N: '${{ github.event.client_payload.n }}' }\n".to_owned()),
        ("file of the event", ON_PR, "      - run: git fetch origin \"$(jq -r .pull_request.head.sha \"$GITHUB_EVENT_PATH\")\" && git checkout FETCH_HEAD\n".to_owned()),
        ("quotes in the command", ON_PR, run("g''it fetch origin \"p\"\"ull/$N/head\" && git check\\out FETCH_HEAD")),
        ("pip", ON_PR, run("pip install \"git+https://github.com/o/r@refs/pull/$N/head\"")),
        ("uv", ON_PR, run("uv pip install \"git+https://github.com/o/r@refs/pull/${N}/head\"")),
        ("npm", ON_PR, run("npm install \"o/r#refs/pull/$N/head\"")),
        ("cargo", ON_PR, format!("      - run: cargo install --git https://github.com/o/r --rev {HEAD}\n")),
        ("go", ON_PR, format!("      - run: go run example.com/o/r/cmd@{HEAD}\n")),
        ("tar", ON_PR, format!("      - run: curl -L https://codeload.github.com/o/r/tar.gz/{HEAD} | tar xz\n")),
        ("patch", ON_PR, run("gh pr diff \"$N\" | git apply")),
        ("shell from an address", ON_PR, format!("      - run: bash <(curl -L https://raw.githubusercontent.com/o/r/{HEAD}/x.sh)\n")),
        ("image that is run", ON_PR, run("docker run --rm \"ghcr.io/o/r:pr-$N\"")),
        ("image that is built", ON_PR, run("docker build \"https://github.com/o/r.git#refs/pull/$N/head\"")),
        ("script of an action", ON_PR, "      - uses: actions/github-script@ed597411d8f924073f98dfc5c65a23a2325f34cd\n        with:\n          script: |\n            const sha = context.payload.pull_request.head.sha;\n            await exec.exec('git', ['fetch', 'origin', sha]);\n            await exec.exec('git', ['checkout', sha]);\n".to_owned()),
        ("commit after an own branch", ON_PR, format!("      - run: |\n          git fetch origin refs/heads/main {HEAD}\n          git merge FETCH_HEAD\n")),
        ("origin that is the fork", ON_PR, format!("      - run: |\n          git remote set-url origin {FORK}\n          git fetch origin refs/heads/{BRANCH}\n          git checkout FETCH_HEAD\n")),
        ("fork in an earlier step", ON_PR, format!("      - run: git remote set-url origin {FORK}\n      - run: |\n          git fetch origin refs/heads/main\n          git checkout FETCH_HEAD\n")),
        ("fork by configuration", ON_PR, format!("      - run: |\n          git config remote.origin.url {FORK}\n          git fetch origin refs/heads/{BRANCH}\n          git checkout FETCH_HEAD\n")),
        ("fork under another name", ON_PR, format!("      - run: |\n          git remote add theirs {FORK}\n          git fetch theirs\n          git checkout theirs/main\n")),
        ("key of the matrix", ON_PR, checkout("${{ Matrix.at }}")),
        ("other case", ON_PR, format!("      - id: at\n        run: echo \"v={HEAD}\" >>\"$GITHUB_OUTPUT\"\n{}", checkout("${{ Steps.AT.outputs.v }}"))),
        ("merge queue", "merge_group", format!("      - uses: {CHECKOUT}\n        with: {{ persist-credentials: false }}\n")),
        ("checkout by another action", ON_PR, format!("      - uses: example/git-clone@{}\n        with: {{ ref: '{}' }}\n", "1".repeat(40), HEAD.replace("event.pull_request.head.sha", "head_ref"))),
    ] {
        let strategy = match what {
            "key of the matrix" => format!("    strategy: {{ matrix: {{ include: [{{ at: '{HEAD}' }}] }} }}\n"),
            _ => String::new(),
        };
        let text = workflow(events, &format!("{strategy}{WRITE}"), &steps);
        is_refused(what, !sees_expression(&text), &[(X, &text)], "workflow-write-beside-change");
    }
    for (what, job) in [
        (
            "image of the job",
            "    container: { image: 'ghcr.io/o/r:pr-${{ github.event.number }}' }\n",
        ),
        (
            "short image",
            "    container: 'ghcr.io/o/r:pr-${{ github.event.number }}'\n",
        ),
        (
            "image of a service",
            "    services: { s: { image: 'ghcr.io/o/r:${{ github.head_ref }}' } }\n",
        ),
    ] {
        let text = workflow(ON_PR, &format!("{WRITE}{job}"), "");
        is_refused(
            what,
            !sees_expression(&text),
            &[(X, &text)],
            "workflow-write-beside-change",
        );
    }
}

/// Only people with write access push branches of the own repository, and put changes into the merge queue.
#[test]
fn own_branches_and_queue_are_no_error() {
    let fetch = format!(
        "      - run: |\n          git fetch origin +refs/heads/{BRANCH}:refs/remotes/origin/x\n          git checkout FETCH_HEAD\n"
    );
    let queue = format!("      - uses: {CHECKOUT}\n");
    let read = "    permissions: { contents: read }\n";
    for (events, job, steps) in [
        (ON_PR, WRITE, &fetch),
        ("[pull_request, merge_group]", read, &queue),
    ] {
        let text = workflow(events, job, steps);
        assert_eq!(errors(&[(X, &text)]), Vec::<String>::new(), "{text}");
    }
}

/// Names and values in great number take no more than a moment, and hide nothing.
#[test]
fn t01_change_behind_many_names() {
    let lines: String = (0..1500).map(|n| format!("          v{n}=$X\n")).collect();
    let steps = format!(
        "      - env: {{ X: '{HEAD}' }}\n        run: |\n{lines}          git fetch origin ${{v1499#refs/}} && git checkout FETCH_HEAD\n"
    );
    let names = workflow(ON_PR, WRITE, &steps);
    let item = "${{ env.E }}".repeat(60);
    let values = names.replace("jobs:\n", &format!("env: {{ E: '{item}' }}\njobs:\n"));
    let values = values.replace("  a:\n", "  a:\n    name: ${{ env.E }}\n");
    for (what, text) in [("names", names), ("values", values)] {
        let start = std::time::Instant::now();
        is_refused(
            what,
            !sees_expression(&text),
            &[(X, &text)],
            "workflow-write-beside-change",
        );
        assert!(start.elapsed().as_secs() < 5, "{what}: {:?}", start.elapsed());
    }
}

/// Files of a checkout that never end, or that are no files, stop nothing.
#[test]
fn t01_local_action_that_never_ends() {
    let steps = format!(
        "      - uses: ./pipe\n      - uses: ./endless\n      - uses: ./folder\n      - uses: ./real\n        with: {{ at: '{HEAD}' }}\n"
    );
    let text = workflow(ON_PR, WRITE, &steps);
    let sandbox = Sandbox::new();
    sandbox.file(X, &text);
    sandbox.file("folder/action.yml/file", "");
    sandbox.file("actions/take.yml", "runs:\n  using: composite\n  steps:\n    - shell: bash\n      run: git fetch origin \"$AT\" && git checkout FETCH_HEAD\n      env: { AT: '${{ inputs.at }}' }\n");
    for folder in ["pipe", "endless", "real"] {
        std::fs::create_dir(sandbox.repo().join(folder)).unwrap();
    }
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        sandbox.repo().join("pipe/action.yml"),
        rustix::fs::Mode::from(0o600),
    )
    .unwrap();
    std::os::unix::fs::symlink("/dev/zero", sandbox.repo().join("endless/action.yml")).unwrap();
    std::os::unix::fs::symlink("../actions/take.yml", sandbox.repo().join("real/action.yml")).unwrap();
    let report = sandbox
        .gates(["lint", "workflows", "--format", "json"])
        .run()
        .findings();
    let found = report.to_string().contains("workflow-write-beside-change");
    attack("an action behind a pipe", !sees_expression(&text), !found);
}

#[test]
fn t01_change_reaches_job_by_output() {
    let text = format!(
        "on: {ON_PR}\npermissions: {{}}\njobs:\n  p:\n    runs-on: ubuntu-24.04\n    outputs: {{ r: '${{{{ steps.s.outputs.r }}}}' }}\n    steps:\n      - id: s\n        run: echo \"r=refs/pull/${{{{ github.event.number }}}}/merge\" >>\"$GITHUB_OUTPUT\"\n  q:\n    needs: p\n    runs-on: ubuntu-24.04\n    outputs: {{ t: '${{{{ needs.p.outputs.r }}}}' }}\n    steps: [{{ run: 'true' }}]\n  a:\n    needs: q\n    runs-on: ubuntu-24.04\n{WRITE}    steps:\n{}",
        checkout("${{ needs.q.outputs.t }}")
    );
    is_refused(
        "outputs of two jobs",
        !sees_expression(&text),
        &[(X, &text)],
        "workflow-write-beside-change",
    );
    let text = text.replace(
        "needs: q\n    runs-on",
        "needs: q\n    strategy: { matrix: { r: ['${{ needs.q.outputs.t }}'] } }\n    runs-on",
    );
    let text = text.replace("ref: \"${{ needs.q.outputs.t }}\"", "ref: \"${{ matrix.r }}\"");
    is_refused(
        "outputs and matrix",
        !sees_expression(&text),
        &[(X, &text)],
        "workflow-write-beside-change",
    );
}

/// A workflow that others call takes the change from its caller, the rights too.
#[test]
fn t01_change_reaches_called_workflow() {
    let callee = format!(
        "on: {{ workflow_call: {{ inputs: {{ at: {{ type: string }} }} }} }}\njobs:\n  b:\n    runs-on: ubuntu-24.04\n    steps:\n{}      - run: make\n",
        checkout("${{ inputs.at }}")
    );
    let with_rights = callee.replace("jobs:", "permissions: { contents: write }\njobs:");
    is_refused(
        "called by anyone",
        !sees_expression(&with_rights),
        &[(".github/workflows/y.yml", &with_rights)],
        "workflow-write-beside-change",
    );
    let caller = |rights: &str| {
        format!(
            "on: {ON_PR}\n{rights}jobs:\n  a:\n    uses: ./.github/workflows/y.yml\n    with: {{ at: '{HEAD}' }}\n    secrets: inherit\n"
        )
    };
    let write = caller("permissions: write-all\n");
    is_refused(
        "called with a token",
        !sees_expression(&callee),
        &[(X, &write), (".github/workflows/y.yml", &callee)],
        "workflow-write-beside-change",
    );
    let secret = callee.replace(
        "- run: make",
        "- run: make\n        env: { K: '${{ secrets.K }}' }",
    );
    let read = caller("permissions: { contents: read }\n");
    is_refused(
        "called with secrets",
        !sees_expression(&secret),
        &[(X, &read), (".github/workflows/y.yml", &secret)],
        "workflow-secret-beside-change",
    );
    is_refused(
        "called workflow is absent",
        !sees_expression(&write),
        &[(X, &write)],
        "workflow-secret-beside-change",
    );
    let between = "on: { workflow_call: { inputs: { x: { type: string } } } }\njobs:\n  m:\n    uses: ./.github/workflows/y.yml\n    with: { at: '${{ inputs.x }}' }\n    secrets: inherit\n";
    let first = read.replace("y.yml", "m.yml").replace("at:", "x:");
    is_refused(
        "called through another",
        !sees_expression(&secret),
        &[
            (X, &first),
            (".github/workflows/m.yml", between),
            (".github/workflows/y.yml", &secret),
        ],
        "workflow-secret-beside-change",
    );
    // A caller that gives no change does nothing wrong.
    let release = "on: release\npermissions: write-all\njobs:\n  a:\n    uses: ./.github/workflows/y.yml\n    with: { at: '${{ github.ref }}' }\n    secrets: inherit\n";
    assert_eq!(
        errors(&[(X, release), (".github/workflows/y.yml", &secret)]),
        Vec::<String>::new()
    );
}

#[test]
fn t01_change_reaches_local_action() {
    let action = "runs:\n  using: composite\n  steps:\n    - shell: bash\n      run: git fetch origin \"$AT\" && git checkout FETCH_HEAD\n      env: { AT: '${{ inputs.at }}' }\n";
    let steps = format!(
        "      - uses: {CHECKOUT}\n        with: {{ persist-credentials: false }}\n      - uses: ./.github/actions/take\n        with: {{ at: '{HEAD}' }}\n"
    );
    let text = workflow(ON_PR, WRITE, &steps);
    is_refused(
        "fetched by a local action",
        !sees_expression(&text),
        &[(X, &text), (".github/actions/take/action.yml", action)],
        "workflow-write-beside-change",
    );
}

/// Files of a run without rights are the change's.
#[test]
fn t01_files_of_untrusted_run() {
    let download = "      - uses: actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c\n        with: { run-id: '${{ github.event.workflow_run.id }}', github-token: '${{ github.token }}' }\n";
    let by_hand = |folder: &str, then: &str| {
        format!(
            "      - run: gh run download ${{{{ github.event.workflow_run.id }}}} -n build{folder}{then}\n        env: {{ GH_TOKEN: '${{{{ github.token }}}}' }}\n"
        )
    };
    for (what, steps) in [
        (
            "run in the same script",
            by_hand("", " && chmod +x tool && ./tool"),
        ),
        (
            "run by a shell",
            format!("{download}      - run: bash build/run.sh\n"),
        ),
        ("run by make", format!("{download}      - run: make\n")),
        (
            "local action",
            format!("{download}      - uses: ./build/action\n"),
        ),
        (
            "own folder",
            format!("{}      - run: python3 /tmp/w/x.py\n", by_hand(" -D /tmp/w", "")),
        ),
        (
            "names a commit",
            format!(
                "{download}      - id: n\n        run: echo \"sha=$(cat build/sha)\" >>\"$GITHUB_OUTPUT\"\n{}",
                checkout("${{ steps.n.outputs.sha }}")
            ),
        ),
        (
            "image",
            format!("{download}      - run: docker load -i build/image.tar && docker run image\n"),
        ),
    ] {
        let text = workflow("{ workflow_run: { workflows: [ci] } }", WRITE, &steps).replace(
            "      - run: make\n",
            if what == "run by make" {
                "      - run: make\n"
            } else {
                ""
            },
        );
        is_refused(
            what,
            !sees_expression(&text),
            &[(X, &text)],
            "workflow-write-beside-change",
        );
    }
    let upload = "      - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f\n        with: { path: out }\n";
    let own = "      - uses: actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c\n      - run: ./out/tool\n";
    let text = format!(
        "on: {ON_PR}\npermissions: {{}}\njobs:\n  b:\n    runs-on: ubuntu-24.04\n    steps:\n{}{upload}  a:\n    needs: b\n    runs-on: ubuntu-24.04\n{WRITE}    steps:\n{own}",
        checkout(HEAD)
    );
    is_refused(
        "built by another job of the run",
        true,
        &[(X, &text)],
        "workflow-write-beside-change",
    );
}

#[test]
fn reading_untrusted_files_is_no_error() {
    let download = "      - uses: actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c\n        with: { run-id: '${{ github.event.workflow_run.id }}', github-token: '${{ github.token }}', path: '${{ runner.temp }}/report' }\n";
    let text = workflow(
        "{ workflow_run: { workflows: [ci] } }",
        "    permissions: { pull-requests: write }\n",
        &format!(
            "{download}      - run: gh pr comment \"$(cat \"$RUNNER_TEMP/report/number\")\" --body-file \"$RUNNER_TEMP/report/text\"\n"
        ),
    );
    assert_eq!(errors(&[(X, &text)]), Vec::<String>::new());
}

/// Jobs that can write our status without `statuses: write` in sight, or with its name in pieces.
#[test]
fn t22_status_writers_in_disguise() {
    let script = |script: &str| {
        format!(
            "      - uses: actions/github-script@ed597411d8f924073f98dfc5c65a23a2325f34cd\n        with: {{ script: \"{script}\" }}\n"
        )
    };
    let run = |script: &str| format!("      - run: {script}\n");
    let api = "gh api repos/o/n/statuses/$GITHUB_SHA -f state=success -f context=";
    let app = "      - id: t\n        uses: actions/create-github-app-token@d72941d797fd3113feb6b93fd0dec494b13a2547\n        with: { app-id: 1, private-key: '${{ secrets.KEY }}' }\n";
    for (what, head, steps) in [
        (
            "all permissions",
            "permissions: write-all",
            run(&format!("{api}nmoe-gates/full")),
        ),
        (
            "checks",
            "permissions: { checks: write }",
            run("gh api repos/o/n/check-runs -f name=nmoe-gates/full -f conclusion=success"),
        ),
        (
            "quotes inside the name",
            "permissions: { statuses: write }",
            run(&format!("{api}nmoe''-gates/full")),
        ),
        (
            "backslash inside the name",
            "permissions: { statuses: write }",
            run(&format!("{api}nmo\\e-gates/full")),
        ),
        (
            "joined name",
            "permissions: { statuses: write }",
            script(
                "await github.rest.repos.createCommitStatus({sha, context: ['nmoe', 'gates/full'].join('-')})",
            ),
        ),
        (
            "added name",
            "permissions: { statuses: write }",
            script("await github.rest.repos.createCommitStatus({sha, context: 'nmo' + rest})"),
        ),
        (
            "coded name",
            "permissions: { statuses: write }",
            run(&format!("{api}$(printf bm1vZS1nYXRlcy9mdWxs | base64 -d)")),
        ),
        (
            "name in a variable",
            "permissions: { statuses: write }",
            run(&format!("{api}$NAME")),
        ),
        (
            "default permissions",
            "",
            script(
                "await github.rest.repos.createCommitStatus({sha, context: ['nmoe', 'gates/full'].join('-')})",
            ),
        ),
        (
            "default permissions by API",
            "",
            run(&format!("{api}nmoe-gates/full")),
        ),
        (
            "check run by default",
            "",
            script("await github.rest.checks.create({name, head_sha, conclusion: 'success'})"),
        ),
        (
            "file with the name",
            "permissions: { statuses: write }",
            run("gh api repos/o/n/statuses/$GITHUB_SHA --input status.json"),
        ),
        (
            "token of an app",
            "permissions: {}",
            format!("{app}{}", run(&format!("{api}nmoe-gates/full"))),
        ),
        (
            "token of a person",
            "permissions: {}",
            format!(
                "{}        env: {{ GH_TOKEN: '${{{{ secrets.PAT }}}}' }}\n",
                run(&format!("{api}nmoe-gates/full"))
            ),
        ),
        (
            "action with the name",
            "permissions: { statuses: write }",
            format!(
                "      - uses: example/set-status@{}\n        with: {{ context: nmoe-gates/full }}\n",
                "1".repeat(40)
            ),
        ),
    ] {
        let text = format!("on: push\n{head}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n{steps}");
        let naive = !(text.contains("statuses: write")
            && text.contains("nmoe-gates/full")
            && !text.contains("set-status"));
        is_refused(
            what,
            naive || what == "all permissions",
            &[(X, &text)],
            "workflow-status-writer",
        );
    }
}

#[test]
fn other_statuses_are_no_error() {
    for (head, script) in [
        (
            "permissions: { statuses: write }",
            "gh api repos/o/n/statuses/$GITHUB_SHA -f state=success -f context=ci/docs",
        ),
        (
            "permissions: { checks: read }",
            "gh api repos/o/n/commits/$GITHUB_SHA/check-runs --jq .total_count",
        ),
        (
            "permissions: { contents: read }",
            "gh api repos/o/n/commits/$GITHUB_SHA/statuses --jq '.[] | select(.context == \"nmoe-gates/full\")'",
        ),
    ] {
        let text = format!(
            "on: push\n{head}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: {}\n",
            serde_json::json!(script)
        );
        assert_eq!(errors(&[(X, &text)]), Vec::<String>::new(), "{script}");
    }
}

/// A change adds a workflow with an action whose file is a folder: git has no text for it.
#[test]
fn t22_change_hides_behind_folder() {
    const OWN: &str = ".github/workflows/own.yml";
    let text = "on: pull_request\npermissions: {}\njobs:\n  a:\n    name: nmoe-gates/full\n    runs-on: ubuntu-24.04\n    steps: [{ uses: ./x }]\n";
    let pull = pull(&[(OWN, text), ("x/action.yml/file", "a\n")]);
    let found = pull.call("json").run().findings().to_string();
    attack(
        "an action file that is a folder",
        !text.contains("write"),
        !found.contains("workflow-taken-name"),
    );
}

/// A change adds a workflow whose job takes our name. What its base has already is no finding of the change.
#[test]
fn t22_change_adds_workflow_with_our_name() {
    const OWN: &str = ".github/workflows/own.yml";
    let text = "on: pull_request\npermissions: {}\njobs:\n  a:\n    name: nmoe-gates/full\n    runs-on: ubuntu-24.04\n    steps: [{ run: 'true' }]\n";
    let mut pull = pull(&[(OWN, text)]);
    let codes = |pull: &Pull| {
        let report = pull.call("json").run().findings();
        let findings = report["findings"].as_array().unwrap();
        let own = findings.iter().filter(|finding| finding["path"] == OWN);
        let codes = own.map(|finding| finding["code"].as_str().unwrap().to_owned());
        codes
            .filter(|code| code.starts_with("workflow-"))
            .collect::<Vec<_>>()
    };
    let found = codes(&pull);
    attack(
        "a new workflow",
        !text.contains("write"),
        !found.contains(&"workflow-taken-name".to_owned()),
    );
    let sandbox = &pull.sandbox;
    let base = sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    sandbox.file(OWN, format!("# A comment.\n{text}"));
    sandbox.git(["commit", "-qam", "comment"]);
    let head = sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    pull.event["pull_request"]["base"]["sha"] = base.into();
    pull.event["pull_request"]["head"]["sha"] = head.into();
    assert_eq!(codes(&pull), Vec::<String>::new());
}
