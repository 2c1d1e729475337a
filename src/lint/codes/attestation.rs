//! Lists the codes of findings about attestations.

use crate::domain::finding::codes;

codes! {
    ATTESTATION_NOT_FIRST = "attestation-not-first", Error,
        "The attestation is after another section",
        "Merge captains read the attestation first. Only its own heading and text may come before it.",
        "## Summary\n…\n## PR Attestation\n```yaml",
        "## PR Attestation (YAML, required)\n```yaml\n…\n```\n## Summary";
    INVALID_SHA = "invalid-sha", Error,
        "Not a commit",
        "Use 7 to 64 hexadecimal digits, not the name of a branch.",
        "pr_sha: HEAD",
        "pr_sha: 472a452";
    SAME_COMMIT = "same-commit", Error,
        "Baseline and change are the same commit",
        "A comparison of a commit with itself proves nothing.",
        "baseline_sha: 472a452\npr_sha: 472a452",
        "baseline_sha: 800ae9d\npr_sha: 472a452";
    MISSING_BASELINE = "missing-baseline", Error,
        "A hot change or a perf claim without a baseline",
        "`baseline_sha` is the commit that the change is compared with. Without it, the numbers have no meaning.",
        "risk: hot\npr_sha: 472a452",
        "risk: hot\nbaseline_sha: 800ae9d\npr_sha: 472a452";
    ISSUE_MISMATCH = "issue-mismatch", Error,
        "The attestation is about another contract",
        "`nmoe_pr.issue` is the contract's id (its `nmoe.issue`), not GitHub's number.",
        "issue: 5",
        "issue: 03a";
    RISK_MISMATCH = "risk-mismatch", Error,
        "The attestation's risk is not the contract's",
        "The risk decides which gates are required, so the contract defines it. If the risk changed, change the contract first.",
        "risk: cold   # contract: hot",
        "risk: hot";
    WRONG_TIER = "wrong-tier", Error,
        "A gate is listed in the wrong tier",
        "The registry defines the tier of a gate. The author of the change runs Tier A, and the maintainer runs Tier B.",
        "tier_a: [b200:moonlight_8x20]",
        "tier_b: [b200:moonlight_8x20]";
    TIER_A_UNCOVERED = "tier-a-uncovered", Error,
        "A Tier-A gate that the contract requires is not attested",
        "Run it with `nmoe-gates run --tier a` and list it under `gates_passed.tier_a`.",
        "tier_a: [cpu:import]",
        "tier_a: [cpu:import, cpu:compileall]";
    MISSING_PERF = "missing-perf", Error,
        "Tier B is claimed without its perf block",
        "If the contract has a perf budget, or the perf gate is listed as passed, add the numbers in `perf`.",
        "tier_b: [perf:baseline_delta]",
        "tier_b: [perf:baseline_delta]\n…\nperf:\n  gate: perf:baseline_delta\n  …";
    INVALID_NUMBER = "invalid-number", Error,
        "Not a measured number",
        "A throughput is a finite number above zero; a difference is a finite number.",
        "baseline: 0",
        "baseline: 123456";
    WRONG_DELTA = "wrong-delta", Error,
        "`delta_pct` does not follow from baseline and result",
        "The value is (result / baseline − 1) × 100, rounded to the number of digits that you write.",
        "baseline: 1000\nresult: 950\ndelta_pct: 5",
        "baseline: 1000\nresult: 950\ndelta_pct: -5";
    STATUS_DISAGREES = "status-disagrees", Error,
        "The status does not follow from the numbers",
        "The status is `pass` if `delta_pct` is at or above the budget, and `fail` below it.",
        "delta_pct: -12\nbudget_pct: -10\nstatus: pass",
        "delta_pct: -12\nbudget_pct: -10\nstatus: fail";
    PERF_PENDING = "perf-pending", Warning,
        "The perf block has no result yet",
        "Leave the block out until Tier B has run. `nmoe-gates attest` writes it from the results.",
        "perf:\n  status: pending",
        "";
    NO_CONTRACT = "no-linked-contract", Error,
        "The pull request names no contract",
        "There is one pull request per contract. Add `Fixes: #N` to the description, with GitHub's number of the issue.",
        "## Links\n- Fixes: #",
        "## Links\n- Fixes: #5";
    WRONG_BRANCH = "wrong-branch", Error,
        "The branch is not named after the contract",
        "Branches are named `issue/<NN>-<slug>` (`naming.branch` in the settings), so that branch, worktree and contract belong together.",
        "fix-attention",
        "issue/03a-attention";
    WRONG_HEAD = "wrong-head", Error,
        "The attestation is about another commit than the head",
        "A commit was pushed after the gates ran. Run the gates again on the head and update the block with `nmoe-gates attest`.",
        "pr_sha: 472a452   # head: 1188731…",
        "pr_sha: 1188731";
    UNKNOWN_COMMIT = "unknown-commit", Error,
        "An unknown commit",
        "Fetch the commit, or correct the digits.",
        "baseline_sha: deadbee",
        "baseline_sha: 800ae9d";
    UNPROVEN_CLAIM = "unproven-claim", Error,
        "A gate is claimed as passed without a passing result",
        "List only gates whose recorded result is `pass`.",
        "tier_a: [cpu:import]   # results: fail",
        "tier_a: []";
    UNMEASURED_NUMBER = "unmeasured-number", Error,
        "A number that is not in the results",
        "The recorded results do not contain this number. Let `nmoe-gates attest` write the block.",
        "result: 125000   # results: 118230",
        "result: 118230";
    FOREIGN_RESULTS = "foreign-results", Error,
        "The results are about another commit",
        "A result is valid only for its commit. Run the gates on the attested commit.",
        "pr_sha: 472a452   # results: 1188731…",
        "pr_sha: 1188731";
}
