//! Sorts contracts into waves that can run in parallel. A wave contains no dependency of a member and no exclusive hotspot twice.
//! Every wave is maximal: no later contract could join it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::plan::graph::Graph;

/// Longest chains first, then the order of the documents.
type Rank = (usize, Reverse<usize>);

/// Returns the waves as indexes of contracts; `exclusive_of[n]` are the exclusive hotspots of contract `n`.
///
/// A contract whose hotspot is taken waits in the queue of that hotspot, and each wave reads only the heads of the queues. So a
/// thousand contracts that change one file do not cost a thousand checks per wave.
pub fn waves(graph: &Graph, exclusive_of: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let rank = |n: usize| -> Rank { (graph.depth[n], Reverse(n)) };
    let mut open: Vec<usize> = graph.waits_for.iter().map(Vec::len).collect();
    let possible: Vec<bool> = graph.depth.iter().map(|d| *d > 0).collect();
    let mut fresh: Vec<usize> = graph.order().iter().copied().filter(|n| open[*n] == 0).collect();
    let mut queues: HashMap<usize, BinaryHeap<Rank>> = HashMap::new();
    let mut waves = Vec::new();
    loop {
        let mut taken: HashMap<usize, usize> = HashMap::new();
        let mut candidates: BinaryHeap<(Rank, Option<usize>)> =
            fresh.drain(..).map(|n| (rank(n), None)).collect();
        queues.retain(|_, queue| !queue.is_empty());
        candidates.extend(
            queues
                .iter_mut()
                .filter_map(|(spot, queue)| Some((queue.pop()?, Some(*spot)))),
        );
        let mut wave = Vec::new();
        while let Some((rank, from)) = candidates.pop() {
            let n = rank.1.0;
            match exclusive_of[n].iter().find(|spot| taken.contains_key(spot)) {
                Some(spot) => queues.entry(*spot).or_default().push(rank),
                None => {
                    wave.push(n);
                    taken.extend(exclusive_of[n].iter().map(|spot| (*spot, n)));
                }
            }
            // If the hotspot is still free, try the next contract of its queue.
            if let Some(spot) = from.filter(|spot| !taken.contains_key(spot))
                && let Some(next) = queues.get_mut(&spot).and_then(BinaryHeap::pop)
            {
                candidates.push((next, Some(spot)));
            }
        }
        if wave.is_empty() {
            return waves;
        }
        for n in &wave {
            for &m in &graph.needed_by[*n] {
                open[m] -= 1;
                if open[m] == 0 && possible[m] {
                    fresh.push(m);
                }
            }
        }
        wave.sort_unstable();
        waves.push(wave);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::Item;

    fn items(dependencies: &[Vec<usize>]) -> Vec<Item> {
        dependencies
            .iter()
            .enumerate()
            .map(|(n, deps)| Item {
                issue: n.to_string(),
                depends_on: deps.iter().map(usize::to_string).collect(),
                ..Item::default()
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        /// Any contracts, cycles and missing ends included.
        #[test]
        fn waves_are_sound_and_maximal(
            all in prop::collection::vec((prop::collection::vec(0_usize..45, 0..3), prop::collection::vec(0_usize..5, 0..3)), 0..40),
        ) {
            let (dependencies, exclusive_of): (Vec<_>, Vec<_>) = all.into_iter().unzip();
            let graph = Graph::new(&items(&dependencies), &[]);
            let waves = waves(&graph, &exclusive_of);

            let mut merged: HashSet<usize> = HashSet::new();
            for wave in &waves {
                let mut taken = HashSet::new();
                for n in wave {
                    prop_assert!(graph.waits_for[*n].iter().all(|d| merged.contains(d)), "a dependency is not merged");
                    let spots: HashSet<_> = exclusive_of[*n].iter().collect();
                    prop_assert!(spots.into_iter().all(|s| taken.insert(s)), "a wave contains a hotspot twice");
                }
                for n in graph.order() {
                    let could = !merged.contains(n) && !wave.contains(n)
                        && graph.waits_for[*n].iter().all(|d| merged.contains(d))
                        && exclusive_of[*n].iter().all(|s| !taken.contains(s));
                    prop_assert!(!could, "{n} could still join");
                }
                for n in wave {
                    prop_assert!(merged.insert(*n), "two waves contain the same contract");
                }
            }
            let possible: HashSet<usize> = graph.order().iter().copied().collect();
            prop_assert_eq!(merged, possible);
            prop_assert!(waves.len() >= graph.critical_path().len());
        }
    }
}
