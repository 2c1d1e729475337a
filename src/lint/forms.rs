//! The keys of the contract, the attestation and the registry, as tables. `model` has the same as types; a test holds them together.

use crate::lint::codes::attestation::INVALID_SHA;
use crate::lint::codes::contract::{INVALID_ISSUE_ID, INVALID_KNOB, INVALID_REF, INVALID_SLUG};
use crate::lint::codes::registry::{INVALID_ENV_NAME, INVALID_PATTERN};
use crate::lint::shape::Need::{MayBeEmpty, Optional, Required, RequiredMayBeEmpty};
use crate::lint::shape::{Key, Need, Shape, Word};
use crate::lint::words;

const fn key(name: &'static str, need: Need, shape: Shape) -> Key {
    Key { name, need, shape }
}

const ISSUE_ID: Shape = Shape::Text(Some(Word {
    good: words::is_issue_id,
    code: &INVALID_ISSUE_ID,
    must_be: "letters, digits, `.` and `-`, such as 03a",
}));
const SLUG: Shape = Shape::Text(Some(Word {
    good: words::is_slug,
    code: &INVALID_SLUG,
    must_be: "lower-case letters, digits and `-`",
}));
const SHA: Shape = Shape::Text(Some(Word {
    good: words::is_sha,
    code: &INVALID_SHA,
    must_be: "7 to 40 hex digits of a commit",
}));
const REF: Shape = Shape::Text(Some(Word {
    good: words::is_ref,
    code: &INVALID_REF,
    must_be: "the name of a branch, tag or commit",
}));
const KNOB: Shape = Shape::Text(Some(Word {
    good: words::is_knob,
    code: &INVALID_KNOB,
    must_be: "the name of a configuration key",
}));
const ENV_NAME: Shape = Shape::Text(Some(Word {
    good: words::is_env_name,
    code: &INVALID_ENV_NAME,
    must_be: "the name of a variable, without `$` or a value",
}));
const METRIC_NAME: Shape = Shape::Text(Some(Word {
    good: |t| {
        !t.is_empty()
            && t.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    },
    code: &INVALID_PATTERN,
    must_be: "lower-case letters, digits and `_`",
}));
const TEXT: Shape = Shape::Text(None);
const RISK: Shape = Shape::OneOf(RISK_WORDS);

/// The contract.
pub static CONTRACT: Shape = Shape::Map(&[
    key(
        "nmoe",
        Required,
        Shape::Map(&[
            key("issue", Required, ISSUE_ID),
            key("slug", Required, SLUG),
            key(
                "kind",
                Required,
                Shape::OneOf(&["feature", "bugfix", "perf", "refactor", "docs"]),
            ),
            key("risk", Required, RISK),
            key("complexity", Required, Shape::OneOf(&["S", "M", "L"])),
            key("depends_on", Optional, Shape::List(&ISSUE_ID)),
            key("merge_hotspots", Optional, Shape::List(&TEXT)),
        ]),
    ),
    key(
        "scope",
        Required,
        Shape::Map(&[
            key("allow", Required, Shape::List(&TEXT)),
            key("deny", Optional, Shape::List(&TEXT)),
        ]),
    ),
    key(
        "contract",
        Required,
        Shape::Map(&[
            key("invariants", Required, Shape::List(&Shape::Sentence)),
            key(
                "knobs",
                Optional,
                Shape::Map(&[
                    key("add", Optional, Shape::List(&KNOB)),
                    key("change", Optional, Shape::List(&KNOB)),
                ]),
            ),
        ]),
    ),
    key(
        "gates",
        Required,
        Shape::Map(&[
            key("required", Required, Shape::List(&TEXT)),
            key(
                "perf",
                MayBeEmpty,
                Shape::Map(&[
                    key("gate", Required, TEXT),
                    key("compare", Required, TEXT),
                    key("metric", Required, TEXT),
                    key("baseline_ref", MayBeEmpty, REF),
                    key("budget_pct", Required, Shape::Number),
                ]),
            ),
        ]),
    ),
]);

/// The attestation.
pub static ATTESTATION: Shape = Shape::Map(&[
    key(
        "nmoe_pr",
        Required,
        Shape::Map(&[
            key("issue", Required, ISSUE_ID),
            key("baseline_sha", MayBeEmpty, SHA),
            key("pr_sha", Required, SHA),
            key("risk", Required, RISK),
        ]),
    ),
    key(
        "gates_passed",
        Required,
        Shape::Map(&[
            key("tier_a", RequiredMayBeEmpty, Shape::List(&TEXT)),
            key("tier_b", RequiredMayBeEmpty, Shape::List(&TEXT)),
        ]),
    ),
    key(
        "perf",
        MayBeEmpty,
        Shape::Map(&[
            key("gate", Required, TEXT),
            key("compare", Required, TEXT),
            key("metric", Required, TEXT),
            key("baseline", MayBeEmpty, Shape::Number),
            key("result", MayBeEmpty, Shape::Number),
            key("delta_pct", MayBeEmpty, Shape::Number),
            key("budget_pct", Required, Shape::Number),
            key("status", Required, Shape::OneOf(STATUS)),
        ]),
    ),
]);

/// The words of `risk`.
pub const RISK_WORDS: &[&str] = &["hot", "warm", "cold"];

/// The words of `perf.status`: the verdicts.
pub const STATUS: &[&str] = &[
    "pass",
    "fail",
    "inconclusive",
    "invalid",
    "not_run",
    "pending",
    "cancelled",
];

/// The registry.
pub static REGISTRY: Shape = Shape::Map(&[
    key(
        "meta",
        Optional,
        Shape::Map(&[key("version", Optional, TEXT), key("target", Optional, TEXT)]),
    ),
    key(
        "target",
        Optional,
        Shape::Table(&Shape::Map(&[
            key("compute_capability", Optional, TEXT),
            key("arch", Optional, TEXT),
            key("kernels", Optional, Shape::List(&TEXT)),
            key("build", MayBeEmpty, TEXT),
            key("gpus", Optional, Shape::Whole),
        ])),
    ),
    key("gates", Required, Shape::Table(&GATE)),
    key("bundles", Optional, Shape::Table(&Shape::List(&TEXT))),
]);

/// One gate of the registry.
pub static GATE: Shape = Shape::Map(&[
    key("tier", Required, Shape::OneOf(&["a", "b"])),
    key(
        "kind",
        Optional,
        Shape::OneOf(&["command", "cmd", "perf", "external", "kernel"]),
    ),
    key("cmd", MayBeEmpty, TEXT),
    key("timeout_s", Optional, Shape::Whole),
    key("silence_timeout_s", Optional, Shape::Whole),
    key("gpus", Optional, Shape::Whole),
    key("requires", Optional, Shape::List(&ENV_NAME)),
    key("requires_files", Optional, Shape::List(&TEXT)),
    key("env", Optional, Shape::List(&ENV_NAME)),
    key("note", MayBeEmpty, TEXT),
    key(
        "metrics",
        Optional,
        Shape::List(&Shape::Map(&[
            key("name", Required, METRIC_NAME),
            key("pattern", Optional, TEXT),
            key("unit", MayBeEmpty, TEXT),
            key("direction", Optional, Shape::OneOf(&["higher", "lower"])),
        ])),
    ),
    key("artifacts", Optional, Shape::List(&TEXT)),
    key("kernel", Optional, Shape::Flag),
    key("leaks", Optional, Shape::OneOf(&["report", "fail"])),
    key("compare_gate", Optional, TEXT),
    key("metric", Optional, TEXT),
    key("pairs", Optional, Shape::Whole),
    key("max_pairs", Optional, Shape::Whole),
    key("warmup_steps", Optional, Shape::Whole),
    key("perf_args", MayBeEmpty, TEXT),
]);
