//! Compares series of numbers step by step: the runs of the first side among themselves, then the second side with them.
//!
//! Pure arithmetic over samples. Starts no process and reads no log.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::numeric::{Agreement, Numerics, SeriesComparison};
use crate::perf::measurement::Sample;
use crate::perf::stats;

/// Runs of the first side that show whether it is deterministic.
pub const FEWEST_RUNS: usize = 2;

/// Runs of a first side that is not deterministic. Fewer say too little about its spread: the tolerance would be fifty times
/// as wide with two.
pub const NOISY_RUNS: usize = 4;

/// Error probability of each end of the tolerance of a first side that is not deterministic.
const ALPHA: f64 = 0.0005;

/// Most plotted points of a series.
const POINTS: usize = 200;

/// The numbers of one series in one run, by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    steps: BTreeMap<u64, Vec<f64>>,
    /// A number has no step in the log, so its position stands for the step.
    counted: bool,
    /// One unit of the last printed digit, where it is known.
    resolution: Option<f64>,
}

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// What the contract declares.
    pub declared: Numerics,
    /// Relative tolerance of the registry for `numerics: within`.
    pub tolerance: Option<f64>,
    /// The second side begins at a later step, because it resumes.
    pub resumed: bool,
}

impl Track {
    /// Makes a track of samples in the order of the log. Samples without steps count from 1.
    pub fn of(samples: &[Sample], resolution: Option<f64>) -> Self {
        let mut steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (nth, sample) in samples.iter().enumerate() {
            let step = sample.step.unwrap_or(nth as u64 + 1);
            steps.entry(step).or_default().push(sample.value);
        }
        Track {
            steps,
            counted: samples.iter().any(|sample| sample.step.is_none()),
            resolution,
        }
    }

    /// Whether a number has no step in the log, so that its position stands for the step.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Whether the run printed nothing of the series.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The numbers of a step in a fixed order, because ranks print in any order. A step that was printed again after a resume
    /// has more numbers than `most`; the last ones count.
    fn at(&self, step: u64, most: usize) -> Option<Vec<f64>> {
        let all = self.steps.get(&step)?;
        let mut values = all[all.len().saturating_sub(most)..].to_vec();
        values.sort_by(f64::total_cmp);
        Some(values)
    }

    /// How many numbers a step has.
    fn width(&self, step: u64) -> usize {
        self.steps.get(&step).map_or(usize::MAX, Vec::len)
    }
}

/// Whether two steps hold the same numbers, bit for bit. NaN equals NaN.
fn equal(a: Option<&[f64]>, b: Option<&[f64]>) -> bool {
    let same = |x: f64, y: f64| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
    match (a, b) {
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(*x, *y)),
        (None, None) => true,
        _ => false,
    }
}

/// The first step at which runs of the same side differ among themselves.
pub fn first_difference_within(runs: &[Track]) -> Option<u64> {
    let (first, others) = runs.split_first()?;
    let steps: BTreeSet<u64> = runs.iter().flat_map(|r| r.steps.keys().copied()).collect();
    steps.into_iter().find(|step| {
        let of = |run: &Track| run.at(*step, usize::MAX);
        let here = of(first);
        others
            .iter()
            .any(|other| !equal(here.as_deref(), of(other).as_deref()))
    })
}

/// Whether a run printed a step, and finite numbers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Missing,
    NotFinite,
    Finite,
}

impl Kind {
    fn of(values: Option<&[f64]>) -> Kind {
        match values {
            None => Kind::Missing,
            Some(values) if values.iter().all(|v| v.is_finite()) => Kind::Finite,
            Some(_) => Kind::NotFinite,
        }
    }
}

/// The mean of the numbers of a step; `None` if the step is missing or not finite.
fn level(values: Option<&[f64]>) -> Option<f64> {
    stats::mean(values?).filter(|mean| mean.is_finite())
}

/// How far the mean of `second` runs may lie from the mean of the first side's runs, by step. A spread that shrinks again does
/// not narrow the tolerance, and before the first difference the spread of that difference counts: the runs may diverge at
/// different steps.
fn spread(runs: &[Track], second: usize) -> BTreeMap<u64, f64> {
    let Some(first) = runs.first().filter(|_| runs.len() > 1) else {
        return BTreeMap::new();
    };
    let count = runs.len() as f64;
    let factor = stats::t_quantile(1.0 - ALPHA, count - 1.0).unwrap_or(f64::INFINITY)
        * (1.0 / count + 1.0 / second.max(1) as f64).sqrt();
    let sd = |step: u64| {
        let levels: Vec<f64> = runs
            .iter()
            .filter_map(|run| level(run.at(step, usize::MAX).as_deref()))
            .collect();
        if levels.len() < 2 {
            return 0.0;
        }
        (stats::squares(&levels) / (levels.len() - 1) as f64).sqrt()
    };
    let sds: Vec<(u64, f64)> = first.steps.keys().map(|step| (*step, sd(*step))).collect();
    let mut widest = sds.iter().map(|(_, sd)| *sd).find(|sd| *sd > 0.0).unwrap_or(0.0);
    sds.into_iter()
        .map(|(step, sd)| {
            widest = widest.max(sd);
            (step, factor * widest)
        })
        .collect()
}

/// Compares one series. `noisy` says that the first side is not deterministic in this or another series.
/// Returns `None` if the first side printed nothing.
pub fn compare(
    metric: &str,
    base: &[Track],
    change: &[Track],
    noisy: bool,
    terms: &Terms,
) -> Option<SeriesComparison> {
    let reference = base.first().filter(|track| !track.is_empty())?;
    let spread = if noisy {
        spread(base, change.len())
    } else {
        BTreeMap::new()
    };
    let unit = base.iter().chain(change).filter_map(|t| t.resolution);
    // A number next to a rounding limit can be printed either way.
    let unit = if noisy {
        unit.reduce(f64::min).unwrap_or(0.0)
    } else {
        0.0
    };
    let relative = terms
        .tolerance
        .filter(|_| terms.declared == Numerics::Within)
        .unwrap_or(0.0);
    let begins = change.iter().filter_map(|c| c.steps.keys().next().copied()).min();
    let from = if terms.resumed { begins } else { None };
    let steps: BTreeSet<u64> = base
        .iter()
        .chain(change)
        .flat_map(|run| run.steps.keys().copied())
        .filter(|step| from.is_none_or(|from| *step >= from))
        .collect();
    let mut compared = SeriesComparison {
        metric: metric.to_owned(),
        agreement: Agreement::Equal,
        steps: steps.len() as u64,
        first_step: None,
        base: None,
        change: None,
        largest_pct: None,
        tolerance: 0.0,
        base_first_step: first_difference_within(base),
        missing_step: None,
        plot_steps: Vec::new(),
        plot_base: Vec::new(),
        plot_change: Vec::new(),
    };
    let mut points = Vec::new();
    for step in steps {
        let width = reference.width(step);
        let here = reference.at(step, width);
        let there: Vec<Option<Vec<f64>>> = change.iter().map(|run| run.at(step, width)).collect();
        let levels = |runs: &[Option<Vec<f64>>]| -> Option<f64> {
            let each: Option<Vec<f64>> = runs.iter().map(|values| level(values.as_deref())).collect();
            stats::mean(&each?)
        };
        let same = !there.is_empty() && there.iter().all(|t| equal(here.as_deref(), t.as_deref()));
        let every: Vec<Option<Vec<f64>>> = base.iter().map(|run| run.at(step, usize::MAX)).collect();
        let of_base = if noisy {
            let finite: Vec<f64> = every
                .iter()
                .filter_map(|values| level(values.as_deref()))
                .collect();
            stats::mean(&finite)
        } else {
            level(here.as_deref())
        };
        let of_change = levels(&there);
        if let (Some(base), Some(change)) = (of_base, of_change) {
            points.push((step, base, change));
        }
        if same {
            continue;
        }
        let difference = of_base.zip(of_change).map(|(base, change)| (change - base).abs());
        if let (Some(difference), Some(base)) = (difference, of_base) {
            let percent = difference / base.abs() * 100.0;
            if percent.is_finite() {
                compared.largest_pct = Some(
                    compared
                        .largest_pct
                        .map_or(percent, |most: f64| most.max(percent)),
                );
            }
        }
        let tolerance = spread
            .get(&step)
            .copied()
            .unwrap_or(0.0)
            .max(unit)
            .max(relative * of_base.unwrap_or(0.0).abs());
        // Where the runs of the base differ in that a step is missing or not finite, so may the change.
        let kinds: Vec<Kind> = every.iter().map(|values| Kind::of(values.as_deref())).collect();
        let like_base = || {
            kinds.iter().any(|kind| *kind != kinds[0])
                && there
                    .iter()
                    .all(|values| kinds.contains(&Kind::of(values.as_deref())))
        };
        let agreement = match difference {
            Some(difference) if difference <= tolerance => Agreement::Within,
            None if noisy && like_base() => Agreement::Within,
            None if of_base.is_some() && there.iter().flatten().flatten().any(|v| !v.is_finite()) => {
                Agreement::NotFinite
            }
            _ => Agreement::Differs,
        };
        // The first step beyond the tolerance counts more than the first step that differs at all.
        let worse = matches!(agreement, Agreement::Differs | Agreement::NotFinite)
            && matches!(compared.agreement, Agreement::Equal | Agreement::Within);
        if compared.first_step.is_none() || worse {
            compared.agreement = agreement;
            compared.first_step = Some(step);
            compared.base = of_base;
            compared.change = of_change;
            compared.tolerance = tolerance;
        }
        let numbers = |values: &Option<Vec<f64>>| values.as_ref().map_or(0, Vec::len);
        if agreement != Agreement::Within && there.iter().any(|t| numbers(t) != numbers(&here)) {
            compared.missing_step.get_or_insert(step);
        }
        if agreement == Agreement::NotFinite {
            compared.agreement = agreement;
        }
    }
    plot(&mut compared, &points);
    Some(compared)
}

/// Keeps evenly thinned points, and always the first differing one.
fn plot(compared: &mut SeriesComparison, points: &[(u64, f64, f64)]) {
    let stride = points.len().div_ceil(POINTS).max(1);
    let kept = points
        .iter()
        .enumerate()
        .filter(|(nth, (step, ..))| nth % stride == 0 || Some(*step) == compared.first_step);
    let kept: Vec<(u64, f64, f64)> = kept.map(|(_, point)| *point).collect();
    for (step, base, change) in kept {
        compared.plot_steps.push(step);
        compared.plot_base.push(base);
        compared.plot_change.push(change);
    }
}

#[cfg(test)]
#[path = "numeric_tests.rs"]
mod tests;
