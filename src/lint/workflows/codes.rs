//! The table of codes of the workflow rules.

use crate::domain::finding::{Code, Severity};

/// The codes of the workflow rules.
pub static TABLE: &[&Code] = &[
    &UNREADABLE,
    &WRITE_BESIDE_CHANGE,
    &SELF_HOSTED_WRITE,
    &MOVING_REF,
    &PERSISTED_CREDENTIAL,
    &POLICY_FROM_CHANGE,
    &DOUBLED_BACKSLASH,
    &UNBUILT_BASELINE,
    &SCRIPT_EXPRESSION,
    &UNPINNED_ACTION,
    &DEAD_RUNTIME,
    &NO_TIMEOUT,
    &DEFAULT_PERMISSIONS,
];

pub(super) static UNREADABLE: Code = Code {
    id: "workflow-unreadable",
    severity: Severity::Error,
    title: "the workflow is not valid YAML",
    explain: "GitHub would not run this workflow, and it cannot be checked. Fix the syntax first.",
    bad: "jobs: [",
    good: "jobs: {}",
};

pub(super) static WRITE_BESIDE_CHANGE: Code = Code {
    id: "workflow-write-beside-change",
    severity: Severity::Error,
    title: "a job runs the code of a change and has a token that may write",
    explain: "The code of a pull request can read the memory, the environment and the files of its job, including the token. Split the job: one job runs the code with `contents: read`, and another job writes and never checks out the code.",
    bad: "permissions:\n  contents: read\n  pull-requests: write",
    good: "permissions:\n  contents: read",
};

pub(super) static SELF_HOSTED_WRITE: Code = Code {
    id: "workflow-self-hosted-write",
    severity: Severity::Error,
    title: "a job on a self-hosted runner may write to the repository",
    explain: "A job can leave files on such a machine for the next job. Write to the repository in a job on a hosted runner that reads the results as untrusted data.",
    bad: "runs-on: b200\npermissions:\n  pull-requests: write",
    good: "runs-on: b200\npermissions:\n  contents: read",
};

pub(super) static MOVING_REF: Code = Code {
    id: "workflow-moving-ref",
    severity: Severity::Error,
    title: "a change is checked out by a name that moves",
    explain: "The author can push again between approval and checkout, so the approval would cover unreviewed code. Resolve the merge commit once, show it to the approver, and check out that id.",
    bad: "ref: refs/pull/7/merge",
    good: "ref: ${{ needs.resolve.outputs.merge }}",
};

pub(super) static PERSISTED_CREDENTIAL: Code = Code {
    id: "workflow-persisted-credential",
    severity: Severity::Error,
    title: "the token of the job stays in the git configuration",
    explain: "`actions/checkout` stores the token where every later step can read it. Set `persist-credentials: false`.",
    bad: "uses: actions/checkout@<commit>",
    good: "uses: actions/checkout@<commit>\nwith:\n  persist-credentials: false",
};

pub(super) static POLICY_FROM_CHANGE: Code = Code {
    id: "workflow-policy-from-change",
    severity: Severity::Error,
    title: "the registry or the tool comes from the change under test",
    explain: "A pull request could then replace its own gates with `true`. Check out the base at the root and the change in a separate folder, and read the policy only from the base. `uses: $/` is the action at the running commit: safe on `workflow_dispatch`, but on `pull_request` the running commit is the change. It needs runner 2.336.0 or newer.",
    bad: "with:\n  ref: <the change>",
    good: "with:\n  ref: <the change>\n  path: subject",
};

pub(super) static DOUBLED_BACKSLASH: Code = Code {
    id: "workflow-doubled-backslash",
    severity: Severity::Error,
    title: "a backslash is doubled where nothing removes the second one",
    explain: "YAML blocks, quoted here-documents and raw strings keep backslashes unchanged. A doubled backslash in a pattern matches nothing, so a gate with that pattern measures nothing.",
    bad: "re.finditer(r\"\\\\bnode_tps: ([0-9,]+)\", log)",
    good: "re.finditer(r\"\\bnode_tps: ([0-9,]+)\", log)",
};

pub(super) static UNBUILT_BASELINE: Code = Code {
    id: "workflow-unbuilt-baseline",
    severity: Severity::Error,
    title: "a baseline is run without being built",
    explain: "A new worktree has no compiled extension. Its code fails to import, or silently loads the extension of the image. Build in the worktree before the first measurement, and check which library was loaded.",
    bad: "git worktree add --detach base \"$REF\"\npython -m trainer",
    good: "git worktree add --detach base \"$REF\"\nmake -C base/csrc\npython -m trainer",
};

pub(super) static SCRIPT_EXPRESSION: Code = Code {
    id: "workflow-script-expression",
    severity: Severity::Error,
    title: "a script contains an expression",
    explain: "GitHub inserts the value into the script before the shell reads it, so a title or a branch name becomes code. Pass the value through `env:` and quote the variable.",
    bad: "run: echo \"${{ inputs.bundle }}\"",
    good: "env:\n  BUNDLE: ${{ inputs.bundle }}\nrun: echo \"$BUNDLE\"",
};

pub(super) static UNPINNED_ACTION: Code = Code {
    id: "workflow-unpinned-action",
    severity: Severity::Warning,
    title: "an action is not pinned by commit",
    explain: "A tag can be moved to other code. Use the commit id, with the version in a comment.",
    bad: "uses: actions/checkout@v4",
    good: "uses: actions/checkout@<40 hex digits> # v4.2.2",
};

pub(super) static DEAD_RUNTIME: Code = Code {
    id: "workflow-dead-runtime",
    severity: Severity::Warning,
    title: "an action needs a Node.js version that runners no longer have",
    explain: "GitHub's runners start JavaScript actions with Node.js 24; Node.js 20 and older are removed. Use a newer major version of the action. `lint workflows` knows the first such version of the actions that most workflows use, and reads `runs.using` of an `action.yml`.",
    bad: "uses: actions/checkout@<40 hex digits> # v4.2.2",
    good: "uses: actions/checkout@<40 hex digits> # v7.0.1",
};

pub(super) static NO_TIMEOUT: Code = Code {
    id: "workflow-no-timeout",
    severity: Severity::Warning,
    title: "a job has no time limit",
    explain: "GitHub's default limit is six hours, which can be expensive. Set `timeout-minutes`.",
    bad: "runs-on: b200",
    good: "runs-on: b200\ntimeout-minutes: 90",
};

pub(super) static DEFAULT_PERMISSIONS: Code = Code {
    id: "workflow-default-permissions",
    severity: Severity::Warning,
    title: "a job's permissions are left to the repository's default",
    explain: "The default may allow writing. Set `permissions: {}` at the top, and give each job the permissions that it needs, with the reason.",
    bad: "on: workflow_dispatch\njobs: …",
    good: "on: workflow_dispatch\npermissions: {}\njobs: …",
};
