//! Checks the structure of the source: layers, circles, length of files, and where the environment is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use crate::source_graph::{Uses, circles, module_of, paths_of, sources_of, test_modules, uses};

/// The layers, from the top. Modules of one layer do not use each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["cmd"],
    &["executor", "perf", "pull", "workspace"],
    &["gate", "lint"],
    &["leaks", "kernel", "plan", "policy", "report"],
    &["github", "git"],
    &["domain"],
    &["document", "system", "terminal"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn all_sources() -> BTreeMap<String, String> {
    sources_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// Returns the module at the top of the crate that a file belongs to.
fn top(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap()
}

/// Lists the uses of a module that is not in a lower layer.
fn upward(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, text) in sources.iter().filter(|(name, _)| *name != "lib.rs") {
        let module = top(name);
        let here = layer(module).unwrap_or_else(|| panic!("{name}: module `{module}` has no layer"));
        // The program is a crate of its own, and uses the library by its name.
        for path in paths_of(name, text) {
            let Some(path) = path
                .strip_prefix("crate::")
                .or_else(|| path.strip_prefix(concat!("nmoe_gates", "::")))
            else {
                continue;
            };
            let other = path.split("::").next().unwrap();
            if other != module && layer(other).is_none_or(|there| there <= here) {
                broken.push(format!(
                    "{name}: `{module}` uses `{path}`, which is not in a lower layer"
                ));
            }
        }
    }
    broken
}

#[test]
fn modules_use_only_lower_layers() {
    let broken = upward(&all_sources());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_way_to_use_higher_layer_is_found() {
    for code in [
        "use crate::cmd::run;",
        "use crate::{domain::ids, cmd};",
        "use super::super::cmd::run;",
        "use crate::cmd as lower; fn f() { lower::run() }",
        "fn f() { crate::cmd::run() }",
        "fn f() { super::super::cmd::run() }",
        "fn f() { let x: Vec<crate::cmd::Args> = vec![]; }",
        "fn f() { format!(\"{}\", crate::cmd::run()) }",
        "fn f() { use crate::cmd::*; }",
        "mod inner { use super::super::super::cmd; }",
        "#[cfg(test)]\nfn t() {}\nuse crate::cmd;",
    ] {
        let sources = [("git/revisions.rs".to_owned(), code.to_owned())].into();
        assert!(!upward(&sources).is_empty(), "{code}");
    }
    for code in [
        "use crate::domain::ids;",
        "// use crate::cmd;",
        "#[cfg(test)]\nmod tests { use crate::cmd; }",
        "fn f() { \"crate::cmd\" }",
    ] {
        let sources = [("git/revisions.rs".to_owned(), code.to_owned())].into();
        assert_eq!(upward(&sources), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn files_have_heads_and_bounded_length() {
    for (name, text) in all_sources() {
        assert!(text.starts_with("//!"), "{name} does not begin with `//!`");
        assert!(text.lines().count() < 1000, "{name} has a thousand lines or more");
    }
}

/// Uses of the environment below the commands, and why a caller cannot pass the values.
const AMBIENT: &[(&str, &str, &str)] = &[
    (
        "git.rs",
        "std::env::vars_os",
        "a git process must not inherit any GIT_ variable, whatever its name",
    ),
    (
        "kernel/host/reader.rs",
        "std::env::vars_os",
        "the kernel host needs the variables of CUDA, whatever their names",
    ),
];

/// What only commands use: environment, arguments, current directory, standard streams, and the parser of arguments.
const COMMAND_PATHS: &[&str] = &[
    "clap",
    "dbg!",
    "eprint!",
    "eprintln!",
    "print!",
    "println!",
    "rustix::stdio",
    "std::env",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
];

/// What `std::env` has that reads nothing.
const HARMLESS: &[&str] = &[
    "std::env::VarError",
    "std::env::consts",
    "std::env::join_paths",
    "std::env::split_paths",
];

/// Lists the uses of what only commands use: file and path.
fn ambient(sources: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
    let below = |path: &str, prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let mut found = BTreeSet::new();
    let tests = test_modules(sources);
    for (name, text) in sources
        .iter()
        .filter(|(name, _)| !tests.contains(&module_of(name)))
    {
        for path in paths_of(name, text) {
            // An import alone reads nothing: its uses are found by their complete paths.
            let glob = path.strip_suffix("::*").unwrap_or(&path);
            let forbidden = COMMAND_PATHS.iter().any(|prefix| below(glob, prefix));
            if forbidden && path != "std::env" && !HARMLESS.iter().any(|prefix| below(&path, prefix)) {
                found.insert((name.clone(), path.clone()));
            }
        }
    }
    found
}

#[test]
fn services_have_no_ambient_input_or_output() {
    let services = all_sources()
        .into_iter()
        .filter(|(name, _)| !["main", "cli", "cmd"].contains(&top(name)))
        .collect();
    // The list must be exact, so that an entry without a reason to exist fails too.
    let listed: BTreeSet<(String, String)> = AMBIENT
        .iter()
        .map(|(name, path, _)| ((*name).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(ambient(&services), listed);
}

#[test]
fn every_way_to_read_environment_is_found() {
    for code in [
        "fn f() { std::env::var(\"X\"); }",
        "use std::env; fn f() { env::var_os(\"X\"); }",
        "use std::env::var; fn f() { var(\"X\"); }",
        "use std::env as e; fn f() { e::vars(); }",
        "use std::env::*; fn f() { vars(); }",
        "use std::io::stdout as o; fn f() { o(); }",
        "use std::io; fn f() { io::stdin(); }",
        "fn f() { println!(\"x\"); }",
        "fn f() { format!(\"{:?}\", std::env::temp_dir()); }",
        "fn f() { rustix::stdio::stdout(); }",
        "#[cfg(test)]\nfn t() {}\nfn f() { std::env::current_exe(); }",
    ] {
        let sources = [("git.rs".to_owned(), code.to_owned())].into();
        assert!(!ambient(&sources).is_empty(), "{code}");
    }
}

#[test]
fn files_have_no_circular_dependencies() {
    let circles = circles(&uses(&all_sources()));
    assert!(circles.is_empty(), "these files use each other: {circles:?}");
}

#[test]
fn circular_dependency_is_found() {
    let edges = |pairs: &[(&str, &[&str])]| -> Uses {
        pairs
            .iter()
            .map(|(file, used)| ((*file).to_owned(), used.iter().map(|u| (*u).to_owned()).collect()))
            .collect()
    };
    let found = circles(&edges(&[
        ("a", &["b"]),
        ("b", &["c"]),
        ("c", &["a"]),
        ("d", &["a"]),
    ]));
    assert_eq!(found, [["a", "b", "c"]]);
    assert!(circles(&edges(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])).is_empty());
    let files = [
        ("a/mod.rs", "mod b; fn f() { b::g() } pub fn h() {}"),
        ("a/b.rs", "pub fn g() { super::h() }"),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(circles(&uses(&files.into())), [["a", "a::b"]]);
}

/// The walks of docs/architecture.md: numbered lists that name files in the order in which data passes them.
#[test]
fn documented_walks_go_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let section = page
        .split("## Four walks")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let path = Regex::new(r"`((?:src|crates)/[^`]+\.rs)`").unwrap();
    let walks: Vec<&str> = section.split("\n### ").skip(1).collect();
    assert_eq!(walks.len(), 4);
    for walk in walks {
        let steps = walk
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        let mut seen = BTreeSet::new();
        for file in steps.flat_map(|step| path.captures_iter(step)) {
            let file = file[1].to_owned();
            assert!(root.join(&file).is_file(), "{file} does not exist");
            assert!(seen.insert(file.clone()), "a walk returns to {file}");
        }
        assert!(seen.len() > 5, "{walk}");
    }
}

/// The crates in `crates/` use no other crate of the workspace, no environment and no output, so that they work without this
/// program.
#[test]
fn crates_depend_on_no_other_crate() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        for (section, names) in dependencies(&manifest) {
            for (name, dependency) in names {
                let local = dependency.get("path").is_some() || dependency.get("workspace").is_some();
                assert!(!local, "{}: {section} name `{name}`", path.display());
            }
        }
        let files = sources_of(&path.join("src"));
        for (name, text) in &files {
            let file = path.join("src").join(name);
            let file = file.display();
            assert!(text.starts_with("//!"), "{file} does not begin with `//!`");
            assert!(text.lines().count() < 500, "{file} has 500 lines or more");
        }
        let circles = circles(&uses(&files));
        assert!(
            circles.is_empty(),
            "{}: {circles:?} use each other",
            path.display()
        );
        assert_eq!(ambient(&files), BTreeSet::new(), "{}", path.display());
    }
}

/// Returns the tables of dependencies of a manifest, also those for some targets only.
fn dependencies(manifest: &toml::Table) -> Vec<(&str, &toml::Table)> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let mut tables: Vec<&toml::Table> = vec![manifest];
    tables.extend(
        targets
            .into_iter()
            .flat_map(|t| t.values().filter_map(toml::Value::as_table)),
    );
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    tables
        .into_iter()
        .flat_map(|table| sections.map(|section| Some((section, table.get(section)?.as_table()?))))
        .flatten()
        .collect()
}
