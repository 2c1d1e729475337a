//! Which contracts may touch the same paths, by an index over the literal beginnings and ends of their globs.
//!
//! Two globs that share a path have literal beginnings of which one begins the other, so each glob looks up the beginnings of its
//! own beginning instead of every other glob: near-linear for what people write.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::domain::path_pattern::PathPattern;

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

fn shape(spec: &PathPattern) -> Shape {
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
fn ending(spec: &PathPattern, shape: Shape) -> &str {
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

/// Patterns with the same literal beginning, by their literal ends, read backwards.
#[derive(Default)]
struct Bucket {
    by_end: BTreeMap<Vec<u8>, Vec<usize>>,
    lengths: BTreeSet<usize>,
}

impl Bucket {
    /// Those whose end this end has at its own end.
    fn ends_of<'b>(&'b self, backwards: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
        let shorter = self.lengths.range(..=backwards.len());
        shorter
            .filter_map(|n| self.by_end.get(&backwards[..*n]))
            .flatten()
            .copied()
    }

    /// Those that end like this and have more before it.
    fn ending_in<'b>(&'b self, backwards: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
        let from = (Bound::Excluded(backwards), Bound::Unbounded);
        let longer = self.by_end.range::<[u8], _>(from);
        longer
            .take_while(|(end, _)| end.starts_with(backwards))
            .flat_map(|(_, all)| all.iter().copied())
    }
}

fn backwards(text: &str) -> Vec<u8> {
    text.bytes().rev().collect()
}

/// Patterns of many contracts.
pub struct Index<'a> {
    entries: &'a [Entry],
    buckets: HashMap<&'a str, Bucket>,
    lengths: BTreeSet<usize>,
}

/// A pattern and the contracts that have it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The pattern.
    pub spec: PathPattern,
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
            let spec = PathPattern::new(pattern).ok()?;
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
pub fn share(a: &Entry, b: &Entry) -> bool {
    match (a.shape, b.shape) {
        (Shape::File, Shape::File) => a.spec.as_str() == b.spec.as_str(),
        (Shape::File, _) => holds(b, a.spec.as_str()),
        (_, Shape::File) => holds(a, b.spec.as_str()),
        _ => a.spec.overlaps(&b.spec),
    }
}

fn holds(entry: &Entry, path: &str) -> bool {
    // Most patterns are told apart by their ends, without a look at the rest.
    (entry.shape != Shape::Wild || path.ends_with(ending(&entry.spec, entry.shape)))
        && entry.spec.matches(path)
}

impl<'a> Index<'a> {
    /// Indexes patterns.
    pub fn new(entries: &'a [Entry]) -> Self {
        let mut buckets: HashMap<&str, Bucket> = HashMap::new();
        for (n, entry) in entries.iter().enumerate() {
            let end = ending(&entry.spec, entry.shape);
            let bucket = buckets.entry(entry.spec.prefix()).or_default();
            bucket.by_end.entry(backwards(end)).or_default().push(n);
            bucket.lengths.insert(end.len());
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
        let end = backwards(ending(&entry.spec, entry.shape));
        for &length in self.lengths.range(..=text.len()) {
            let Some(bucket) = text.get(..length).and_then(|prefix| self.buckets.get(prefix)) else {
                continue;
            };
            // Both ends are literal, so one must end the other; a file is its own end, and a tree (end "") may hold any.
            let longer = (entry.shape != Shape::File).then(|| bucket.ending_in(&end));
            for other in bucket.ends_of(&end).chain(longer.into_iter().flatten()) {
                if other != n && share(entry, &self.entries[other]) && !visit(other) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn below_a_file_is_nothing_whichever_is_asked_first() {
        let found = entries(["b/b.py", "b/b.py/b/b.py"].into_iter().enumerate());
        assert!(!share(&found[0], &found[1]) && !share(&found[1], &found[0]));
        assert!(share(&found[0], &found[0]));
    }

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
