//! Compares scope globs with git: both evaluate tens of thousands of generated pairs of pattern and path.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use nmoe_gates::domain::path_pattern::PathPattern;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::driver::Sandbox;

fn sample<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[test]
fn pathspecs_match_like_git() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    let name = prop_oneof![
        4 => "[ab]{1,3}",
        2 => "[ab]{1,2}\\.(py|md)",
        1 => "[a*?ä\\[\\]-]{1,3}",
    ];
    let paths: BTreeSet<String> = sample(prop::collection::vec(name, 1..5), 400)
        .into_iter()
        .map(|parts| parts.join("/"))
        .collect();
    let piece = prop_oneof![
        6 => "[ab]{1,2}",
        3 => Just("*".to_owned()),
        2 => Just("**".to_owned()),
        1 => Just("***".to_owned()),
        2 => Just("?".to_owned()),
        4 => Just("/".to_owned()),
        2 => Just("/**/".to_owned()),
        1 => Just("*.py".to_owned()),
        1 => Just("[!a]".to_owned()),
        1 => Just("[a-b]".to_owned()),
        1 => Just("[]a]".to_owned()),
        1 => Just("[[:alpha:].]".to_owned()),
        1 => Just("[[:a]".to_owned()),
        1 => Just("[\\]b-]".to_owned()),
        1 => Just("\\*".to_owned()),
        1 => Just("\\/".to_owned()),
        1 => Just("ä".to_owned()),
        1 => Just("./".to_owned()),
    ];
    let patterns: BTreeSet<String> = sample(prop::collection::vec(piece, 1..7), 400)
        .into_iter()
        .map(|pieces| pieces.concat())
        .collect();

    // An index cannot hold a file and a directory of the same name, so such paths are skipped.
    let mut held: BTreeSet<&str> = BTreeSet::new();
    for path in &paths {
        let inside = format!("{path}/");
        let above = path.match_indices('/').any(|(at, _)| held.contains(&path[..at]));
        if !above && !held.iter().any(|other| other.starts_with(&inside)) {
            held.insert(path);
        }
    }
    let mut feed = Command::new("git")
        .args(["update-index", "-z", "--index-info"])
        .current_dir(sandbox.repo())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    {
        let mut pipe = feed.stdin.take().unwrap();
        for path in &held {
            write!(pipe, "100644 {} 0\t{path}\0", "1".repeat(40)).unwrap();
        }
    }
    assert!(feed.wait().unwrap().success());

    let (mut pairs, mut hits) = (0, 0);
    for pattern in &patterns {
        // git treats a pattern that the program refuses as one that matches nothing, or refuses it too.
        let Ok(ours) = PathPattern::new(pattern) else {
            continue;
        };
        let listed = sandbox.git(["ls-files", "-z", "--", &format!(":(glob){pattern}")]);
        let theirs: BTreeSet<&str> = listed.split_terminator('\0').collect();
        for path in &held {
            pairs += 1;
            hits += usize::from(theirs.contains(path));
            assert_eq!(
                ours.matches(path),
                theirs.contains(path),
                "`{pattern}` on `{path}`"
            );
        }
    }
    assert!(pairs >= 10_000 && hits >= 500, "{pairs} pairs, {hits} hits");
}
