//! Finds the hotspots of contracts: conflicts of branches, core files, declared hotspots, append-only files, overlapping scopes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::domain::finding::Finding;
use crate::domain::path_pattern::PathPattern;
use crate::domain::settings;
use crate::plan::codes;
use crate::plan::item::{Facts, Item, natural};
use crate::plan::overlap::{self, Budget, Entry, Index, Spent};

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
    /// The contracts whose patterns were not compared, because all patterns together are too many.
    uncompared: Vec<usize>,
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

/// The most contracts that the finding about uncompared ones names.
const MOST_NAMED: usize = 20;

impl Spots {
    /// Returns a finding about the contracts whose patterns were not compared; `None` if all were.
    pub fn finding(&self, items: &[Item]) -> Option<Finding> {
        let mut ids: Vec<&str> = self.uncompared.iter().map(|n| items[*n].issue.as_str()).collect();
        ids.sort_by(|a, b| natural(a, b));
        let count = ids.len();
        let more = match count.saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        ids.truncate(MOST_NAMED);
        let message = format!(
            "the patterns of {count} contracts were not compared: {}{more}",
            ids.join(", ")
        );
        (count > 0).then(|| {
            Finding::new(&codes::PLAN_LIMIT, message)
                .help("use fewer patterns with wildcards in these contracts, or close them")
        })
    }
}

/// How many steps the comparison of all patterns may take: some for each contract, so that the time is linear in the contracts, and
/// enough for a few large contracts.
const STEPS_OF_CONTRACT: usize = 100_000;
const STEPS: usize = 30_000_000;

/// The contracts that change each path.
type Touched = BTreeMap<(HotspotKind, String), BTreeSet<usize>>;

/// Finds the hotspots. If the patterns of all contracts are too many to compare, leaves out the contracts with the most of them.
pub fn find(
    items: &[Item],
    facts: &Facts,
    settings: &settings::Hotspots,
    index: &HashMap<String, usize>,
) -> Spots {
    let mut weights: Vec<(usize, usize)> = items.iter().map(Item::weight).zip(0..).collect();
    weights.sort_unstable();
    let mut kept = weights.len();
    let mut is_compared = vec![true; items.len()];
    loop {
        let budget = Budget::new((STEPS + items.len() * STEPS_OF_CONTRACT) as u64);
        let compared = |n: usize| is_compared[n];
        if let Ok(mut spots) = compare(items, &compared, facts, settings, index, &budget) {
            spots.uncompared = (0..items.len()).filter(|n| !is_compared[*n]).collect();
            return spots;
        }
        // Comparing in pairs is quadratic, so a quarter of the patterns takes a sixteenth of the time.
        let mut total: usize = weights[..kept].iter().map(|(weight, _)| weight).sum();
        let most = total / 4;
        while kept > 0 && total > most {
            kept -= 1;
            let (weight, n) = weights[kept];
            total -= weight;
            is_compared[n] = false;
        }
    }
}

/// Finds the hotspots of the contracts that `compared` selects.
fn compare(
    items: &[Item],
    compared: &impl Fn(usize) -> bool,
    facts: &Facts,
    settings: &settings::Hotspots,
    index: &HashMap<String, usize>,
    budget: &Budget,
) -> Result<Spots, Spent> {
    let allowed = overlap::entries(each(items, compared, |i| &i.allow));
    let declared = overlap::entries(each(items, compared, |i| &i.merge_hotspots));
    let denied: HashMap<&str, PathPattern> = each(items, compared, |i| &i.deny)
        .map(|(_, text)| text)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter_map(|text| Some((text, PathPattern::new(text).ok()?)))
        .collect();
    let denies = |n: usize, path: &PathPattern| {
        for deny in items[n].deny.iter().filter_map(|text| denied.get(text.as_str())) {
            let steps = if deny.is_wild() { path.prefix().len() } else { 1 };
            budget.spend((deny.as_str().len() + 1) * (steps + 1))?;
            if covers(deny, path) {
                return Ok(true);
            }
        }
        Ok(false)
    };

    let mut touched = Touched::new();
    for core in overlap::entries(settings.core.iter().map(|core| (0, core.written()))) {
        let mut who: BTreeSet<usize> = BTreeSet::new();
        for entry in &declared {
            if overlap::share_within(entry, &core, budget)? {
                who.extend(&entry.contracts);
            }
        }
        let mut denying: HashMap<usize, bool> = HashMap::new();
        for entry in &allowed {
            if !overlap::share_within(entry, &core, budget)? {
                continue;
            }
            for &n in &entry.contracts {
                let is_denied = match denying.get(&n) {
                    Some(known) => *known,
                    None => denies(n, &core.spec)?,
                };
                denying.insert(n, is_denied);
                if !is_denied {
                    who.insert(n);
                }
            }
        }
        touched.insert((HotspotKind::Core, core.spec.as_str().to_owned()), who);
    }
    by_declaration(&declared, settings, &mut touched, budget)?;
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
    shared.extend(by_scope(items, &allowed, denies, &touched, budget)?);
    Ok(Spots {
        exclusive_of,
        shared,
        texts,
        uncompared: Vec::new(),
    })
}

fn each<'a>(
    items: &'a [Item],
    compared: &impl Fn(usize) -> bool,
    list: impl Fn(&'a Item) -> &'a Vec<String>,
) -> impl Iterator<Item = (usize, &'a str)> {
    items
        .iter()
        .enumerate()
        .filter(|(n, _)| compared(*n))
        .flat_map(move |(n, item)| list(item).iter().map(move |text| (n, text.as_str())))
}

/// Whether the first pattern matches everything that the second one can match; `false` if this is not obvious.
fn covers(deny: &PathPattern, path: &PathPattern) -> bool {
    if path.is_wild() && !path.covers_prefix() {
        return deny.as_str() == path.as_str();
    }
    deny.as_str() == path.as_str() || deny.matches(path.prefix())
}

/// What one contract in the list of a hotspot costs, in steps: its memory also counts.
const STEPS_OF_ENTRY: usize = 16;

/// Adds the declared hotspots that are not core files. A declared directory or pattern includes declared paths below it.
fn by_declaration(
    declared: &[Entry],
    settings: &settings::Hotspots,
    touched: &mut Touched,
    budget: &Budget,
) -> Result<(), Spent> {
    let (core, growing) = (&settings.core, &settings.append_only);
    let index = Index::new(declared);
    for (n, entry) in declared.iter().enumerate() {
        if core.iter().any(|c| c.as_str() == entry.spec.as_str()) {
            continue;
        }
        let mut who: BTreeSet<usize> = entry.contracts.iter().copied().collect();
        let take = |other: usize| {
            let contracts = &declared[other].contracts;
            budget.spend(STEPS_OF_ENTRY * contracts.len())?;
            who.extend(contracts);
            Ok(true)
        };
        index.sharing(n, budget, take)?;
        let grows = growing.iter().any(|g| covers(g, &entry.spec));
        let kind = if grows {
            HotspotKind::AppendOnly
        } else {
            HotspotKind::Declared
        };
        touched.insert((kind, entry.spec.as_str().to_owned()), who);
    }
    Ok(())
}

/// Returns the overlaps of scopes that no contract declares.
fn by_scope(
    items: &[Item],
    allowed: &[Entry],
    denies: impl Fn(usize, &PathPattern) -> Result<bool, Spent>,
    touched: &Touched,
    budget: &Budget,
) -> Result<Vec<Hotspot>, Spent> {
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
                budget.spend(1)?;
                if seen[c] != n && !denies(c, &entry.spec)? {
                    who.push(c);
                }
                seen[c] = n;
                if who.len() > overlap::MOST {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if take(&entry.contracts)? {
            index.sharing(n, budget, |other| take(&allowed[other].contracts))?;
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
    Ok(spots)
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

    /// Contracts of strangers with patterns that must be compared in pairs hide no hotspot of the others.
    #[test]
    fn too_many_patterns_leave_out_largest_contracts() {
        let path = "nmoe/data/loader.py";
        let mut items = vec![
            item("1", &[], &[path], &[]),
            item("2", &[], &["nmoe/data/**"], &[]),
        ];
        for n in 0..20 {
            let pattern = |kind: &str| (0..400).map(|m| format!("*/{kind}{n}x{m}/*")).collect::<Vec<_>>();
            items.push(Item {
                issue: format!("9{n:02}"),
                allow: pattern("a"),
                deny: pattern("d"),
                merge_hotspots: pattern("h"),
                ..Item::default()
            });
        }
        let index = items.iter().map(|i| i.issue.clone()).zip(0..).collect();
        let spots = find(&items, &Facts::default(), &settings::Hotspots::default(), &index);
        assert!(
            spots
                .shared
                .iter()
                .any(|spot| spot.path == path && spot.contracts == ["1", "2"])
        );
        let message = spots
            .finding(&items)
            .map(|finding| finding.message)
            .unwrap_or_default();
        assert!(message.contains("contracts were not compared: 9"), "{message}");
        assert!(!spots.uncompared.contains(&0) && !spots.uncompared.contains(&1));
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
