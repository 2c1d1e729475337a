//! What several contracts touch: real conflicts of branches, core files, declared hotspots, files that only grow, scopes that overlap.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::domain::path_pattern::PathPattern;
use crate::domain::settings;
use crate::plan::item::{Facts, Item, natural};
use crate::plan::overlap::{self, Entry, Index};

/// Why contracts would meet there; in the order of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HotspotKind {
    /// The branches conflict today: `git merge-tree` says so.
    Conflict,
    /// A core file, declared or inside the scope.
    Core,
    /// Several contracts declare it.
    Declared,
    /// Several contracts declare it, and it only grows at its end.
    AppendOnly,
    /// Several scopes allow it, and nobody declared it.
    Scope,
}

impl HotspotKind {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            HotspotKind::Conflict => "conflict",
            HotspotKind::Core => "core",
            HotspotKind::Declared => "declared",
            HotspotKind::AppendOnly => "append-only",
            HotspotKind::Scope => "scope",
        }
    }

    /// Whether two contracts that share it never stand in one wave.
    pub fn excludes(self) -> bool {
        matches!(
            self,
            HotspotKind::Conflict | HotspotKind::Core | HotspotKind::Declared
        )
    }
}

/// Something that two or more contracts touch.
#[derive(Clone, Debug, Serialize)]
pub struct Hotspot {
    /// Why they would meet there.
    pub kind: HotspotKind,
    /// A path or glob; of a conflict its paths, with commas between them.
    pub path: String,
    /// Whether no wave holds two of them.
    pub exclusive: bool,
    /// Contract ids.
    pub contracts: Vec<String>,
    /// Whether there are more contracts than are named.
    pub more: bool,
}

/// The hotspots of a set of contracts.
pub struct Spots {
    /// For each contract the exclusive hotspots it touches, by number.
    pub held: Vec<Vec<usize>>,
    /// What several contracts share, weightiest first.
    pub shared: Vec<Hotspot>,
    texts: Vec<String>,
}

impl Spots {
    /// The exclusive hotspots that a contract touches.
    pub fn names(&self, contract: usize) -> Vec<String> {
        self.held[contract]
            .iter()
            .map(|n| self.texts[*n].clone())
            .collect()
    }
}

/// What is touched, and by whom.
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
            // Each pair is its own hotspot, even where two pairs conflict in the same file.
            let name = format!(
                "{} ({})",
                conflict.paths.join(", "),
                conflict.between.join(" and ")
            );
            touched.insert((HotspotKind::Conflict, name), who);
        }
    }

    let mut held = vec![Vec::new(); items.len()];
    let mut texts = Vec::new();
    let mut shared = Vec::new();
    for ((kind, text), who) in &touched {
        if kind.excludes() && !who.is_empty() {
            who.iter().for_each(|n| held[*n].push(texts.len()));
            texts.push(text.clone());
        }
        if who.len() > 1 {
            shared.push(hotspot(items, *kind, text, who.iter().copied(), false));
        }
    }
    shared.extend(by_scope(items, &allowed, denies, &touched));
    Spots { held, shared, texts }
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

/// Whether everything that the second pattern can match is matched by the first, where that is plain to see.
fn covers(deny: &PathPattern, path: &PathPattern) -> bool {
    if path.is_wild() && !path.covers_prefix() {
        return deny.as_str() == path.as_str();
    }
    deny.as_str() == path.as_str() || deny.matches(path.prefix())
}

/// Declared hotspots that are not core: the same path, or a declared directory or glob that holds a declared path.
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

/// Scopes that overlap where nobody said so.
fn by_scope(
    items: &[Item],
    allowed: &[Entry],
    denies: impl Fn(usize, &PathPattern) -> bool,
    touched: &Touched,
) -> Vec<Hotspot> {
    let known: BTreeSet<&str> = touched.keys().map(|(_, text)| text.as_str()).collect();
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
        exclusive: kind.excludes(),
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
