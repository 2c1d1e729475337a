//! Finds the contracts whose patterns can match the same path, by an index over the literal prefixes and suffixes of the patterns.
//!
//! If two patterns match a common path, one literal prefix is a prefix of the other. So each pattern looks up the prefixes of its prefix
//! instead of comparing itself with every pattern, which is almost linear for usual patterns.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::domain::path_pattern::PathPattern;

/// The most contracts that one hotspot lists.
pub const MOST: usize = 64;

/// How many steps a comparison of patterns may still take. Every issue can hold a contract, and some patterns must be compared in pairs.
#[derive(Debug)]
pub struct Budget(Cell<u64>);

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent;

impl Budget {
    pub fn new(steps: u64) -> Self {
        Budget(Cell::new(steps))
    }

    /// Takes steps from the budget.
    ///
    /// # Errors
    /// The budget has fewer steps left.
    pub fn spend(&self, steps: usize) -> Result<(), Spent> {
        let left = self.0.get().checked_sub(steps as u64).ok_or(Spent)?;
        self.0.set(left);
        Ok(())
    }
}

/// How the index treats a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A name with an extension: a single file.
    File,
    /// A name without an extension, or `dir/**`: everything below.
    Tree,
    /// Every other pattern.
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

/// Returns the literal suffix of a pattern; empty for a tree.
fn suffix(spec: &PathPattern, shape: Shape) -> &str {
    let text = spec.as_str();
    match shape {
        Shape::Wild if !text.contains('\\') => {
            let at = text.rfind(['*', '?', ']', '[']).map_or(0, |at| at + 1);
            // `**/` can match nothing, so the suffix does not contain its slash.
            text[at..].strip_prefix('/').unwrap_or(&text[at..])
        }
        Shape::File => text,
        _ => "",
    }
}

/// The patterns with the same literal prefix, by their reversed literal suffixes.
#[derive(Default)]
struct Bucket {
    by_suffix: BTreeMap<Vec<u8>, Vec<usize>>,
    lengths: BTreeSet<usize>,
}

impl Bucket {
    /// Returns the patterns whose suffix is a suffix of this one.
    fn with_shorter_suffix<'b>(&'b self, reversed: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
        let shorter = self.lengths.range(..=reversed.len());
        shorter
            .filter_map(|n| self.by_suffix.get(&reversed[..*n]))
            .flatten()
            .copied()
    }

    /// Returns the patterns whose suffix is longer and ends in this one.
    fn with_longer_suffix<'b>(&'b self, reversed: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
        let from = (Bound::Excluded(reversed), Bound::Unbounded);
        let longer = self.by_suffix.range::<[u8], _>(from);
        longer
            .take_while(|(end, _)| end.starts_with(reversed))
            .flat_map(|(_, all)| all.iter().copied())
    }
}

fn reversed(text: &str) -> Vec<u8> {
    text.bytes().rev().collect()
}

/// An index of the patterns of many contracts.
pub struct Index<'a> {
    entries: &'a [Entry],
    buckets: HashMap<&'a str, Bucket>,
    lengths: BTreeSet<usize>,
}

/// A pattern and the contracts that contain it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub spec: PathPattern,
    /// The indexes of the contracts, ascending.
    pub contracts: Vec<usize>,
    shape: Shape,
}

/// Returns the distinct patterns of all contracts, sorted. Ignores invalid patterns, which the lint reports.
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
    // `./a` and `a` are the same pattern.
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

/// Returns how many steps `share` takes at most.
fn cost(a: &Entry, b: &Entry) -> usize {
    let (left, right) = (a.spec.as_str().len() + 1, b.spec.as_str().len() + 1);
    match (a.shape, b.shape) {
        (Shape::File, Shape::File) => left,
        (Shape::File, Shape::Wild) if !has_suffix(b, a.spec.as_str()) => right,
        (Shape::Wild, Shape::File) if !has_suffix(a, b.spec.as_str()) => left,
        _ => left * right,
    }
}

/// Like `share`, within a budget.
///
/// # Errors
/// The budget is spent.
pub fn share_within(a: &Entry, b: &Entry, budget: &Budget) -> Result<bool, Spent> {
    budget.spend(cost(a, b))?;
    Ok(share(a, b))
}

/// Whether a path can match both patterns. A name with an extension counts as a file.
fn share(a: &Entry, b: &Entry) -> bool {
    match (a.shape, b.shape) {
        (Shape::File, Shape::File) => a.spec.as_str() == b.spec.as_str(),
        (Shape::File, _) => contains(b, a.spec.as_str()),
        (_, Shape::File) => contains(a, b.spec.as_str()),
        _ => a.spec.overlaps(&b.spec),
    }
}

fn contains(entry: &Entry, path: &str) -> bool {
    // The suffix excludes most patterns quickly.
    (entry.shape != Shape::Wild || has_suffix(entry, path)) && entry.spec.matches(path)
}

fn has_suffix(entry: &Entry, path: &str) -> bool {
    path.ends_with(suffix(&entry.spec, entry.shape))
}

impl<'a> Index<'a> {
    pub fn new(entries: &'a [Entry]) -> Self {
        let mut buckets: HashMap<&str, Bucket> = HashMap::new();
        for (n, entry) in entries.iter().enumerate() {
            let end = suffix(&entry.spec, entry.shape);
            let bucket = buckets.entry(entry.spec.prefix()).or_default();
            bucket.by_suffix.entry(reversed(end)).or_default().push(n);
            bucket.lengths.insert(end.len());
        }
        let lengths = buckets.keys().map(|prefix| prefix.len()).collect();
        Index {
            entries,
            buckets,
            lengths,
        }
    }

    /// Visits the other patterns that can match a path of entry `n` and whose prefix is not longer, until `visit` returns false.
    ///
    /// # Errors
    /// The budget is spent, here or by `visit`.
    pub fn sharing(
        &self,
        n: usize,
        budget: &Budget,
        mut visit: impl FnMut(usize) -> Result<bool, Spent>,
    ) -> Result<(), Spent> {
        let entry = &self.entries[n];
        let text = entry.spec.prefix();
        let end = reversed(suffix(&entry.spec, entry.shape));
        for &length in self.lengths.range(..=text.len()) {
            let Some(bucket) = text.get(..length).and_then(|prefix| self.buckets.get(prefix)) else {
                continue;
            };
            // One literal suffix must be a suffix of the other. The suffix of a file is the whole path, and that of a tree is empty.
            let longer = (entry.shape != Shape::File).then(|| bucket.with_longer_suffix(&end));
            for other in bucket
                .with_shorter_suffix(&end)
                .chain(longer.into_iter().flatten())
            {
                if other != n && share_within(entry, &self.entries[other], budget)? && !visit(other)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_has_nothing_below_it() {
        let found = entries(["b/b.py", "b/b.py/b/b.py"].into_iter().enumerate());
        assert!(!share(&found[0], &found[1]) && !share(&found[1], &found[0]));
        assert!(share(&found[0], &found[0]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
        /// The index finds exactly the pairs that a comparison of all patterns finds.
        #[test]
        fn the_index_misses_nothing(
            patterns in prop::collection::vec("(a|b|ab|\\*\\*|\\*|a\\*|\\*b)(/(a|b|\\*\\*|\\*|a\\*|\\*\\.py|b\\.py|a\\.md)){0,3}", 1..12),
        ) {
            let entries = entries(patterns.iter().map(String::as_str).enumerate());
            let index = Index::new(&entries);
            let mut found = BTreeSet::new();
            for n in 0..entries.len() {
                let visit = |m: usize| {
                    found.insert((n.min(m), n.max(m)));
                    Ok(true)
                };
                prop_assert_eq!(index.sharing(n, &Budget::new(u64::MAX), visit), Ok(()));
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
