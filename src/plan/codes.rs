//! The findings of planning, starting and attesting.

use crate::domain::finding::{Code, Severity};

/// Contracts that wait for each other.
pub static DEPENDENCY_CYCLE: Code = Code {
    id: "dependency-cycle",
    severity: Severity::Error,
    title: "Contracts wait for each other",
    explain: "Each contract of the cycle must be merged before the next one, so none of them can be. The message shows \
              one cycle as a path. Remove the `depends_on` entry that says less than it seems to, or split a contract in two.",
    bad: "# contract 03\ndepends_on: [04]\n# contract 04\ndepends_on: [03]",
    good: "# contract 03\ndepends_on: []\n# contract 04\ndepends_on: [03]",
};

/// A dependency that is not among the contracts.
pub static MISSING_DEPENDENCY: Code = Code {
    id: "missing-dependency",
    severity: Severity::Error,
    title: "A dependency is not among the contracts",
    explain: "`depends_on` names a contract that is neither open nor known to be merged. Ids are text: `3` is not `03`. \
              If it is merged, say so with `--done ID`; otherwise correct the id.",
    bad: "depends_on: [3]  # the contract calls itself 03",
    good: "depends_on: [03]",
};

/// One id, two documents.
pub static DUPLICATE_CONTRACT: Code = Code {
    id: "duplicate-contract",
    severity: Severity::Error,
    title: "Two contracts have the same id",
    explain: "Branches, worktrees, claims and dependencies go by the id. The plan keeps the first document in the order \
              of their names and leaves the other out.",
    bad: "# a.md\nissue: 07\n# b.md\nissue: 07",
    good: "# a.md\nissue: 07\n# b.md\nissue: 08",
};

/// A document that a plan cannot read.
pub static UNREADABLE_CONTRACT: Code = Code {
    id: "unreadable-contract",
    severity: Severity::Error,
    title: "A contract cannot be read",
    explain: "The block is there and cannot be read as a contract, so the plan goes on without it. `lint contract` shows \
              what is wrong, and where.",
    bad: "nmoe:\n  issue: [",
    good: "nmoe:\n  issue: 07",
};

/// A dependency that is not merged.
pub static DEPENDENCY_OPEN: Code = Code {
    id: "dependency-open",
    severity: Severity::Error,
    title: "A dependency is not merged",
    explain: "Work starts from the base branch, and what it depends on is not there yet. Wait for it, or take a contract of \
              the first wave: `nmoe-gates plan`. What is known to be merged can be said with `--done ID`.",
    bad: "depends_on: [03]  # issue of contract 03 is open",
    good: "depends_on: [03]  # issue of contract 03 is closed as completed",
};

/// No such contract.
pub static UNKNOWN_CONTRACT: Code = Code {
    id: "unknown-contract",
    severity: Severity::Error,
    title: "There is no contract with this id",
    explain: "Contracts go by the id in their block (`nmoe.issue`), which is text and not GitHub's number.",
    bad: "nmoe-gates start 3",
    good: "nmoe-gates start 03a",
};

/// An id or slug that cannot name a branch.
pub static UNUSABLE_NAME: Code = Code {
    id: "unusable-name",
    severity: Severity::Error,
    title: "Id or slug cannot name a branch",
    explain: "Branch and worktree are named by id and slug: letters, digits, `.` and `-`, not beginning with `.` or `-`.",
    bad: "slug: ../../x",
    good: "slug: attention",
};

/// Somebody works on it.
pub static CLAIMED: Code = Code {
    id: "claimed",
    severity: Severity::Error,
    title: "Somebody has claimed the contract",
    explain: "A claim is a ref on the remote that only one starter can create. It goes away when the work is merged \
              (`start --clean`) or given up (`start ID --release`).",
    bad: "nmoe-gates start 07  # while 07 is claimed",
    good: "nmoe-gates plan  # take another one",
};

/// It is merged.
pub static ALREADY_MERGED: Code = Code {
    id: "already-merged",
    severity: Severity::Error,
    title: "The contract is merged already",
    explain: "The remote notes it as done. More work takes a contract of its own.",
    bad: "nmoe-gates start 07  # 07 is merged",
    good: "nmoe-gates start 08",
};

/// Its branch exists.
pub static BRANCH_EXISTS: Code = Code {
    id: "branch-exists",
    severity: Severity::Error,
    title: "The contract's branch exists",
    explain: "Somebody works on it, or did. Its work is never overwritten: go on there, or have it merged or deleted first.",
    bad: "git branch  # issue/07-attention",
    good: "nmoe-gates start --clean  # removes it once it is merged",
};

/// Its worktree exists.
pub static WORKTREE_EXISTS: Code = Code {
    id: "worktree-exists",
    severity: Severity::Error,
    title: "The contract's worktree exists",
    explain: "There is something where the worktree would be. It is never overwritten.",
    bad: "ls ../nmoe-worktrees  # issue-07-attention",
    good: "git worktree remove ../nmoe-worktrees/issue-07-attention",
};

/// Results about something else.
pub static STALE_RESULTS: Code = Code {
    id: "stale-results",
    severity: Severity::Warning,
    title: "Recorded results are about another commit",
    explain: "What was proven about one commit says nothing of another; only an equal tree is the same code. Run the gates \
              again on the head that is attested.",
    bad: "results of 1f0c2ab, attested for 8d1e9b4",
    good: "results of 8d1e9b4, attested for 8d1e9b4",
};

/// Results of a dirty tree.
pub static DIRTY_RESULTS: Code = Code {
    id: "dirty-results",
    severity: Severity::Warning,
    title: "Recorded results are about a tree that no commit has",
    explain: "The checkout held uncommitted changes when the gates ran, so nobody else can run the same. Commit, then run \
              them again.",
    bad: "nmoe-gates run --tier a  # with uncommitted changes",
    good: "git commit && nmoe-gates run --tier a",
};

/// No results.
pub static NO_RESULTS: Code = Code {
    id: "no-results",
    severity: Severity::Error,
    title: "There are no recorded results",
    explain: "An attestation says what was really run. `run` records its results; `--results FILE` names others.",
    bad: "nmoe-gates attest --verify pr.md  # nothing was run here",
    good: "nmoe-gates run --tier a && nmoe-gates attest --verify pr.md",
};

/// Every finding of planning, starting and attesting.
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
