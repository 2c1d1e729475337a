//! The findings of a plan.

use crate::model::finding::{Code, Severity};

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

/// Every finding of a plan.
pub static TABLE: &[&Code] = &[
    &DEPENDENCY_CYCLE,
    &MISSING_DEPENDENCY,
    &DUPLICATE_CONTRACT,
    &UNREADABLE_CONTRACT,
];
