//! The formats that findings are printed in: snippets, JSON, annotations, SARIF.

use crate::driver::Place;

fn place() -> Place {
    let place = Place::new();
    place.file("a,b:c.md", "```yaml\nnmoe:\n  issue: 03a\n  slug: Att\n```\n");
    place
}

const ARGS: [&str; 3] = ["lint", "contract", "a,b:c.md"];

#[test]
fn json_has_exactly_the_agreed_fields() {
    let out = place()
        .gates(ARGS.iter().chain(&["--format", "json"]))
        .run()
        .exits(1)
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
fn a_fix_says_what_to_put_where() {
    let place = Place::new();
    place.file("c.yaml", "nmoe:\n  kind: Perf\n");
    let out = place
        .gates(["lint", "contract", "c.yaml", "--format", "json"])
        .run()
        .exits(1)
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
    let out = place()
        .gates(ARGS.iter().chain(&["--format", "github"]))
        .run()
        .exits(1);
    let slug = out.stdout.lines().find(|l| l.contains("invalid-slug")).unwrap();
    assert_eq!(
        slug,
        "::error file=a%2Cb%3Ac.md,line=4,endLine=4,col=9,endColumn=12,title=invalid-slug::`nmoe.slug` is `Att`; it must be lower-case letters, digits and `-`"
    );
    assert!(
        out.stdout.lines().all(|l| l.starts_with("::error ")),
        "{}",
        out.stdout
    );
}

#[test]
fn snippets_are_plain_when_nobody_looks() {
    let out = place().gates(ARGS).run().exits(1);
    assert!(out.stdout.contains("error[invalid-slug]: "), "{}", out.stdout);
    assert!(out.stdout.contains("--> a,b:c.md:4:9"), "{}", out.stdout);
    assert!(out.stdout.contains("4 |   slug: Att"), "{}", out.stdout);
    assert!(!out.stdout.contains('\u{1b}'));
    assert!(out.stderr.contains("in 1 document"), "{}", out.stderr);
    let colour = place()
        .gates(ARGS.iter().chain(&["--color", "always"]))
        .run()
        .exits(1);
    assert!(colour.stdout.contains('\u{1b}'));
    let quiet = place().gates(ARGS.iter().chain(&["-q"])).run().exits(1);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn sarif_names_each_rule_once_and_points_into_the_document() {
    let out = place()
        .gates(ARGS.iter().chain(&["--format", "sarif"]))
        .run()
        .exits(1)
        .json();
    assert_eq!(out["version"], "2.1.0");
    let run = &out["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%2Cb%3Ac.md");
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(result["message"]["text"].as_str().is_some_and(|t| !t.is_empty()));
    }
}

#[test]
fn a_format_of_another_command_is_unusable() {
    place()
        .gates(ARGS.iter().chain(&["--format", "dot"]))
        .run()
        .exits(2);
}
