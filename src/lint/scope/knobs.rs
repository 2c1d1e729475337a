//! Checks the configuration keys that a diff adds or changes against the `knobs` of a contract.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::Source;
use crate::document::node::{Node, Value};
use crate::document::source::Span;
use crate::document::toml_tree;
use crate::domain::contract::Knobs;
use crate::domain::finding::{Finding, Region};
use crate::domain::ids::Knob;
use crate::lint::scope::codes;

/// TOML files that configure tools and not the program. Their keys are not knobs.
const NO_KNOBS: [&str; 9] = [
    "Cargo.toml",
    "pyproject.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "clippy.toml",
    "deny.toml",
    "gates.toml",
    "nmoe-gates.toml",
    "uv.toml",
];

/// The kind of configuration in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Config {
    Toml,
    Foreign,
    No,
}

/// Classifies a path. Workflows, manifests and lock files belong to tools that define their format, so they do not count.
pub fn is_config(path: &str) -> Config {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or_default().to_ascii_lowercase();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    if extension == "toml" {
        let known = NO_KNOBS.contains(&name.as_str()) || parts.first().is_some_and(|p| p.starts_with('.'));
        return if known { Config::No } else { Config::Toml };
    }
    let tool = parts.first().is_some_and(|p| p.starts_with('.') || *p == "k8s")
        || ["tsconfig", "jsconfig"].contains(&stem)
        || name.contains(".config.");
    let format = ["yaml", "yml", "json", "json5", "ini", "cfg", "conf", "properties"].contains(&extension);
    let place = parts.iter().any(|p| ["config", "configs", "conf"].contains(p));
    let named = stem.contains("config") || stem.contains("settings");
    let environment = name == ".env" || extension == "env";
    if !tool && (environment || format && (place || named)) {
        Config::Foreign
    } else {
        Config::No
    }
}

/// Reports a change of configuration in another format.
pub fn foreign(path: &str) -> Finding {
    Finding::new(
        &codes::CONFIG_NOT_TOML,
        format!("`{path}` is configuration, but not TOML"),
    )
    .in_path(path)
    .help("move its keys into a TOML file under `configs/`")
}

/// The keys of a TOML text by their dotted paths, each with its value as text and its span.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<String, (String, Span)>);

impl Keys {
    /// Parses a TOML text.
    pub fn read(text: &str) -> Result<Self, (Span, String)> {
        let (tree, defects) = toml_tree::parse(text);
        if let Some(defect) = defects.into_iter().next() {
            return Err((defect.span, defect.message));
        }
        let mut keys = Keys::default();
        keys.collect("", &tree, text);
        Ok(keys)
    }

    fn collect(&mut self, above: &str, node: &Node, text: &str) {
        for entry in node.entries() {
            let path = if above.is_empty() {
                entry.key.clone()
            } else {
                format!("{above}.{}", entry.key)
            };
            match &entry.node.value {
                Value::Map(_) => self.collect(&path, &entry.node, text),
                Value::List(items) if items.iter().any(|item| !item.entries().is_empty()) => {
                    for item in items {
                        self.collect(&path, item, text);
                    }
                }
                _ => {
                    let written = text.get(entry.node.span.clone()).unwrap_or_default();
                    let value: String = written.split_whitespace().collect::<Vec<_>>().join(" ");
                    // Entries of an array of tables have the same path. All their values together are the value.
                    let known = self
                        .0
                        .entry(path)
                        .or_insert_with(|| (String::new(), entry.key_span.clone()));
                    known.0.push_str(&value);
                    known.0.push('\n');
                }
            }
        }
    }

    /// Returns the dotted paths.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// A TOML file before and after a change.
pub struct File<'a> {
    /// The path after the change.
    pub path: &'a str,
    pub old: Option<&'a str>,
    pub new: Option<&'a str>,
    /// For a new file: the dotted paths of the other configuration files of the base.
    pub elsewhere: &'a BTreeSet<String>,
}

/// Reports the keys of a file that the diff adds, changes or removes and the contract does not name.
pub fn check(knobs: &Knobs, file: &File<'_>) -> Vec<Finding> {
    let source = Source::new(Some(file.path.to_owned()), file.new.unwrap_or_default());
    let region = |span: &Span| Region::of(&source, span);
    let new = match Keys::read(source.text()) {
        Ok(keys) => keys,
        Err((span, says)) => {
            let finding = Finding::new(&codes::UNREADABLE_CONFIG, format!("`{}`: {says}", file.path));
            return vec![finding.in_path(file.path).at(region(&span))];
        }
    };
    // The old text may be invalid without a fault of this change. Then all keys count as new.
    let old = Keys::read(file.old.unwrap_or_default()).unwrap_or_default();
    let mut findings = Vec::new();
    for (key, (value, span)) in &new.0 {
        let (happened, declared) = match old.0.get(key) {
            Some((before, _)) if before == value => continue,
            Some(_) => ("changed", names(&knobs.change, key)),
            None if file.old.is_none() && file.elsewhere.contains(key) => continue,
            None => ("added", names(&knobs.add, key) || names(&knobs.change, key)),
        };
        if !declared {
            findings.push(undeclared(file.path, key, happened).at(region(span)));
        }
    }
    if file.new.is_some() {
        for key in old.0.keys().filter(|key| !new.0.contains_key(*key)) {
            if !names(&knobs.change, key) {
                findings.push(undeclared(file.path, key, "removed"));
            }
        }
    }
    findings
}

/// Whether a list names a key: by its dotted path, or by the last part of it.
fn names(knobs: &[Knob], key: &str) -> bool {
    knobs.iter().any(|knob| {
        let prefix = key.strip_suffix(knob.as_str());
        prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
    })
}

fn undeclared(path: &str, key: &str, happened: &str) -> Finding {
    let list = if happened == "added" { "add" } else { "change" };
    Finding::new(
        &codes::UNDECLARED_KNOB,
        format!("`{key}` is {happened} in `{path}`, but the knobs of the contract do not list it"),
    )
    .in_path(path)
    .help(format!(
        "add `{key}` to `contract.knobs.{list}` of the contract, or revert the change"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(add: &[&str], change: &[&str], old: Option<&str>, new: Option<&str>) -> Vec<String> {
        let own = |all: &[&str]| all.iter().map(|t| t.parse().unwrap()).collect();
        let knobs = Knobs {
            add: own(add),
            change: own(change),
        };
        let elsewhere = BTreeSet::from(["dim".to_owned()]);
        let file = File {
            path: "c.toml",
            old,
            new,
            elsewhere: &elsewhere,
        };
        check(&knobs, &file)
            .iter()
            .map(|f| {
                let line = f.region.map_or(0, |r| r.line);
                format!("{line} {}", f.message.split(" in ").next().unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn added_changed_and_removed_keys_must_be_declared() {
        let old = Some("a = 1\n[t]\nb = 2\nc = 3\n");
        let new = Some("a = 1 # same\n[t]\nb = 20\nd = 4\n");
        assert_eq!(
            shown(&[], &[], old, new),
            ["3 `t.b` is changed", "4 `t.d` is added", "0 `t.c` is removed"]
        );
        assert_eq!(shown(&["d"], &["t.b", "c"], old, new), Vec::<String>::new());
        assert_eq!(shown(&["t.b", "d"], &["c"], old, new), ["3 `t.b` is changed"]);
    }

    #[test]
    fn new_file_adds_only_unknown_keys() {
        assert_eq!(
            shown(&[], &[], None, Some("dim = 1\nwindow = 2\n")),
            ["2 `window` is added"]
        );
        assert_eq!(shown(&[], &[], Some("gone = 1\n"), None), Vec::<String>::new());
        assert_eq!(shown(&[], &[], None, Some("dim = \n")).len(), 1);
    }

    #[test]
    fn path_decides_kind_of_configuration() {
        for path in ["configs/moonlet.toml", "x.toml"] {
            assert_eq!(is_config(path), Config::Toml, "{path}");
        }
        for path in [
            "configs/a.yaml",
            "nmoe/config.json",
            "run.env",
            ".env",
            "settings.ini",
        ] {
            assert_eq!(is_config(path), Config::Foreign, "{path}");
        }
        for path in [
            "pyproject.toml",
            "configs/gates/gates.toml",
            ".github/workflows/x.yml",
            "nviz/tsconfig.json",
            "a.py",
        ] {
            assert_eq!(is_config(path), Config::No, "{path}");
        }
    }
}
