//! Tests `plan`: waves, hotspots, cycles and missing dependencies in folders, on GitHub, and in branches that conflict.

use crate::driver::Sandbox;
use crate::fake_github::FakeGitHub;

/// A contract as an issue's body.
pub fn contract(issue: &str, slug: &str, depends_on: &str, hotspots: &str, allow: &str) -> String {
    format!(
        "### Agent Contract (YAML, required)\n\n```yaml\nnmoe:\n  issue: {issue}\n  slug: {slug}\n  kind: feature\n  risk: cold\n  \
         complexity: S\n  depends_on: [{depends_on}]\n  merge_hotspots: [{hotspots}]\n\nscope:\n  allow: [{allow}]\n  deny: []\n\n\
         contract:\n  invariants:\n    - B200-only (sm_100a); fail off-target\n    - No NCCL all-to-all on the MoE path\n    \
         - TOML-only configuration; container-first\n  knobs:\n    add: []\n    change: []\n\n\
         gates:\n  required:\n    - cpu:import\n    - cpu:compileall\n```\n"
    )
}

#[test]
fn folder_is_planned() {
    let sandbox = Sandbox::new();
    sandbox
        .file(
            "work/a.md",
            contract("01", "one", "", "nmoe/train.py", "nmoe/train.py"),
        )
        .file("work/b.md", contract("02", "two", "\"01\"", "", "docs/**"))
        .file("work/c.md", contract("03a", "three", "", "", "\"nmoe/*.py\""))
        .file(
            "work/d.yml",
            contract("04", "four", "03a, 02", "CHANGELOG.md", "CHANGELOG.md"),
        )
        .file("work/notes.md", "nothing here");
    let out = sandbox.gates(["plan", "work", "--format", "json"]).run().exits(0);
    let json = out.json();
    assert_eq!(json["waves"], serde_json::json!([["01"], ["02", "03a"], ["04"]]));
    assert_eq!(json["critical_path"], serde_json::json!(["01", "02", "04"]));
    assert_eq!(json["hotspots"][0]["path"], "nmoe/train.py");
    assert_eq!(json["hotspots"][0]["contracts"], serde_json::json!(["01", "03a"]));
    assert_eq!(json["next"][0]["command"], "nmoe-gates start 01");

    let out = sandbox.gates(["plan", "work"]).run().exits(0);
    insta::assert_snapshot!(out.stdout, @r"
    wave  contract   after    alone on
    1     01-one              nmoe/train.py
    2     02-two     01
    2     03a-three           nmoe/config.py, nmoe/moe.py, nmoe/train.py
    3     04-four    03a, 02

    critical path: 01 → 02 → 04

    hotspot        kind  means          contracts
    nmoe/train.py  core  one at a time  01, 03a

    next: nmoe-gates start 01
    ");
    let out = sandbox
        .gates(["plan", "work", "--format", "mermaid"])
        .run()
        .exits(0);
    insta::assert_snapshot!(out.stdout, @r#"
    flowchart LR
      subgraph wave1["wave 1"]
        c0["01 one"]
      end
      subgraph wave2["wave 2"]
        c1["02 two"]
        c2["03a three"]
      end
      subgraph wave3["wave 3"]
        c3["04 four"]
      end
      c0 --> c1
      c2 --> c3
      c1 --> c3
      c0 -. "nmoe/train.py" .- c2
    "#);
    let out = sandbox.gates(["plan", "work", "--format", "dot"]).run().exits(0);
    assert!(out.stdout.starts_with("digraph plan {") && out.stdout.contains("c0 -> c1;"));
}

#[test]
fn broken_contracts_are_findings() {
    let sandbox = Sandbox::new();
    sandbox
        .file("w/1.md", contract("01", "a", "02", "", "a"))
        .file("w/2.md", contract("02", "b", "01", "", "b"))
        .file("w/3.md", contract("03", "c", "3", "", "c"))
        .file("w/4.md", contract("04", "d", "", "", "d"))
        .file("w/5.md", contract("04", "again", "", "", "d"))
        .file("w/6.md", "text\n\n```yaml\nnmoe:\n  issue: [\n```\n");
    let json = sandbox
        .gates(["plan", "w", "--format", "json"])
        .run()
        .exits(1)
        .json();
    let findings: Vec<(&str, &str)> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["code"].as_str().unwrap(), f["message"].as_str().unwrap()))
        .collect();
    assert_eq!(
        findings[0],
        ("duplicate-contract", "contract `04` stands in w/4.md already")
    );
    assert_eq!(findings[1].0, "unreadable-contract");
    assert_eq!(
        findings[2],
        ("dependency-cycle", "contracts wait for each other: 01 → 02 → 01")
    );
    assert_eq!(
        findings[3],
        ("missing-dependency", "there is no contract `3`: 03 → 3")
    );
    assert_eq!(json["findings"][1]["line"], 5);
    assert!(
        json["findings"][3]["help"]
            .as_str()
            .unwrap()
            .contains("did you mean `03`")
    );
    assert_eq!(json["waves"], serde_json::json!([["04"]]));
    assert_eq!(json["blocked"].as_array().unwrap().len(), 3);

    sandbox.gates(["plan", "w/3.md", "--done", "3"]).run().exits(0);
    sandbox.gates(["plan", "nowhere.md"]).run().exits(2);
    sandbox.gates(["plan", "w", "--format", "sarif"]).run().exits(2);
}

#[test]
fn open_issues_of_every_page_are_planned() {
    let api = FakeGitHub::start();
    api.state().page = 2;
    for n in 1..=5 {
        let depends = if n > 1 {
            format!("0{}", n - 1)
        } else {
            String::new()
        };
        api.issue(n, "Work", &contract(&format!("0{n}"), "x", &depends, "", "x"));
    }
    api.issue(6, "A question", "no contract in it");
    let sandbox = Sandbox::new();
    let json = api
        .serves(sandbox.gates(["plan", "--format", "json"]))
        .run()
        .exits(0)
        .json();
    assert_eq!(json["waves"].as_array().unwrap().len(), 5);
    assert_eq!(json["contracts"][4]["path"], "issue #5");
}

#[test]
fn conflicting_branches_are_hotspots() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox.file("shared.txt", "base\n").git(["add", "."]);
    sandbox.git(["commit", "-qm", "base"]);
    for (issue, text) in [("01", "one\n"), ("02", "two\n"), ("03", "base\n")] {
        sandbox.git(["checkout", "-q", "-b", &format!("issue/{issue}-x"), "master"]);
        sandbox
            .file("shared.txt", text)
            .file(&format!("own{issue}"), "own");
        sandbox.git(["add", "."]);
        sandbox.git(["commit", "-qm", "work"]);
        sandbox.git(["checkout", "-q", "master"]);
        let own = format!("own{issue}");
        std::fs::create_dir_all(sandbox.path("work")).unwrap();
        std::fs::write(
            sandbox.path(&format!("work/{issue}.md")),
            contract(issue, "x", "", "", &own),
        )
        .unwrap();
    }
    let json = sandbox
        .gates(["plan", "../work", "--format", "json"])
        .run()
        .exits(0)
        .json();
    assert_eq!(json["hotspots"][0]["kind"], "conflict");
    assert_eq!(json["hotspots"][0]["path"], "shared.txt (01 and 02)");
    assert_eq!(json["waves"], serde_json::json!([["01", "03"], ["02"]]));
}
