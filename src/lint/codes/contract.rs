//! Codes about contracts, and about what contracts share with attestations and the registry.

codes! {
    INVALID_ISSUE_ID = "invalid-issue-id", Error,
        "Not an id of a contract",
        "Ids are letters, digits, `.` and `-`, such as `01` or `03a`. They are text and not GitHub's issue numbers; the branch name carries them.",
        "issue: \"#5\"",
        "issue: 03a";
    INVALID_SLUG = "invalid-slug", Error,
        "Not a slug",
        "Lower-case letters, digits and `-`: it becomes part of the branch `issue/<NN>-<slug>`.",
        "slug: Fast Attention",
        "slug: fast-attention";
    SELF_DEPENDENCY = "self-dependency", Error,
        "A contract depends on itself",
        "It could never start. Name the contract that must be merged first, or leave the list empty.",
        "issue: 03a\ndepends_on: [03a]",
        "issue: 03a\ndepends_on: [01]";
    INVALID_GLOB = "invalid-glob", Error,
        "Not a pattern over paths of the repository",
        "Patterns are git's `:(glob)` pathspecs: they start at the top of the repository, `*` and `?` stop at `/`, `**` crosses it, a folder's name covers all below it.",
        "allow: [/nmoe/[a.py]",
        "allow: [nmoe/a.py]";
    ALLOW_SWALLOWED = "allow-swallowed", Error,
        "What `allow` gives, `deny` takes away whole",
        "`deny` wins, so nothing of this entry may change. Narrow the `deny` or remove the `allow`.",
        "allow: [nmoe/csrc/rdep.cu]\ndeny: [nmoe/csrc/**]",
        "allow: [nmoe/csrc/rdep.cu]\ndeny: [nmoe/csrc/swizzle.cuh]";
    ALLOW_MATCHES_NOTHING = "allow-matches-nothing", Warning,
        "A pattern in `allow` matches no file",
        "A plain name may be a file that is yet to come; a pattern with wildcards that matches nothing in the checkout is most often misspelled.",
        "allow: [nmoe/atention/**]",
        "allow: [nmoe/attention/**]";
    HOTSPOT_OUTSIDE_SCOPE = "hotspot-outside-scope", Warning,
        "A merge hotspot that the scope does not allow to change",
        "`merge_hotspots` names files that this contract is likely to touch together with others. One that it must not touch holds up others for nothing.",
        "merge_hotspots: [nmoe/train.py]\n…\ndeny: [nmoe/train.py]",
        "merge_hotspots: []\n…\ndeny: [nmoe/train.py]";
    MISSING_INVARIANT = "missing-invariant", Error,
        "A non-negotiable invariant is not named",
        "Every contract states: B200-only (`sm_100a`), no NCCL all-to-all on the MoE path, and TOML-only or container-first configuration. They are recognised by these words; the sentences are yours.",
        "invariants:\n  - No NCCL all-to-all on the MoE path",
        "invariants:\n  - B200-only (sm_100a); fail off-target\n  - No NCCL all-to-all on the MoE path\n  - TOML-only config, container-first";
    INVALID_KNOB = "invalid-knob", Error,
        "Not the name of a configuration key",
        "Knobs are names of TOML keys: letters, digits, `_`, `-`, with `.` between the parts.",
        "add: [\"window = 128\"]",
        "add: [attn_local_window]";
    UNKNOWN_GATE = "unknown-gate", Error,
        "A gate that the registry does not have",
        "Gates are named by the ids in `configs/gates/gates.toml`; `nmoe-gates gates list` prints them. Bundles are for running, contracts name the gates.",
        "required: [cpu:syntax]",
        "required: [cpu:compileall]";
    MISSING_BUDGET = "missing-budget", Error,
        "A hot change without an explicit perf budget",
        "A change on the hot path says beforehand what it may cost: `gates.perf` with `budget_pct`.",
        "nmoe:\n  risk: hot\ngates:\n  required: [b200:moonlight_8x20]",
        "gates:\n  required: [b200:moonlight_8x20]\n  perf:\n    gate: perf:baseline_delta\n    compare: b200:moonlight_8x20\n    metric: node_tps_p50\n    budget_pct: -10";
    INVALID_BUDGET = "invalid-budget", Error,
        "Not a budget",
        "`budget_pct` is a finite number of percent above −100: −10 means that the result may be at most 10 % worse than the baseline.",
        "budget_pct: .nan",
        "budget_pct: -10";
    FINE_BUDGET = "fine-budget", Error,
        "A budget finer than the gate can see",
        "Identical code was launched in pairs (`perf calibrate`), and its runs lie so far apart that this budget cannot be judged: most verdicts would be inconclusive. `configs/gates/noise.toml` has the finest budget of each gate.",
        "budget_pct: -0.5",
        "budget_pct: -5";
    POSITIVE_BUDGET = "positive-budget", Warning,
        "A budget above zero demands a gain",
        "`budget_pct: 10` is met only by a change that is at least 10 % faster. For a loss of at most 10 % write −10. A contract of kind `perf` may mean the gain.",
        "budget_pct: 10",
        "budget_pct: -10";
    PERF_INCONSISTENT = "perf-inconsistent", Error,
        "The perf block says something else than the registry or the contract",
        "Gate, compared gate and metric are fixed by the registry, the budget by the contract. A block that names others would be judged by what it does not say.",
        "compare: b200:moonlet_1x10",
        "compare: b200:moonlight_8x20";
    COMPARE_NOT_REQUIRED = "compare-not-required", Error,
        "The compared gate is not among the required ones",
        "The perf gate compares what another gate printed. That gate must be in `gates.required`, or there is nothing to compare.",
        "required: [cpu:import]\nperf:\n  compare: b200:moonlight_8x20",
        "required: [cpu:import, b200:moonlight_8x20]\nperf:\n  compare: b200:moonlight_8x20";
    INVALID_REF = "invalid-ref", Error,
        "Not a name of a git revision",
        "`baseline_ref` is a branch, tag or commit; empty means the base parent of the tested merge. Text that begins with `-` would be an option of git and is refused.",
        "baseline_ref: --lock",
        "baseline_ref: origin/master";
}
