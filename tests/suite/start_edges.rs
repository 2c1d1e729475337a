//! Tests `start` and the stored contract in repositories that are not tidy: submodules, a branch `issue`, a worktree folder that was
//! removed by hand, an issue that was edited, ids that git refuses as names.

use crate::driver::{Sandbox, git};
use crate::fake_github::FakeGitHub;
use crate::start::{put, world};
use crate::support::contract::contract;

fn start(sandbox: &Sandbox, code: i32) -> serde_json::Value {
    sandbox
        .gates(["start", "01", "--contract", "../work", "--format", "json"])
        .run()
        .exits(code)
        .json()
}

/// A new worktree has no submodules, and the gates would miss their files.
#[test]
fn submodules_of_new_worktree_are_checked_out() {
    let sandbox = world();
    git(&sandbox.path(""), ["init", "-q", "library"]);
    let library = sandbox.path("library");
    std::fs::write(library.join("tool.py"), "1\n").unwrap();
    git(&library, ["add", "."]);
    git(&library, ["commit", "-qm", "Begin"]);
    let allow = ["-c", "protocol.file.allow=always"];
    let add = ["submodule", "--quiet", "add", library.to_str().unwrap(), "vendor"];
    sandbox.git(allow.iter().chain(&add));
    sandbox.git(["commit", "-qm", "Add a library"]);
    sandbox.git(["push", "-q", "origin", "master"]);
    let started = start(&sandbox, 0);
    let tree = std::path::PathBuf::from(started["worktree"].as_str().unwrap());
    assert!(!tree.join("vendor/tool.py").exists());
    let argv: Vec<&str> = started["next"][1]["argv"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(argv[..2], ["git", "submodule"]);
    git(&tree, allow.iter().chain(&argv[1..]));
    assert!(tree.join("vendor/tool.py").exists());
}

/// git cannot have a branch below another branch.
#[test]
fn branch_named_issue_is_in_the_way() {
    let sandbox = world();
    sandbox.git(["push", "-q", "origin", "master:refs/heads/issue"]);
    let refused = start(&sandbox, 1);
    assert_eq!(refused["findings"][0]["code"], "branch-exists");
    let message = refused["findings"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("the branch `origin/issue` exists, so git cannot have `issue/01-attention`"),
        "{message}"
    );
    let claims = git(&sandbox.path("remote.git"), ["for-each-ref", "refs/nmoe-gates"]);
    assert_eq!(claims, "");
}

#[test]
fn worktree_removed_by_hand_can_be_continued() {
    let sandbox = world();
    let started = start(&sandbox, 0);
    let tree = std::path::PathBuf::from(started["worktree"].as_str().unwrap());
    std::fs::remove_dir_all(&tree).unwrap();
    let again = start(&sandbox, 1);
    assert_eq!(again["next"][0]["what"], "continue on the branch");
    let argv: Vec<&str> = again["next"][0]["argv"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    sandbox.git(&argv[1..]);
    assert!(tree.join("nmoe/train.py").exists());
    // Without its branch the contract can be started anew.
    std::fs::remove_dir_all(&tree).unwrap();
    sandbox
        .gates(["start", "01", "--release"])
        .run()
        .exits(0)
        .prints("01 is free again");
    sandbox.git(["worktree", "prune"]);
    sandbox.git(["branch", "-qD", "issue/01-attention"]);
    start(&sandbox, 0);
}

/// B9: the copy that `start` stored never changed, although "the contract changes first".
#[test]
fn named_issue_refreshes_the_stored_contract() {
    let sandbox = world();
    let api = FakeGitHub::start();
    let terms = |allow: &str| contract("01", "attention").allow(allow).section();
    api.issue(4, "[01] Attention", &terms("docs/**"));
    api.serves(sandbox.gates(["start", "01"]))
        .run()
        .exits(0)
        .prints("started 01");
    let tree = sandbox.path("nmoe-worktrees/issue-01-attention");
    std::fs::write(tree.join("README.md"), "Changed.\n").unwrap();
    let scope = |more: &[&str]| {
        let args = [&["lint", "scope"], more].concat();
        api.serves(sandbox.gates(args).current_dir(&tree)).run()
    };
    scope(&[])
        .exits(1)
        .any_output()
        .reports("the contract is the copy of issue #4 of 20")
        .reports("`nmoe-gates lint scope --issue 4` reads it again");
    api.issue(4, "[01] Attention", &terms("docs/**, README.md"));
    scope(&[]).exits(1).any_output();
    scope(&["--issue", "4"]).exits(0).any_output().any_files();
    scope(&[]).exits(0).any_output();
}

#[test]
fn ids_that_git_refuses_are_errors() {
    for id in ["03.lock", "a."] {
        let sandbox = world();
        put(&sandbox, id, "x", "");
        let path = format!("../work/{id}.md");
        let out = sandbox
            .gates(["lint", "contract", &path, "--format", "json"])
            .run()
            .exits(1);
        let findings = out.findings()["findings"].clone();
        assert_eq!(findings[0]["code"], "invalid-issue-id", "{findings}");
        sandbox
            .gates(["start", id, "--contract", "../work"])
            .run()
            .any_code()
            .any_output();
        let branches = sandbox.git(["branch", "--list", "issue/*"]);
        assert_eq!(branches, "");
    }
}

/// A claim is a ref of the remote, so forks do not see the claims of each other.
#[test]
fn claim_in_a_fork_is_named() {
    let sandbox = world();
    let api = FakeGitHub::start();
    api.issue(
        4,
        "[01] Attention",
        &contract("01", "attention").allow("docs/**").section(),
    );
    let here = sandbox.path("remote.git");
    sandbox.git([
        "config",
        &format!("url.{}.insteadOf", here.display()),
        "https://github.com/me/trainer",
    ]);
    sandbox.git(["remote", "set-url", "origin", "https://github.com/me/trainer"]);
    api.serves(sandbox.gates(["start", "01"]))
        .run()
        .exits(0)
        .prints("started 01")
        .reports("the contracts are in octo-org/trainer and the claim is in me/trainer");
}

/// The hook of `init --hook` checks the scope of the contract that `start` stored for the worktree.
#[test]
fn hook_checks_scope_in_worktree_of_start() {
    let sandbox = world();
    let created = sandbox.gates(["init", "--hook"]).run().exits(0).any_files();
    assert!(
        created.stdout.contains("create  .git/hooks/pre-commit"),
        "{}",
        created.stdout
    );
    let started = start(&sandbox, 0);
    let tree = std::path::PathBuf::from(started["worktree"].as_str().unwrap());
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", crate::support::program::folder().display());
    let commit = |file: &str| {
        std::fs::write(tree.join(file), "changed\n").unwrap();
        git(&tree, ["add", file]);
        let mut command = std::process::Command::new("git");
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        command.args(identity).args(["commit", "-qm", "Change"]);
        let out = command.current_dir(&tree).env("PATH", &path).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.success(), said)
    };
    assert_eq!(commit("nmoe/train.py"), (true, String::new()));
    let (committed, said) = commit("README.md");
    assert!(!committed && said.contains("error[out-of-scope]"), "{said}");
}
