//! Tests that forms, schemas, the pages of codes and the lints agree.

use std::path::Path;

use serde_json::Value;

use crate::driver::Sandbox;

const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

fn tracked(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns the findings of a form that is submitted unchanged.
fn findings(kind: &str, body: &str) -> Vec<(String, String)> {
    let sandbox = Sandbox::new();
    sandbox.file("configs/gates/gates.toml", REGISTRY);
    let out = sandbox
        .gates(["lint", kind, "-", "--format", "json"])
        .stdin(body)
        .run()
        .exits(1)
        .json();
    let lines: Vec<&str> = body.lines().collect();
    out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let line = lines[f["line"].as_u64().unwrap() as usize - 1].trim();
            (
                f["code"].as_str().unwrap().to_owned(),
                line.split(':').next().unwrap().to_owned(),
            )
        })
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

/// Returns an issue as GitHub renders it from the form.
fn rendered(form: &Value) -> String {
    let mut body = String::new();
    for field in form["body"].as_array().unwrap() {
        let attributes = &field["attributes"];
        let Some(label) = attributes["label"].as_str() else {
            continue;
        };
        body.push_str(&format!("### {label}\n\n"));
        match field["type"].as_str().unwrap() {
            "checkboxes" => {
                for option in attributes["options"].as_array().unwrap() {
                    body.push_str(&format!("- [X] {}\n", option["label"].as_str().unwrap()));
                }
            }
            _ => body.push_str(attributes["value"].as_str().unwrap_or("_No response_")),
        }
        body.push_str("\n\n");
    }
    body
}

#[test]
fn issue_form_matches_contract_lint() {
    let form: Value = serde_yaml::from_str(&tracked(".github/ISSUE_TEMPLATE/work_item.yml")).unwrap();
    assert_eq!(form["title"], "[NN] ");
    let labels: Vec<&str> = form["body"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|f| f["attributes"]["label"].as_str())
        .collect();
    assert_eq!(
        labels,
        [
            "Summary (what + why)",
            "Agent Contract (YAML, required)",
            "Notes (optional)",
            "Public-safety confirmation (required)",
        ]
    );
    let body = rendered(&form);
    assert_eq!(
        findings("contract", &body),
        pairs(&[
            ("empty-summary", "### Summary (what + why)"),
            ("unfilled-placeholder", "issue"),
            ("unfilled-placeholder", "slug"),
            ("unfilled-placeholder", "kind"),
            ("unfilled-placeholder", "risk"),
            ("unfilled-placeholder", "complexity"),
            ("unfilled-placeholder", "- nmoe/<module>/**"),
        ])
    );
    let filled = body
        .replacen("_No response_", "Faster.", 1)
        .replace("<NN>  ", "03a  ")
        .replace("<slug>  ", "fast  ")
        .replace("feature|bugfix|perf|refactor|docs", "perf")
        .replace("hot|warm|cold", "hot")
        .replace("S|M|L", "S")
        .replace("<module>", "attention");
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/attention/a.py", "");
    let out = sandbox
        .gates(["lint", "contract", "-"])
        .stdin(filled)
        .run()
        .exits(0);
    assert_eq!(out.stdout, "");
}

#[test]
fn pull_request_template_matches_attestation_lint() {
    let body = tracked(".github/pull_request_template.md");
    assert_eq!(
        findings("attestation", &body),
        pairs(&[
            ("unfilled-placeholder", "issue"),
            ("unfilled-placeholder", "baseline_sha"),
            ("unfilled-placeholder", "pr_sha"),
            ("unfilled-placeholder", "risk"),
            ("unfilled-placeholder", "baseline"),
            ("unfilled-placeholder", "result"),
            ("unfilled-placeholder", "delta_pct"),
            ("unfilled-placeholder", "status"),
            ("empty-summary", "## Summary"),
            (
                "unticked-box",
                "- [ ] Nothing private is in this description, the commits or the code"
            ),
            ("unticked-box", "- [ ] No path or location is hard-coded"),
        ])
    );
    let headings: Vec<&str> = body.lines().filter(|l| l.starts_with("## ")).collect();
    assert_eq!(
        headings,
        [
            "## PR Attestation (YAML, required)",
            "## Summary",
            "## Links",
            "## Public-safety (required)",
            "## Reviewer focus",
        ]
    );
}

#[test]
fn tracked_schemas_match_types() {
    for name in [
        "contract",
        "attestation",
        "registry",
        "results",
        "settings",
        "findings",
    ] {
        let out = Sandbox::new().gates(["schema", name]).run().exits(0);
        let path = format!("schemas/{name}.schema.json");
        assert_eq!(
            out.stdout,
            tracked(&path),
            "run `nmoe-gates schema {name} > {path}`"
        );
    }
}

/// `missing-invariant` prints ids, so `explain` knows them, also those of the settings.
#[test]
fn invariants_are_explained() {
    let sandbox = Sandbox::new();
    let explain = |id: &str, text: &str| {
        let call = sandbox.gates(["explain", id]).run().exits(0);
        call.prints(&format!("{id}\n\nAn invariant: {text}."));
    };
    explain("b200-only", "B200-only (sm_100a)");
    explain("no-nccl-a2a", "no NCCL all-to-all on the MoE path");
    explain(
        "toml-container",
        "TOML-only configuration, container-first execution",
    );
    sandbox.file(
        "configs/nmoe-gates.toml",
        "[[contracts.invariants]]\nid = \"own\"\ntext = \"own rule\"\nany = [\"own\"]\n",
    );
    explain("own", "own rule");
    sandbox
        .gates(["explain", "b200-only"])
        .run()
        .exits(2)
        .reports("cannot explain `b200-only`");
}

#[test]
fn every_code_is_explained() {
    let sandbox = Sandbox::new();
    let all = sandbox
        .gates(["explain", "--format", "json"])
        .run()
        .exits(0)
        .json();
    let codes = all["codes"].as_array().unwrap();
    assert!(codes.len() > 60);
    let mut seen = std::collections::BTreeSet::new();
    for code in codes {
        let id = code["code"].as_str().unwrap();
        assert!(seen.insert(id), "{id} stands twice");
        assert!(
            id.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{id}"
        );
        for key in ["title", "explain"] {
            assert!(!code[key].as_str().unwrap().is_empty(), "{id} has no {key}");
        }
    }
    let page = sandbox.gates(["explain", "unknown-gate"]).run().exits(0).stdout;
    assert!(
        page.starts_with("unknown-gate (error)\n") && page.contains("Right:"),
        "{page}"
    );
    let out = sandbox.gates(["explain", "unknwon-gate"]).run().exits(2);
    assert!(
        out.stderr.contains("did you mean `unknown-gate`"),
        "{}",
        out.stderr
    );
}

#[test]
fn generated_completions_name_subcommands() {
    for shell in ["zsh", "fish"] {
        let out = Sandbox::new().gates(["completions", shell]).run().exits(0);
        assert!(out.stdout.contains("attestation"), "{shell}");
    }
}
