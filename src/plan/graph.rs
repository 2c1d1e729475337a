//! Builds the dependency graph of contracts: order, cycles, missing dependencies, critical path. Linear in contracts and dependencies.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::domain::finding::Finding;
use crate::domain::suggest::did_you_mean;
use crate::plan::codes;
use crate::plan::item::{Item, natural};

/// The dependencies of contracts, by their indexes.
#[derive(Debug)]
pub struct Graph {
    /// The index of each id.
    pub index: HashMap<String, usize>,
    /// For each contract, its unmerged dependencies.
    pub waits_for: Vec<Vec<usize>>,
    /// For each contract, the contracts that depend on it.
    pub needed_by: Vec<Vec<usize>>,
    /// Dependencies that are neither open nor merged: (contract, id).
    missing: Vec<(usize, String)>,
    /// The contracts in a possible merge order, without those that depend on a cycle or a missing contract.
    order: Vec<usize>,
    /// For each contract, the length of the longest chain of dependents that starts with it.
    pub depth: Vec<usize>,
}

impl Graph {
    /// Builds the graph; the ids in `done` are merged.
    pub fn new(items: &[Item], done: &[String]) -> Self {
        let index: HashMap<String, usize> = items
            .iter()
            .enumerate()
            .map(|(n, i)| (i.issue.clone(), n))
            .collect();
        let done: HashSet<&str> = done.iter().map(String::as_str).collect();
        let mut waits_for = vec![Vec::new(); items.len()];
        let mut needed_by = vec![Vec::new(); items.len()];
        let mut missing = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let mut named = HashSet::new();
            for id in item.depends_on.iter().filter(|id| named.insert(*id)) {
                match index.get(id) {
                    _ if done.contains(id.as_str()) => {}
                    Some(&other) => {
                        waits_for[n].push(other);
                        needed_by[other].push(n);
                    }
                    None => missing.push((n, id.clone())),
                }
            }
        }
        let stuck: HashSet<usize> = missing.iter().map(|(n, _)| *n).collect();
        let mut open: Vec<usize> = waits_for.iter().map(Vec::len).collect();
        let mut ready: VecDeque<usize> = (0..items.len())
            .filter(|n| open[*n] == 0 && !stuck.contains(n))
            .collect();
        let mut order = Vec::with_capacity(items.len());
        while let Some(n) = ready.pop_front() {
            order.push(n);
            for &m in &needed_by[n] {
                open[m] -= 1;
                if open[m] == 0 && !stuck.contains(&m) {
                    ready.push_back(m);
                }
            }
        }
        let mut depth = vec![0; items.len()];
        for &n in order.iter().rev() {
            depth[n] = 1 + needed_by[n].iter().map(|m| depth[*m]).max().unwrap_or(0);
        }
        Graph {
            index,
            waits_for,
            needed_by,
            missing,
            order,
            depth,
        }
    }

    /// Returns the contracts that can be merged, each after its dependencies.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Returns the longest chain of dependencies.
    pub fn critical_path(&self) -> Vec<usize> {
        // Of equal depths take the first, so that the result is reproducible.
        let deepest = |candidates: &[usize]| {
            candidates
                .iter()
                .copied()
                .filter(|n| self.depth[*n] > 0)
                .min_by_key(|n| (usize::MAX - self.depth[*n], *n))
        };
        let mut path: Vec<usize> = Vec::new();
        let mut at = deepest(&self.order);
        while let Some(n) = at {
            path.push(n);
            at = deepest(&self.needed_by[n]);
        }
        path
    }

    /// Returns one finding for each group of contracts in a cycle, and one for each missing dependency.
    pub fn findings(&self, items: &[Item]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for cycle in self.cycles() {
            let way: Vec<&str> = cycle.iter().map(|n| items[*n].issue.as_str()).collect();
            findings.push(
                Finding::new(
                    &codes::DEPENDENCY_CYCLE,
                    format!("contracts wait for each other: {}", way.join(" → ")),
                )
                .in_path(&items[cycle[0]].path)
                .help("remove one of these `depends_on` entries"),
            );
        }
        let known = self.plain_ids();
        for (n, id) in &self.missing {
            let mut way = self.dependents_of(*n);
            way.push(*n);
            let mut shown: Vec<&str> = way.iter().map(|n| items[*n].issue.as_str()).collect();
            shown.push(id);
            let help = match known.get(&plain(id)) {
                Some(other) => format!("{} If `{id}` is merged, use `--done {id}`", did_you_mean(other)),
                None => format!("if `{id}` is merged, use `--done {id}`; otherwise correct `depends_on`"),
            };
            findings.push(
                Finding::new(
                    &codes::MISSING_DEPENDENCY,
                    format!("there is no contract `{id}`: {}", shown.join(" → ")),
                )
                .in_path(&items[*n].path)
                .help(help),
            );
        }
        findings
    }

    /// Returns a chain of dependents that leads to a contract, without the contract itself.
    fn dependents_of(&self, n: usize) -> Vec<usize> {
        let mut way = Vec::new();
        let mut seen = HashSet::from([n]);
        let mut at = n;
        while let Some(&above) = self.needed_by[at].iter().find(|m| seen.insert(**m)) {
            way.push(above);
            at = above;
            if way.len() == 10 {
                break;
            }
        }
        way.reverse();
        way
    }

    /// Returns for each id without leading zeros and capitals the first contract; empty for many contracts.
    fn plain_ids(&self) -> HashMap<String, &str> {
        let mut ids: Vec<&str> = self.index.keys().map(String::as_str).collect();
        if ids.len() > 1000 {
            return HashMap::new();
        }
        ids.sort_by(|a, b| natural(b, a));
        ids.into_iter().map(|id| (plain(id), id)).collect()
    }

    /// Returns each contract that cannot be merged, with the code and the path to the cause.
    pub fn blocked(&self, items: &[Item]) -> Vec<(usize, &'static str, Vec<String>)> {
        let mut free = vec![false; items.len()];
        self.order.iter().for_each(|n| free[*n] = true);
        let mut gap: HashMap<usize, &str> = HashMap::new();
        for (n, id) in &self.missing {
            gap.entry(*n).or_insert(id);
        }
        // The path of a blocked contract continues with the path of its first blocked dependency, so one pass from the missing
        // dependencies is enough.
        let mut towards: HashMap<usize, Option<usize>> = gap.keys().map(|n| (*n, None)).collect();
        let mut queue: VecDeque<usize> = gap.keys().copied().collect();
        queue.make_contiguous().sort_unstable();
        while let Some(n) = queue.pop_front() {
            for &m in &self.needed_by[n] {
                if let Entry::Vacant(entry) = towards.entry(m) {
                    entry.insert(Some(n));
                    queue.push_back(m);
                }
            }
        }
        let name = |n: usize| items[n].issue.clone();
        let mut blocked = Vec::new();
        for n in (0..items.len()).filter(|n| !free[*n]) {
            let mut way = vec![name(n)];
            if towards.contains_key(&n) {
                let mut at = n;
                while let (Some(Some(to)), true) = (towards.get(&at), way.len() < 20) {
                    way.push(name(*to));
                    at = *to;
                }
                way.extend(gap.get(&at).map(|id| (*id).to_owned()));
                blocked.push((n, codes::MISSING_DEPENDENCY.id, way));
            } else {
                // No dependency is missing, so the blocked dependencies lead to a cycle.
                let mut seen = HashSet::from([n]);
                let mut at = n;
                while let Some(&to) = self.waits_for[at].iter().find(|m| !free[**m]) {
                    way.push(name(to));
                    if !seen.insert(to) || way.len() == 20 {
                        break;
                    }
                    at = to;
                }
                blocked.push((n, codes::DEPENDENCY_CYCLE.id, way));
            }
        }
        blocked
    }

    /// Returns one shortest cycle for each group of contracts in a cycle; first and last are equal.
    fn cycles(&self) -> Vec<Vec<usize>> {
        let group = self.groups();
        let mut size: HashMap<usize, usize> = HashMap::new();
        group.iter().for_each(|g| *size.entry(*g).or_default() += 1);
        let mut shown = HashSet::new();
        let mut cycles = Vec::new();
        for n in 0..group.len() {
            let alone = size[&group[n]] == 1 && !self.waits_for[n].contains(&n);
            if !alone && shown.insert(group[n]) {
                cycles.push(self.cycle_from(n, &group));
            }
        }
        cycles
    }

    fn cycle_from(&self, start: usize, group: &[usize]) -> Vec<usize> {
        let mut from: HashMap<usize, usize> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(n) = queue.pop_front() {
            for &m in self.waits_for[n].iter().filter(|m| group[**m] == group[start]) {
                if m == start {
                    let mut way = vec![start, n];
                    while let Some(&before) = from.get(way.last().unwrap_or(&start)) {
                        way.push(before);
                    }
                    if n == start {
                        way.pop();
                        way.push(start);
                    }
                    way.reverse();
                    return way;
                }
                if let Entry::Vacant(entry) = from.entry(m) {
                    entry.insert(n);
                    queue.push_back(m);
                }
            }
        }
        vec![start]
    }

    /// Returns for each contract the number of its strongly connected component, by Tarjan's algorithm without recursion.
    fn groups(&self) -> Vec<usize> {
        const NEW: usize = usize::MAX;
        let count = self.waits_for.len();
        let (mut number, mut low, mut group) = (vec![NEW; count], vec![0; count], vec![NEW; count]);
        let (mut stack, mut work, mut next) = (Vec::new(), Vec::new(), 0);
        for root in 0..count {
            if number[root] != NEW {
                continue;
            }
            work.push((root, 0));
            while let Some((n, edge)) = work.pop() {
                if edge == 0 {
                    number[n] = next;
                    low[n] = next;
                    next += 1;
                    stack.push(n);
                }
                if let Some(&m) = self.waits_for[n].get(edge) {
                    work.push((n, edge + 1));
                    if number[m] == NEW {
                        work.push((m, 0));
                    } else if group[m] == NEW {
                        low[n] = low[n].min(number[m]);
                    }
                    continue;
                }
                if low[n] == number[n] {
                    while let Some(m) = stack.pop() {
                        group[m] = n;
                        if m == n {
                            break;
                        }
                    }
                }
                if let Some((above, _)) = work.last() {
                    low[*above] = low[*above].min(low[n]);
                }
            }
        }
        group
    }
}

fn plain(id: &str) -> String {
    id.trim_start_matches('0').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(all: &[(&str, &[&str])]) -> Vec<Item> {
        all.iter()
            .map(|(id, deps)| Item {
                issue: (*id).to_owned(),
                depends_on: deps.iter().map(|d| (*d).to_owned()).collect(),
                ..Item::default()
            })
            .collect()
    }

    fn messages(all: &[(&str, &[&str])]) -> Vec<String> {
        let items = items(all);
        Graph::new(&items, &[])
            .findings(&items)
            .into_iter()
            .map(|f| f.message)
            .collect()
    }

    #[test]
    fn cycles_and_missing_ends_are_paths() {
        assert_eq!(
            messages(&[
                ("1", &["2"]),
                ("2", &["3"]),
                ("3", &["1"]),
                ("4", &["4"]),
                ("5", &["1"])
            ]),
            [
                "contracts wait for each other: 1 → 2 → 3 → 1",
                "contracts wait for each other: 4 → 4"
            ]
        );
        assert_eq!(
            messages(&[("01", &["1"]), ("02", &["01"]), ("03", &["02"])]),
            ["there is no contract `1`: 03 → 02 → 01 → 1"]
        );
    }

    #[test]
    fn what_is_blocked_says_by_what() {
        let items = items(&[
            ("1", &["9"]),
            ("2", &["1"]),
            ("3", &["4"]),
            ("4", &["3"]),
            ("5", &["4"]),
            ("6", &[]),
        ]);
        let graph = Graph::new(&items, &[]);
        let shown: Vec<String> = graph
            .blocked(&items)
            .into_iter()
            .map(|(_, because, way)| format!("{because}: {}", way.join(" → ")))
            .collect();
        assert_eq!(
            shown,
            [
                "missing-dependency: 1 → 9",
                "missing-dependency: 2 → 1 → 9",
                "dependency-cycle: 3 → 4 → 3",
                "dependency-cycle: 4 → 3 → 4",
                "dependency-cycle: 5 → 4 → 3 → 4",
            ]
        );
        assert_eq!(graph.order(), [5]);
        assert!(Graph::new(&items, &["9".to_owned()]).order().len() == 3);
    }

    #[test]
    fn the_critical_path_is_the_longest_chain() {
        let items = items(&[
            ("1", &[]),
            ("2", &["1"]),
            ("3", &["1"]),
            ("4", &["3"]),
            ("5", &[]),
        ]);
        assert_eq!(Graph::new(&items, &[]).critical_path(), [0, 2, 3]);
    }
}
