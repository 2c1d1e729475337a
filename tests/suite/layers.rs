//! The floors of the house: a room uses only rooms below it, and the `use` lines are held to that.

use std::collections::BTreeMap;
use std::path::Path;

/// The floors, from the top. Rooms on one floor don't know each other.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["cmd"],
    &["perf"],
    &["gate", "lint"],
    &["leaks", "kernel", "plan", "report"],
    &["domain", "github", "git"],
    &["document", "sys", "terminal"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 5, "no sources found under {}", root.display());
    paths
        .into_iter()
        .map(|p| {
            let name = p.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(p).unwrap())
        })
        .collect()
}

#[test]
fn arrows_only_point_down() {
    let mut broken = Vec::new();
    for (name, text) in all_sources() {
        let room = name.split(['/', '.']).next().unwrap();
        if room == "lib" {
            continue;
        }
        let Some(here) = floor(room) else {
            panic!("{name}: room `{room}` has no floor")
        };
        let code: String = text
            .lines()
            .filter(|l| !l.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        let mut rest = code.as_str();
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at + "crate::".len()..];
            let inside = rest.strip_prefix('{').unwrap_or(rest);
            let other: String = inside
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            // `use crate::{a, b}` would hide the second room.
            assert!(
                !rest.starts_with('{'),
                "{name}: write one `use crate::room` a line"
            );
            if other == room {
                continue;
            }
            match floor(&other) {
                Some(there) if there > here => {}
                Some(_) => broken.push(format!("{name}: `{room}` uses `{other}`, which is not below it")),
                None => broken.push(format!("{name}: `crate::{other}` is no room")),
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_a_thousand_lines() {
    for (name, text) in all_sources() {
        assert!(text.starts_with("//!"), "{name} does not begin with `//!`");
        assert!(text.lines().count() < 1000, "{name} has a thousand lines or more");
    }
}
