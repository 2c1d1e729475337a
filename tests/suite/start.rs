//! Tests `start` with real remotes: claims, refusals, races, and removal of merged work.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::driver::{Outcome, Sandbox, git};
use crate::fake_github::FakeGitHub;
use crate::support::contract::contract;
use crate::support::results::REGISTRY;

/// Creates a bare remote, a checkout that is a clone of it, and a folder of contracts.
pub fn world() -> Sandbox {
    let sandbox = Sandbox::new();
    git(&sandbox.path(""), ["init", "-q", "--bare", "remote.git"]);
    sandbox.git(["init", "-q"]);
    sandbox.git(["remote", "add", "origin", "../remote.git"]);
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/train.py", "print('train')\n")
        .file("README.md", "A trainer.\n");
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "Begin"]);
    sandbox.git(["push", "-q", "-u", "origin", "master"]);
    put(&sandbox, "01", "attention", "");
    put(&sandbox, "02", "router", "\"01\"");
    sandbox
}

/// Writes a contract into the folder.
pub fn put(sandbox: &Sandbox, issue: &str, slug: &str, depends_on: &str) {
    let dir = sandbox.path("work");
    std::fs::create_dir_all(&dir).unwrap();
    let text = contract(issue, slug)
        .depends_on(depends_on)
        .allow("docs/**, nmoe/**")
        .section();
    std::fs::write(dir.join(format!("{issue}.md")), text).unwrap();
}

fn start(sandbox: &Sandbox, id: &str) -> Outcome {
    sandbox
        .gates(["start", id, "--contract", "../work", "--format", "json"])
        .run()
}

fn codes(out: &Outcome) -> Vec<String> {
    let json = out.json();
    let findings = json["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|f| f["code"].as_str().unwrap().to_owned())
        .collect()
}

fn refs(sandbox: &Sandbox) -> Vec<String> {
    let listed = git(
        &sandbox.path("remote.git"),
        ["for-each-ref", "--format=%(refname)"],
    );
    listed.lines().map(str::to_owned).collect()
}

fn work(tree: &Path, file: &str, text: &str) {
    let path = tree.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    git(tree, ["add", "-A"]);
    git(tree, ["commit", "-qm", "Work"]);
}

#[test]
fn start_claims_branch_and_prints_next_step() {
    let sandbox = world();
    let json = start(&sandbox, "01").exits(0).json();
    assert_eq!(json["branch"], "issue/01-attention");
    let tree = PathBuf::from(json["worktree"].as_str().unwrap());
    assert!(tree.ends_with("nmoe-worktrees/issue-01-attention") && tree.join("nmoe/train.py").is_file());
    assert_eq!(git(&tree, ["branch", "--show-current"]), "issue/01-attention\n");
    assert_eq!(git(&tree, ["status", "--porcelain"]), "");
    assert_eq!(refs(&sandbox), ["refs/heads/master", "refs/nmoe-gates/claims/01"]);
    let next = json["next"].as_array().unwrap().iter();
    let steps: Vec<&str> = next
        .map(|step| step["command"].as_str().or(step["what"].as_str()).unwrap())
        .collect();
    // A run before the commit proves nothing about it.
    let (go, write) = (
        format!("cd {}", tree.display()),
        format!("nmoe-gates attest --write {}.md", tree.display()),
    );
    assert_eq!(
        steps,
        [
            &go,
            "nmoe-gates lint scope --cached",
            "commit the work",
            "nmoe-gates run --tier a",
            &write
        ]
    );

    let again = start(&sandbox, "01").exits(1);
    assert_eq!(codes(&again), ["claimed", "branch-exists", "worktree-exists"]);
    assert!(again.json()["next"].as_array().unwrap().len() >= 2);

    let freed = sandbox.gates(["start", "01", "--release"]).run().exits(0);
    assert!(freed.stdout.starts_with("01 is free again"), "{}", freed.stdout);
    assert_eq!(refs(&sandbox), ["refs/heads/master"]);
    assert_eq!(
        codes(&start(&sandbox, "01").exits(1)),
        ["branch-exists", "worktree-exists"]
    );
    sandbox
        .gates(["start", "01", "--release"])
        .run()
        .exits(2)
        .reports("error: cannot release contract 01: it is not claimed");
}

#[test]
fn refused_start_leaves_nothing() {
    let sandbox = world();
    assert_eq!(codes(&start(&sandbox, "02").exits(1)), ["dependency-open"]);
    assert_eq!(codes(&start(&sandbox, "1").exits(1)), ["unknown-contract"]);
    put(&sandbox, "03", "../../x", "");
    assert_eq!(codes(&start(&sandbox, "03").exits(1)), ["invalid-slug"]);
    std::fs::create_dir_all(sandbox.path("nmoe-worktrees/issue-01-attention")).unwrap();
    assert_eq!(codes(&start(&sandbox, "01").exits(1)), ["worktree-exists"]);
    assert_eq!(refs(&sandbox), ["refs/heads/master"]);
    assert_eq!(sandbox.git(["branch", "--list"]).trim(), "* master");
    sandbox
        .gates(["start"])
        .run()
        .exits(2)
        .reports("error: the following required arguments were");

    let said = sandbox
        .gates(["start", "02", "--contract", "../work", "--done", "01"])
        .run()
        .exits(0);
    assert!(said.stdout.contains("branch issue/02-router"), "{}", said.stdout);
}

#[test]
fn failed_worktree_releases_claim() {
    let sandbox = world();
    std::fs::write(sandbox.path("nmoe-worktrees"), "in the way").unwrap();
    let out = start(&sandbox, "01").exits(2);
    assert!(
        out.stderr.contains("cannot create the worktree"),
        "{}",
        out.stderr
    );
    assert_eq!(refs(&sandbox), ["refs/heads/master"]);
    assert_eq!(sandbox.git(["branch", "--list"]).trim(), "* master");
}

#[test]
fn closed_issues_count_as_merged() {
    let sandbox = world();
    let api = FakeGitHub::start();
    api.issue(
        4,
        "[01] Attention",
        &contract("01", "attention").allow("nmoe/**").section(),
    );
    api.issue(
        5,
        "[02] Router",
        &contract("02", "router")
            .depends_on("\"01\"")
            .allow("nmoe/**")
            .section(),
    );
    let out = api
        .serves(sandbox.gates(["start", "02", "--format", "json"]))
        .run()
        .exits(1);
    assert_eq!(codes(&out), ["dependency-open"]);
    api.state().issues.get_mut(&4).unwrap()["state"] = "closed".into();
    for reason in ["not_planned", "duplicate"] {
        api.state().issues.get_mut(&4).unwrap()["state_reason"] = reason.into();
        let out = api
            .serves(sandbox.gates(["start", "02", "--format", "json"]))
            .run()
            .exits(1);
        assert_eq!(codes(&out), ["dependency-open"], "{reason}");
    }
    api.state().issues.get_mut(&4).unwrap()["state_reason"] = "completed".into();
    api.serves(sandbox.gates(["start", "02"]))
        .run()
        .exits(0)
        .prints("started 02: branch issue/02-router in");
}

#[test]
fn slow_clean_removes_only_merged_branches() {
    let sandbox = world();
    let names = [
        "merged",
        "squashed",
        "rebased",
        "conflicted",
        "open",
        "dirty",
        "fresh",
        "indented",
    ];
    for (n, name) in names.iter().enumerate() {
        put(&sandbox, &format!("1{n}"), name, "");
        start(&sandbox, &format!("1{n}")).exits(0).any_output();
    }
    let tree = |n: usize| sandbox.path(&format!("nmoe-worktrees/issue-1{n}-{}", names[n]));
    let branch = |n: usize| format!("issue/1{n}-{}", names[n]);
    for n in 0..6 {
        work(&tree(n), &format!("docs/{n}.md"), "one\ntwo\n");
        work(&tree(n), &format!("docs/{n}b.md"), "three\n");
    }
    // The change differs from the base only in white space, which is significant in Python.
    work(&tree(7), "docs/7.py", "if x:\n    a()\nb()\n");

    sandbox.git(["merge", "-q", "--no-ff", "-m", "Merge", &branch(0)]);
    sandbox.git(["merge", "-q", "--squash", &branch(1)]);
    sandbox.git(["commit", "-qm", "Squash"]);
    sandbox.git(["cherry-pick", &format!("{}~1", branch(2)), &branch(2)]);
    sandbox.git(["merge", "-q", "--squash", &branch(3)]);
    sandbox.git(["commit", "-qm", "Squash the other"]);
    sandbox.git(["merge", "-q", "--no-ff", "-m", "Merge", &branch(5)]);
    sandbox
        .file("docs/7.py", "if x:\n    a()\n    b()\n")
        .git(["add", "."]);
    sandbox.git(["commit", "-qm", "Looks like it"]);
    // A later commit removed the content of 13 from the base, but the commit of 13 is still there.
    sandbox
        .file("docs/3.md", "changed\n")
        .git(["commit", "-qam", "Go on"]);
    sandbox.git(["push", "-q", "origin", "master"]);
    std::fs::write(tree(5).join("untracked"), "precious").unwrap();

    let dry = sandbox.gates(["start", "--clean", "--dry-run"]).run().exits(0);
    let shown = dry.stdout.replace(&sandbox.path("").display().to_string(), "…/");
    // The commit depends on the registry of the fixture.
    let commit = regex::Regex::new("squashed into [0-9a-f]{12}\n").unwrap();
    insta::assert_snapshot!(commit.replace(&shown, "squashed into <commit>\n"), @r"
    would remove issue/10-merged: merged
    would remove issue/11-squashed: the base already contains its changes
    would remove issue/12-rebased: the base already contains its changes
    would remove issue/13-conflicted: squashed into <commit>
    kept issue/14-open: it has unmerged work
    kept issue/15-dirty: its worktree …/nmoe-worktrees/issue-15-dirty has uncommitted work
    kept issue/16-fresh: it has no commits yet
    kept issue/17-indented: it has unmerged work
    ");
    let out = sandbox
        .gates(["start", "--clean", "--format", "json"])
        .run()
        .exits(0)
        .json();
    let removed: Vec<bool> = out["branches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["removed"].as_bool().unwrap())
        .collect();
    assert_eq!(removed, [true, true, true, true, false, false, false, false]);
    for n in 0..8 {
        assert_eq!(tree(n).exists(), n >= 4, "{n}");
        assert_eq!(
            sandbox.git(["branch", "--list", &branch(n)]).is_empty(),
            n < 4,
            "{n}"
        );
    }
    assert!(refs(&sandbox).contains(&"refs/nmoe-gates/done/11".to_owned()));
    assert!(refs(&sandbox).contains(&"refs/nmoe-gates/claims/14".to_owned()));

    // Completed contracts stay completed, and contracts that depend on them can start.
    assert_eq!(codes(&start(&sandbox, "11").exits(1)), ["already-merged"]);
    put(&sandbox, "20", "after", "\"11\"");
    start(&sandbox, "20").exits(0).any_output();
}

#[test]
fn slow_fifty_clones_one_claim_wins() {
    race(50, true);
}

#[test]
fn eight_starts_in_one_clone_one_wins() {
    race(8, false);
}

fn race(count: usize, clones: bool) {
    let sandbox = world();
    let clone = |n: usize| {
        if clones {
            sandbox.path(&format!("c{n}/repo"))
        } else {
            sandbox.repo()
        }
    };
    if clones {
        for n in 0..count {
            let parent = sandbox.path(&format!("c{n}"));
            std::fs::create_dir(&parent).unwrap();
            git(&parent, ["clone", "-q", "../remote.git", "repo"]);
        }
    }
    let children: Vec<_> = (0..count)
        .map(|n| {
            sandbox
                .gates(["start", "01", "--contract"])
                .current_dir(clone(n))
                .into_command()
                .arg(sandbox.path("work"))
                .args(["--format", "json"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut won = 0;
    for child in children {
        let out = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        match out.status.code() {
            Some(0) => won += 1,
            Some(1) => assert!(text.contains("\"claimed\""), "{text}"),
            other => panic!("{other:?} {text} {}", String::from_utf8_lossy(&out.stderr)),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(refs(&sandbox), ["refs/heads/master", "refs/nmoe-gates/claims/01"]);
    let all: Vec<PathBuf> = if clones {
        (0..count).map(clone).collect()
    } else {
        vec![sandbox.repo()]
    };
    let count = |what: &dyn Fn(&Path) -> usize| all.iter().map(|dir| what(dir)).sum::<usize>();
    assert_eq!(
        count(&|dir| git(dir, ["branch", "--list", "issue/*"]).lines().count()),
        1
    );
    assert_eq!(
        count(&|dir| git(dir, ["worktree", "list"]).lines().count()),
        all.len() + 1
    );
    // No lost claim remains as an object, and the temporary directory is empty.
    for dir in &all {
        let loose = git(dir, ["fsck", "--unreachable", "--no-reflogs"]);
        assert_eq!(loose, "", "{}", dir.display());
    }
    assert_eq!(std::fs::read_dir(sandbox.path("tmp")).unwrap().count(), 0);
}
