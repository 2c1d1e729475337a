//! Lists the codes of findings about workflows.

use crate::domain::finding::codes;

codes! {
    UNREADABLE = "workflow-unreadable", Error,
        "the workflow is not valid YAML",
        "GitHub would not run this workflow, and it cannot be checked. Fix the syntax first.",
        "jobs: [",
        "jobs: {}";
    WRITE_BESIDE_CHANGE = "workflow-write-beside-change", Error,
        "a job runs the code of a change and has a token that may write",
        "The code of a pull request can read the memory, the environment and the files of its job, including the token. Code is also what a script installs, an image that a change names, and a file that an untrusted run uploaded. Split the job: one job runs the code with `contents: read`, and another job writes and never checks out the code.",
        "permissions:\n  contents: read\n  pull-requests: write",
        "permissions:\n  contents: read";
    SELF_HOSTED_WRITE = "workflow-self-hosted-write", Error,
        "a job on a self-hosted runner may write to the repository",
        "A job can leave files and processes on such a machine for the next job, so this counts on `pull_request` too. Write to the repository in a job on a hosted runner that reads the results as untrusted data.",
        "runs-on: b200\npermissions:\n  pull-requests: write",
        "runs-on: b200\npermissions:\n  contents: read";
    SECRET_BESIDE_CHANGE = "workflow-secret-beside-change", Error,
        "a job runs the code of a change and uses secrets",
        "The code of a pull request can read the memory, the environment and the files of its job, including secrets. Use secrets in another job, which never takes the code of a change.",
        "steps:\n  - run: gh pr checkout 7 && make\n  - env:\n      KEY: ${{ secrets.KEY }}",
        "steps:\n  - run: gh pr checkout 7 && make";
    STATUS_WRITER = "workflow-status-writer", Error,
        "another workflow may write the commit status of the gates",
        "Branch protection reads the status `nmoe-gates/BUNDLE`, and cannot tell which workflow wrote it. Only the job that publishes results needs `statuses: write`. A script that sets another status must name it as plain text: a computed name can be that of the gates.",
        "permissions:\n  statuses: write\nsteps:\n  - run: gh api … -f context=nmoe-gates/full",
        "permissions:\n  contents: read";
    TAKEN_NAME = "workflow-taken-name", Error,
        "the check run of a job can have the name of a commit status of the gates",
        "GitHub creates a check run for each job and names it after the job. Branch protection that requires `nmoe-gates/BUNDLE` from any source, or from GitHub Actions, accepts this check run, and no permission is needed for it. Give the job another name, and begin a computed name with fixed text.",
        "jobs:\n  a:\n    name: nmoe-gates/full",
        "jobs:\n  a:\n    name: Gates";
    MOVING_CODE = "workflow-moving-code", Warning,
        "a job with rights runs code that its owner can move",
        "A branch of a reusable workflow and a tag of an image can point to other code tomorrow. Use a commit id, or a digest.",
        "uses: docker://example/tool:latest",
        "uses: docker://example/tool@sha256:<64 hex digits>";
    MOVING_REF = "workflow-moving-ref", Error,
        "a change is checked out by a name that moves",
        "The author can push again between approval and checkout, so the approval would cover unreviewed code. Resolve the merge commit once, show it to the approver, and check out that id.",
        "ref: refs/pull/7/merge",
        "ref: ${{ needs.resolve.outputs.merge }}";
    PERSISTED_CREDENTIAL = "workflow-persisted-credential", Error,
        "the token of the job stays in the git configuration",
        "`actions/checkout` stores the token where every later step can read it. Set `persist-credentials: false`.",
        "uses: actions/checkout@<commit>",
        "uses: actions/checkout@<commit>\nwith:\n  persist-credentials: false";
    POLICY_FROM_CHANGE = "workflow-policy-from-change", Error,
        "the registry or the tool comes from the change under test",
        "A pull request could then replace its own gates with `true`. Check out the base at the root and the change in a separate folder, and read the policy only from the base. `uses: $/` is the action at the running commit: safe on `workflow_dispatch`, but on `pull_request` and `merge_group` the running commit is the change. It needs runner 2.336.0 or newer.",
        "with:\n  ref: <the change>",
        "with:\n  ref: <the change>\n  path: subject";
    DOUBLED_BACKSLASH = "workflow-doubled-backslash", Error,
        "a backslash is doubled where nothing removes the second one",
        "YAML blocks, quoted here-documents and raw strings keep backslashes unchanged. A doubled backslash in a pattern matches nothing, so a gate with that pattern measures nothing.",
        "re.finditer(r\"\\\\bnode_tps: ([0-9,]+)\", log)",
        "re.finditer(r\"\\bnode_tps: ([0-9,]+)\", log)";
    STALE_CHOICES = "workflow-stale-choices", Error,
        "the bundles that a workflow offers are not those of the registry",
        "GitHub refuses a bundle that is not among the options of tier-b.yml, and a run of a bundle that the registry does not have is refused. `nmoe-gates init` shows the update.",
        "options: [old_name, single]",
        "options: [full, single]";
    UNBUILT_BASELINE = "workflow-unbuilt-baseline", Error,
        "a baseline is run without being built",
        "A new worktree has no compiled extension. Its code fails to import, or silently loads the extension of the image. Build in the worktree before the first measurement, and check which library was loaded.",
        "git worktree add --detach base \"$REF\"\npython -m trainer",
        "git worktree add --detach base \"$REF\"\nmake -C base/csrc\npython -m trainer";
    UNPINNED_ACTION = "workflow-unpinned-action", Warning,
        "an action is not pinned by commit",
        "A tag can be moved to other code. Use the commit id, with the version in a comment. An exact version of the action of this program is accepted, because its releases are immutable.",
        "uses: actions/checkout@v4",
        "uses: actions/checkout@<40 hex digits> # v4.2.2";
    DEAD_RUNTIME = "workflow-dead-runtime", Warning,
        "an action needs a Node.js version that runners no longer have",
        "GitHub's runners start JavaScript actions with Node.js 24; Node.js 20 and older are removed. Use a newer major version of the action. `lint workflows` knows the first such version of six actions: `actions/attest` v3, `actions/cache` v5, `actions/checkout` v5, `actions/deploy-pages` v5, `actions/download-artifact` v7 and `actions/upload-artifact` v6. It does not check the runtime of other actions. In an `action.yml` it reads `runs.using`.",
        "uses: actions/checkout@<40 hex digits> # v4.2.2",
        "uses: actions/checkout@<40 hex digits> # v7.0.1";
    DEFAULT_PERMISSIONS = "workflow-default-permissions", Warning,
        "a job's permissions are left to the repository's default",
        "The default may allow writing. Set `permissions: {}` at the top, and give each job the permissions that it needs, with the reason.",
        "on: workflow_dispatch\njobs: …",
        "on: workflow_dispatch\npermissions: {}\njobs: …";
}
