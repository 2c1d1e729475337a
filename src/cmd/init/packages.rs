//! Finds the Python packages of a repository: those that pyproject.toml declares, else the folders that hold modules.
//!
//! Must not write files.

use std::path::Path;

use anyhow::Context as _;

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

/// The folders in which packages are, most common first.
const ROOTS: [&str; 2] = ["", "src/"];

/// Lists the packages.
pub fn find(repo: &Path) -> Vec<Package> {
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
    package(repo, folder.trim_end_matches('/').to_owned()).with_context(|| {
        format!("cannot use the package {folder}: the folder has no Python module\nhelp: `nmoe-gates init --dry-run` finds the packages")
    })
}

/// Returns name, folder and file of each package.
pub fn for_template(packages: &[Package]) -> Vec<(String, String, String)> {
    let row = |p: &Package| (p.name.clone(), p.path.clone(), p.file.clone());
    packages.iter().map(row).collect()
}

/// Returns the package in a folder; nothing if the folder holds no module. A namespace package has its modules one level deeper.
fn package(repo: &Path, path: String) -> Option<Package> {
    let dir = repo.join(&path);
    let file = module(&dir).or_else(|| {
        folders(&dir)
            .into_iter()
            .find_map(|name| Some(format!("{name}/{}", module(&dir.join(&name))?)))
    })?;
    Some(Package {
        name: path.rsplit('/').next().unwrap_or(&path).to_owned(),
        file: format!("{path}/{file}"),
        path,
    })
}

/// Returns `__init__.py`, which sorts before every module, or the first module of a folder.
fn module(dir: &Path) -> Option<String> {
    let entries = std::fs::read_dir(dir).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".py")).min()
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
