//! Which contracts may touch the same paths, by an index over the literal beginnings and ends of their globs.
//!
//! Two globs that share a path have literal beginnings of which one begins the other, so each glob looks up the beginnings of its
//! own beginning instead of every other glob: near-linear for what people write.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::git::pathspec::Pathspec;

/// Most contracts that one entry names; beyond it the entry says that there are more.
pub const MOST: usize = 64;

/// What a pattern is, as far as looking it up goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A name with an extension: one file.
    File,
    /// A name without one, or `dir/**`: everything below.
    Tree,
    /// Anything else.
    Wild,
}

fn shape(spec: &Pathspec) -> Shape {
    if spec.is_wild() {
        return if spec.covers_prefix() {
            Shape::Tree
        } else {
            Shape::Wild
        };
    }
    let last = spec.as_str().rsplit('/').next().unwrap_or_default();
    if last.rfind('.').is_some_and(|at| at > 0) {
        Shape::File
    } else {
        Shape::Tree
    }
}

/// The literal end of a wild pattern; empty for anything that covers a tree.
fn ending(spec: &Pathspec, shape: Shape) -> &str {
    let text = spec.as_str();
    match shape {
        Shape::Wild if !text.contains('\\') => {
            let at = text.rfind(['*', '?', ']', '[']).map_or(0, |at| at + 1);
            // `**/` may stand for nothing, so its slash is no part of the end.
            text[at..].strip_prefix('/').unwrap_or(&text[at..])
        }
        Shape::File => text,
        _ => "",
    }
}

/// Patterns with the same literal beginning, by the length and text of their literal ends.
type Bucket<'a> = BTreeMap<usize, HashMap<&'a str, Vec<usize>>>;

/// Patterns of many contracts.
pub struct Index<'a> {
    entries: &'a [Entry],
    buckets: HashMap<&'a str, Bucket<'a>>,
    lengths: BTreeSet<usize>,
}

/// A pattern and the contracts that have it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The pattern.
    pub spec: Pathspec,
    /// Positions of contracts, ascending.
    pub contracts: Vec<usize>,
    shape: Shape,
}

/// The distinct patterns of all contracts, in the order of their text. What is no pattern is left out: the lint speaks of it.
pub fn entries<'a>(all: impl Iterator<Item = (usize, &'a str)>) -> Vec<Entry> {
    let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
    for (n, pattern) in all {
        let contracts = found.entry(pattern).or_default();
        if contracts.last() != Some(&n) {
            contracts.push(n);
        }
    }
    let mut entries: Vec<Entry> = found
        .into_iter()
        .filter_map(|(pattern, contracts)| {
            let spec = Pathspec::new(pattern).ok()?;
            let shape = shape(&spec);
            Some(Entry {
                spec,
                contracts,
                shape,
            })
        })
        .collect();
    entries.sort_unstable_by(|a, b| a.spec.as_str().cmp(b.spec.as_str()));
    // `./a` and `a` are one pattern.
    entries.dedup_by(|b, a| {
        let same = a.spec.as_str() == b.spec.as_str();
        if same {
            a.contracts.append(&mut b.contracts);
            a.contracts.sort_unstable();
            a.contracts.dedup();
        }
        same
    });
    entries
}

/// Whether some path is likely to match both; a name with an extension is taken for a file.
fn share(a: &Entry, b: &Entry) -> bool {
    match (a.shape, b.shape) {
        (Shape::File, _) => b.spec.matches(a.spec.as_str()),
        (_, Shape::File) => a.spec.matches(b.spec.as_str()),
        _ => a.spec.overlaps(&b.spec),
    }
}

impl<'a> Index<'a> {
    /// Indexes patterns.
    pub fn new(entries: &'a [Entry]) -> Self {
        let mut buckets: HashMap<&str, Bucket> = HashMap::new();
        for (n, entry) in entries.iter().enumerate() {
            let end = ending(&entry.spec, entry.shape);
            let bucket = buckets.entry(entry.spec.prefix()).or_default();
            bucket
                .entry(end.len())
                .or_default()
                .entry(end)
                .or_default()
                .push(n);
        }
        let lengths = buckets.keys().map(|prefix| prefix.len()).collect();
        Index {
            entries,
            buckets,
            lengths,
        }
    }

    /// Visits the other patterns that share a path with entry `n` and begin no later than it, until told to stop.
    pub fn sharing(&self, n: usize, mut visit: impl FnMut(usize) -> bool) {
        let entry = &self.entries[n];
        let text = entry.spec.prefix();
        let end = ending(&entry.spec, entry.shape);
        for &length in self.lengths.range(..=text.len()) {
            let bucket = text.get(..length).and_then(|prefix| self.buckets.get(prefix));
            for (&ending_length, by_end) in bucket.into_iter().flatten() {
                // Both ends are literal, so one must end the other. A tree has no end to compare.
                let direct = entry.shape != Shape::Tree && ending_length <= end.len();
                let lookup = direct.then(|| end.get(end.len() - ending_length..)).flatten();
                let hits: Box<dyn Iterator<Item = &usize>> = match (direct, entry.shape) {
                    (true, _) => Box::new(lookup.and_then(|e| by_end.get(e)).into_iter().flatten()),
                    (false, Shape::File) => continue,
                    (false, _) => Box::new(by_end.values().flatten()),
                };
                for &other in hits {
                    if other != n && share(entry, &self.entries[other]) && !visit(other) {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
        /// The index finds exactly the pairs that comparing every pattern with every other finds.
        #[test]
        fn the_index_misses_nothing(
            patterns in prop::collection::vec("(a|b|ab|\\*\\*|\\*|a\\*|\\*b)(/(a|b|\\*\\*|\\*|a\\*|\\*\\.py|b\\.py|a\\.md)){0,3}", 1..12),
        ) {
            let entries = entries(patterns.iter().map(String::as_str).enumerate());
            let index = Index::new(&entries);
            let mut found = BTreeSet::new();
            for n in 0..entries.len() {
                index.sharing(n, |m| {
                    found.insert((n.min(m), n.max(m)));
                    true
                });
            }
            for a in 0..entries.len() {
                for b in a + 1..entries.len() {
                    prop_assert_eq!(
                        found.contains(&(a, b)),
                        share(&entries[a], &entries[b]),
                        "{} and {}", entries[a].spec.as_str(), entries[b].spec.as_str()
                    );
                }
            }
        }
    }
}
