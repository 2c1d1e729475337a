//! Codes about attestations: alone, and held against contract, branch, commits and recorded results.

codes! {
    ATTESTATION_NOT_FIRST = "attestation-not-first", Error,
        "The attestation stands behind another section",
        "It is the first thing a merge captain looks for. Its own heading and text may stand before it, other headings may not.",
        "## Summary\n…\n## PR Attestation\n```yaml",
        "## PR Attestation (YAML, required)\n```yaml\n…\n```\n## Summary";
    INVALID_SHA = "invalid-sha", Error,
        "Not a commit",
        "7 to 40 hex digits, no branch names.",
        "pr_sha: HEAD",
        "pr_sha: 472a452";
    SAME_COMMIT = "same-commit", Error,
        "Baseline and change are the same commit",
        "A comparison of a commit with itself proves nothing.",
        "baseline_sha: 472a452\npr_sha: 472a452",
        "baseline_sha: 800ae9d\npr_sha: 472a452";
    MISSING_BASELINE = "missing-baseline", Error,
        "A hot change or a perf claim without a baseline",
        "`baseline_sha` is the commit that the change is compared with; without it the numbers are about nothing.",
        "risk: hot\npr_sha: 472a452",
        "risk: hot\nbaseline_sha: 800ae9d\npr_sha: 472a452";
    ISSUE_MISMATCH = "issue-mismatch", Error,
        "The attestation is about another contract",
        "`nmoe_pr.issue` is the contract's id (its `nmoe.issue`), not GitHub's number.",
        "issue: 5",
        "issue: 03a";
    RISK_MISMATCH = "risk-mismatch", Error,
        "The attestation's risk is not the contract's",
        "Risk decides what must be proven, so it is agreed in the contract. If it changed, change the contract first.",
        "risk: cold   # contract: hot",
        "risk: hot";
    WRONG_TIER = "wrong-tier", Error,
        "A gate stands in the wrong tier",
        "The registry says where a gate runs. Tier A is run by whoever wrote the change, Tier B by the maintainer.",
        "tier_a: [b200:moonlight_8x20]",
        "tier_b: [b200:moonlight_8x20]";
    TIER_A_UNCOVERED = "tier-a-uncovered", Error,
        "A Tier-A gate that the contract requires is not attested",
        "Run it with `nmoe-gates run --tier a` and list it under `gates_passed.tier_a`.",
        "tier_a: [cpu:import]",
        "tier_a: [cpu:import, cpu:compileall]";
    MISSING_PERF = "missing-perf", Error,
        "Tier B is claimed without the perf block that goes with it",
        "Where the contract has a perf budget, or the perf gate is listed as passed, the numbers belong into `perf`.",
        "tier_b: [perf:baseline_delta]",
        "tier_b: [perf:baseline_delta]\n…\nperf:\n  gate: perf:baseline_delta\n  …";
    INVALID_NUMBER = "invalid-number", Error,
        "Not a measured number",
        "A throughput is a finite number above zero; a difference is a finite number.",
        "baseline: 0",
        "baseline: 123456";
    WRONG_DELTA = "wrong-delta", Error,
        "`delta_pct` is not what baseline and result give",
        "It is (result / baseline − 1) × 100, rounded to the digits you write.",
        "baseline: 1000\nresult: 950\ndelta_pct: 5",
        "baseline: 1000\nresult: 950\ndelta_pct: -5";
    STATUS_DISAGREES = "status-disagrees", Error,
        "The status does not follow from the numbers",
        "`pass` where `delta_pct` is at or above the budget, `fail` below it.",
        "delta_pct: -12\nbudget_pct: -10\nstatus: pass",
        "delta_pct: -12\nbudget_pct: -10\nstatus: fail";
    PERF_PENDING = "perf-pending", Warning,
        "The perf block says nothing yet",
        "Until Tier B has run, leave the block out; `nmoe-gates attest` writes it from the results.",
        "perf:\n  status: pending",
        "";
    NO_CONTRACT = "no-linked-contract", Error,
        "The pull request names no contract",
        "There is one pull request per contract. `Fixes: #N` in the description, with GitHub's number of the issue, says which.",
        "## Links\n- Fixes: #",
        "## Links\n- Fixes: #5";
    WRONG_BRANCH = "wrong-branch", Error,
        "The branch is not named after the contract",
        "Branches are `issue/<NN>-<slug>` (`naming.branch` in the settings), so that branch, worktree and contract find each other.",
        "fix-attention",
        "issue/03a-attention";
    WRONG_HEAD = "wrong-head", Error,
        "The attestation is about another commit than the head",
        "Something was pushed after the gates ran. Run them again on the head and refresh the block with `nmoe-gates attest`.",
        "pr_sha: 472a452   # head: 1188731…",
        "pr_sha: 1188731";
    UNKNOWN_COMMIT = "unknown-commit", Error,
        "A commit that the repository does not have",
        "Fetch it, or correct the digits.",
        "baseline_sha: deadbee",
        "baseline_sha: 800ae9d";
    UNPROVEN_CLAIM = "unproven-claim", Error,
        "A gate is claimed as passed and the results do not say so",
        "Only a gate that the recorded results show as `pass` may be listed.",
        "tier_a: [cpu:import]   # results: fail",
        "tier_a: []";
    UNMEASURED_NUMBER = "unmeasured-number", Error,
        "A number that nobody measured",
        "It is not in the recorded results. Let `nmoe-gates attest` write the block.",
        "result: 125000   # results: 118230",
        "result: 118230";
    FOREIGN_RESULTS = "foreign-results", Error,
        "The results are about another commit",
        "A result about one commit says nothing of another. Run the gates on the attested commit.",
        "pr_sha: 472a452   # results: 1188731…",
        "pr_sha: 1188731";
}
