//! The table of codes of the workflow rules.

use crate::domain::finding::{Code, Severity};

/// Every code of this family.
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
    &NO_TIMEOUT,
    &DEFAULT_PERMISSIONS,
];

pub(super) static UNREADABLE: Code = Code {
    id: "workflow-unreadable",
    severity: Severity::Error,
    title: "the workflow is not YAML that can be read",
    explain: "GitHub would not run it, and nothing can be said of what it does. Mend the syntax first.",
    bad: "jobs: [",
    good: "jobs: {}",
};

pub(super) static WRITE_BESIDE_CHANGE: Code = Code {
    id: "workflow-write-beside-change",
    severity: Severity::Error,
    title: "a job runs a change's code and holds a token that may write",
    explain: "The code of a pull request can read the memory, the environment and the files of its job, and so the token. \
              Split the job: one that runs the code with `contents: read`, one that writes and never checks the code out.",
    bad: "permissions:\n  contents: read\n  pull-requests: write",
    good: "permissions:\n  contents: read",
};

pub(super) static SELF_HOSTED_WRITE: Code = Code {
    id: "workflow-self-hosted-write",
    severity: Severity::Error,
    title: "a job on a self-hosted runner may write to the repository",
    explain: "What one job leaves on such a machine, the next one meets. Do the writing in a job on a hosted runner that \
              reads the results as untrusted data.",
    bad: "runs-on: b200\npermissions:\n  pull-requests: write",
    good: "runs-on: b200\npermissions:\n  contents: read",
};

pub(super) static MOVING_REF: Code = Code {
    id: "workflow-moving-ref",
    severity: Severity::Error,
    title: "a change is checked out by a name that moves",
    explain: "Between approval and checkout the author can push again, and the approval then covers code that nobody saw. \
              Resolve the merge commit once, show it to whoever approves, and check out that id.",
    bad: "ref: refs/pull/7/merge",
    good: "ref: ${{ needs.resolve.outputs.merge }}",
};

pub(super) static PERSISTED_CREDENTIAL: Code = Code {
    id: "workflow-persisted-credential",
    severity: Severity::Error,
    title: "the job's token stays in the checkout's configuration",
    explain: "`actions/checkout` writes the token where every later step can read it. Say `persist-credentials: false`.",
    bad: "uses: actions/checkout@<commit>",
    good: "uses: actions/checkout@<commit>\nwith:\n  persist-credentials: false",
};

pub(super) static POLICY_FROM_CHANGE: Code = Code {
    id: "workflow-policy-from-change",
    severity: Severity::Error,
    title: "the registry or the tool comes from the change that it judges",
    explain: "A pull request can then define its own gates as `true`. Check the base out at the root, the change in a \
              folder of its own, and read policy from the base alone.",
    bad: "with:\n  ref: <the change>",
    good: "with:\n  ref: <the change>\n  path: subject",
};

pub(super) static DOUBLED_BACKSLASH: Code = Code {
    id: "workflow-doubled-backslash",
    severity: Severity::Error,
    title: "a backslash is doubled where nothing takes one away",
    explain: "A YAML block, a quoted here-document and a raw string all keep backslashes as they are. A doubled one in a \
              pattern matches nothing, so a gate that measures with it measures nothing; in a text it is shown to people.",
    bad: "re.finditer(r\"\\\\bnode_tps: ([0-9,]+)\", log)",
    good: "re.finditer(r\"\\bnode_tps: ([0-9,]+)\", log)",
};

pub(super) static UNBUILT_BASELINE: Code = Code {
    id: "workflow-unbuilt-baseline",
    severity: Severity::Error,
    title: "a baseline is run that was never built",
    explain: "A fresh worktree holds no compiled extension: its code fails to import, or silently loads the image's own. \
              Build in the worktree before the first launch, and prove which library was loaded.",
    bad: "git worktree add --detach base \"$REF\"\npython -m trainer",
    good: "git worktree add --detach base \"$REF\"\nmake -C base/csrc\npython -m trainer",
};

pub(super) static SCRIPT_EXPRESSION: Code = Code {
    id: "workflow-script-expression",
    severity: Severity::Error,
    title: "an expression stands inside a script",
    explain: "GitHub pastes its value into the script before a shell reads it: a title or a branch name becomes code. \
              Hand it over through `env:` and quote the variable.",
    bad: "run: echo \"${{ inputs.bundle }}\"",
    good: "env:\n  BUNDLE: ${{ inputs.bundle }}\nrun: echo \"$BUNDLE\"",
};

pub(super) static UNPINNED_ACTION: Code = Code {
    id: "workflow-unpinned-action",
    severity: Severity::Warning,
    title: "an action is not pinned by commit",
    explain: "A tag can be moved to other code. Name the commit, and the version beside it in a comment.",
    bad: "uses: actions/checkout@v4",
    good: "uses: actions/checkout@<40 hex digits> # v4.2.2",
};

pub(super) static NO_TIMEOUT: Code = Code {
    id: "workflow-no-timeout",
    severity: Severity::Warning,
    title: "a job has no time limit",
    explain: "GitHub's own limit is six hours; on a runner that costs money that is a bill. Say `timeout-minutes`.",
    bad: "runs-on: b200",
    good: "runs-on: b200\ntimeout-minutes: 90",
};

pub(super) static DEFAULT_PERMISSIONS: Code = Code {
    id: "workflow-default-permissions",
    severity: Severity::Warning,
    title: "a job's permissions are left to the repository's default",
    explain: "The default may write. Say `permissions: {}` at the top and give each job what it needs, with the reason.",
    bad: "on: workflow_dispatch\njobs: …",
    good: "on: workflow_dispatch\npermissions: {}\njobs: …",
};
