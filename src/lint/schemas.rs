//! Defines the keys of the contract, the attestation and the registry for the linter. A test compares them with the types.

use crate::document::typed::variants;
use crate::domain::container;
use crate::domain::contract::{self, Complexity, Risk};
use crate::domain::executor::ExecutorKind;
use crate::domain::ids::{
    CommitPrefix, ContractId, EnvName, JobOption, Knob, MetricName, Revision, Sha256, Slug,
};
use crate::domain::metric::{Decimal, Reduce, Take};
use crate::domain::numeric::Numerics;
use crate::domain::preset::Preset;
use crate::domain::registry::{Direction, Freshness, GateKind, Leaks, Tier};
use crate::domain::verdict::Verdict;
use crate::lint::codes::attestation::INVALID_SHA;
use crate::lint::codes::contract::{INVALID_ISSUE_ID, INVALID_KNOB, INVALID_REF, INVALID_SLUG};
use crate::lint::codes::document::WRONG_TYPE;
use crate::lint::codes::registry::{IMAGE_WITHOUT_DIGEST, INVALID_ENV_NAME, INVALID_PATTERN};
use crate::lint::schema::Need::{MayBeEmpty, Optional, Required, RequiredMayBeEmpty};
use crate::lint::schema::{Key, Need, SchemaType, TextRule};

const fn key(name: &'static str, need: Need, shape: SchemaType) -> Key {
    Key { name, need, shape }
}

/// Text that an id type of the domain accepts, and the code of the finding for other text.
macro_rules! text {
    ($type:ident, $code:ident) => {
        SchemaType::Text(Some(TextRule {
            good: $type::is_valid,
            code: &$code,
            must_be: $type::MUST_BE,
        }))
    };
}

const ISSUE_ID: SchemaType = text!(ContractId, INVALID_ISSUE_ID);
const SLUG: SchemaType = text!(Slug, INVALID_SLUG);
const SHA: SchemaType = text!(CommitPrefix, INVALID_SHA);
const REF: SchemaType = text!(Revision, INVALID_REF);
const KNOB: SchemaType = text!(Knob, INVALID_KNOB);
const ENV_NAME: SchemaType = text!(EnvName, INVALID_ENV_NAME);
const DIGEST: SchemaType = text!(Sha256, WRONG_TYPE);
const JOB_OPTION: SchemaType = text!(JobOption, WRONG_TYPE);
const METRIC_NAME: SchemaType = text!(MetricName, INVALID_PATTERN);
const TEXT: SchemaType = SchemaType::Text(None);
const RISK: SchemaType = SchemaType::OneOf(variants::<Risk>);

/// The contract.
pub static CONTRACT: SchemaType = SchemaType::Map(&[
    key(
        "nmoe",
        Required,
        SchemaType::Map(&[
            key("issue", Required, ISSUE_ID),
            key("slug", Required, SLUG),
            key("kind", Required, SchemaType::OneOf(variants::<contract::Kind>)),
            key("risk", Required, RISK),
            key("complexity", Required, SchemaType::OneOf(variants::<Complexity>)),
            key("depends_on", Optional, SchemaType::List(&ISSUE_ID)),
            key("merge_hotspots", Optional, SchemaType::List(&TEXT)),
        ]),
    ),
    key(
        "scope",
        Required,
        SchemaType::Map(&[
            key("allow", Required, SchemaType::List(&TEXT)),
            key("deny", Optional, SchemaType::List(&TEXT)),
        ]),
    ),
    key(
        "contract",
        Required,
        SchemaType::Map(&[
            key("invariants", Required, SchemaType::List(&SchemaType::Sentence)),
            key(
                "knobs",
                Optional,
                SchemaType::Map(&[
                    key("add", Optional, SchemaType::List(&KNOB)),
                    key("change", Optional, SchemaType::List(&KNOB)),
                ]),
            ),
            key("numerics", Optional, SchemaType::OneOf(variants::<Numerics>)),
            key(
                "limits",
                MayBeEmpty,
                SchemaType::Map(&[
                    key("files", Optional, SchemaType::Whole),
                    key("lines", Optional, SchemaType::Whole),
                ]),
            ),
        ]),
    ),
    key(
        "gates",
        Required,
        SchemaType::Map(&[
            key("required", Required, SchemaType::List(&TEXT)),
            key(
                "perf",
                MayBeEmpty,
                SchemaType::Map(&[
                    key("gate", Required, TEXT),
                    key("compare", Required, TEXT),
                    key("metric", Required, TEXT),
                    key("baseline_ref", MayBeEmpty, REF),
                    key("budget_pct", Required, SchemaType::Number),
                ]),
            ),
        ]),
    ),
]);

/// The attestation.
pub static ATTESTATION: SchemaType = SchemaType::Map(&[
    key(
        "nmoe_pr",
        Required,
        SchemaType::Map(&[
            key("issue", Required, ISSUE_ID),
            key("baseline_sha", MayBeEmpty, SHA),
            key("pr_sha", Required, SHA),
            key("risk", Required, RISK),
        ]),
    ),
    key(
        "gates_passed",
        Required,
        SchemaType::Map(&[
            key("tier_a", RequiredMayBeEmpty, SchemaType::List(&TEXT)),
            key("tier_b", RequiredMayBeEmpty, SchemaType::List(&TEXT)),
        ]),
    ),
    key(
        "perf",
        MayBeEmpty,
        SchemaType::Map(&[
            key("gate", Required, TEXT),
            key("compare", Required, TEXT),
            key("metric", Required, TEXT),
            key("baseline", MayBeEmpty, SchemaType::Number),
            key("result", MayBeEmpty, SchemaType::Number),
            key("delta_pct", MayBeEmpty, SchemaType::Number),
            key("budget_pct", Required, SchemaType::Number),
            key("status", Required, SchemaType::OneOf(variants::<Verdict>)),
        ]),
    ),
]);

/// The image of a container on this machine.
const IMAGE: SchemaType = SchemaType::Text(Some(TextRule {
    good: container::is_image,
    code: &IMAGE_WITHOUT_DIGEST,
    must_be: "an image by digest: `NAME@sha256:…`, or `sha256:…`",
}));

/// The image of pods, which a cluster downloads by name.
const POD_IMAGE: SchemaType = SchemaType::Text(Some(TextRule {
    good: container::is_named_image,
    code: &IMAGE_WITHOUT_DIGEST,
    must_be: "an image by name and digest: `NAME@sha256:…`",
}));

/// The container of the registry or of a gate.
const CONTAINER: SchemaType = SchemaType::Map(&[
    key("image", Optional, IMAGE),
    key("dockerfile", Optional, TEXT),
    key("build_args", Optional, SchemaType::Table(&TEXT)),
    key("network", Optional, SchemaType::Flag),
    key(
        "memory",
        Optional,
        SchemaType::Text(Some(TextRule {
            good: container::is_memory,
            code: &WRONG_TYPE,
            must_be: "an amount such as `64g` or `512m`",
        })),
    ),
    key("processes", Optional, SchemaType::Whole),
    key("data", Optional, SchemaType::List(&ENV_NAME)),
    key("scratch", Optional, SchemaType::List(&ENV_NAME)),
]);

/// A library with self-checks of the repository.
const CHECK_LIBRARY: SchemaType = SchemaType::Map(&[
    key("library", Required, TEXT),
    key("fresh", Optional, SchemaType::OneOf(variants::<Freshness>)),
    key("package", Optional, TEXT),
    key("sources", Optional, SchemaType::List(&TEXT)),
]);

/// Relocatable code for other targets that a library may contain.
const FOREIGN_CODE: SchemaType = SchemaType::Map(&[
    key("library", Required, TEXT),
    key("sha256", Required, DIGEST),
    key("reason", Required, TEXT),
]);

/// The most that a kernel may use.
const PIN: SchemaType = SchemaType::Map(&[
    key("registers", Optional, SchemaType::Whole),
    key("stack", Optional, SchemaType::Whole),
    key("shared", Optional, SchemaType::Whole),
    key("spills", Optional, SchemaType::Whole),
]);

/// A library that the loader preloads.
const PRELOAD: SchemaType = SchemaType::Map(&[key("path", Required, TEXT), key("sha256", Required, DIGEST)]);

/// The registry.
pub static REGISTRY: SchemaType = SchemaType::Map(&[
    key(
        "meta",
        Optional,
        SchemaType::Map(&[key("version", Optional, TEXT), key("target", Optional, TEXT)]),
    ),
    key(
        "target",
        Optional,
        SchemaType::Table(&SchemaType::Map(&[
            key("compute_capability", Optional, TEXT),
            key("arch", Optional, TEXT),
            key("kernels", Optional, SchemaType::List(&TEXT)),
            key("build", MayBeEmpty, TEXT),
            key("gpus", Optional, SchemaType::Whole),
            key("checks", Optional, SchemaType::List(&CHECK_LIBRARY)),
            key("foreign", Optional, SchemaType::List(&FOREIGN_CODE)),
            key("pins", Optional, SchemaType::Table(&PIN)),
            key("preload", Optional, SchemaType::List(&PRELOAD)),
        ])),
    ),
    key("container", Optional, CONTAINER),
    key("executor", Optional, SchemaType::Table(&EXECUTOR)),
    key("gates", Required, SchemaType::Table(&GATE)),
    key("bundles", Optional, SchemaType::Table(&SchemaType::List(&TEXT))),
]);

/// One executor of the registry.
static EXECUTOR: SchemaType = SchemaType::Map(&[
    key("kind", Required, SchemaType::OneOf(variants::<ExecutorKind>)),
    key("template", Optional, TEXT),
    key("queue_s", Optional, SchemaType::Whole),
    key("poll_s", Optional, SchemaType::Whole),
    key(
        "slurm",
        Optional,
        SchemaType::Map(&[
            key("account", Optional, JOB_OPTION),
            key("partition", Optional, JOB_OPTION),
            key("qos", Optional, JOB_OPTION),
            key("constraint", Optional, JOB_OPTION),
            key("reservation", Optional, JOB_OPTION),
            key("gres", Optional, JOB_OPTION),
            key("mem", Optional, JOB_OPTION),
            key("cpus_per_task", Optional, SchemaType::Whole),
            key("exclusive", Optional, SchemaType::Flag),
        ]),
    ),
    key(
        "kubernetes",
        Optional,
        SchemaType::Map(&[
            key("image", Required, POD_IMAGE),
            key("claim", Required, JOB_OPTION),
            key("mount", Required, JOB_OPTION),
            key("queue", Optional, JOB_OPTION),
            key("gpu", Optional, JOB_OPTION),
            key("cpu", Optional, JOB_OPTION),
            key("memory", Optional, JOB_OPTION),
            key("user", Optional, SchemaType::Whole),
        ]),
    ),
]);

/// One gate of the registry.
pub static GATE: SchemaType = SchemaType::Map(&[
    key("tier", Required, SchemaType::OneOf(variants::<Tier>)),
    key("kind", Optional, SchemaType::OneOf(variants::<GateKind>)),
    key("cmd", MayBeEmpty, TEXT),
    key("rehearse", Optional, TEXT),
    key("timeout_s", Optional, SchemaType::Whole),
    key("silence_timeout_s", Optional, SchemaType::Whole),
    key("gpus", Optional, SchemaType::Whole),
    key("nodes", Optional, SchemaType::Whole),
    key("executor", Optional, TEXT),
    key("requires", Optional, SchemaType::List(&ENV_NAME)),
    key("requires_files", Optional, SchemaType::List(&TEXT)),
    key("env", Optional, SchemaType::List(&ENV_NAME)),
    key("note", MayBeEmpty, TEXT),
    key("preset", Optional, SchemaType::OneOf(variants::<Preset>)),
    key(
        "metrics",
        Optional,
        SchemaType::List(&SchemaType::Map(&[
            key("name", Required, METRIC_NAME),
            key("label", Optional, TEXT),
            key("pattern", Optional, TEXT),
            key("unit", MayBeEmpty, TEXT),
            key("scale", Optional, SchemaType::Number),
            key("decimal", Optional, SchemaType::OneOf(variants::<Decimal>)),
            key("direction", Optional, SchemaType::OneOf(variants::<Direction>)),
            key("reduce", Optional, SchemaType::OneOf(variants::<Reduce>)),
            key("rate", Optional, TEXT),
            key("take", Optional, SchemaType::OneOf(variants::<Take>)),
        ])),
    ),
    key("artifacts", Optional, SchemaType::List(&TEXT)),
    key("container", Optional, CONTAINER),
    key("kernel", Optional, SchemaType::Flag),
    key("leaks", Optional, SchemaType::OneOf(variants::<Leaks>)),
    key("compare_gate", Optional, TEXT),
    key("metric", Optional, TEXT),
    key(
        "also",
        Optional,
        SchemaType::List(&SchemaType::Map(&[
            key("metric", Required, METRIC_NAME),
            key("budget_pct", Required, SchemaType::Number),
        ])),
    ),
    key("pairs", Optional, SchemaType::Whole),
    key("max_pairs", Optional, SchemaType::Whole),
    key("warmup_steps", Optional, SchemaType::Whole),
    key("perf_args", MayBeEmpty, TEXT),
    key("series", Optional, SchemaType::List(&METRIC_NAME)),
    key("tolerance", Optional, SchemaType::Number),
    key("resume_cmd", Optional, TEXT),
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
    fn same(root: &Value, schema: &Value, shape: &SchemaType, name: &str) {
        let schema = resolve(root, schema);
        match shape {
            SchemaType::Map(keys) => {
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
            SchemaType::List(inner) => same(root, &schema["items"], inner, name),
            SchemaType::Table(inner) => same(root, &schema["additionalProperties"], inner, name),
            // The table takes the words from the type.
            SchemaType::OneOf(_) => {}
            SchemaType::Number => assert_eq!(kind(schema), "number", "{name}"),
            SchemaType::Whole => assert_eq!(kind(schema), "integer", "{name}"),
            SchemaType::Flag => assert_eq!(kind(schema), "boolean", "{name}"),
            SchemaType::Text(_) | SchemaType::Sentence => assert_eq!(kind(schema), "string", "{name}"),
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
    fn tables_match_types() {
        let contract = schema_for!(contract::Contract).to_value();
        same(&contract, &contract, &CONTRACT, "contract");
        let attestation = schema_for!(crate::domain::attestation::Attestation).to_value();
        same(&attestation, &attestation, &ATTESTATION, "attestation");
        let registry = schema_for!(crate::domain::registry::Registry).to_value();
        same(&registry, &registry, &REGISTRY, "registry");
    }
}
