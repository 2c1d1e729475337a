//! Gates that did not pass as SARIF 2.1.0. A gate has no line in the change, so each result points at the registry.

use serde_json::{Value, json};

use crate::domain::results::Results;
use crate::domain::verdict::{Reason, Verdict};

/// Where gates are defined, in the policy checkout.
const REGISTRY: &str = "configs/gates/gates.toml";

/// Where a reader of a log learns more about the program.
pub(super) const HOME: &str = "https://github.com/Noumena-Network/nmoe-gates";

/// The whole log.
pub fn log(results: &Results) -> Value {
    let bad: Vec<_> = results
        .gate_ids
        .iter()
        .filter_map(|id| results.results.get_key_value(id))
        .filter(|(_, r)| r.status != Verdict::Pass)
        .collect();
    let mut reasons: Vec<Reason> = Vec::new();
    for reason in bad.iter().filter_map(|(_, r)| r.reason) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let rules: Vec<Value> = reasons
        .iter()
        .map(|r| {
            json!({
                "id": r.as_str(),
                "shortDescription": { "text": r.says() },
                "help": { "text": if r.remedy().is_empty() { r.says() } else { r.remedy() } },
            })
        })
        .collect();
    let found: Vec<Value> = bad
        .iter()
        .map(|(id, r)| {
            let rule = r.reason.map_or(r.status.as_str(), Reason::as_str);
            let says = r.reason.map_or("It did not pass.", Reason::says);
            json!({
                "ruleId": rule,
                "level": if r.status == Verdict::Fail { "error" } else { "warning" },
                "message": { "text": format!("Gate {id}: {}. {says}", r.status.as_str()) },
                "locations": [{
                    "physicalLocation": { "artifactLocation": { "uri": REGISTRY }, "region": { "startLine": 1 } },
                    "logicalLocations": [{ "name": id, "kind": "member" }],
                }],
                "partialFingerprints": { "gate/v1": id },
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "nmoe-gates",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": HOME,
                "rules": rules,
            }},
            "results": found,
        }],
    })
}
