//! Draws a perf comparison: every measurement as a strip of its samples, and the pairs with their interval and the budget.
//!
//! Draws measured numbers as Mermaid for GitHub and as SVG for a page. The drawings must not contain names that others chose.

use std::fmt::Write as _;

use serde::Serialize;

use crate::domain::results::{PerfPair, PerfResult};
use crate::domain::samples::thinned;
use crate::report::number;
use crate::report::plot::{Frame, Line, Row, mermaid, rows};

/// Maximum number of points of a line or strip.
const POINTS: usize = 60;
/// Maximum number of pairs that a page draws one by one.
const PAIRS: usize = 24;
/// Maximum number of pairs whose two measurements a page draws one by one.
const STRIPS: usize = 8;

/// One chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// The title of the chart.
    pub title: &'static str,
    /// The meaning of the lines in the Mermaid drawing.
    pub legend: String,
    /// The meaning of the marks in the SVG drawing.
    pub keys: Vec<Key>,
    /// The metric, if the drawing shows its values.
    pub metric: Option<String>,
    /// The unit of the drawn values, from the registry.
    pub unit: Option<String>,
    /// Mermaid text, without its fence.
    pub mermaid: String,
    /// Inline SVG, in the colours of the page.
    pub svg: String,
}

/// One entry of a legend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// The class of the mark in the style of the page.
    pub mark: &'static str,
    /// The meaning of the mark.
    pub says: String,
}

/// Creates an entry of a legend.
pub(super) fn key(mark: &'static str, says: impl Into<String>) -> Key {
    Key {
        mark,
        says: says.into(),
    }
}

/// Returns the charts of a comparison, without those that have too few samples. `unit` is the unit of the compared metric.
pub fn of(perf: &PerfResult, unit: Option<&str>) -> Vec<Chart> {
    [measurements(perf, unit), pairs(perf)]
        .into_iter()
        .flatten()
        .collect()
}

/// Draws the counted samples. Mermaid shows the median of each side, a page shows one strip per measurement.
fn measurements(perf: &PerfResult, unit: Option<&str>) -> Option<Chart> {
    type Samples = fn(&PerfPair) -> &Vec<f64>;
    let sides: [(&str, &str, Samples); 2] = [
        ("base", "baseline", |pair| &pair.baseline_samples),
        ("head", "change", |pair| &pair.result_samples),
    ];
    let of = |samples: Samples| -> Vec<Vec<f64>> {
        let measured = perf.pairs.iter().take(PAIRS).map(samples);
        measured
            .filter(|s| s.len() >= 2)
            .map(|s| thinned(s, POINTS))
            .collect()
    };
    let arms = sides.map(|(_, _, samples)| of(samples));
    let medians = [median(&arms[0])?, median(&arms[1])?];
    let frame = Frame::around(arms.iter().flatten().flatten().copied())?;
    let mut strips = Vec::new();
    for (at, pair) in perf.pairs.iter().take(STRIPS).enumerate() {
        for (class, side, samples) in sides {
            let samples = thinned(samples(pair), POINTS);
            let mut marks = format!("<path class=\"{class}\" d=\"");
            for sample in &samples {
                // Writing to a String cannot fail.
                let _ = write!(marks, "M{:.1} -5V5", frame.x(*sample));
            }
            marks += "\"/>";
            if let Some(middle) = middle(samples) {
                let x = frame.x(middle);
                let _ = write!(marks, "<path class=\"median {class}\" d=\"M{x:.1} -11V11\"/>");
            }
            strips.push(Row {
                label: format!("{} {side}", at + 1),
                marks,
            });
        }
    }
    let undrawn = perf.pairs.len().saturating_sub(STRIPS);
    let mut keys = vec![
        key("base", "a sample of the baseline"),
        key("head", "a sample of the change"),
        key("median", "the median of a measurement"),
    ];
    if undrawn > 0 {
        keys.push(key("none", format!("{undrawn} more pairs are not drawn")));
    }
    Some(Chart {
        title: "Baseline and change, sample by sample",
        legend: "Medians by sample. Blue is the baseline, orange the change".to_owned(),
        keys,
        metric: Some(perf.metric.clone()).filter(|name| !name.is_empty()),
        unit: unit.map(str::to_owned),
        mermaid: mermaid(
            &format!("\"sample\" 1 --> {}", medians[0].len().max(medians[1].len())),
            "metric",
            &frame,
            &medians,
        ),
        svg: rows(
            &frame,
            "samples of each measurement of baseline and change",
            &strips,
            &[],
            number::quantity,
        ),
    })
}

/// Draws the change of every pair, the interval of all pairs, and the budget.
fn pairs(perf: &PerfResult) -> Option<Chart> {
    let changes: Vec<f64> = perf.pairs.iter().map(|p| p.log_ratio.exp_m1() * 100.0).collect();
    if changes.len() < 2 || changes.iter().any(|c| !c.is_finite()) {
        return None;
    }
    let edge = perf.budget_pct.map(|budget| perf.direction.edge_pct(budget));
    let frame = Frame::around(
        changes
            .iter()
            .copied()
            .chain(edge)
            .chain(perf.interval_pct.into_iter().flatten())
            .chain([0.0]),
    )?;
    let percent = |value| format!("{} %", number::percent(value, false));
    let point = |value| {
        format!(
            "<circle class=\"base\" cx=\"{:.1}\" cy=\"0\" r=\"5\"/>",
            frame.x(value)
        )
    };
    let mut drawn: Vec<Row> = changes
        .iter()
        .take(PAIRS)
        .enumerate()
        .map(|(at, change)| Row {
            label: format!("{}: {}", at + 1, percent(*change)),
            marks: point(*change),
        })
        .collect();
    let mut keys = vec![key("base", "the change of one pair, in percent")];
    if let (Some(delta), Some([low, high])) = (perf.delta_pct, perf.interval_pct) {
        let (left, right) = (frame.x(low), frame.x(high));
        drawn.push(Row {
            label: format!("all: {}", percent(delta)),
            marks: format!(
                "<path class=\"interval\" d=\"M{left:.1} 0H{right:.1}M{left:.1} -7V7M{right:.1} -7V7\"/>{}",
                point(delta)
            ),
        });
        keys.push(key("interval", "the interval of the change over all pairs"));
    }
    let mut lines = vec![Line {
        at: 0.0,
        class: "zero",
    }];
    keys.push(key("zero", "no change"));
    if let Some(edge) = edge {
        lines.push(Line {
            at: edge,
            class: "edge",
        });
        keys.push(key("edge", format!("the budget, {}", percent(edge))));
    }
    let undrawn = changes.len().saturating_sub(PAIRS);
    if undrawn > 0 {
        keys.push(key("none", format!("{undrawn} more pairs are not drawn")));
    }
    let thin = thinned(&changes, POINTS);
    let series: Vec<Vec<f64>> = [Some(thin.clone()), edge.map(|e| vec![e; thin.len()])]
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
        keys,
        metric: None,
        unit: None,
        mermaid: mermaid(
            &format!("\"pair\" 1 --> {}", perf.pairs.len()),
            "change, percent",
            &frame,
            &series,
        ),
        svg: rows(
            &frame,
            "change of each pair, interval and budget, in percent",
            &drawn,
            &lines,
            percent,
        ),
    })
}

/// Returns the median. Returns nothing without values.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(values[values.len() / 2] / 2.0 + values[last / 2] / 2.0)
}

/// Returns the median at each sample, up to the shortest measurement. Returns nothing without measurements.
fn median(measurements: &[Vec<f64>]) -> Option<Vec<f64>> {
    let length = measurements.iter().map(Vec::len).min()?;
    (0..length)
        .map(|i| middle(measurements.iter().map(|one| one[i]).collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::registry::Direction;

    fn measured(pairs: usize, steps: usize) -> PerfResult {
        let launch = |level: f64| (0..steps).map(|i| level + (i % 3) as f64).collect();
        PerfResult {
            budget_pct: Some(-10.0),
            delta_pct: Some(-1.0),
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
        let [strips, pairs] = of(&measured(3, 4), Some("tokens/s")).try_into().unwrap();
        insta::assert_snapshot!(strips.mermaid + &pairs.mermaid, @r##"
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
        assert_eq!(strips.unit.as_deref(), Some("tokens/s"));
        for (label, class) in [("1 baseline", "base"), ("3 change", "head")] {
            assert!(strips.svg.contains(&format!(">{label}</text>")), "{}", strips.svg);
            assert_eq!(strips.svg.matches(&format!("<path class=\"{class}\"")).count(), 3);
            assert_eq!(
                strips
                    .svg
                    .matches(&format!("<path class=\"median {class}\""))
                    .count(),
                3
            );
        }
        assert_eq!(pairs.svg.matches("<circle").count(), 4, "three pairs and all");
        assert!(pairs.svg.contains("class=\"edge\"") && pairs.svg.contains("class=\"interval\""));
        assert!(pairs.svg.contains(">2: −1.0 %</text>"), "{}", pairs.svg);
    }

    #[test]
    fn where_lower_is_better_the_budget_lies_above() {
        let perf = PerfResult {
            direction: Direction::Lower,
            ..measured(2, 4)
        };
        assert!(
            of(&perf, None)[1].mermaid.contains("line [10, 10]"),
            "{:?}",
            of(&perf, None)[1]
        );
    }

    #[test]
    fn charts_are_bounded_and_need_measurements() {
        let much = of(&measured(500, 5000), None);
        assert!(
            much.iter()
                .all(|chart| chart.mermaid.len() < 4_000 && chart.svg.len() < 64_000)
        );
        let undrawn = much[1].keys.last().unwrap();
        assert_eq!(undrawn.says, "476 more pairs are not drawn");
        assert_eq!(of(&measured(1, 4), None).len(), 1, "one pair is no series");
        assert_eq!(of(&measured(1, 1), None), []);
        assert_eq!(of(&PerfResult::default(), None), []);
        let mut wild = measured(2, 4);
        wild.pairs[0].log_ratio = 1e300;
        wild.pairs[1].baseline_samples = vec![f64::MAX, -f64::MAX];
        assert_eq!(of(&wild, None), []);
    }
}
