//! `init`: what it adds is in order by our own lints, nothing is overwritten, and the second time nothing happens.

use crate::driver::Place;

fn fresh() -> Place {
    let place = Place::new();
    place.git(["init", "-q", "-b", "trunk"]);
    place
        .file("trainer/__init__.py", "")
        .file("trainer/run.py", "print(1)\n");
    place
}

fn actions(place: &Place, args: &[&str]) -> Vec<(String, String)> {
    let report = place
        .gates(["init", "--format", "json"].iter().chain(args))
        .run()
        .exits(0)
        .json();
    let files = report["files"].as_array().unwrap().iter();
    files
        .map(|f| {
            (
                f["path"].as_str().unwrap().to_owned(),
                f["action"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn what_it_adds_is_clean_by_our_own_lints() {
    let place = fresh();
    assert!(actions(&place, &[]).iter().all(|(_, action)| action == "create"));
    place.gates(["lint", "registry"]).run().exits(0);
    let workflows = place
        .gates(["lint", "workflows", "--format", "json"])
        .run()
        .exits(0)
        .json();
    let codes: Vec<&str> = workflows["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].as_str().unwrap())
        .collect();
    assert!(
        codes.iter().all(|code| *code == "workflow-unpinned-action"),
        "only our own action is by version: {codes:?}"
    );
    place.gates(["run", "--tier", "a"]).run().exits(0);
    let settings = std::fs::read_to_string(place.repo().join("configs/nmoe-gates.toml")).unwrap();
    assert!(settings.contains("base = \"trunk\""), "{settings}");
    let tier_b = std::fs::read_to_string(place.repo().join(".github/workflows/tier-b.yml")).unwrap();
    assert!(
        !tier_b.contains("uses: ./")
            && !tier_b.contains("self-repository")
            && tier_b.contains("uses: Noumena-Network/nmoe-gates@v"),
        "{tier_b}"
    );
}

#[test]
fn it_adapts_to_what_is_there_and_overwrites_nothing() {
    let place = fresh();
    let registry = "[gates.\"cpu:a\"]\ntier = \"a\"\ncmd = \"true\"\n[bundles]\nmine = [\"cpu:a\"]\n";
    place
        .file("configs/gates/gates.toml", registry)
        .file(".github/PULL_REQUEST_TEMPLATE.md", "hello\n");
    place.file("AGENTS.md", "# Agents\n");
    place.file(
        ".github/workflows/tier-b.yml",
        "on: workflow_dispatch\njobs: {}\n",
    );
    let said = place.gates(["init", "--dry-run"]).run().exits(0).stdout;
    assert!(
        said.contains("keep    .github/workflows/tier-b.yml  (it does not call nmoe-gates;"),
        "{said}"
    );
    std::fs::remove_file(place.repo().join(".github/workflows/tier-b.yml")).unwrap();
    let first = actions(&place, &["--agents", "--hook"]);
    let action = |path: &str| first.iter().find(|(p, _)| p == path).map(|(_, a)| a.as_str());
    assert_eq!(action("configs/gates/gates.toml"), Some("keep"));
    assert_eq!(action(".github/PULL_REQUEST_TEMPLATE.md"), Some("keep"));
    assert_eq!(action("AGENTS.md"), Some("append"));
    assert_eq!(
        std::fs::read_to_string(place.repo().join("configs/gates/gates.toml")).unwrap(),
        registry
    );
    let tier_b = std::fs::read_to_string(place.repo().join(".github/workflows/tier-b.yml")).unwrap();
    assert!(tier_b.contains("options: [mine, single]"), "{tier_b}");
    let agents = std::fs::read_to_string(place.repo().join("AGENTS.md")).unwrap();
    assert!(agents.starts_with("# Agents\n\n<!-- nmoe-gates -->"), "{agents}");

    let second = actions(&place, &["--agents", "--hook"]);
    assert!(second.iter().all(|(_, action)| action == "keep"), "{second:?}");
    assert_eq!(
        std::fs::read_to_string(place.repo().join("AGENTS.md")).unwrap(),
        agents
    );
}

#[test]
fn a_dry_run_writes_nothing_and_a_plain_folder_is_refused() {
    let place = fresh();
    place.gates(["init", "--dry-run"]).run().exits(0);
    assert!(!place.repo().join("configs").exists());
    let out = Place::new().gates(["init"]).run().exits(2);
    assert!(out.stderr.contains("git init"), "{}", out.stderr);
}

#[test]
fn the_patch_that_a_dry_run_shows_is_what_it_writes() {
    for agents in [
        None,
        Some(""),
        Some("# A"),
        Some("# A\n\nb\nc\nd\n"),
        Some("one\ntwo\nthree\nfour"),
    ] {
        let (shown, written) = (fresh(), fresh());
        for place in [&shown, &written] {
            if let Some(text) = agents {
                place.file("AGENTS.md", text);
            }
        }
        let patch = shown
            .gates(["init", "--agents", "--dry-run", "-v"])
            .run()
            .exits(0)
            .stdout;
        assert!(!shown.repo().join("configs").exists());
        std::fs::write(shown.path("patch"), patch).unwrap();
        shown.git(["apply", "--whitespace=nowarn", "../patch"]);
        written.gates(["init", "--agents"]).run().exits(0);
        for place in [&shown, &written] {
            place.git(["add", "-A"]);
        }
        let tree = |place: &Place| place.git(["write-tree"]);
        assert_eq!(tree(&shown), tree(&written), "{agents:?}");
    }
}
