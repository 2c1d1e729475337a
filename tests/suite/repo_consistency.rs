//! Tests statements of the documents about the repository: dependencies, links, generated pages, environment variables.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::driver::Sandbox;
use crate::source_graph::{errors_of, module_of, sources_of, strings_of, test_modules, tests_of, uses};
use crate::support::program::program;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn direct_dependencies_are_explained() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let page = read("docs/architecture.md");
    let table = page.split("## Direct dependencies").nth(1).unwrap();
    let named: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|names| names.split(", "))
        .collect();
    let manifest: Vec<&str> = ["dependencies", "dev-dependencies"]
        .iter()
        .flat_map(|section| manifest[*section].as_table().unwrap().keys())
        .map(String::as_str)
        .collect();
    let heading = ["crate", "---"];
    for name in named.iter().filter(|name| !heading.contains(*name)) {
        assert!(manifest.contains(name), "Cargo.toml has no dependency `{name}`");
    }
    for name in manifest {
        assert!(
            named.contains(&name),
            "`{name}` has no line in the table of docs/architecture.md"
        );
    }
}

/// The runner image builds the program from this checkout, and cargo looks for the file of every target without a path.
#[test]
fn build_context_has_every_named_target() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let context = read(".dockerignore");
    for (section, folder) in [
        ("bin", "src"),
        ("bench", "benches"),
        ("test", "tests"),
        ("example", "examples"),
    ] {
        let targets = manifest.get(section).and_then(toml::Value::as_array);
        let is_searched = targets.is_some_and(|targets| targets.iter().any(|one| one.get("path").is_none()));
        let is_kept = context.lines().any(|line| line == format!("!{folder}"));
        assert!(is_kept || !is_searched, "{folder}");
    }
}

#[test]
fn workflows_pin_actions_and_avoid_interpolation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml"));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut script: Option<usize> = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            if script.is_some_and(|at| !line.trim().is_empty() && indent <= at) {
                script = None;
            }
            let bare = line.trim_start().trim_start_matches("- ");
            if bare.starts_with("run:") {
                script = Some(indent);
            }
            assert!(
                script.is_none() || !line.contains("${{"),
                "{}: {line}",
                file.display()
            );
            if let Some(action) = bare.strip_prefix("uses: ").filter(|a| !a.starts_with("./")) {
                let (pin, version) = action.split_once(" # v").expect(action);
                let sha = pin.split('@').nth(1).unwrap();
                assert!(
                    sha.len() == 40 && sha.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{action}"
                );
                assert!(!version.is_empty());
            }
        }
    }
}

/// An error says `cannot <verb> <object>: <cause>`, and on the next line what helps.
#[test]
fn errors_say_what_cannot_be_done() {
    let sources = sources_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let tests = test_modules(&sources);
    let (mut wrong, mut read) = (Vec::new(), 0);
    for (name, text) in &sources {
        if tests.contains(&module_of(name)) {
            continue;
        }
        let errors = errors_of(name, text);
        read += errors.len();
        wrong.extend(
            errors
                .into_iter()
                .filter(|text| !text.starts_with("cannot "))
                .map(|text| format!("src/{name}: {text}")),
        );
    }
    assert!(read > 80, "only {read} errors were read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `slow_` is a mark, not a word of the name.
#[test]
fn test_names_have_at_most_eight_words() {
    let (mut long, mut read) = (Vec::new(), 0);
    for folder in ["src", "tests", "crates"] {
        for (file, text) in sources_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
            let names = tests_of(&file, &text);
            read += names.len();
            long.extend(names.into_iter().filter(|name| {
                let name = name.strip_prefix("slow_").unwrap_or(name);
                name.split('_').filter(|word| !word.is_empty()).count() > 8
            }));
        }
    }
    assert!(read > 800, "only {read} tests were read");
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// A colon in a plain scalar is enough to break a file that no other fast test reads.
#[test]
fn github_files_are_valid_yaml() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("action.yml"), root.join(".pre-commit-hooks.yaml")];
    files.extend(files_below(&root.join(".github"), "yml"));
    files.extend(files_below(&root.join("examples"), "yml"));
    assert!(files.len() > 8, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let read: Result<serde_yaml::Value, _> = serde_yaml::from_str(&text);
        assert!(read.is_ok(), "{}: {read:?}", file.display());
    }
}

/// Returns the paths of all Markdown files below `docs`, sorted.
pub fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = files_below(&root.join("docs"), "md");
    pages.sort();
    let relative = |path: &std::path::PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    pages.iter().map(relative).collect()
}

fn files_below(folder: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}

/// Relative links must name a file of the repository. The site build also checks anchors.
#[test]
fn relative_links_name_existing_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(str::to_owned);
    for page in pages.into_iter().chain(documents()) {
        let text = read(&page);
        for event in pulldown_cmark::Parser::new(&text) {
            let pulldown_cmark::Event::Start(pulldown_cmark::Tag::Link { dest_url, .. }) = event else {
                continue;
            };
            let target = dest_url.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = root.join(&page).parent().unwrap().join(target);
            assert!(path.exists(), "{page}: the link {dest_url} names no file");
        }
    }
}

/// A page that the navigation does not name cannot be found on the site.
#[test]
fn site_navigation_names_every_page() {
    let site: toml::Table = toml::from_str(&read("zensical.toml")).unwrap();
    let mut named = BTreeSet::new();
    let mut open = vec![&site["project"]["nav"]];
    while let Some(value) = open.pop() {
        match value {
            toml::Value::String(page) => drop(named.insert(format!("docs/{page}"))),
            toml::Value::Array(values) => open.extend(values),
            toml::Value::Table(table) => open.extend(table.values()),
            _ => panic!("{value} is not a page"),
        }
    }
    assert_eq!(named, documents().into_iter().collect());
}

#[test]
fn generated_reference_matches_the_program() {
    let out = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ci/generate-reference"))
        .arg("--check")
        .arg(program())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// SARIF logs and `explain` contain the address of a page, so the site must have that page.
#[test]
fn every_code_has_a_page_on_the_site() {
    let site: toml::Table = toml::from_str(&read("zensical.toml")).unwrap();
    let root = site["project"]["site_url"].as_str().unwrap();
    let sandbox = Sandbox::new();
    let pages = sandbox.path("codes");
    let made = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ci/generate-reference"))
        .arg("--codes")
        .arg(&pages)
        .arg(program())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let all = sandbox
        .gates(["explain", "--format", "json"])
        .run()
        .exits(0)
        .json();
    for (list, name) in [("codes", "code"), ("reasons", "reason")] {
        for entry in all[list].as_array().unwrap() {
            let code = entry[name].as_str().unwrap();
            assert_eq!(entry["page"], format!("{root}reference/codes/{code}/"));
            assert!(pages.join(format!("{code}.md")).is_file(), "{code} has no page");
        }
    }
    sandbox.file("bad.yaml", "nmoe:\n  kind: Perf\n");
    let log = sandbox
        .gates(["lint", "contract", "bad.yaml", "--format", "sarif"])
        .run()
        .exits(1)
        .reports("note: there is no registry")
        .json();
    for rule in log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap() {
        let page = format!("{root}reference/codes/{}/", rule["id"].as_str().unwrap());
        assert_eq!(rule["helpUri"], page);
    }
}

/// Cargo.toml names the repository. Everything else that names it must agree.
#[test]
fn repository_has_one_name() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let repository = manifest["workspace"]["package"]["repository"].as_str().unwrap();
    let name = repository.strip_prefix("https://github.com/").unwrap();
    let (owner, project) = name.split_once('/').unwrap();
    // The address of a repository, a site or an image, an action, a condition of a workflow: with any owner.
    let pattern = format!(
        r#"(?i)(?:(?:(?:github\.com|ghcr\.io|--repo|uses:|name =|repository ==|https:/)[/ '"]+)([a-z0-9-]+)(?:\.github\.io)?/{project}\b|([a-z0-9-]+)/{project}@)"#
    );
    let naming = regex::Regex::new(&pattern).unwrap();
    let mut files: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "pyproject.toml",
        "zensical.toml",
    ]
    .map(str::to_owned)
    .to_vec();
    files.extend(documents());
    each_file(
        &[".github", "docker", "scripts", "src", "templates", "examples"],
        &mut |path, _| {
            files.push(path.to_str().unwrap().to_owned());
        },
    );
    let mut found = 0;
    for file in files {
        for (number, line) in read(&file).lines().enumerate() {
            for named in naming.captures_iter(line) {
                let named = named.get(1).or(named.get(2)).unwrap().as_str();
                let agrees = named.eq_ignore_ascii_case(owner) || named == "octo-org";
                assert!(agrees, "{file}:{}: {line}", number + 1);
                found += 1;
            }
        }
    }
    assert!(found > 10, "only {found} names were found");
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox
        .gates(["init"])
        .run()
        .exits(0)
        .any_files()
        .prints("create");
    let lint = std::fs::read_to_string(sandbox.repo().join(".github/workflows/pr-lint.yml")).unwrap();
    assert!(lint.contains(&format!("uses: {name}@v")), "{lint}");
}

/// Names in the source that are set, removed or compared, but whose value the program does not read: variables of bash, cargo, git,
/// the loader and Rust, and a state of GitHub's reviews.
const NO_VARIABLES: &[&str] = &[
    "BASH_ENV",
    "BASH_SOURCE",
    "BASH_VERSION",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_VERSION",
    "CHANGES_REQUESTED",
    "FETCH_HEAD",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_NOSYSTEM",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_DATE",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_GRAFT_FILE",
    "GIT_LFS_SKIP_SMUDGE",
    "GIT_NO_LAZY_FETCH",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_OPTIONAL_LOCKS",
    "GIT_SHALLOW_FILE",
    "GIT_TERMINAL_PROMPT",
    "KERNEL_HOST_PACKED",
    "LC_ALL",
    "LD_AUDIT",
    "LD_PRELOAD",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "RUST_MIN_STACK",
];

#[test]
fn environment_page_names_every_variable() {
    let page = read("docs/reference/environment.md");
    let name = regex::Regex::new(r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$").unwrap();
    let sources = sources_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let tests = test_modules(&sources);
    let names: BTreeSet<String> = sources
        .iter()
        .filter(|(file, _)| !tests.contains(&module_of(file)))
        .flat_map(|(file, text)| strings_of(file, text))
        .filter(|text| name.is_match(text))
        .collect();
    let missing: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    // The list must be exact, so that an entry without a reason to exist fails too.
    assert_eq!(missing, NO_VARIABLES);
}

/// A variable that nothing reads any more must leave the page. The help of a command names the groups of this page.
#[test]
fn environment_page_names_no_unused_variable() {
    let page = read("docs/reference/environment.md");
    let name = regex::Regex::new("`([A-Z][A-Z0-9_]*)`").unwrap();
    let first_cells = page
        .lines()
        .filter_map(|row| row.strip_prefix("| ")?.split(" | ").next());
    let named: Vec<&str> = first_cells
        .flat_map(|cell| name.captures_iter(cell).map(|found| found.extract::<1>().1[0]))
        .collect();
    assert!(named.len() > 80, "{named:?}");
    let mut words = BTreeSet::new();
    let word = regex::Regex::new("[A-Z][A-Z0-9_]*").unwrap();
    let folders = [
        "src",
        "crates",
        "kernel-host",
        "nmoe-csrc",
        "scripts",
        "templates",
        "tests/suite",
    ];
    each_file(&folders, &mut |path, text| {
        if !path.ends_with("cmd/variables.rs") {
            words.extend(word.find_iter(text).map(|found| found.as_str().to_owned()));
        }
    });
    let unused: Vec<&&str> = named.iter().filter(|name| !words.contains(**name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// The help of a command names the variables of GitHub, of the state folder or of private terms only if the code of the command can
/// reach the one module that reads them. Only code below `cmd` counts, because services get their values from it.
#[test]
fn help_names_only_variables_within_reach() {
    let sources = sources_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let uses = uses(&sources);
    let help = read("src/cmd/help.rs");
    let constant = regex::Regex::new(r"pub const (OF_\w+): &\[&Group\] = &\[([^\]]*)\]").unwrap();
    let groups: Vec<[&str; 2]> = constant
        .captures_iter(&help)
        .map(|found| found.extract().1)
        .collect();
    let named = regex::Regex::new(r"variables: help::(OF_\w+),").unwrap();
    let mut checked = 0;
    for (file, text) in sources.iter().filter(|(file, _)| file.starts_with("cmd/")) {
        let mut reached = BTreeSet::from([module_of(file)]);
        let mut left: Vec<String> = reached.iter().cloned().collect();
        while let Some(module) = left.pop() {
            let below = uses.get(&module).into_iter().flatten();
            let children = uses.keys().filter(|child| {
                child
                    .strip_prefix(&format!("{module}::"))
                    .is_some_and(|rest| !rest.contains("::"))
            });
            for next in below.chain(children.filter(|_| module.starts_with("cmd::"))) {
                if (module.starts_with("cmd::")) && reached.insert(next.clone()) {
                    left.push(next.clone());
                }
            }
        }
        for found in named.captures_iter(text) {
            let [constant] = found.extract().1;
            let [_, listed] = groups.iter().find(|[name, _]| *name == constant).unwrap();
            for (group, reader) in [
                ("&GITHUB", "cmd::github"),
                ("&STATE", "cmd::state_dir"),
                ("&TERMS", "leaks::private_terms"),
            ] {
                let lists = listed.split(", ").any(|name| name == group);
                assert!(
                    !lists || reached.contains(reader),
                    "{file}: {constant} names {group}"
                );
                checked += usize::from(lists);
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

/// A comment named a page that did not exist, and two pages named different environments of GitHub.
#[test]
fn named_pages_exist_and_environments_agree() {
    let page = regex::Regex::new(r"\bdocs/[\w/.-]+\.md\b").unwrap();
    let environment = regex::Regex::new("environment:? `?\"?(b200[a-z-]*)").unwrap();
    let (mut pages, mut environments) = (0, 0);
    let mut check = |path: &Path, text: &str| {
        for found in page.find_iter(text) {
            pages += 1;
            assert!(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join(found.as_str())
                    .exists(),
                "{}: {}",
                path.display(),
                found.as_str()
            );
        }
        for found in environment.captures_iter(text) {
            environments += 1;
            assert_eq!(&found[1], "b200-gates", "{}", path.display());
        }
    };
    for file in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "action.yml",
        "checksums.txt",
        "justfile",
    ] {
        check(Path::new(file), &read(file));
    }
    each_file(
        &[
            ".github",
            "docker",
            "docs/development",
            "docs/explanation",
            "docs/guides",
            "docs/start",
            "scripts",
            "templates",
        ],
        &mut check,
    );
    assert!(
        pages > 5 && environments > 3,
        "{pages} pages, {environments} environments"
    );
}

/// The version that the program prints has a section in the changelog. If that section says that it is not published, so do the pages
/// that install the program.
#[test]
fn version_of_program_has_changelog_section() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let version = manifest["workspace"]["package"]["version"].as_str().unwrap();
    let changelog = read("CHANGELOG.md");
    let section = changelog
        .split("\n## ")
        .find(|section| section.lines().next() == Some(version));
    let is_published = !section
        .unwrap()
        .contains("It has not been published as a release yet.");
    for (file, says) in [
        ("README.md", "No release has been published yet."),
        ("docs/start/install.md", "none has been published yet."),
        ("docs/guides/setup.md", "no version is published yet"),
    ] {
        assert_eq!(read(file).contains(says), !is_published, "{file}");
    }
}

/// Calls a function with the path and text of each file below these folders.
fn each_file(folders: &[&str], seen: &mut dyn FnMut(&Path, &str)) {
    for folder in folders {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                each_file(&[path.to_str().unwrap()], seen);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                seen(&path, &text);
            }
        }
    }
}

#[test]
fn one_file_names_the_program_under_test() {
    let variable = ["CARGO", "BIN", "EXE"].join("_");
    let mut naming = Vec::new();
    each_file(&["tests", "benches", "examples", "scripts"], &mut |path, text| {
        if text.contains(&variable) {
            naming.push(path.to_owned());
        }
    });
    let only = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/support/program.rs");
    assert_eq!(naming, [only]);
}

#[test]
fn the_suite_uses_nothing_of_the_library() {
    each_file(&["tests/suite"], &mut |path, text| {
        assert!(!text.contains(concat!("nmoe_gates", "::")), "{}", path.display());
    });
}

/// The page lists what reviewers found wrong, each with the test that fails if it comes back.
#[test]
fn each_listed_fault_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/development/faults-and-tests.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|row| row.starts_with("| ") && row.contains("::"))
        .collect();
    assert!(rows.len() > 60, "{} rows", rows.len());
    for row in rows {
        let tests = row.rsplit(" | ").next().unwrap().trim_end_matches(" |");
        for test in tests.split(", ") {
            let (file, name) = test.trim_matches('`').split_once("::").unwrap();
            let found = [
                format!("tests/suite/{file}.rs"),
                format!("tests/library/{file}.rs"),
                format!("src/{file}.rs"),
            ]
            .iter()
            .filter_map(|path| std::fs::read_to_string(root.join(path)).ok())
            .any(|source| source.contains(&format!("fn {name}() {{")));
            assert!(found, "no test {test}: {row}");
        }
    }
}
