//! Isolates the two sides: each imports its own checkout first, and nothing from the other checkout or from an installed copy.
//!
//! Python combines a package without `__init__.py` from every `sys.path` entry that has a folder of this name. So the order of
//! the entries is not enough: a module that the change deleted would still come from the image. Each side therefore gets an
//! import hook that handles the top-level names of both checkouts and searches its own checkout only.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::gate::jit_caches;

/// Environment variables with lists of folders from which code is loaded.
const SEARCHED: [&str; 3] = ["PYTHONPATH", "LD_LIBRARY_PATH", "LIBRARY_PATH"];

/// A further variable with a folder of compiled code. Each measurement gets new ones, so that no side compiles for the other.
const CACHES: [(&str, &str); 1] = [("PYTHONPYCACHEPREFIX", "python")];

/// The hook. `OWN` and `ARM` are inserted as JSON, which is also valid Python.
const HOOK: &str = r#"import sys
from importlib.machinery import PathFinder

ARM = @ARM@
OWN = frozenset(@OWN@)
HERE = @HERE@


class OneArm:
    """Imports top-level names of the checkout from this side only."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if path is not None or name not in OWN:
            return None
        spec = PathFinder.find_spec(name, [ARM], target)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r} in this arm", name=name)
        if spec.submodule_search_locations is not None:
            # A plain list: a namespace package would look through sys.path again.
            spec.submodule_search_locations = list(spec.submodule_search_locations)
        return spec


sys.meta_path.insert(0, OneArm)
sys.path[:] = [p for p in sys.path if p != HERE]
_ours = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize
except ImportError:
    sys.modules["sitecustomize"] = _ours
"#;

/// Returns the top-level names that Python can import from a checkout: Python files, libraries, and folders with such files.
pub fn top_level(checkout: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(checkout)? {
        let entry = entry?;
        let path = entry.path();
        let Some(stem) = path.file_stem().and_then(OsStr::to_str) else {
            continue;
        };
        let name = stem.split('.').next().unwrap_or_default();
        let identifier = name
            .chars()
            .enumerate()
            .all(|(i, c)| c == '_' || c.is_alphabetic() || (i > 0 && c.is_alphanumeric()));
        let code = if entry.file_type()?.is_dir() {
            !stem.contains('.') && holds_code(&path)
        } else {
            is_code(&path)
        };
        if identifier && !name.is_empty() && code {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

fn is_code(path: &Path) -> bool {
    matches!(path.extension().and_then(OsStr::to_str), Some("py" | "so"))
}

/// Returns whether a folder directly contains code. A folder that has code only in subfolders, such as `docker/`, may have the
/// name of an installed package, which Python would then prefer.
fn holds_code(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|entries| entries.flatten().any(|e| is_code(&e.path())))
}

/// Writes the hook of one side into a separate folder and returns that folder.
///
/// # Errors
/// The folder or the file cannot be made.
pub fn hook(folder: &Path, arm: &Path, own: &BTreeSet<String>) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let quoted = |path: &Path| serde_json::Value::from(path.to_string_lossy().into_owned()).to_string();
    let names = serde_json::Value::from(own.iter().cloned().collect::<Vec<_>>()).to_string();
    let text = HOOK
        .replace("@ARM@", &quoted(arm))
        .replace("@OWN@", &names)
        .replace("@HERE@", &quoted(folder));
    std::fs::write(folder.join("sitecustomize.py"), text)?;
    Ok(folder.to_owned())
}

/// Returns the environment of one side: the given one, with the hook and the checkout first in the import path, without the
/// folders of the checkouts in `foreign`, and with a separate run root and separate caches next to it.
pub fn environment(
    given: &BTreeMap<OsString, OsString>,
    arm: &Path,
    hook: &Path,
    foreign: &[&Path],
    run_root: &Path,
) -> BTreeMap<OsString, OsString> {
    let mut environment = given.clone();
    for name in SEARCHED {
        let kept: Vec<PathBuf> = given
            .get(OsStr::new(name))
            .map(|list| {
                std::env::split_paths(list)
                    .filter(|entry| !foreign.iter().any(|f| entry.starts_with(f)))
                    .collect()
            })
            .unwrap_or_default();
        let first = if name == "PYTHONPATH" {
            vec![hook.to_owned(), arm.to_owned()]
        } else {
            Vec::new()
        };
        let given = given.contains_key(OsStr::new(name));
        if (given || !first.is_empty())
            && let Ok(joined) = std::env::join_paths(first.into_iter().chain(kept))
        {
            environment.insert(name.into(), joined);
        }
    }
    environment.insert("PYTHONNOUSERSITE".into(), "1".into());
    environment.insert("NMOE_RUN_ROOT".into(), run_root.into());
    for (name, folder) in jit_caches::variables().chain(CACHES) {
        environment.insert(name.into(), run_root.with_file_name("caches").join(folder).into());
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_checkout_is_first_and_other_absent() {
        let given: BTreeMap<OsString, OsString> = [
            ("PYTHONPATH", "/head/x:/lib:/head"),
            ("LD_LIBRARY_PATH", "/head/csrc:/cuda"),
        ]
        .map(|(k, v)| (k.into(), v.into()))
        .into();
        let seen = environment(
            &given,
            Path::new("/base"),
            Path::new("/hook"),
            &[Path::new("/head")],
            Path::new("/runs/1"),
        );
        assert_eq!(seen[OsStr::new("PYTHONPATH")], "/hook:/base:/lib");
        assert_eq!(seen[OsStr::new("LD_LIBRARY_PATH")], "/cuda");
        assert!(!seen.contains_key(OsStr::new("LIBRARY_PATH")));
        assert_eq!(seen[OsStr::new("NMOE_RUN_ROOT")], "/runs/1");
        assert_eq!(seen[OsStr::new("PYTHONPYCACHEPREFIX")], "/runs/caches/python");
    }

    #[test]
    fn names_are_those_that_python_could_import() {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            "nmoe/a.py",
            "docker/sub/a.py",
            "tool.py",
            "docs/x.md",
            "ext.cpython-311.so",
            "a-b/c.py",
            ".git/x.py",
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names: Vec<String> = top_level(dir.path()).unwrap().into_iter().collect();
        assert_eq!(names, ["ext", "nmoe", "tool"]);
    }
}
