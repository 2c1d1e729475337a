//! Compares the registry of a pull request with the effective registry. The comment shows the difference as "proposed, not in
//! force".
//!
//! Must not affect verdicts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::ids::Sha256;
use crate::domain::registry::Registry;

/// The most changes that are listed.
const LISTED: usize = 60;

/// The longest listed name, in characters.
const NAME: usize = 100;

/// A registry that a pull request proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// SHA-256 of the proposed file; null if the change removes the file.
    pub sha256: Option<Sha256>,
    /// Whether the proposed file is a valid registry.
    pub readable: bool,
    /// The first differences.
    pub changes: Vec<Change>,
    /// The number of further differences.
    pub more: usize,
}

/// A difference in one entry of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The table of the entry.
    pub table: Table,
    /// The name of the entry. The author of the change chose it, so output must quote it.
    pub name: String,
    /// What happens to the entry.
    pub how: How,
    /// The keys that differ, if the entry stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// A table of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is the table of the same name")]
pub enum Table {
    Gate,
    Bundle,
    Target,
    Meta,
}

/// What happens to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum How {
    Added,
    Removed,
    Changed,
}

impl Table {
    /// Returns the name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Gate => "gate",
            Table::Bundle => "bundle",
            Table::Target => "target",
            Table::Meta => "meta",
        }
    }
}

impl How {
    /// Returns the name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Added => "added",
            How::Removed => "removed",
            How::Changed => "changed",
        }
    }
}

impl Proposal {
    /// Compares the proposed registry with the effective one. `proposed` is `None` if it is not valid.
    pub fn between(base: &Registry, proposed: Option<&Registry>, sha256: Option<Sha256>) -> Self {
        let mut changes = Vec::new();
        if let Some(proposed) = proposed {
            for (table, before, after) in [
                (Table::Gate, entries(&base.gates), entries(&proposed.gates)),
                (Table::Bundle, entries(&base.bundles), entries(&proposed.bundles)),
                (Table::Target, entries(&base.target), entries(&proposed.target)),
                (Table::Meta, meta(base), meta(proposed)),
            ] {
                compare(table, &before, &after, &mut changes);
            }
        }
        let more = changes.len().saturating_sub(LISTED);
        changes.truncate(LISTED);
        Proposal {
            sha256,
            readable: proposed.is_some(),
            changes,
            more,
        }
    }
}

fn entries<'a, K: ToString + 'a, T: Serialize + 'a>(
    table: impl IntoIterator<Item = (&'a K, &'a T)>,
) -> BTreeMap<String, Value> {
    table
        .into_iter()
        .map(|(name, entry)| (name.to_string(), serde_json::to_value(entry).unwrap_or_default()))
        .collect()
}

fn meta(registry: &Registry) -> BTreeMap<String, Value> {
    let value = serde_json::to_value(&registry.meta).unwrap_or_default();
    BTreeMap::from([("meta".to_owned(), value)])
}

fn compare(
    table: Table,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
    changes: &mut Vec<Change>,
) {
    let mut add = |name: &str, how, keys| {
        changes.push(Change {
            table,
            name: name.chars().take(NAME).collect(),
            how,
            keys,
        });
    };
    for (name, old) in before {
        match after.get(name) {
            None => add(name, How::Removed, Vec::new()),
            Some(new) if new != old => add(name, How::Changed, differing(old, new)),
            Some(_) => {}
        }
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        add(name, How::Added, Vec::new());
    }
}

/// Returns the keys that differ between two entries. The names come from the types of the registry, not from the change.
fn differing(old: &Value, new: &Value) -> Vec<String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return Vec::new();
    };
    let mut keys: Vec<String> = old
        .keys()
        .chain(new.keys())
        .filter(|key| old.get(*key) != new.get(*key))
        .cloned()
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(text: &str) -> Registry {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_kind_of_change_is_listed() {
        let base = registry(
            "[meta]\nversion='1'\n[gates.a]\ntier='a'\ncmd='make test'\n[gates.b]\ntier='b'\ncmd='x'\n[bundles]\nfull=['a','b']",
        );
        let next = registry(
            "[meta]\nversion='2'\n[gates.a]\ntier='a'\ncmd='true'\ntimeout_s=1\n[gates.c]\ntier='b'\ncmd='x'\n[bundles]\nfull=['a','c']",
        );
        let said: Vec<String> = Proposal::between(&base, Some(&next), None)
            .changes
            .iter()
            .map(|c| {
                format!(
                    "{} {} {} {}",
                    c.table.as_str(),
                    c.name,
                    c.how.as_str(),
                    c.keys.join("+")
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                "gate a changed cmd+timeout_s",
                "gate b removed ",
                "gate c added ",
                "bundle full changed ",
                "meta meta changed version"
            ]
        );
        assert_eq!(Proposal::between(&base, Some(&base), None).changes, []);
        assert!(!Proposal::between(&base, None, None).readable);
    }

    #[test]
    fn many_changes_are_truncated_and_counted() {
        let mut text = String::new();
        for n in 0..500 {
            text += &format!("[target.\"{}{n}\"]\narch='a'\n", "x".repeat(300));
        }
        let proposal = Proposal::between(&Registry::default(), Some(&registry(&text)), None);
        assert_eq!((proposal.changes.len(), proposal.more), (LISTED, 500 - LISTED));
        assert!(proposal.changes.iter().all(|c| c.name.len() == NAME));
    }
}
