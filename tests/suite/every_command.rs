//! Tests properties that hold for every command: a dry run is dry and agrees with the real run, a subdirectory is as good as the root,
//! and git's own folders are never written to. The commands and their examples are those of the help.

use std::collections::BTreeMap;
use std::path::Path;

use crate::driver::{Outcome, Sandbox, git};
use crate::exit_codes::PAGES;
use crate::start::world;
use crate::support::contract::contract;

/// A repository with what the examples name, in its root and in a subdirectory.
pub fn repository() -> Sandbox {
    let sandbox = world();
    let issue = contract("03a", "loader").allow("nmoe/**").issue_body();
    let log: String = (1..=40)
        .map(|n| format!("step: {n} loss: 2.{n} node_tps: {}\n", 12_000 + n))
        .collect();
    for folder in ["", "nmoe/below/"] {
        for name in ["train.log", "base.log", "head.log"] {
            sandbox.file(&format!("{folder}{name}"), &log);
        }
        sandbox.file(&format!("{folder}issue.md"), &issue);
        sandbox.file(&format!("{folder}contracts/03a.md"), &issue);
    }
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Files of the examples"]);
    sandbox.git(["push", "-q", "origin", "master"]);
    sandbox
}

/// Returns the first example of every command, without the name of the program.
pub fn examples() -> Vec<(&'static str, Vec<&'static str>)> {
    // `demo` takes long and works in its own folder.
    let commands = PAGES
        .iter()
        .filter(|(name, help)| *name != "demo" && help.contains("\nExit codes:\n"));
    let first = |help: &'static str| {
        help.split("\nExamples:\n")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap()
    };
    commands
        .map(|(name, help)| (name.as_str(), first(help).split_whitespace().skip(1).collect()))
        .collect()
}

/// Calls an example in a folder; its output is compared by the caller.
fn call(sandbox: &Sandbox, words: &[&str], folder: &Path) -> Outcome {
    let call = sandbox.gates(words).current_dir(folder);
    call.run().any_code().any_output().any_files()
}

#[test]
fn slow_every_command_finds_root_from_subdirectory() {
    let mut passed = 0;
    for (name, words) in examples() {
        // Each call gets a new repository, because `init` and `start` change it.
        let (above, below) = (repository(), repository());
        let root = call(&above, &words, &above.repo());
        let sub = call(&below, &words, &below.repo().join("nmoe/below"));
        assert_eq!(root.code(), sub.code(), "{name}: {}\n{}", root.stderr, sub.stderr);
        passed += usize::from(root.code() == Some(0));
        // A list of gates, of findings or of files is the same list.
        let rows = |out: &Outcome| out.stdout.lines().count();
        assert_eq!(rows(&root), rows(&sub), "{name}: {}\n{}", root.stdout, sub.stdout);
        let left = below.repo().join("nmoe/below");
        for folder in ["configs", ".github"] {
            assert!(!left.join(folder).exists(), "{name} wrote {folder}");
        }
    }
    assert!(passed >= 15, "only {passed} examples passed");
}

/// Reads the files below one of git's own folders, without what git itself adds to and without what has the name of this program: its
/// state folder and its lock.
fn files_of_git(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let own = [
        "FETCH_HEAD",
        "ORIG_HEAD",
        "index",
        "objects",
        "refs",
        "logs",
        "worktrees",
        "packed-refs",
        "gc.log",
        "COMMIT_EDITMSG",
        "nmoe-gates",
        "nmoe-gates.lock",
    ];
    let mut files = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(parent) = left.pop() {
        for entry in std::fs::read_dir(parent).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            if own.contains(&name) {
                continue;
            }
            files.insert(name.to_owned(), std::fs::read(&path).unwrap_or_default());
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            }
        }
    }
    files
}

#[test]
fn slow_no_command_writes_into_git_folders() {
    // `perf history plot` writes the file that its option names.
    for (name, words) in examples()
        .into_iter()
        .filter(|(name, _)| *name != "perf history plot")
    {
        let sandbox = repository();
        git(&sandbox.path(""), ["clone", "-q", "--bare", "repo", "bare.git"]);
        for folder in [sandbox.path("bare.git"), sandbox.repo().join(".git")] {
            let before = files_of_git(&folder);
            let out = call(&sandbox, &words, &folder);
            let after = files_of_git(&folder);
            let wrote: Vec<_> = after
                .iter()
                .filter(|(file, content)| before.get(*file) != Some(*content))
                .map(|(file, _)| file)
                .collect();
            assert!(wrote.is_empty(), "{name} wrote {wrote:?}");
            assert_ne!(out.code(), Some(70), "{name}: {}", out.stderr);
        }
    }
    let sandbox = repository();
    git(&sandbox.path(""), ["clone", "-q", "--bare", "repo", "bare.git"]);
    let refused = sandbox
        .gates(["init"])
        .current_dir(sandbox.path("bare.git"))
        .run()
        .exits(2);
    assert!(refused.stderr.contains("bare repository"), "{}", refused.stderr);
}

/// Returns what a command could have changed outside of the checkout: branches, worktrees, and refs of the remote. The local copy of
/// the claims may be refreshed.
fn state(sandbox: &Sandbox) -> String {
    let heads = sandbox.git(["for-each-ref", "refs/heads"]);
    let remote = git(&sandbox.path("remote.git"), ["for-each-ref"]);
    format!("{heads}{remote}{}", sandbox.git(["worktree", "list"]))
}

#[test]
fn dry_runs_change_nothing_and_agree() {
    let with_option: Vec<&str> = PAGES
        .iter()
        .filter(|(_, help)| help.contains("--dry-run") && help.contains("\nExit codes:\n"))
        .map(|(name, _)| name.as_str())
        .collect();
    // `publish.rs` has the test of `publish`, which needs GitHub.
    assert_eq!(with_option, ["init", "publish", "run", "start"]);
    let cases: [(&[&str], &str, &str); 5] = [
        (
            &["init"],
            "create  .github/workflows/tier-b.yml",
            "create  .github/workflows/tier-b.yml",
        ),
        (
            &["run", "--tier", "a"],
            "run      cpu:import",
            "All 2 gates passed",
        ),
        (
            &["start", "01", "--contract", "../work"],
            "would start 01",
            "started 01",
        ),
        (
            &["start", "01", "--release"],
            "would release 01",
            "01 is free again",
        ),
        (
            &["start", "--clean"],
            "kept issue/01-attention: ",
            "kept issue/01-attention: ",
        ),
    ];
    let sandbox = world();
    for (args, says, really) in cases {
        let before = state(&sandbox);
        let dry = sandbox.gates(args.iter().chain(&["--dry-run"])).run();
        let code = dry.code();
        assert!(dry.stdout.contains(says), "{args:?}: {}", dry.stdout);
        let dry = dry.any_output().changes(&[]);
        assert_eq!(state(&sandbox), before, "{args:?}");
        let real = sandbox.gates(args).run().any_output().any_files();
        assert_eq!(real.code(), code, "{args:?}: {}\n{}", dry.stderr, real.stderr);
        let said = [real.stdout.as_str(), real.stderr.as_str()].concat();
        assert!(said.contains(really), "{args:?}: {said}");
    }
}
