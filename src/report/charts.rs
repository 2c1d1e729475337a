//! Draws a perf comparison: both sides sample by sample, and the pairs with the budget.
//!
//! Draws measured numbers as Mermaid for GitHub and as SVG for a page. Must not contain names that others chose.

use std::fmt::Write as _;

use serde::Serialize;

use crate::domain::results::{PerfPair, PerfResult};
use crate::domain::samples::thinned;
use crate::report::number;
use crate::report::plot::{Frame, SVG, across, mermaid};

/// Maximum number of points of a line, and of pairs of a chart.
const POINTS: usize = 60;
/// Maximum number of measurements that a page draws one by one.
const LAUNCHES: usize = 24;

/// One chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// The title of the chart.
    pub title: &'static str,
    /// The meaning of its lines.
    pub legend: String,
    /// Whether the SVG has a band for the interval.
    pub band: bool,
    /// Mermaid text, without its fence.
    pub mermaid: String,
    /// Inline SVG, in the colours of the page.
    pub svg: String,
}

/// Returns the charts of a comparison, without those that have too few samples.
pub fn of(perf: &PerfResult) -> Vec<Chart> {
    [steps(perf), pairs(perf)].into_iter().flatten().collect()
}

/// Draws both sides over the counted samples. Mermaid shows the median of each side, a page shows every measurement.
fn steps(perf: &PerfResult) -> Option<Chart> {
    let of = |samples: fn(&PerfPair) -> &Vec<f64>| -> Vec<Vec<f64>> {
        let launches = perf.pairs.iter().take(LAUNCHES).map(samples);
        launches
            .filter(|s| s.len() >= 2)
            .map(|s| thinned(s, POINTS))
            .collect()
    };
    let arms = [of(|p| &p.baseline_samples), of(|p| &p.result_samples)];
    let medians = [median(&arms[0])?, median(&arms[1])?];
    let frame = Frame::around(arms.iter().flatten().flatten().copied())?;
    let mut svg = frame.open("metric per sample, baseline and change", number::quantity);
    for (arm, class) in arms.iter().zip(["base", "head"]) {
        for launch in arm {
            svg += &frame.line(launch, class);
        }
    }
    Some(Chart {
        title: "Baseline and change, sample by sample",
        legend: "Blue is the baseline, orange the change".to_owned(),
        band: false,
        mermaid: mermaid(
            &format!("\"sample\" 1 --> {}", medians[0].len().max(medians[1].len())),
            "metric",
            &frame,
            &medians,
        ),
        svg: svg + &frame.close(number::quantity),
    })
}

/// Draws the change of every pair, and the budget.
fn pairs(perf: &PerfResult) -> Option<Chart> {
    let changes: Vec<f64> = perf.pairs.iter().map(|p| p.log_ratio.exp_m1() * 100.0).collect();
    if changes.len() < 2 || changes.iter().any(|c| !c.is_finite()) {
        return None;
    }
    let changes = thinned(&changes, POINTS);
    let edge = perf.budget_pct.map(|budget| perf.direction.edge_pct(budget));
    let interval = perf.interval_pct.filter(|_| edge.is_some());
    let frame = Frame::around(
        changes
            .iter()
            .copied()
            .chain(edge)
            .chain(interval.into_iter().flatten())
            .chain([0.0]),
    )?;
    let mut svg = frame.open("change of each pair, percent", |v| number::percent(v, false));
    if let Some([low, high]) = interval {
        let (top, bottom) = (frame.y(high), frame.y(low));
        let _ = write!(
            svg,
            "<rect class=\"band\" y=\"{top:.1}\" width=\"{}\" height=\"{:.1}\"/>",
            SVG.0,
            bottom - top
        );
    }
    for (level, class) in [(Some(0.0), "zero"), (edge, "edge")] {
        if let Some(level) = level {
            let _ = write!(
                svg,
                "<path class=\"{class}\" d=\"M0 {:.1}H{}\"/>",
                frame.y(level),
                SVG.0
            );
        }
    }
    for (at, change) in changes.iter().enumerate() {
        let _ = write!(
            svg,
            "<circle class=\"head\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>",
            across(at, changes.len()),
            frame.y(*change)
        );
    }
    let lines: Vec<Vec<f64>> = [Some(changes.clone()), edge.map(|e| vec![e; changes.len()])]
        .into_iter()
        .flatten()
        .collect();
    let legend = match edge {
        Some(_) => "Blue is each pair's change in percent, orange the budget",
        None => "Each pair's change in percent",
    };
    Some(Chart {
        title: "The pairs and the budget",
        legend: legend.to_owned(),
        band: interval.is_some(),
        mermaid: mermaid(
            &format!("\"pair\" 1 --> {}", perf.pairs.len()),
            "change, percent",
            &frame,
            &lines,
        ),
        svg: svg + &frame.close(|v| number::percent(v, false)),
    })
}

/// Returns the median at each sample, up to the shortest measurement. Returns nothing without measurements.
fn median(launches: &[Vec<f64>]) -> Option<Vec<f64>> {
    let length = launches.iter().map(Vec::len).min()?;
    let at = |i: usize| {
        let mut values: Vec<f64> = launches.iter().map(|launch| launch[i]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2] / 2.0 + values[(values.len() - 1) / 2] / 2.0
    };
    Some((0..length).map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::registry::Direction;

    fn measured(pairs: usize, steps: usize) -> PerfResult {
        let launch = |level: f64| (0..steps).map(|i| level + (i % 3) as f64).collect();
        PerfResult {
            budget_pct: Some(-10.0),
            interval_pct: Some([-3.0, 1.0]),
            pairs: (0..pairs)
                .map(|i| PerfPair {
                    order: crate::domain::results::PairOrder::BaseFirst,
                    baseline: 100.0,
                    result: 98.0,
                    log_ratio: -0.01 * i as f64,
                    baseline_total: None,
                    result_total: None,
                    baseline_samples: launch(100.0),
                    result_samples: launch(98.0),
                })
                .collect(),
            ..PerfResult::default()
        }
    }

    #[test]
    fn both_arms_and_the_budget_are_drawn() {
        let [steps, pairs] = of(&measured(3, 4)).try_into().unwrap();
        insta::assert_snapshot!(steps.mermaid + &pairs.mermaid, @r##"
        ---
        config:
          themeVariables:
            xyChart:
              plotColorPalette: "#0969da, #bc4c00"
        ---
        xychart-beta
            x-axis "sample" 1 --> 4
            y-axis "metric" 97.6 --> 102.4
            line [100, 101, 102, 100]
            line [98, 99, 100, 98]
        ---
        config:
          themeVariables:
            xyChart:
              plotColorPalette: "#0969da, #bc4c00"
        ---
        xychart-beta
            x-axis "pair" 1 --> 3
            y-axis "change, percent" -11.1 --> 2.1
            line [0, -0.995, -1.98]
            line [-10, -10, -10]
        "##);
        assert_eq!(steps.svg.matches("<polyline class=\"base\"").count(), 3);
        assert_eq!(steps.svg.matches("<polyline class=\"head\"").count(), 3);
        assert_eq!(pairs.svg.matches("<circle").count(), 3);
        assert!(pairs.svg.contains("class=\"edge\"") && pairs.svg.contains("class=\"band\""));
    }

    #[test]
    fn where_lower_is_better_the_budget_lies_above() {
        let perf = PerfResult {
            direction: Direction::Lower,
            ..measured(2, 4)
        };
        assert!(
            of(&perf)[1].mermaid.contains("line [10, 10]"),
            "{:?}",
            of(&perf)[1]
        );
    }

    #[test]
    fn charts_are_bounded_and_need_measurements() {
        let much = of(&measured(500, 5000));
        assert!(
            much.iter()
                .all(|chart| chart.mermaid.len() < 4_000 && chart.svg.len() < 64_000)
        );
        assert_eq!(of(&measured(1, 4)).len(), 1, "one pair is no series");
        assert_eq!(of(&measured(1, 1)), []);
        assert_eq!(of(&PerfResult::default()), []);
        let mut wild = measured(2, 4);
        wild.pairs[0].log_ratio = 1e300;
        wild.pairs[1].baseline_samples = vec![f64::MAX, -f64::MAX];
        assert_eq!(of(&wild), []);
    }
}
