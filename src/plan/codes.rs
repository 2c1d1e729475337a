//! Defines the findings of `plan`, `start` and `attest`.

use crate::domain::finding::{Code, Severity};

pub static DEPENDENCY_CYCLE: Code = Code {
    id: "dependency-cycle",
    severity: Severity::Error,
    title: "Contracts wait for each other",
    explain: "Each contract of the cycle must be merged before the next one, so none of them can start. The message shows one cycle as a path. Remove a `depends_on` entry that is not necessary, or split a contract in two.",
    bad: "# contract 03\ndepends_on: [04]\n# contract 04\ndepends_on: [03]",
    good: "# contract 03\ndepends_on: []\n# contract 04\ndepends_on: [03]",
};

pub static MISSING_DEPENDENCY: Code = Code {
    id: "missing-dependency",
    severity: Severity::Error,
    title: "A dependency is not among the contracts",
    explain: "`depends_on` names a contract that is neither open nor known to be merged. Ids are text: `3` is not `03`. If the contract is merged, use `--done ID`. Otherwise correct the id.",
    bad: "depends_on: [3]  # the contract calls itself 03",
    good: "depends_on: [03]",
};

pub static DUPLICATE_CONTRACT: Code = Code {
    id: "duplicate-contract",
    severity: Severity::Error,
    title: "Two contracts have the same id",
    explain: "Branches, worktrees, claims and dependencies use the id. The plan keeps the first document in the order of the file names and ignores the other.",
    bad: "# a.md\nissue: 07\n# b.md\nissue: 07",
    good: "# a.md\nissue: 07\n# b.md\nissue: 08",
};

pub static UNREADABLE_CONTRACT: Code = Code {
    id: "unreadable-contract",
    severity: Severity::Error,
    title: "A contract cannot be read",
    explain: "The block exists, but it is not a valid contract, so the plan ignores it. `lint contract` shows the mistakes.",
    bad: "nmoe:\n  issue: [",
    good: "nmoe:\n  issue: 07",
};

pub static DEPENDENCY_OPEN: Code = Code {
    id: "dependency-open",
    severity: Severity::Error,
    title: "A dependency is not merged",
    explain: "Work starts from the base branch, which does not contain the dependency yet. Wait for it, or choose a contract of the first wave: `nmoe-gates plan`. If the dependency is merged, use `--done ID`.",
    bad: "depends_on: [03]  # issue of contract 03 is open",
    good: "depends_on: [03]  # issue of contract 03 is closed as completed",
};

pub static UNKNOWN_CONTRACT: Code = Code {
    id: "unknown-contract",
    severity: Severity::Error,
    title: "There is no contract with this id",
    explain: "The id of a contract is `nmoe.issue` in its block. It is text, not GitHub's issue number.",
    bad: "nmoe-gates start 3",
    good: "nmoe-gates start 03a",
};

pub static UNUSABLE_NAME: Code = Code {
    id: "unusable-name",
    severity: Severity::Error,
    title: "The id or the slug cannot be part of a branch name",
    explain: "The names of branch and worktree contain id and slug. Both consist of letters, digits, `.` and `-`, and do not start with `.` or `-`.",
    bad: "slug: ../../x",
    good: "slug: attention",
};

pub static CLAIMED: Code = Code {
    id: "claimed",
    severity: Severity::Error,
    title: "The contract is claimed",
    explain: "A claim is a ref on the remote that only one person can create. It is removed when the work is merged (`start --clean`) or released (`start ID --release`).",
    bad: "nmoe-gates start 07  # while 07 is claimed",
    good: "nmoe-gates plan  # choose another contract",
};

pub static ALREADY_MERGED: Code = Code {
    id: "already-merged",
    severity: Severity::Error,
    title: "The contract is already merged",
    explain: "The remote records the contract as done. Create a new contract for more work.",
    bad: "nmoe-gates start 07  # 07 is merged",
    good: "nmoe-gates start 08",
};

pub static BRANCH_EXISTS: Code = Code {
    id: "branch-exists",
    severity: Severity::Error,
    title: "The contract's branch exists",
    explain: "The branch may contain work, so it is never overwritten. Continue on that branch, or merge or delete it first.",
    bad: "git branch  # issue/07-attention",
    good: "nmoe-gates start --clean  # removes it once it is merged",
};

pub static WORKTREE_EXISTS: Code = Code {
    id: "worktree-exists",
    severity: Severity::Error,
    title: "The contract's worktree exists",
    explain: "The folder of the worktree exists, and it is never overwritten.",
    bad: "ls ../nmoe-worktrees  # issue-07-attention",
    good: "git worktree remove ../nmoe-worktrees/issue-07-attention",
};

pub static STALE_RESULTS: Code = Code {
    id: "stale-results",
    severity: Severity::Warning,
    title: "Recorded results are about another commit",
    explain: "Results are valid only for their commit or for an equal tree. Run the gates again on the attested head.",
    bad: "results of 1f0c2ab, attested for 8d1e9b4",
    good: "results of 8d1e9b4, attested for 8d1e9b4",
};

pub static DIRTY_RESULTS: Code = Code {
    id: "dirty-results",
    severity: Severity::Warning,
    title: "Recorded results are about uncommitted changes",
    explain: "The checkout had uncommitted changes when the gates ran, so the run cannot be repeated. Commit, then run the gates again.",
    bad: "nmoe-gates run --tier a  # with uncommitted changes",
    good: "git commit && nmoe-gates run --tier a",
};

pub static NO_RESULTS: Code = Code {
    id: "no-results",
    severity: Severity::Error,
    title: "There are no recorded results",
    explain: "An attestation contains only recorded results. Run the gates with `run`, or name other results with `--results FILE`.",
    bad: "nmoe-gates attest --verify pr.md  # nothing was run here",
    good: "nmoe-gates run --tier a && nmoe-gates attest --verify pr.md",
};

/// All findings of `plan`, `start` and `attest`.
pub static TABLE: &[&Code] = &[
    &DEPENDENCY_CYCLE,
    &MISSING_DEPENDENCY,
    &DUPLICATE_CONTRACT,
    &UNREADABLE_CONTRACT,
    &DEPENDENCY_OPEN,
    &UNKNOWN_CONTRACT,
    &UNUSABLE_NAME,
    &CLAIMED,
    &ALREADY_MERGED,
    &BRANCH_EXISTS,
    &WORKTREE_EXISTS,
    &STALE_RESULTS,
    &DIRTY_RESULTS,
    &NO_RESULTS,
];
