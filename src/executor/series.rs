//! Joins the numbers that the ranks of a job printed.
//!
//! Pure. Must not decide whether a rank passed.

use indexmap::IndexMap;

use crate::domain::metric::Reduce;
use crate::domain::registry::Gate;
use crate::domain::results::{GateResult, Series};
use crate::domain::samples::thinned;
use crate::gate::metrics::Samples;

/// Most samples of a metric that several ranks printed.
const MOST_SAMPLES: usize = 1000;

/// Joins the metrics of all ranks: at each step by the reduction of the registry, or all samples without one.
pub fn join(gate: &Gate, reported: &[&GateResult]) -> IndexMap<String, Series> {
    let reads = gate.reads();
    let mut names: Vec<&String> = Vec::new();
    for name in reported.iter().flat_map(|r| r.metrics.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .filter_map(|name| {
            let all: Vec<&Series> = reported
                .iter()
                .filter_map(|r| r.metrics.get(name))
                .filter(|s| s.count > 0 || s.unreadable.is_some())
                .collect();
            let reduce = reads
                .iter()
                .find(|metric| metric.name == *name)
                .and_then(|metric| metric.reduce);
            Some((name.clone(), of_ranks(&all, reduce)?))
        })
        .collect()
}

/// Joins the series of ranks. With a reduction, every rank must have printed the same number of samples.
fn of_ranks(all: &[&Series], reduce: Option<Reduce>) -> Option<Series> {
    let first = *all.first()?;
    if all.len() == 1 {
        return Some(first.clone());
    }
    if let Some(unreadable) = all.iter().find(|s| s.unreadable.is_some()) {
        return Some((*unreadable).clone());
    }
    let values: Vec<f64> = match reduce {
        Some(reduce) => {
            let is_whole = |s: &&Series| s.samples.len() as u64 == s.count && s.count == first.count;
            if !all.iter().all(is_whole) {
                return None;
            }
            (0..first.samples.len())
                .filter_map(|step| reduce.of(all.iter().map(|s| s.samples[step])))
                .collect()
        }
        None => all.iter().flat_map(|s| s.samples.iter().copied()).collect(),
    };
    let mut samples = Samples::default();
    for value in &values {
        samples.push(*value, None);
    }
    Some(Series {
        count: match reduce {
            Some(_) => first.count,
            None => all.iter().map(|s| s.count).sum(),
        },
        p50: samples.median(),
        samples: thinned(&values, MOST_SAMPLES),
        not_finite: all.iter().map(|s| s.not_finite).sum(),
        restarts: all.iter().map(|s| s.restarts).max().unwrap_or_default(),
        ..first.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::join::Rank;
    use crate::executor::join::tests::{COMPLETED, joined, rank, with};

    #[test]
    fn metrics_are_reduced_over_ranks() {
        let prints = |number, name: &'static str, values: &[f64]| {
            let values = values.to_vec();
            with(number, move |r| {
                r.metrics.insert(
                    name.to_owned(),
                    Series {
                        unit: None,
                        direction: crate::domain::metric::Direction::Higher,
                        count: values.len() as u64,
                        p50: None,
                        samples: values,
                        unreadable: None,
                        not_finite: 0,
                        restarts: 0,
                    },
                );
            })
        };
        let of = |ranks: &[Rank], name: &str| {
            let series = joined(ranks, COMPLETED).metrics.swap_remove(name)?;
            Some((series.count, series.p50, series.samples))
        };
        let summed = [
            prints(0, "tps", &[1.0, 2.0, 3.0]),
            prints(1, "tps", &[10.0, 20.0, 30.0]),
        ];
        assert_eq!(of(&summed, "tps"), Some((3, Some(22.0), vec![11.0, 22.0, 33.0])));
        let uneven = [prints(0, "tps", &[1.0, 2.0]), prints(1, "tps", &[10.0])];
        assert_eq!(of(&uneven, "tps"), None);
        let kept = [prints(0, "loss", &[4.0, 2.0]), prints(1, "loss", &[3.0])];
        assert_eq!(of(&kept, "loss"), Some((3, Some(3.0), vec![4.0, 2.0, 3.0])));
        let first = [prints(0, "loss", &[4.0]), rank(1)];
        assert_eq!(of(&first, "loss"), Some((1, None, vec![4.0])));
    }
}
