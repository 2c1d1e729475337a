//! Tests `lint scope`: both paths of a rename, deletions, modes, links, submodules, non-ASCII names, knobs.

use crate::driver::Sandbox;

fn contract(allow: &str, deny: &str, add: &str, change: &str) -> String {
    crate::support::contract::contract("07", "x")
        .allow(allow)
        .deny(deny)
        .knobs(add, change)
        .yaml()
}

/// Creates a repository with a commit on `master` and a checked-out branch on top of it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox
        .file("nmoe/train.py", "a\nb\nc\nd\n")
        .file("nmoe/moe.py", "moe\n")
        .file("nmoe/old.py", "1\n2\n3\n4\n5\n6\n")
        .file("docs/gone.md", "gone\n")
        .file("scripts/run.sh", "true\n")
        .file("configs/moonlet.toml", "dim = 1\n[optim]\nlr = 0.1\n");
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "Begin"]);
    sandbox.git(["checkout", "-qb", "issue/07-x"]);
    sandbox
}

/// Returns the findings of a call that ends with this exit code.
fn findings(sandbox: &Sandbox, contract: &str, args: &[&str], status: i32) -> Vec<String> {
    std::fs::write(sandbox.path("contract.yml"), contract).unwrap();
    let common = [
        "lint",
        "scope",
        "--contract",
        "../contract.yml",
        "--format",
        "json",
    ];
    let json = sandbox
        .gates([&common, args].concat())
        .expect()
        .status(status)
        .stdout_json()
        .check()
        .json();
    let findings = json["findings"].as_array().unwrap();
    let errors = findings.iter().any(|f| f["severity"] == "error");
    assert_eq!(status, i32::from(errors));
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
fn every_kind_of_change_is_checked() {
    let sandbox = sandbox();
    sandbox.git(
        ["mv", "nmoe/old.py", "tools/new.py"].map(|a| if a == "tools/new.py" { "nmoe/new.py" } else { a }),
    );
    sandbox.git(["rm", "-q", "docs/gone.md"]);
    sandbox.git(["update-index", "--chmod=+x", "scripts/run.sh"]);
    sandbox
        .file("nmoe/größe ∂.py", "x\n")
        .file("nmoe/train.py", "changed\n");
    std::os::unix::fs::symlink("../../elsewhere", sandbox.repo().join("nmoe/out")).unwrap();
    std::os::unix::fs::symlink("../docs", sandbox.repo().join("nmoe/docs")).unwrap();
    std::os::unix::fs::symlink("moe.py", sandbox.repo().join("nmoe/fine")).unwrap();
    sandbox.git(["add", "nmoe"]);
    let id = sandbox.git(["rev-parse", "HEAD"]);
    sandbox.git([
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{},vendor/lib", id.trim()),
    ]);
    sandbox.git(["commit", "-qm", "Everything"]);

    let all = [
        "denied-path nmoe/train.py",
        "link-out-of-scope nmoe/docs",
        "link-out-of-scope nmoe/out",
        "out-of-scope docs/gone.md",
        "out-of-scope scripts/run.sh",
        "out-of-scope vendor/lib",
    ];
    assert_eq!(
        findings(
            &sandbox,
            &contract("nmoe/**", "nmoe/train.py", "", ""),
            &["--head", "HEAD"],
            1
        ),
        all
    );
    // Both paths of the rename, and a non-ASCII name.
    let narrow = findings(
        &sandbox,
        &contract(
            "\"nmoe/n*\", docs, scripts, vendor/lib, nmoe/fine, nmoe/moe.py",
            "",
            "",
            "",
        ),
        &["--head", "HEAD"],
        1,
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
        &sandbox,
        &contract("", "", "", ""),
        &["--base", "master", "--head", "HEAD"],
        1,
    );
    assert_eq!(
        nothing.iter().filter(|f| f.starts_with("out-of-scope")).count(),
        10
    );
}

#[test]
fn changes_of_base_are_ignored() {
    let sandbox = sandbox();
    sandbox
        .file("nmoe/moe.py", "mine\n")
        .git(["commit", "-qam", "Mine"]);
    sandbox.git(["checkout", "-q", "master"]);
    sandbox
        .file("docs/gone.md", "theirs\n")
        .git(["commit", "-qam", "Theirs"]);
    sandbox.git(["checkout", "-q", "issue/07-x"]);
    assert_eq!(
        findings(&sandbox, &contract("nmoe/moe.py", "", "", ""), &[], 0),
        Vec::<String>::new()
    );
}

#[test]
fn cached_option_checks_index() {
    let sandbox = sandbox();
    sandbox.file("docs/gone.md", "staged\n").git(["add", "."]);
    sandbox.file("nmoe/moe.py", "not staged\n");
    let rules = contract("nmoe/**", "", "", "");
    assert_eq!(
        findings(&sandbox, &rules, &["--cached"], 1),
        ["out-of-scope docs/gone.md"]
    );
    assert_eq!(
        findings(&sandbox, &rules, &["--head", "HEAD"], 0),
        Vec::<String>::new()
    );
}

#[test]
fn first_commit_is_checked_with_sha256() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q", "--object-format=sha256"]);
    sandbox.file("docs/new.md", "staged\n").git(["add", "."]);
    assert_eq!(
        findings(&sandbox, &contract("nmoe/**", "", "", ""), &["--cached"], 1),
        ["out-of-scope docs/new.md"]
    );
}

/// The next step of `start` says "before each commit", so nothing may be committed yet when the scope is checked.
#[test]
fn default_includes_staged_changed_and_new_files() {
    let sandbox = sandbox();
    let rules = contract("nmoe/**", "", "", "");
    assert_eq!(findings(&sandbox, &rules, &[], 0), Vec::<String>::new());
    sandbox.file("docs/gone.md", "staged\n").git(["add", "."]);
    sandbox.file("scripts/run.sh", "false\n");
    sandbox
        .file("new file.md", "new\n")
        .file("ignored.log", "x")
        .file(".git/info/exclude", "*.log\n");
    let before = sandbox.git(["status", "--porcelain"]);
    assert_eq!(
        findings(&sandbox, &rules, &[], 1),
        [
            "out-of-scope docs/gone.md",
            "out-of-scope new file.md",
            "out-of-scope scripts/run.sh"
        ]
    );
    assert_eq!(
        sandbox.git(["status", "--porcelain"]),
        before,
        "the index is unchanged"
    );
}

/// git would copy the content of new files, so the content of large ones is left out. Names are not patterns.
#[test]
fn large_new_files_are_checked_by_name() {
    let sandbox = sandbox();
    sandbox
        .file("docs/run[1].bin", vec![1; 2 << 20])
        .file("docs/run1.bin", "small")
        .file("docs/*.txt", "small");
    let work = contract("nmoe/**", "", "", "");
    assert_eq!(
        findings(&sandbox, &work, &[], 1),
        [
            "out-of-scope docs/*.txt",
            "out-of-scope docs/run1.bin",
            "out-of-scope docs/run[1].bin"
        ]
    );
    // From a folder of the checkout, too.
    std::fs::write(sandbox.path("work.yml"), work).unwrap();
    let args = ["lint", "scope", "--contract", "../../work.yml", "--subject", "."];
    let here = sandbox.gates(args).current_dir(sandbox.repo().join("docs"));
    here.run().exits(1).prints("docs/run[1].bin");
}

#[test]
fn undeclared_knob_is_found() {
    let sandbox = sandbox();
    sandbox
        .file(
            "configs/moonlet.toml",
            "dim = 2\nwindow = 128\n[optim]\nlr = 0.1\n",
        )
        .file("configs/new.toml", "dim = 4\nfresh = true\n")
        .file("configs/extra.yaml", "a: 1\n");
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "Knobs"]);
    assert_eq!(
        findings(&sandbox, &contract("configs", "", "", ""), &[], 1),
        [
            "config-not-toml configs/extra.yaml",
            "undeclared-knob configs/moonlet.toml:1",
            "undeclared-knob configs/moonlet.toml:2",
            "undeclared-knob configs/new.toml:2"
        ]
    );
    assert_eq!(
        findings(&sandbox, &contract("configs", "", "window, fresh", "dim"), &[], 0),
        ["config-not-toml configs/extra.yaml"]
    );
}

#[test]
fn invalid_revision_or_contract_is_refused() {
    let sandbox = sandbox();
    sandbox
        .gates(["lint", "scope"])
        .expect()
        .status(2)
        .stderr_matches("error: [^\n]*\n  help: [^\n]*`--contract FILE` or `--issue N`\n")
        .check();
    std::fs::write(sandbox.path("c.yml"), contract("", "", "", "")).unwrap();
    for (args, named) in [
        (["--base", "nowhere"], "nowhere"),
        (["--head", "--all"], "--(all|head)"),
    ] {
        sandbox
            .gates(["lint", "scope", "--contract", "../c.yml"].iter().chain(&args))
            .expect()
            .status(2)
            .stderr_matches(&format!("error: [^\n]*{named}.*"))
            .check();
    }
}

#[test]
fn limits_bound_files_and_lines() {
    let sandbox = sandbox();
    // One line replaced, one file of two lines added, one file of one line removed: 5 lines in 3 files.
    sandbox
        .file("nmoe/train.py", "a\nB\nc\nd\n")
        .file("nmoe/new.py", "1\n2\n");
    std::fs::remove_file(sandbox.repo().join("docs/gone.md")).unwrap();
    let large = |limits: &str| {
        let text = contract("\"**\"", "", "", "")
            .replace("  knobs:\n", &format!("  limits: {{{limits}}}\n  knobs:\n"));
        std::fs::write(sandbox.path("contract.yml"), text).unwrap();
        let json = sandbox
            .gates([
                "lint",
                "scope",
                "--contract",
                "../contract.yml",
                "--format",
                "json",
            ])
            .run()
            .findings();
        let found = json["findings"].as_array().unwrap();
        found
            .iter()
            .map(|f| f["message"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(large("files: 3, lines: 5"), [""; 0]);
    assert_eq!(
        large("files: 2, lines: 4"),
        [
            "the change has 3 files, and `contract.limits` allows 2",
            "the change has 5 lines, and `contract.limits` allows 4"
        ]
    );
    assert_eq!(large("files: 3"), [""; 0]);
}

const STEERING: [&str; 20] = [
    ".mcp.json",
    ".vscode/mcp.json",
    ".github/instructions/x.instructions.md",
    ".github/prompts/x.prompt.md",
    ".github/agents/x.md",
    ".clinerules",
    ".roo/rules/x.md",
    ".kiro/steering/x.md",
    ".junie/guidelines.md",
    ".amazonq/rules/x.md",
    ".windsurf/rules/x.md",
    ".agents/skills/x.txt",
    "trainer/CLAUDE.local.md",
    "trainer/AGENTS.override.md",
    "trainer/agents.md",
    "AGENT.md",
    "opencode.json",
    "docs/CODEOWNERS",
    "tools/action.yml",
    ".pre-commit-config.yaml",
];

/// Instructions of agents, workflows and the policy decide what later work does, so `**` does not name them.
#[test]
fn steering_file_must_be_named_in_scope() {
    let sandbox = sandbox();
    for path in [
        "AGENTS.md",
        "docs/CLAUDE.md",
        ".cursor/rules/x.mdc",
        ".github/workflows/x.yml",
        "configs/gates/gates.toml",
    ] {
        sandbox.file(path, "name: x\n");
    }
    let wide = contract("\"**\"", "", "", "name");
    assert_eq!(
        findings(&sandbox, &wide, &[], 0),
        [
            "steering-change .cursor/rules/x.mdc",
            "steering-change .github/workflows/x.yml",
            "steering-change AGENTS.md",
            "steering-change configs/gates/gates.toml",
            "steering-change docs/CLAUDE.md",
        ]
    );
    for path in STEERING {
        let sandbox = self::sandbox();
        sandbox.file(path, "x: 1\n");
        let found = findings(&sandbox, &wide, &[], 0);
        assert!(
            found.contains(&format!("steering-change {path}")),
            "{path}: {found:?}"
        );
        let named = contract(&format!("{path:?}"), "", "", "name");
        let found = findings(&sandbox, &named, &[], 0);
        assert!(
            !found.iter().any(|f| f.starts_with("steering-change")),
            "{path}: {found:?}"
        );
    }
    let named = contract(
        "AGENTS.md, docs/CLAUDE.md, \".cursor/**\", \".github/**\", \"configs/gates/*\"",
        "",
        "",
        "name",
    );
    assert_eq!(findings(&sandbox, &named, &[], 0), [""; 0]);
}
