//! `lint scope`: renames at both ends, deletions, modes, links, submodules, names in any script, knobs.

use crate::driver::Place;

fn contract(allow: &str, deny: &str, add: &str, change: &str) -> String {
    format!(
        "nmoe:\n  issue: 07\n  slug: x\n  kind: feature\n  risk: cold\n  complexity: S\nscope:\n  allow: [{allow}]\n  deny: [{deny}]\n\
         contract:\n  invariants: []\n  knobs:\n    add: [{add}]\n    change: [{change}]\ngates:\n  required: []\n"
    )
}

/// A repository with a commit on `master` and a branch on top of it that is checked out.
fn place() -> Place {
    let place = Place::new();
    place.git(["init", "-q"]);
    place
        .file("nmoe/train.py", "a\nb\nc\nd\n")
        .file("nmoe/moe.py", "moe\n")
        .file("nmoe/old.py", "1\n2\n3\n4\n5\n6\n")
        .file("docs/gone.md", "gone\n")
        .file("scripts/run.sh", "true\n")
        .file("configs/moonlet.toml", "dim = 1\n[optim]\nlr = 0.1\n");
    place.git(["add", "."]);
    place.git(["commit", "-qm", "Begin"]);
    place.git(["checkout", "-qb", "issue/07-x"]);
    place
}

fn findings(place: &Place, contract: &str, args: &[&str]) -> Vec<String> {
    std::fs::write(place.path("contract.yml"), contract).unwrap();
    let out = place
        .gates([
            "lint",
            "scope",
            "--contract",
            "../contract.yml",
            "--format",
            "json",
        ])
        .into_command()
        .args(args)
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    let findings = json["findings"].as_array().unwrap();
    let errors = findings.iter().any(|f| f["severity"] == "error");
    assert_eq!(out.status.code(), Some(i32::from(errors)));
    let mut shown: Vec<String> = findings
        .iter()
        .map(|f| {
            let line = f["line"].as_u64().map(|n| format!(":{n}")).unwrap_or_default();
            format!(
                "{} {}{line}",
                f["code"].as_str().unwrap(),
                f["path"].as_str().unwrap()
            )
        })
        .collect();
    shown.sort();
    shown
}

#[test]
fn every_kind_of_change_is_judged() {
    let place = place();
    place.git(
        ["mv", "nmoe/old.py", "tools/new.py"].map(|a| if a == "tools/new.py" { "nmoe/new.py" } else { a }),
    );
    place.git(["rm", "-q", "docs/gone.md"]);
    place.git(["update-index", "--chmod=+x", "scripts/run.sh"]);
    place
        .file("nmoe/größe ∂.py", "x\n")
        .file("nmoe/train.py", "changed\n");
    std::os::unix::fs::symlink("../../elsewhere", place.repo().join("nmoe/out")).unwrap();
    std::os::unix::fs::symlink("../docs", place.repo().join("nmoe/docs")).unwrap();
    std::os::unix::fs::symlink("moe.py", place.repo().join("nmoe/fine")).unwrap();
    place.git(["add", "nmoe"]);
    let id = place.git(["rev-parse", "HEAD"]);
    place.git([
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{},vendor/lib", id.trim()),
    ]);
    place.git(["commit", "-qm", "Everything"]);

    let all = [
        "denied-path nmoe/train.py",
        "link-out-of-scope nmoe/docs",
        "link-out-of-scope nmoe/out",
        "out-of-scope docs/gone.md",
        "out-of-scope scripts/run.sh",
        "out-of-scope vendor/lib",
    ];
    assert_eq!(
        findings(&place, &contract("nmoe/**", "nmoe/train.py", "", ""), &[]),
        all
    );
    // Both ends of the move, and the name in another script.
    let narrow = findings(
        &place,
        &contract(
            "\"nmoe/n*\", docs, scripts, vendor/lib, nmoe/fine, nmoe/moe.py",
            "",
            "",
            "",
        ),
        &[],
    );
    assert_eq!(
        narrow,
        [
            "link-out-of-scope nmoe/out",
            "out-of-scope nmoe/docs",
            "out-of-scope nmoe/größe ∂.py",
            "out-of-scope nmoe/old.py",
            "out-of-scope nmoe/out",
            "out-of-scope nmoe/train.py"
        ]
    );
    let nothing = findings(
        &place,
        &contract("", "", "", ""),
        &["--base", "master", "--head", "HEAD"],
    );
    assert_eq!(
        nothing.iter().filter(|f| f.starts_with("out-of-scope")).count(),
        10
    );
}

#[test]
fn only_what_the_branch_itself_changes_counts() {
    let place = place();
    place
        .file("nmoe/moe.py", "mine\n")
        .git(["commit", "-qam", "Mine"]);
    place.git(["checkout", "-q", "master"]);
    place
        .file("docs/gone.md", "theirs\n")
        .git(["commit", "-qam", "Theirs"]);
    place.git(["checkout", "-q", "issue/07-x"]);
    assert_eq!(
        findings(&place, &contract("nmoe/moe.py", "", "", ""), &[]),
        Vec::<String>::new()
    );
}

#[test]
fn the_index_is_judged_before_a_commit() {
    let place = place();
    place.file("docs/gone.md", "staged\n").git(["add", "."]);
    place.file("nmoe/moe.py", "not staged\n");
    let rules = contract("nmoe/**", "", "", "");
    assert_eq!(
        findings(&place, &rules, &["--cached"]),
        ["out-of-scope docs/gone.md"]
    );
    assert_eq!(findings(&place, &rules, &[]), Vec::<String>::new());
}

#[test]
fn knobs_stand_in_the_contract() {
    let place = place();
    place
        .file(
            "configs/moonlet.toml",
            "dim = 2\nwindow = 128\n[optim]\nlr = 0.1\n",
        )
        .file("configs/new.toml", "dim = 4\nfresh = true\n")
        .file("configs/extra.yaml", "a: 1\n");
    place.git(["add", "."]);
    place.git(["commit", "-qm", "Knobs"]);
    assert_eq!(
        findings(&place, &contract("configs", "", "", ""), &[]),
        [
            "config-not-toml configs/extra.yaml",
            "undeclared-knob configs/moonlet.toml:1",
            "undeclared-knob configs/moonlet.toml:2",
            "undeclared-knob configs/new.toml:2"
        ]
    );
    assert_eq!(
        findings(&place, &contract("configs", "", "window, fresh", "dim"), &[]),
        ["config-not-toml configs/extra.yaml"]
    );
}

#[test]
fn what_cannot_be_judged_is_unusable() {
    let place = place();
    place.gates(["lint", "scope"]).run().exits(2);
    std::fs::write(place.path("c.yml"), contract("", "", "", "")).unwrap();
    for args in [["--base", "nowhere"], ["--head", "--all"]] {
        let out = place
            .gates(["lint", "scope", "--contract", "../c.yml"])
            .into_command()
            .args(args)
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(2));
    }
}
