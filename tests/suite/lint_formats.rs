//! Tests the output formats of findings: snippets, JSON, annotations, SARIF.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use crate::driver::Sandbox;
use crate::release::proves;
use crate::support::program::program;
use crate::support::registry::registry;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("a,b:c.md", "```yaml\nnmoe:\n  issue: 03a\n  slug: Att\n```\n");
    sandbox
}

/// The note of a lint without a registry, which cannot check gate ids.
const NO_REGISTRY: &str = "note: [^\n]* registry [^\n]*\n";

const ARGS: [&str; 3] = ["lint", "contract", "a,b:c.md"];

#[test]
fn json_has_exactly_documented_fields() {
    let out = sandbox()
        .gates(ARGS.iter().chain(&["--format", "json"]))
        .expect()
        .status(1)
        .stdout_json()
        .stderr_matches(NO_REGISTRY)
        .check()
        .json();
    assert_eq!(out["schema"], 1);
    let finding = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["code"] == "invalid-slug")
        .unwrap();
    assert_eq!(
        *finding,
        serde_json::json!({
            "code": "invalid-slug",
            "severity": "error",
            "message": "`nmoe.slug` is `Att`; it must be lower-case letters, digits and `-`",
            "help": null,
            "path": "a,b:c.md",
            "line": 4,
            "column": 9,
            "end_line": 4,
            "end_column": 12,
        })
    );
    let errors = out["findings"].as_array().unwrap().len();
    assert_eq!(
        out["summary"],
        serde_json::json!({ "documents": 1, "errors": errors, "warnings": 0, "notes": 0 })
    );
}

#[test]
fn json_fix_has_region_and_replacement() {
    let sandbox = Sandbox::new();
    sandbox.file("c.yaml", "nmoe:\n  kind: Perf\n");
    let out = sandbox
        .gates(["lint", "contract", "c.yaml", "--format", "json"])
        .expect()
        .status(1)
        .stdout_json()
        .stderr_matches(NO_REGISTRY)
        .check()
        .json();
    let finding = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["code"] == "invalid-value")
        .unwrap();
    assert_eq!(
        finding["fix"],
        serde_json::json!({
            "description": "write `perf`",
            "line": 2, "column": 9, "end_line": 2, "end_column": 13,
            "replacement": "perf",
        })
    );
}

#[test]
fn annotations_are_escaped() {
    let out = sandbox()
        .gates(ARGS.iter().chain(&["--format", "github"]))
        .expect()
        .status(1)
        .stdout_matches(r"(::error [^\n]+\n)+")
        .stderr_matches(&format!("{NO_REGISTRY}[0-9]+ errors in 1 document\n"))
        .check();
    let slug = out.stdout.lines().find(|l| l.contains("invalid-slug")).unwrap();
    assert_eq!(
        slug,
        "::error file=a%2Cb%3Ac.md,line=4,endLine=4,col=9,endColumn=12,title=invalid-slug::`nmoe.slug` is `Att`; it must be lower-case letters, digits and `-`"
    );
}

#[test]
fn piped_snippets_have_no_color() {
    let plain = sandbox()
        .gates(ARGS)
        .expect()
        .status(1)
        .stdout_matches(
            r"[^\x1b]*error\[invalid-slug\]: [^\x1b]*--> a,b:c.md:4:9\n[^\x1b]*4 \|   slug: Att\n[^\x1b]*",
        )
        .stderr_matches("[^\\x1b]* in 1 document\n")
        .check();
    sandbox()
        .gates(ARGS.iter().chain(&["--color", "always"]))
        .expect()
        .status(1)
        .stdout_matches(r".*\x1b.*")
        .stderr_matches(".* in 1 document.*")
        .check();
    sandbox()
        .gates(ARGS.iter().chain(&["-q"]))
        .expect()
        .status(1)
        .stdout(plain.stdout)
        .check();
}

#[test]
fn sarif_lists_each_rule_once() {
    let out = sandbox()
        .gates(ARGS.iter().chain(&["--format", "sarif"]))
        .expect()
        .status(1)
        .stdout_json()
        .stderr_matches(NO_REGISTRY)
        .check()
        .json();
    assert_eq!(out["version"], "2.1.0");
    let run = &out["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "a%2Cb%3Ac.md");
        assert!(location["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(result["message"]["text"].as_str().is_some_and(|t| !t.is_empty()));
    }
}

#[test]
fn unsupported_format_is_refused() {
    sandbox()
        .gates(ARGS.iter().chain(&["--format", "dot"]))
        .run()
        .exits(2)
        .reports("error: ");
}

/// Returns the matches of the problem matchers in an output: file, line, column, severity and code, as a runner reads them.
fn matched(output: &str) -> Vec<(String, String, String, String, String)> {
    let matchers: Value = serde_json::from_str(include_str!("../../.github/problem-matcher.json")).unwrap();
    let mut found = Vec::new();
    for matcher in matchers["problemMatcher"].as_array().unwrap() {
        let patterns = matcher["pattern"].as_array().unwrap();
        let regexes: Vec<Regex> = patterns
            .iter()
            .map(|p| Regex::new(p["regexp"].as_str().unwrap()).unwrap())
            .collect();
        let lines: Vec<&str> = output.lines().collect();
        for window in lines.windows(regexes.len()) {
            let mut said: BTreeMap<&str, String> = BTreeMap::new();
            for ((line, regex), pattern) in window.iter().zip(&regexes).zip(patterns) {
                let Some(groups) = regex.captures(line) else { break };
                for (name, group) in pattern.as_object().unwrap() {
                    if let Some(group) = group.as_u64() {
                        said.insert(name, groups[group as usize].to_owned());
                    }
                }
            }
            if said.contains_key("file") && said.contains_key("message") {
                let of = |name: &str| said[name].clone();
                found.push((of("file"), of("line"), of("column"), of("severity"), of("code")));
            }
        }
    }
    found
}

#[test]
fn problem_matchers_read_every_finding() {
    let sandbox = sandbox();
    sandbox.registry(&registry().tier_a("cpu:x", "true"));
    sandbox.file("notes.md", ["ok\nhost gpu-12.inter", "nal\n"].concat());
    for args in [&ARGS[..], &["lint", "safety", "notes.md"]] {
        let human = sandbox.gates(args).run().exits(1).stdout;
        let json = sandbox
            .gates(args.iter().chain(&["--format", "json"]))
            .run()
            .findings();
        let wanted: Vec<_> = json["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| {
                let text = |name: &str| f[name].as_str().unwrap().to_owned();
                let number = |name: &str| f[name].to_string();
                (
                    text("path"),
                    number("line"),
                    number("column"),
                    text("severity"),
                    text("code"),
                )
            })
            .collect();
        assert!(!wanted.is_empty());
        assert_eq!(matched(&human), wanted, "{human}");
    }
}

#[test]
fn sarif_fixes_are_readable_by_reviewdog() {
    let sandbox = Sandbox::new();
    sandbox.file("a b/c.yaml", "nmoe:\n  kind: Perf\n");
    let args = ["lint", "contract", "a b/c.yaml", "--format", "sarif"];
    let out = sandbox
        .gates(args)
        .run()
        .exits(1)
        .reports("note: there is no registry")
        .json();
    let run = &out["runs"][0];
    let results = run["results"].as_array().unwrap();
    // reviewdog reads a relative path that it decodes, a level, a region, and replacements in the same file.
    for result in results {
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "a%20b/c.yaml");
        assert!(location["region"]["startLine"].is_u64() && result["level"].is_string());
    }
    let fixed = results.iter().find(|r| r["ruleId"] == "invalid-value").unwrap();
    let change = &fixed["fixes"][0]["artifactChanges"][0];
    assert_eq!(change["artifactLocation"]["uri"], "a%20b/c.yaml");
    assert_eq!(change["replacements"][0]["insertedContent"]["text"], "perf");
    assert_eq!(change["replacements"][0]["deletedRegion"]["endColumn"], 13);
}

#[test]
#[ignore = "downloads a validator of a hundred megabytes: scripts/test --all"]
fn slow_sarif_follows_official_schema() {
    proves("verify/sarif", &[program()]);
}

#[test]
#[ignore = "downloads two language servers: scripts/test --all"]
fn slow_schemas_work_in_editors() {
    proves("verify/editors", &[program()]);
}
