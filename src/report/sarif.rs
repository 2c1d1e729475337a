//! Writes SARIF 2.1.0 logs: findings in documents, and gates that did not pass.

use serde_json::{Value, json};

use crate::domain::finding::{Code, Finding, Region};
use crate::domain::page;
use crate::domain::paths;
use crate::domain::results::Results;
use crate::domain::verdict::{Reason, Verdict};

/// Formats the gates that did not pass. A gate has no line in the change, so each result points at the registry.
pub fn of_results(results: &Results) -> Value {
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
                "shortDescription": { "text": r.message() },
                "helpUri": page::of_code(r.as_str()),
                "help": { "text": if r.remedy().is_empty() { r.message() } else { r.remedy() } },
            })
        })
        .collect();
    let found: Vec<Value> = bad
        .iter()
        .map(|(id, r)| {
            let rule = r.reason.map_or(r.status.as_str(), Reason::as_str);
            let says = r.reason.map_or("It did not pass.", Reason::message);
            json!({
                "ruleId": rule,
                "level": if r.status == Verdict::Fail { "error" } else { "warning" },
                "message": { "text": format!("Gate {id}: {}. {says}", r.status.as_str()) },
                "locations": [{
                    "physicalLocation": { "artifactLocation": { "uri": paths::REGISTRY }, "region": { "startLine": 1 } },
                    "logicalLocations": [{ "name": id, "kind": "member" }],
                }],
                "partialFingerprints": { "gate/v1": id },
            })
        })
        .collect();
    log(rules, found)
}

/// Returns the log around rules and results.
fn log(rules: Vec<Value>, results: Vec<Value>) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "nmoe-gates",
                "version": version,
                "semanticVersion": version,
                "informationUri": page::REPOSITORY,
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// Formats findings.
pub fn of_findings(findings: &[Finding]) -> Value {
    let mut codes: Vec<&Code> = Vec::new();
    for finding in findings {
        if !codes.contains(&finding.code) {
            codes.push(finding.code);
        }
    }
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| {
            json!({
                "id": code.id,
                "shortDescription": { "text": code.title },
                "fullDescription": { "text": code.explain },
                "helpUri": page::of_code(code.id),
                "defaultConfiguration": { "level": code.severity.as_str() },
            })
        })
        .collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut text = finding.message.clone();
            if let Some(help) = &finding.help {
                text = format!("{text}\n{help}");
            }
            let mut result = json!({
                "ruleId": finding.code.id,
                "ruleIndex": codes.iter().position(|c| *c == finding.code),
                "level": finding.severity.as_str(),
                "message": { "text": text },
            });
            let uri = finding.path.as_deref().map_or_else(|| "stdin".to_owned(), uri);
            let mut place = json!({ "artifactLocation": { "uri": uri } });
            if let Some(region) = finding.region {
                place["region"] = place_of(&region);
                if let Some(fix) = &finding.fix {
                    result["fixes"] = json!([{
                        "description": { "text": fix.description },
                        "artifactChanges": [{
                            "artifactLocation": { "uri": uri },
                            "replacements": [{
                                "deletedRegion": place_of(&fix.region),
                                "insertedContent": { "text": fix.replacement },
                            }],
                        }],
                    }]);
                }
            }
            result["locations"] = json!([{ "physicalLocation": place }]);
            result
        })
        .collect();
    log(rules, results)
}

fn place_of(region: &Region) -> Value {
    json!({
        "startLine": region.line,
        "startColumn": region.column,
        "endLine": region.end_line,
        "endColumn": region.end_column,
    })
}

/// Returns a path as a relative URI reference, with percent-encoding.
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes()
        .fold(String::with_capacity(path.len()), |mut uri, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(uri, "%{byte:02X}");
            }
            uri
        })
}
