//! Defines the keys of the contract, the attestation and the registry for the linter. A test compares them with the types.

use crate::document::typed::variants;
use crate::domain::container;
use crate::domain::contract::{self, Complexity, Risk};
use crate::domain::ids::{CommitPrefix, ContractId, EnvName, Knob, MetricName, Revision, Slug};
use crate::domain::metric::{Decimal, Reduce, Take};
use crate::domain::preset::Preset;
use crate::domain::registry::{Direction, GateKind, Leaks, Tier};
use crate::domain::verdict::Verdict;
use crate::lint::codes::attestation::INVALID_SHA;
use crate::lint::codes::contract::{INVALID_ISSUE_ID, INVALID_KNOB, INVALID_REF, INVALID_SLUG};
use crate::lint::codes::document::WRONG_TYPE;
use crate::lint::codes::registry::{IMAGE_WITHOUT_DIGEST, INVALID_ENV_NAME, INVALID_PATTERN};
use crate::lint::shape::Need::{MayBeEmpty, Optional, Required, RequiredMayBeEmpty};
use crate::lint::shape::{Key, Need, Shape, Word};

const fn key(name: &'static str, need: Need, shape: Shape) -> Key {
    Key { name, need, shape }
}

const ISSUE_ID: Shape = Shape::Text(Some(Word {
    good: ContractId::is_valid,
    code: &INVALID_ISSUE_ID,
    must_be: ContractId::MUST_BE,
}));
const SLUG: Shape = Shape::Text(Some(Word {
    good: Slug::is_valid,
    code: &INVALID_SLUG,
    must_be: Slug::MUST_BE,
}));
const SHA: Shape = Shape::Text(Some(Word {
    good: CommitPrefix::is_valid,
    code: &INVALID_SHA,
    must_be: CommitPrefix::MUST_BE,
}));
const REF: Shape = Shape::Text(Some(Word {
    good: Revision::is_valid,
    code: &INVALID_REF,
    must_be: Revision::MUST_BE,
}));
const KNOB: Shape = Shape::Text(Some(Word {
    good: Knob::is_valid,
    code: &INVALID_KNOB,
    must_be: Knob::MUST_BE,
}));
const ENV_NAME: Shape = Shape::Text(Some(Word {
    good: EnvName::is_valid,
    code: &INVALID_ENV_NAME,
    must_be: EnvName::MUST_BE,
}));
const METRIC_NAME: Shape = Shape::Text(Some(Word {
    good: MetricName::is_valid,
    code: &INVALID_PATTERN,
    must_be: MetricName::MUST_BE,
}));
const TEXT: Shape = Shape::Text(None);
const RISK: Shape = Shape::OneOf(variants::<Risk>);

/// The contract.
pub static CONTRACT: Shape = Shape::Map(&[
    key(
        "nmoe",
        Required,
        Shape::Map(&[
            key("issue", Required, ISSUE_ID),
            key("slug", Required, SLUG),
            key("kind", Required, Shape::OneOf(variants::<contract::Kind>)),
            key("risk", Required, RISK),
            key("complexity", Required, Shape::OneOf(variants::<Complexity>)),
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
            key("status", Required, Shape::OneOf(variants::<Verdict>)),
        ]),
    ),
]);

/// The container of the registry or of a gate.
const CONTAINER: Shape = Shape::Map(&[
    key(
        "image",
        Optional,
        Shape::Text(Some(Word {
            good: container::is_image,
            code: &IMAGE_WITHOUT_DIGEST,
            must_be: "an image by digest: `NAME@sha256:…`, or `sha256:…`",
        })),
    ),
    key("dockerfile", Optional, TEXT),
    key("build_args", Optional, Shape::Table(&TEXT)),
    key("network", Optional, Shape::Flag),
    key(
        "memory",
        Optional,
        Shape::Text(Some(Word {
            good: container::is_memory,
            code: &WRONG_TYPE,
            must_be: "an amount such as `64g` or `512m`",
        })),
    ),
    key("processes", Optional, Shape::Whole),
    key("data", Optional, Shape::List(&ENV_NAME)),
    key("scratch", Optional, Shape::List(&ENV_NAME)),
]);

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
    key("container", Optional, CONTAINER),
    key("gates", Required, Shape::Table(&GATE)),
    key("bundles", Optional, Shape::Table(&Shape::List(&TEXT))),
]);

/// One gate of the registry.
pub static GATE: Shape = Shape::Map(&[
    key("tier", Required, Shape::OneOf(variants::<Tier>)),
    key("kind", Optional, Shape::OneOf(variants::<GateKind>)),
    key("cmd", MayBeEmpty, TEXT),
    key("timeout_s", Optional, Shape::Whole),
    key("silence_timeout_s", Optional, Shape::Whole),
    key("gpus", Optional, Shape::Whole),
    key("requires", Optional, Shape::List(&ENV_NAME)),
    key("requires_files", Optional, Shape::List(&TEXT)),
    key("env", Optional, Shape::List(&ENV_NAME)),
    key("note", MayBeEmpty, TEXT),
    key("preset", Optional, Shape::OneOf(variants::<Preset>)),
    key(
        "metrics",
        Optional,
        Shape::List(&Shape::Map(&[
            key("name", Required, METRIC_NAME),
            key("label", Optional, TEXT),
            key("pattern", Optional, TEXT),
            key("unit", MayBeEmpty, TEXT),
            key("scale", Optional, Shape::Number),
            key("decimal", Optional, Shape::OneOf(variants::<Decimal>)),
            key("direction", Optional, Shape::OneOf(variants::<Direction>)),
            key("reduce", Optional, Shape::OneOf(variants::<Reduce>)),
            key("rate", Optional, TEXT),
            key("take", Optional, Shape::OneOf(variants::<Take>)),
        ])),
    ),
    key("artifacts", Optional, Shape::List(&TEXT)),
    key("container", Optional, CONTAINER),
    key("kernel", Optional, Shape::Flag),
    key("leaks", Optional, Shape::OneOf(variants::<Leaks>)),
    key("compare_gate", Optional, TEXT),
    key("metric", Optional, TEXT),
    key(
        "also",
        Optional,
        Shape::List(&Shape::Map(&[
            key("metric", Required, METRIC_NAME),
            key("budget_pct", Required, Shape::Number),
        ])),
    ),
    key("pairs", Optional, Shape::Whole),
    key("max_pairs", Optional, Shape::Whole),
    key("warmup_steps", Optional, Shape::Whole),
    key("perf_args", MayBeEmpty, TEXT),
]);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use schemars::schema_for;
    use serde_json::Value;

    use super::*;

    /// Follows a reference, and takes the alternative that is not null.
    fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
        if let Some(name) = schema["$ref"].as_str() {
            return resolve(root, root.pointer(name.trim_start_matches('#')).unwrap());
        }
        match schema["anyOf"].as_array() {
            Some(any) => resolve(root, any.iter().find(|s| s["type"] != "null").unwrap()),
            None => schema,
        }
    }

    /// Checks that table and type have the same keys and types of values, and that a key that the type requires is required.
    fn same(root: &Value, schema: &Value, shape: &Shape, name: &str) {
        let schema = resolve(root, schema);
        match shape {
            Shape::Map(keys) => {
                let ours: BTreeSet<&str> = keys.iter().map(|k| k.name).collect();
                let properties = schema["properties"]
                    .as_object()
                    .unwrap_or_else(|| panic!("{name}: {schema}"));
                let theirs: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
                assert_eq!(ours, theirs, "{name}");
                for required in schema["required"].as_array().into_iter().flatten() {
                    let key = keys.iter().find(|k| required == k.name).unwrap();
                    assert!(
                        matches!(key.need, Required | RequiredMayBeEmpty),
                        "{name}.{}",
                        key.name
                    );
                }
                for key in *keys {
                    same(
                        root,
                        &properties[key.name],
                        &key.shape,
                        &format!("{name}.{}", key.name),
                    );
                }
            }
            Shape::List(inner) => same(root, &schema["items"], inner, name),
            Shape::Table(inner) => same(root, &schema["additionalProperties"], inner, name),
            // The table takes the words from the type.
            Shape::OneOf(_) => {}
            Shape::Number => assert_eq!(kind(schema), "number", "{name}"),
            Shape::Whole => assert_eq!(kind(schema), "integer", "{name}"),
            Shape::Flag => assert_eq!(kind(schema), "boolean", "{name}"),
            Shape::Text(_) | Shape::Sentence => assert_eq!(kind(schema), "string", "{name}"),
        }
    }

    fn kind(schema: &Value) -> &str {
        match &schema["type"] {
            Value::Array(kinds) => kinds
                .iter()
                .filter_map(Value::as_str)
                .find(|k| *k != "null")
                .unwrap_or_default(),
            one => one.as_str().unwrap_or_default(),
        }
    }

    #[test]
    fn tables_and_types_say_the_same() {
        let contract = schema_for!(contract::Contract).to_value();
        same(&contract, &contract, &CONTRACT, "contract");
        let attestation = schema_for!(crate::domain::attestation::Attestation).to_value();
        same(&attestation, &attestation, &ATTESTATION, "attestation");
        let registry = schema_for!(crate::domain::registry::Registry).to_value();
        same(&registry, &registry, &REGISTRY, "registry");
    }
}
