//! Defines the findings of `plan`, `start`, `attest` and `images`.

use crate::domain::finding::codes;

codes! {
    DEPENDENCY_CYCLE = "dependency-cycle", Error,
        "Contracts wait for each other",
        "Each contract of the cycle must be merged before the next one, so none of them can start. The message shows one cycle as a path. Remove a `depends_on` entry that is not necessary, or split a contract in two.",
        "# contract 03\ndepends_on: [04]\n# contract 04\ndepends_on: [03]",
        "# contract 03\ndepends_on: []\n# contract 04\ndepends_on: [03]";
    MISSING_DEPENDENCY = "missing-dependency", Error,
        "A dependency is not among the contracts",
        "`depends_on` names a contract that is neither open nor known to be merged. Ids are text: `3` is not `03`. If the contract is merged, use `--done ID`. Otherwise correct the id.",
        "depends_on: [3]  # the contract calls itself 03",
        "depends_on: [03]";
    DUPLICATE_CONTRACT = "duplicate-contract", Error,
        "Two contracts have the same id",
        "Branches, worktrees, claims and dependencies use the id. The plan keeps the first document in the order of the file names and ignores the other.",
        "# a.md\nissue: 07\n# b.md\nissue: 07",
        "# a.md\nissue: 07\n# b.md\nissue: 08";
    UNREADABLE_CONTRACT = "unreadable-contract", Error,
        "A contract cannot be read",
        "The block exists, but it is not a valid contract, so the plan ignores it. `lint contract` shows the mistakes.",
        "nmoe:\n  issue: [",
        "nmoe:\n  issue: 07";
    PLAN_LIMIT = "plan-limit", Error,
        "The contracts have too many patterns to compare",
        "Patterns with a wildcard near their start are compared in pairs, so a plan compares only as many as take about a second. It leaves out the contracts with the most and longest patterns: their hotspots are unknown, and the plan is right for all other contracts.",
        "scope:\n  allow: [\"*/a1/*\", \"*/a2/*\", …]  # hundreds of patterns, in many contracts",
        "scope:\n  allow: [\"nmoe/a/**\"]";
    DEPENDENCY_OPEN = "dependency-open", Error,
        "A dependency is not merged",
        "Work starts from the base branch, which does not contain the dependency yet. Wait for it, or choose a contract of the first wave: `nmoe-gates plan`. If the dependency is merged, use `--done ID`.",
        "depends_on: [03]  # issue of contract 03 is open",
        "depends_on: [03]  # issue of contract 03 is closed as completed";
    UNKNOWN_CONTRACT = "unknown-contract", Error,
        "There is no contract with this id",
        "The id of a contract is `nmoe.issue` in its block. It is text, not GitHub's issue number.",
        "nmoe-gates start 3",
        "nmoe-gates start 03a";
    CLAIMED = "claimed", Error,
        "The contract is claimed",
        "A claim is a ref on the remote that only one person can create. It is removed when the work is merged (`start --clean`) or released (`start ID --release`).",
        "nmoe-gates start 07  # while 07 is claimed",
        "nmoe-gates plan  # choose another contract";
    HOTSPOT_TAKEN = "hotspot-taken", Warning,
        "A claimed contract changes the same exclusive hotspot",
        "Both contracts may start, but one of them is merged first, and the other resolves the conflicts and runs its gates again. `plan` puts them into different waves.",
        "nmoe-gates start 04  # while 03 is claimed, and both change nmoe/train.py",
        "nmoe-gates plan  # choose a contract without the hotspot";
    ALREADY_MERGED = "already-merged", Error,
        "The contract is already merged",
        "The remote records the contract as done. Create a new contract for more work.",
        "nmoe-gates start 07  # 07 is merged",
        "nmoe-gates start 08";
    BRANCH_EXISTS = "branch-exists", Error,
        "The contract's branch exists",
        "The branch may contain work, so it is never overwritten. Continue on that branch, or merge or delete it first.",
        "git branch  # issue/07-attention",
        "nmoe-gates start --clean  # removes it once it is merged";
    WORKTREE_EXISTS = "worktree-exists", Error,
        "The contract's worktree exists",
        "The folder of the worktree exists, and it is never overwritten.",
        "ls ../nmoe-worktrees  # issue-07-attention",
        "git worktree remove ../nmoe-worktrees/issue-07-attention";
    STALE_RESULTS = "stale-results", Warning,
        "Recorded results are about another commit",
        "Results are valid only for their commit or for an equal tree. Run the gates again on the attested head.",
        "results of 1f0c2ab, attested for 8d1e9b4",
        "results of 8d1e9b4, attested for 8d1e9b4";
    DIRTY_RESULTS = "dirty-results", Warning,
        "Recorded results are about uncommitted changes",
        "The checkout had uncommitted changes when the gates ran, so the run cannot be repeated. Commit, then run the gates again.",
        "nmoe-gates run --tier a  # with uncommitted changes",
        "git commit && nmoe-gates run --tier a";
    NO_RESULTS = "no-results", Error,
        "There are no recorded results",
        "An attestation contains only recorded results. Run the gates with `run`, or name other results with `--results FILE`.",
        "nmoe-gates attest --verify pr.md  # nothing was run here",
        "nmoe-gates run --tier a && nmoe-gates attest --verify pr.md";
    COPY_OUTSIDE_IMAGES = "copy-outside-images", Error,
        "A Dockerfile copies a file that does not rebuild the image",
        "`images` rebuilds an image when a file in its list changes. A file that the Dockerfile copies and the list does not name changes the image without a rebuild, so runners would keep an old environment. Add the file to `files` of the image. Use `code` for sources that each run checks out and builds again.",
        "COPY docker/extra.txt /opt/  # [[images]] files = [\"docker/Dockerfile.train\"]",
        "[[images]]\nname = \"train\"\nfiles = [\"docker/Dockerfile.train\", \"docker/extra.txt\"]";
}
