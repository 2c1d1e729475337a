//! Configuration keys that a diff adds or changes, held against a contract's `knobs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::Source;
use crate::document::node::{Node, Value};
use crate::document::source::Span;
use crate::document::toml_tree;
use crate::domain::contract::Knobs;
use crate::domain::finding::{Finding, Region};
use crate::lint::scope::codes;

/// TOML files that configure tools and not the program: their keys are no knobs.
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

/// What a path is, as far as configuration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Config {
    /// TOML whose keys are knobs.
    Toml,
    /// Configuration in another format.
    Foreign,
    /// Anything else.
    No,
}

/// Tells configuration from its path. Workflows, manifests and lock files belong to tools that prescribe their format.
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

/// A change of configuration in another format.
pub fn foreign(path: &str) -> Finding {
    Finding::new(
        &codes::CONFIG_NOT_TOML,
        format!("`{path}` is configuration and not TOML"),
    )
    .in_path(path)
    .help("move its keys into a TOML file under `configs/`")
}

/// Every key of a TOML text by its dotted path, with its value as text and its place.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<String, (String, Span)>);

impl Keys {
    /// Reads a text; the error is what is wrong, and where.
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
                    // Entries of an array of tables share their path; all their values together are its value.
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

    /// The dotted paths.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// A TOML file before and after; absent sides are none.
pub struct File<'a> {
    /// Its path after the change.
    pub path: &'a str,
    /// Its text before.
    pub old: Option<&'a str>,
    /// Its text after.
    pub new: Option<&'a str>,
    /// For a new file: dotted paths that other configuration files of the base have.
    pub elsewhere: &'a BTreeSet<String>,
}

/// The keys of one file that the diff adds, changes or removes without the contract naming them.
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
    // What could not be read before is no fault of this change; all its keys are taken for new.
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

/// Whether a list names this key: by its dotted path or by the end of it.
fn names(knobs: &[String], key: &str) -> bool {
    knobs.iter().any(|knob| {
        let knob = knob.trim();
        key == knob || key.strip_suffix(knob).is_some_and(|rest| rest.ends_with('.')) && !knob.is_empty()
    })
}

fn undeclared(path: &str, key: &str, happened: &str) -> Finding {
    let list = if happened == "added" { "add" } else { "change" };
    Finding::new(
        &codes::UNDECLARED_KNOB,
        format!("`{key}` is {happened} in `{path}` and does not stand in the contract's knobs"),
    )
    .in_path(path)
    .help(format!(
        "have `{key}` put into `contract.knobs.{list}`, or take the change back"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(add: &[&str], change: &[&str], old: Option<&str>, new: Option<&str>) -> Vec<String> {
        let own = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect();
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
    fn in_a_new_file_only_new_keys_are_new() {
        assert_eq!(
            shown(&[], &[], None, Some("dim = 1\nwindow = 2\n")),
            ["2 `window` is added"]
        );
        assert_eq!(shown(&[], &[], Some("gone = 1\n"), None), Vec::<String>::new());
        assert_eq!(shown(&[], &[], None, Some("dim = \n")).len(), 1);
    }

    #[test]
    fn configuration_is_told_by_its_path() {
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
