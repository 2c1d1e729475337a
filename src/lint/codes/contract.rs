//! Codes about contracts, and about what contracts share with attestations and the registry.

use crate::domain::finding::codes;

codes! {
    INVALID_ISSUE_ID = "invalid-issue-id", Error,
        "Not a contract id",
        "An id consists of letters, digits, `.` and `-`, such as `01` or `03a`. It is text, not GitHub's issue number, and it is part of the branch name.",
        "issue: \"#5\"",
        "issue: 03a";
    INVALID_SLUG = "invalid-slug", Error,
        "Not a slug",
        "A slug consists of lower-case letters, digits and `-`. It is part of the branch name `issue/<NN>-<slug>`.",
        "slug: Fast Attention",
        "slug: fast-attention";
    SELF_DEPENDENCY = "self-dependency", Error,
        "A contract depends on itself",
        "Such a contract can never start. Name the contract that must be merged first, or leave the list empty.",
        "issue: 03a\ndepends_on: [03a]",
        "issue: 03a\ndepends_on: [01]";
    INVALID_GLOB = "invalid-glob", Error,
        "Not a valid path pattern",
        "Patterns are git pathspecs with `:(glob)`. They start at the top of the repository. `*` and `?` do not match `/`, `**` does. The name of a folder matches everything below it. Characters that are invisible or look like others are refused, because such a pattern matches nothing. So are a space or a quotation mark at the end of a name, `\\` before a letter, and the prefixes of git pathspecs: `:(glob)`, `:/`, `:!`, `!`. `\\` before a sign makes the sign literal.",
        "allow: [/nmoe/[a.py]",
        "allow: [nmoe/a.py]";
    LITERAL_BRACES = "literal-braces", Warning,
        "A pattern with alternatives in braces, which match literally",
        "Patterns are git's `:(glob)` pathspecs, and those have no `{a,b}`: the pattern matches only paths that hold the braces themselves. Write one pattern for each alternative.",
        "kernels = [\"nmoe/csrc/{rdep,muon}.so\"]",
        "kernels = [\"nmoe/csrc/rdep.so\", \"nmoe/csrc/muon.so\"]";
    ALLOW_SWALLOWED = "allow-swallowed", Error,
        "This `allow` pattern is fully covered by a `deny` pattern",
        "`deny` wins, so the `allow` entry has no effect. Narrow the `deny` pattern or remove the `allow` entry.",
        "allow: [nmoe/csrc/rdep.cu]\ndeny: [nmoe/csrc/**]",
        "allow: [nmoe/csrc/rdep.cu]\ndeny: [nmoe/csrc/swizzle.cuh]";
    ALLOW_MATCHES_NOTHING = "allow-matches-nothing", Warning,
        "`allow` matches no file, or a folder in it is misspelled",
        "This is found in two cases: no entry of `allow` matches a file of the checkout, and all have wildcards; or a pattern with wildcards begins with a folder that does not exist, and an existing folder has almost the same name. Any other pattern without a match is accepted, because it may be for new files.",
        "allow: [nmoe/atention/**]",
        "allow: [nmoe/attention/**]";
    HOTSPOT_OUTSIDE_SCOPE = "hotspot-outside-scope", Warning,
        "A merge hotspot outside the scope",
        "`merge_hotspots` names files that this contract and others are likely to change. A file that this contract must not change delays the others for no reason.",
        "merge_hotspots: [nmoe/train.py]\n…\ndeny: [nmoe/train.py]",
        "merge_hotspots: []\n…\ndeny: [nmoe/train.py]";
    MISSING_INVARIANT = "missing-invariant", Error,
        "A required invariant is missing",
        "Every contract states the invariants of the settings (`contracts.invariants`). By default these are `b200-only`, `no-nccl-a2a` and `toml-container`. List the id, or a sentence that contains the words of the invariant as whole words.",
        "invariants:\n  - No NCCL all-to-all on the MoE path",
        "invariants: [b200-only, no-nccl-a2a, toml-container]";
    INVALID_KNOB = "invalid-knob", Error,
        "Not the name of a configuration key",
        "Knobs are names of TOML keys. They consist of letters, digits, `_` and `-`, with `.` between the parts.",
        "add: [\"window = 128\"]",
        "add: [attn_local_window]";
    NUMERICS_UNPROVEN = "numerics-unproven", Warning,
        "`numerics` is declared, and no numeric gate is required",
        "A gate of kind `numeric` compares what the base and the change compute. Without one in `gates.required`, nothing proves the declaration.",
        "contract:\n  numerics: identical\n…\ngates:\n  required: [cpu:train]",
        "contract:\n  numerics: identical\n…\ngates:\n  required: [cpu:train, numeric:train]";
    UNKNOWN_GATE = "unknown-gate", Error,
        "An unknown gate",
        "Gate ids are defined in `configs/gates/gates.toml`; `nmoe-gates gates list` prints them. A contract names gates, not bundles.",
        "required: [cpu:syntax]",
        "required: [cpu:compileall]";
    MISSING_BUDGET = "missing-budget", Error,
        "A hot change without an explicit perf budget",
        "A change on the hot path states its throughput budget in advance: `gates.perf` with `budget_pct`.",
        "nmoe:\n  risk: hot\ngates:\n  required: [b200:moonlight_8x20]",
        "gates:\n  required: [b200:moonlight_8x20]\n  perf:\n    gate: perf:baseline_delta\n    compare: b200:moonlight_8x20\n    metric: node_tps_p50\n    budget_pct: -10";
    INVALID_BUDGET = "invalid-budget", Error,
        "Not a budget",
        "`budget_pct` is a finite number above −100, in percent. −10 means that the result may be at most 10 % worse than the baseline.",
        "budget_pct: .nan",
        "budget_pct: -10";
    FINE_BUDGET = "fine-budget", Error,
        "A budget finer than the gate can measure",
        "Calibration (`perf calibrate`) measured identical code in pairs. The noise is too large for this budget: most verdicts would be inconclusive. `configs/gates/noise.toml` has the finest budget of each gate.",
        "budget_pct: -0.5",
        "budget_pct: -5";
    POSITIVE_BUDGET = "positive-budget", Warning,
        "A budget above zero demands a gain",
        "`budget_pct: 10` requires a change that is at least 10 % faster. To allow a loss of at most 10 %, write −10. A contract of kind `perf` may require a gain.",
        "budget_pct: 10",
        "budget_pct: -10";
    PERF_INCONSISTENT = "perf-inconsistent", Error,
        "The perf block disagrees with the registry or the contract",
        "The registry defines gate, compared gate and metric, and the contract defines the budget. Use these values in the block.",
        "compare: b200:moonlet_1x10",
        "compare: b200:moonlight_8x20";
    COMPARE_NOT_REQUIRED = "compare-not-required", Error,
        "The compared gate is not required",
        "The perf gate compares the output of another gate. Add that gate to `gates.required`.",
        "required: [cpu:import]\nperf:\n  compare: b200:moonlight_8x20",
        "required: [cpu:import, b200:moonlight_8x20]\nperf:\n  compare: b200:moonlight_8x20";
    INVALID_REF = "invalid-ref", Error,
        "Not the name of a git revision",
        "`baseline_ref` is a branch, a tag or a commit. Empty means the base parent of the tested merge. Text that begins with `-` is refused, because git would read it as an option.",
        "baseline_ref: --lock",
        "baseline_ref: origin/master";
}
