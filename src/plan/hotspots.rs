//! Finds the hotspots of contracts: conflicts of branches, core files, declared hotspots, append-only files, overlapping scopes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::domain::path_pattern::PathPattern;
use crate::domain::settings;
use crate::plan::item::{Facts, Item, natural};
use crate::plan::overlap::{self, Entry, Index};

/// Why several contracts change the same path, most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HotspotKind {
    /// The branches conflict, by `git merge-tree`.
    Conflict,
    /// A core file of the settings.
    Core,
    /// Several contracts declare it.
    Declared,
    /// Several contracts declare it, and the settings list it as append-only.
    AppendOnly,
    /// Several scopes allow it, but no contract declares it.
    Scope,
}

impl HotspotKind {
    /// Returns the name for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            HotspotKind::Conflict => "conflict",
            HotspotKind::Core => "core",
            HotspotKind::Declared => "declared",
            HotspotKind::AppendOnly => "append-only",
            HotspotKind::Scope => "scope",
        }
    }

    /// Whether at most one contract per wave may change it.
    pub fn is_exclusive(self) -> bool {
        matches!(
            self,
            HotspotKind::Conflict | HotspotKind::Core | HotspotKind::Declared
        )
    }
}

/// A path that two or more contracts change.
#[derive(Clone, Debug, Serialize)]
pub struct Hotspot {
    pub kind: HotspotKind,
    /// A path or pattern. For a conflict, its paths, separated by commas.
    pub path: String,
    /// Whether at most one contract per wave may change it.
    pub exclusive: bool,
    /// The contract ids.
    pub contracts: Vec<String>,
    /// Whether more contracts exist than are listed.
    pub more: bool,
}

/// The hotspots of a set of contracts.
pub struct Spots {
    /// For each contract, the numbers of its exclusive hotspots.
    pub exclusive_of: Vec<Vec<usize>>,
    /// The hotspots of several contracts, most serious first.
    pub shared: Vec<Hotspot>,
    texts: Vec<String>,
}

impl Spots {
    /// Returns the exclusive hotspots of a contract.
    pub fn names(&self, contract: usize) -> Vec<String> {
        self.exclusive_of[contract]
            .iter()
            .map(|n| self.texts[*n].clone())
            .collect()
    }
}

/// The contracts that change each path.
type Touched = BTreeMap<(HotspotKind, String), BTreeSet<usize>>;

/// Finds the hotspots.
pub fn find(
    items: &[Item],
    facts: &Facts,
    settings: &settings::Hotspots,
    index: &HashMap<String, usize>,
) -> Spots {
    let allowed = overlap::entries(each(items, |i| &i.allow));
    let declared = overlap::entries(each(items, |i| &i.merge_hotspots));
    let denied: HashMap<&str, PathPattern> = each(items, |i| &i.deny)
        .map(|(_, text)| text)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter_map(|text| Some((text, PathPattern::new(text).ok()?)))
        .collect();
    let denies = |n: usize, path: &PathPattern| {
        let mut denies = items[n].deny.iter().filter_map(|text| denied.get(text.as_str()));
        denies.any(|deny| covers(deny, path))
    };

    let mut touched = Touched::new();
    for core in overlap::entries(settings.core.iter().map(|core| (0, core.written()))) {
        let mut who: BTreeSet<usize> = BTreeSet::new();
        for entry in declared.iter().filter(|e| overlap::share(e, &core)) {
            who.extend(&entry.contracts);
        }
        for entry in allowed.iter().filter(|e| overlap::share(e, &core)) {
            who.extend(entry.contracts.iter().filter(|n| !denies(**n, &core.spec)));
        }
        touched.insert((HotspotKind::Core, core.spec.as_str().to_owned()), who);
    }
    by_declaration(&declared, settings, &mut touched);
    for conflict in &facts.conflicts {
        let who: BTreeSet<usize> = conflict
            .between
            .iter()
            .filter_map(|id| index.get(id).copied())
            .collect();
        if who.len() == 2 {
            // Each pair is a separate hotspot, even if two pairs conflict in the same file.
            let name = format!(
                "{} ({})",
                conflict.paths.join(", "),
                conflict.between.join(" and ")
            );
            touched.insert((HotspotKind::Conflict, name), who);
        }
    }

    let mut exclusive_of = vec![Vec::new(); items.len()];
    let mut texts = Vec::new();
    let mut shared = Vec::new();
    for ((kind, text), who) in &touched {
        if kind.is_exclusive() && !who.is_empty() {
            who.iter().for_each(|n| exclusive_of[*n].push(texts.len()));
            texts.push(text.clone());
        }
        if who.len() > 1 {
            shared.push(hotspot(items, *kind, text, who.iter().copied(), false));
        }
    }
    shared.extend(by_scope(items, &allowed, denies, &touched));
    Spots {
        exclusive_of,
        shared,
        texts,
    }
}

fn each<'a>(
    items: &'a [Item],
    list: impl Fn(&'a Item) -> &'a Vec<String>,
) -> impl Iterator<Item = (usize, &'a str)> {
    items
        .iter()
        .enumerate()
        .flat_map(move |(n, item)| list(item).iter().map(move |text| (n, text.as_str())))
}

/// Whether the first pattern matches everything that the second one can match; `false` if this is not obvious.
fn covers(deny: &PathPattern, path: &PathPattern) -> bool {
    if path.is_wild() && !path.covers_prefix() {
        return deny.as_str() == path.as_str();
    }
    deny.as_str() == path.as_str() || deny.matches(path.prefix())
}

/// Adds the declared hotspots that are not core files. A declared directory or pattern includes declared paths below it.
fn by_declaration(declared: &[Entry], settings: &settings::Hotspots, touched: &mut Touched) {
    let (core, growing) = (&settings.core, &settings.append_only);
    let index = Index::new(declared);
    for (n, entry) in declared.iter().enumerate() {
        if core.iter().any(|c| c.as_str() == entry.spec.as_str()) {
            continue;
        }
        let mut who: BTreeSet<usize> = entry.contracts.iter().copied().collect();
        index.sharing(n, |other| {
            who.extend(&declared[other].contracts);
            true
        });
        let grows = growing.iter().any(|g| covers(g, &entry.spec));
        let kind = if grows {
            HotspotKind::AppendOnly
        } else {
            HotspotKind::Declared
        };
        touched.insert((kind, entry.spec.as_str().to_owned()), who);
    }
}

/// Returns the overlaps of scopes that no contract declares.
fn by_scope(
    items: &[Item],
    allowed: &[Entry],
    denies: impl Fn(usize, &PathPattern) -> bool,
    touched: &Touched,
) -> Vec<Hotspot> {
    // A path that only one contract declares has no row yet, although the scope of another may allow it.
    let shown = touched.iter().filter(|(_, who)| who.len() > 1);
    let known: BTreeSet<&str> = shown.map(|((_, text), _)| text.as_str()).collect();
    let index = Index::new(allowed);
    let mut spots = Vec::new();
    let mut seen = vec![usize::MAX; items.len()];
    for (n, entry) in allowed.iter().enumerate() {
        if known.contains(entry.spec.as_str()) {
            continue;
        }
        let mut who = Vec::new();
        let mut take = |contracts: &[usize]| {
            for &c in contracts {
                if seen[c] != n && !denies(c, &entry.spec) {
                    who.push(c);
                }
                seen[c] = n;
                if who.len() > overlap::MOST {
                    return false;
                }
            }
            true
        };
        if take(&entry.contracts) {
            index.sharing(n, |other| take(&allowed[other].contracts));
        }
        if who.len() > 1 {
            let more = who.len() > overlap::MOST;
            who.truncate(overlap::MOST);
            spots.push(hotspot(
                items,
                HotspotKind::Scope,
                entry.spec.as_str(),
                who.into_iter(),
                more,
            ));
        }
    }
    spots
}

fn hotspot(
    items: &[Item],
    kind: HotspotKind,
    path: &str,
    who: impl Iterator<Item = usize>,
    more: bool,
) -> Hotspot {
    let mut contracts: Vec<String> = who.map(|n| items[n].issue.clone()).collect();
    contracts.sort_by(|a, b| natural(a, b));
    Hotspot {
        kind,
        path: path.to_owned(),
        exclusive: kind.is_exclusive(),
        contracts,
        more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Conflict;

    fn item(issue: &str, hotspots: &[&str], allow: &[&str], deny: &[&str]) -> Item {
        let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        Item {
            issue: issue.to_owned(),
            merge_hotspots: own(hotspots),
            allow: own(allow),
            deny: own(deny),
            ..Item::default()
        }
    }

    fn shown(items: &[Item], facts: &Facts) -> Vec<String> {
        let index = items
            .iter()
            .enumerate()
            .map(|(n, i)| (i.issue.clone(), n))
            .collect();
        let spots = find(items, facts, &settings::Hotspots::default(), &index);
        spots
            .shared
            .iter()
            .map(|s| format!("{} {} {}", s.kind.as_str(), s.path, s.contracts.join(" ")))
            .collect()
    }

    #[test]
    fn declaration_of_one_contract_hides_no_overlap() {
        let path = "nmoe/data/loader.py";
        for declared in [&[][..], &[path]] {
            let items = [item("1", declared, &[path], &[]), item("2", &[], &[path], &[])];
            assert_eq!(
                shown(&items, &Facts::default()),
                ["scope nmoe/data/loader.py 1 2"]
            );
        }
    }

    #[test]
    fn each_kind_of_hotspot_is_found() {
        let items = [
            item("1", &["nmoe/train.py", "CHANGELOG.md"], &["nmoe/train.py"], &[]),
            item(
                "2",
                &["CHANGELOG.md", "docs/x.md"],
                &["nmoe/**", "docs/**"],
                &["nmoe/moe.py"],
            ),
            item("3", &["docs/x.md"], &["nmoe/moe.py", "nmoe/data/a.py"], &[]),
        ];
        let facts = Facts {
            conflicts: vec![Conflict {
                between: ["1".to_owned(), "3".to_owned()],
                paths: vec!["a".to_owned()],
            }],
            ..Facts::default()
        };
        assert_eq!(
            shown(&items, &facts),
            [
                "conflict a (1 and 3) 1 3",
                "core nmoe/train.py 1 2",
                "declared docs/x.md 2 3",
                "append-only CHANGELOG.md 1 2",
                "scope nmoe/data/a.py 2 3",
            ]
        );
    }
}
