//! Checks the `use` lines of all files: a module uses only modules of lower layers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

/// The layers, from the top. Modules of one layer do not use each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["cmd"],
    &["perf", "pull", "workspace"],
    &["gate", "lint"],
    &["leaks", "kernel", "plan", "policy", "report"],
    &["github", "git"],
    &["domain"],
    &["document", "system", "terminal"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
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
    sources_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// Returns the text of each source file of a folder, by its path below the folder.
fn sources_of(root: &Path) -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    sources(root, &mut paths);
    assert!(paths.len() > 5, "no sources found under {}", root.display());
    paths
        .into_iter()
        .map(|p| {
            let name = p.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(p).unwrap())
        })
        .collect()
}

#[test]
fn modules_use_only_lower_layers() {
    let mut broken = Vec::new();
    for (name, text) in all_sources() {
        let module = name.split(['/', '.']).next().unwrap();
        if module == "lib" {
            continue;
        }
        let Some(here) = layer(module) else {
            panic!("{name}: module `{module}` has no layer")
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
            // `use crate::{a, b}` would hide the second module from this test.
            assert!(
                !rest.starts_with('{'),
                "{name}: write one `use crate::module` per line"
            );
            if other == module {
                continue;
            }
            match layer(&other) {
                Some(there) if there > here => {}
                Some(_) => broken.push(format!(
                    "{name}: `{module}` uses `{other}`, which is not in a lower layer"
                )),
                None => broken.push(format!("{name}: `crate::{other}` is not a module")),
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_have_heads_and_bounded_length() {
    for (name, text) in all_sources() {
        assert!(text.starts_with("//!"), "{name} does not begin with `//!`");
        assert!(text.lines().count() < 1000, "{name} has a thousand lines or more");
    }
}

/// Files below the commands that read the environment, and why a caller cannot pass the values.
const AMBIENT: &[(&str, &str)] = &[
    (
        "git.rs",
        "a git process must not inherit any GIT_ variable, whatever its name",
    ),
    (
        "kernel/host/reader.rs",
        "the kernel host needs the variables of CUDA, whatever their names",
    ),
];

/// Calls that only commands make: environment, arguments, current directory, standard streams, and the parser of arguments.
const COMMAND_CALLS: &[&str] = &[
    "env::var(",
    "env::var_os(",
    "env::vars(",
    "env::vars_os(",
    "env::args",
    "env::current_dir(",
    "io::stdin(",
    "io::stdout(",
    "io::stderr(",
    "print!",
    "println!",
    "clap::",
];

#[test]
fn services_have_no_ambient_input_or_output() {
    let calls = |code: &str| COMMAND_CALLS.iter().any(|call| code.contains(call));
    let is_command = |name: &str| ["main", "cli", "cmd"].contains(&name.split(['/', '.']).next().unwrap());
    let found: Vec<String> = all_sources()
        .into_iter()
        .filter(|(name, text)| !is_command(name) && calls(&production(text)))
        .map(|(name, _)| name)
        .collect();
    // The list must be exact, so that an entry without a reason to exist fails too.
    let listed: Vec<&str> = AMBIENT.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, listed);
}

#[test]
fn files_have_no_circular_dependencies() {
    let circles = circles(&uses(all_sources()));
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
    let mut paths = Vec::new();
    expand("", "crate::{a::{self, b}, c::*, d as e}", &mut paths);
    assert_eq!(paths, ["crate::a", "crate::a::b", "crate::c::*", "crate::d"]);
}

type Uses = BTreeMap<String, BTreeSet<String>>;

/// Returns the code of a file without its comments and its inline tests.
fn production(text: &str) -> String {
    text.split("#[cfg(test)]\n")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the files that each file uses, by module name.
fn uses(sources: BTreeMap<String, String>) -> Uses {
    let files: BTreeMap<String, String> = sources
        .into_iter()
        .map(|(name, text)| {
            let module = name
                .trim_end_matches(".rs")
                .trim_end_matches("/mod")
                .replace('/', "::");
            (module, production(&text))
        })
        .collect();
    let file_of = |path: &str| {
        let parts: Vec<&str> = path.split("::").collect();
        (1..=parts.len())
            .rev()
            .map(|n| parts[..n].join("::"))
            .find(|module| files.contains_key(module))
    };
    let statement = Regex::new(r"\buse\s+([^;]+);").unwrap();
    let inline = Regex::new(r"\bcrate(?:::\w+)+").unwrap();
    files
        .iter()
        .map(|(module, code)| {
            let mut paths = Vec::new();
            for found in statement.captures_iter(code) {
                expand("", &found[1], &mut paths);
            }
            let rest = statement.replace_all(code, "");
            paths.extend(inline.find_iter(&rest).map(|found| found.as_str().to_owned()));
            let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
            let used = paths.iter().filter_map(|path| {
                let absolute = match path.split_once("::") {
                    Some(("crate", rest)) => rest.to_owned(),
                    Some(("super", rest)) => format!("{parent}::{rest}"),
                    Some(("self", rest)) => format!("{module}::{rest}"),
                    // A child module; a path into another crate ends at this file.
                    _ => format!("{module}::{path}"),
                };
                file_of(&absolute).filter(|file| file != module)
            });
            (module.clone(), used.collect())
        })
        .collect()
}

/// Collects the paths of a `use` tree.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once('{') {
        let (mut depth, mut item) = (0, String::new());
        let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
        for c in inner.chars().chain([',']) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if c == ',' && depth == 0 {
                if !item.trim().is_empty() {
                    expand(&format!("{prefix}{}", head.trim()), &item, found);
                }
                item.clear();
            } else {
                item.push(c);
            }
        }
        return;
    }
    let path = tree.split(" as ").next().unwrap_or(tree).trim();
    found.push(match path {
        "self" => prefix.trim_end_matches("::").to_owned(),
        path => format!("{prefix}{path}"),
    });
}

/// Returns groups of files that reach each other in both directions, each group sorted.
fn circles(uses: &Uses) -> Vec<Vec<String>> {
    let reach = |from: &str| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = left.pop() {
            for next in uses.get(&file).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    left.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = uses.keys().map(|file| (file, reach(file))).collect();
    let mut groups = BTreeSet::new();
    for (file, others) in &reached {
        if others.contains(*file) {
            let back = |other: &&String| reached.get(*other).is_some_and(|r| r.contains(*file));
            groups.insert(others.iter().filter(back).cloned().collect::<Vec<_>>());
        }
    }
    groups.into_iter().collect()
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

/// The crates in `crates/` use no other crate of the workspace, so that they work without this program.
#[test]
fn crates_depend_on_no_other_crate() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let names = manifest.get(section).and_then(|table| table.as_table());
            for (name, dependency) in names.into_iter().flatten() {
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
        let circles = circles(&uses(files));
        assert!(
            circles.is_empty(),
            "{}: {circles:?} use each other",
            path.display()
        );
    }
}
