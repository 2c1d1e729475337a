//! Finds the Python packages of a repository: those that pyproject.toml declares, else the folders that hold modules.
//!
//! Must not write files.

use std::path::Path;

use anyhow::Context as _;

use crate::domain::next_step::shell_line;

/// Compiles modules, and leaves nothing in the checkout.
pub const COMPILE: &str = "python3 -X pycache_prefix=${HOME}/.cache/pycache -m compileall -q";

/// A package.
#[derive(Debug, PartialEq, Eq)]
pub struct Package {
    /// The name for the id of a gate.
    pub name: String,
    /// The folder, relative to the repository.
    pub path: String,
    /// A file that must exist.
    pub file: String,
}

/// Folders with Python files that are not what a repository ships.
const AUXILIARY: [&str; 12] = [
    "tests",
    "test",
    "scripts",
    "examples",
    "docs",
    "tools",
    "tasks",
    "benchmarks",
    "build",
    "dist",
    "notebooks",
    "docker",
];

/// Modules at the top of a repository that it does not ship.
const AUXILIARY_MODULES: [&str; 3] = ["setup.py", "conftest.py", "noxfile.py"];

/// The folder of the modules at the top of a repository.
const TOP: &str = ".";

/// The folders in which packages are, most common first.
const ROOTS: [&str; 2] = ["", "src/"];

/// Lists the packages, and the modules at the top as one more.
pub fn find(repo: &Path) -> Vec<Package> {
    let mut found = in_folders(repo);
    if !found.is_empty() {
        found.extend(scripts(repo));
    }
    found
}

/// Returns the modules at the top: training scripts that belong to no package.
fn scripts(repo: &Path) -> Option<Package> {
    let file = module(repo, &AUXILIARY_MODULES)?;
    Some(Package {
        name: "scripts".to_owned(),
        path: TOP.to_owned(),
        file,
    })
}

fn in_folders(repo: &Path) -> Vec<Package> {
    let declared = declared(repo);
    let paths = declared
        .iter()
        .flat_map(|name| ROOTS.map(|root| format!("{root}{name}")));
    let found: Vec<Package> = paths.filter_map(|path| package(repo, path)).collect();
    if !found.is_empty() {
        return found;
    }
    let by_root = ROOTS.iter().map(|root| {
        let names = folders(&repo.join(root)).into_iter();
        let shipped = names.filter(|name| !AUXILIARY.contains(&name.as_str()) && *name != "src");
        shipped
            .filter_map(|name| package(repo, format!("{root}{name}")))
            .collect::<Vec<_>>()
    });
    by_root
        .into_iter()
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// Returns the package that the user named.
///
/// # Errors
/// The folder has no module.
pub fn named(repo: &Path, folder: &str) -> anyhow::Result<Package> {
    let found = match folder.trim_end_matches('/') {
        TOP => scripts(repo),
        folder => package(repo, folder.to_owned()),
    };
    found.with_context(|| {
        format!("cannot use the package {folder}: the folder has no Python module\nhelp: `nmoe-gates init --dry-run` finds the packages")
    })
}

/// Returns the end of the id of a gate, what `compileall` compiles, and the file, each as TOML writes it.
pub fn for_template(packages: &[Package]) -> Vec<(String, String, String)> {
    let toml = |text: &str| toml::Value::from(text).to_string();
    let row = |p: &Package| {
        let folder = match p.path.as_str() {
            TOP => "-l .".to_owned(),
            path if path.starts_with('-') => shell_line(&[format!("./{path}/")]),
            path => shell_line(&[format!("{path}/")]),
        };
        let id = p.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        (id, toml(&format!("{COMPILE} {folder}")), toml(&p.file))
    };
    packages.iter().map(row).collect()
}

/// Returns the package in a folder; nothing if the folder holds no module. A namespace package has its modules one level deeper.
fn package(repo: &Path, path: String) -> Option<Package> {
    let dir = repo.join(&path);
    let file = module(&dir, &[]).or_else(|| {
        folders(&dir)
            .into_iter()
            .find_map(|name| Some(format!("{name}/{}", module(&dir.join(&name), &[])?)))
    })?;
    Some(Package {
        name: path.rsplit('/').next().unwrap_or(&path).to_owned(),
        file: format!("{path}/{file}"),
        path,
    })
}

/// Returns `__init__.py`, which sorts before every module, or the first module of a folder, apart from some.
fn module(dir: &Path, without: &[&str]) -> Option<String> {
    let entries = std::fs::read_dir(dir).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| name.ends_with(".py") && !without.contains(&name.as_str()))
        .min()
}

/// Lists the names of the folders in a folder, sorted, without hidden ones.
fn folders(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with(['.', '_']))
        .collect();
    names.sort();
    names
}

/// Returns the top-level names that pyproject.toml declares, in the forms of setuptools, Poetry and Hatch.
fn declared(repo: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(repo.join("pyproject.toml")).unwrap_or_default();
    let Ok(file) = text.parse::<toml::Table>() else {
        return Vec::new();
    };
    let at = |keys: &[&str]| {
        let (first, rest) = keys.split_first()?;
        rest.iter()
            .try_fold(file.get(*first)?, |value, key| value.get(key))
    };
    let mut names: Vec<&str> = Vec::new();
    for keys in [
        ["tool", "setuptools", "packages"].as_slice(),
        &["tool", "setuptools", "packages", "find", "include"],
        &["tool", "hatch", "build", "targets", "wheel", "packages"],
    ] {
        let list = at(keys).and_then(toml::Value::as_array).into_iter().flatten();
        names.extend(list.filter_map(toml::Value::as_str));
    }
    let poetry = at(&["tool", "poetry", "packages"]).and_then(toml::Value::as_array);
    names.extend(
        poetry
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.get("include")?.as_str()),
    );
    for keys in [["project", "name"], ["tool", "poetry"]] {
        let name = at(&keys).map(|value| value.get("name").unwrap_or(value));
        names.extend(name.and_then(toml::Value::as_str));
    }
    let mut tops: Vec<String> = Vec::new();
    for name in names {
        // `megatron.core*` and `src/megatron` both mean `megatron`.
        let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let top = last
            .split(['.', '*'])
            .next()
            .unwrap_or_default()
            .replace('-', "_");
        if !top.is_empty() && !tops.contains(&top) {
            tops.push(top);
        }
    }
    tops
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        find(folder.path())
            .into_iter()
            .map(|p| (p.path, p.file))
            .collect()
    }

    fn pair(path: &str, file: &str) -> Vec<(String, String)> {
        vec![(path.to_owned(), file.to_owned())]
    }

    #[test]
    fn declared_and_namespace_packages_are_found() {
        let tree = [
            ("megatron/core/__init__.py", ""),
            ("tasks/main.py", ""),
            ("tools/run.py", ""),
            ("tests/test.py", ""),
        ];
        let wanted = pair("megatron", "megatron/core/__init__.py");
        assert_eq!(packages(&tree), wanted);
        for pyproject in [
            "[tool.setuptools.packages.find]\ninclude = [\"megatron.core\", \"megatron.core.*\"]\n",
            "[project]\nname = \"megatron-core\"\n[tool.setuptools]\npackages = [\"megatron.core\"]\n",
            "[tool.poetry]\nname = \"x\"\npackages = [{ include = \"megatron\" }]\n",
        ] {
            let declared = [
                &tree[..],
                &[("pyproject.toml", pyproject), ("other/__init__.py", "")],
            ]
            .concat();
            assert_eq!(packages(&declared), wanted, "{pyproject}");
        }
    }

    #[test]
    fn modules_at_the_top_are_one_more() {
        let tree = [
            ("train.py", ""),
            ("model.py", ""),
            ("config/a.py", ""),
            ("data/x/prepare.py", ""),
        ];
        let wanted = [
            ("config", "config/a.py"),
            ("data", "data/x/prepare.py"),
            (".", "model.py"),
        ];
        assert_eq!(
            packages(&tree),
            wanted.map(|(path, file)| (path.to_owned(), file.to_owned()))
        );
        assert_eq!(
            packages(&[("setup.py", ""), ("my/a.py", "")]),
            pair("my", "my/a.py")
        );
    }

    #[test]
    fn folders_are_quoted_for_the_shell() {
        let row = |path: &str| {
            let package = Package {
                name: path.to_owned(),
                path: path.to_owned(),
                file: "a.py".to_owned(),
            };
            for_template(&[package]).remove(0).1
        };
        for (path, wanted) in [
            ("my pkg", "-q 'my pkg/'"),
            ("p;id", "-q 'p;id/'"),
            ("a$b", "-q 'a$b/'"),
            ("-x", "-q ./-x/"),
            (".", "-q -l ."),
        ] {
            assert!(row(path).contains(wanted), "{}", row(path));
        }
    }

    #[test]
    fn source_folder_is_searched() {
        let tree = [("src/my_trainer/__init__.py", ""), ("docs/conf.py", "")];
        let wanted = pair("src/my_trainer", "src/my_trainer/__init__.py");
        assert_eq!(packages(&tree), wanted);
        let named = [
            &tree[..],
            &[("pyproject.toml", "[project]\nname = \"my-trainer\"\n")],
        ]
        .concat();
        assert_eq!(packages(&named), wanted);
        assert_eq!(packages(&[("README.md", ""), ("tools/x.py", "")]), []);
    }
}
