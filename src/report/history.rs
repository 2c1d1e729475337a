//! Draws the history of a branch: the level of each metric by commit, and the paired change of each commit.
//!
//! The SVG contains numbers, fixed words and hexadecimal ids. Decides nothing.

use std::fmt::Write as _;

use minijinja::value::{Serde, Value};
use minijinja::{Error, context};
use serde::Serialize;

use crate::domain::ids::short;
use crate::report::number;
use crate::report::plot::{Frame, SVG};
use crate::report::templates;

/// Most commits of a series that are drawn: the newest.
const DRAWN: usize = 2000;

/// The comparison of one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPoint {
    /// The place of the commit on the branch.
    pub place: usize,
    /// The commit.
    pub commit: String,
    /// The level, in the metric's unit.
    pub level: f64,
    /// The paired change, percent.
    pub delta_pct: f64,
    /// Its interval.
    pub interval_pct: Option<[f64; 2]>,
    /// The verdict, one word.
    pub status: &'static str,
}

/// A commit that changed the metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryStep {
    /// The commit.
    pub commit: String,
    /// The place of the commit on the branch.
    pub place: usize,
    /// The change with its sign.
    pub change: String,
    /// What it is: a loss, a gain, or a spike.
    pub what: String,
    /// The verdict, one word.
    pub status: &'static str,
    /// The subject of the commit, chosen by others.
    pub subject: String,
}

/// One metric of one gate on one class of machine.
#[derive(Clone, Debug, PartialEq)]
pub struct HistorySeries {
    /// The gate that was compared.
    pub gate: String,
    /// The metric.
    pub metric: String,
    /// Class of machine.
    pub machine: String,
    /// The comparisons, in the order of the branch.
    pub points: Vec<HistoryPoint>,
    /// The commits that changed the metric.
    pub steps: Vec<HistoryStep>,
    /// Places at which the level changes for good, advisory.
    pub change_points: Vec<usize>,
    /// The change since the epoch, as a sentence.
    pub trend: Option<String>,
}

/// A drawn series.
#[derive(Serialize)]
struct Drawn<'a> {
    gate: &'a str,
    metric: &'a str,
    machine: &'a str,
    commits: usize,
    left_out: usize,
    first: &'a str,
    last: &'a str,
    levels: String,
    changes: String,
    steps: &'a [HistoryStep],
    trend: Option<&'a str>,
}

/// Renders the page. Series without comparisons are left out.
///
/// # Errors
/// The template cannot be rendered.
pub fn page(series: &[HistorySeries]) -> Result<String, Error> {
    let drawn: Vec<Drawn<'_>> = series.iter().filter_map(drawn).collect();
    let env = templates::environment(None)?;
    let template = env.get_template("history.html")?;
    template.render(context! { series => Value::from(Serde(&drawn)) })
}

fn drawn(series: &HistorySeries) -> Option<Drawn<'_>> {
    let left_out = series.points.len().saturating_sub(DRAWN);
    let points = series.points.get(left_out..)?;
    let (first, last) = (points.first()?, points.last()?);
    Some(Drawn {
        gate: &series.gate,
        metric: &series.metric,
        machine: &series.machine,
        commits: points.len(),
        left_out,
        first: short(&first.commit),
        last: short(&last.commit),
        levels: levels(series, points)?,
        changes: changes(series, points)?,
        steps: &series.steps,
        trend: series.trend.as_deref(),
    })
}

/// The horizontal position of a place on the branch.
fn x(place: usize, points: &[HistoryPoint]) -> f64 {
    let ends = points.first().zip(points.last()).map(|(a, b)| (a.place, b.place));
    let Some((first, last)) = ends.filter(|(first, last)| last > first) else {
        return SVG.0 / 2.0;
    };
    #[expect(clippy::cast_precision_loss, reason = "a branch has fewer than 2^52 commits")]
    let share = place.saturating_sub(first) as f64 / (last - first) as f64;
    share.min(1.0) * SVG.0
}

/// Vertical lines at the steps and at the change points.
fn marks(series: &HistorySeries, points: &[HistoryPoint]) -> String {
    let begins = points.first().map_or(0, |p| p.place);
    let mut svg = String::new();
    let bottom = SVG.1;
    for place in series.change_points.iter().filter(|place| **place > begins) {
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<path class=\"point\" d=\"M{:.1} 0V{bottom}\"/>",
            x(*place, points)
        );
    }
    for step in series.steps.iter().filter(|step| step.place >= begins) {
        let at = x(step.place, points);
        let class = if step.what.starts_with("loss") {
            "loss"
        } else {
            "other"
        };
        let _ = write!(
            svg,
            "<path class=\"step {class}\" d=\"M{at:.1} 0V{bottom}\"><title>{} {}</title></path>",
            short(&step.commit),
            step.change
        );
    }
    svg
}

/// The level of each commit.
fn levels(series: &HistorySeries, points: &[HistoryPoint]) -> Option<String> {
    let frame = Frame::around(points.iter().map(|p| p.level))?;
    let mut svg = frame.open("level by commit", number::quantity) + &marks(series, points);
    for point in points {
        let _ = write!(
            svg,
            "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"><title>{} {}</title></circle>",
            point.status,
            x(point.place, points),
            frame.y(point.level),
            short(&point.commit),
            number::quantity(point.level)
        );
    }
    Some(svg + &frame.close(number::quantity))
}

/// The paired change of each commit with its interval.
fn changes(series: &HistorySeries, points: &[HistoryPoint]) -> Option<String> {
    let ends = points.iter().filter_map(|p| p.interval_pct).flatten();
    let frame = Frame::around(points.iter().map(|p| p.delta_pct).chain(ends).chain([0.0]))?;
    let say = |v: f64| format!("{} %", number::percent(v, false));
    let mut svg = frame.open("paired change of each commit, percent", say) + &marks(series, points);
    let _ = write!(
        svg,
        "<path class=\"zero\" d=\"M0 {:.1}H{}\"/>",
        frame.y(0.0),
        SVG.0
    );
    for point in points {
        let at = x(point.place, points);
        if let Some([low, high]) = point.interval_pct {
            let (low, high) = (frame.y(low), frame.y(high));
            let _ = write!(
                svg,
                "<path class=\"interval\" d=\"M{at:.1} {low:.1}V{high:.1}\"/>"
            );
        }
        let _ = write!(
            svg,
            "<circle class=\"{}\" cx=\"{at:.1}\" cy=\"{:.1}\" r=\"2\"><title>{} {} %: {}</title></circle>",
            point.status,
            frame.y(point.delta_pct),
            short(&point.commit),
            number::percent(point.delta_pct, false),
            point.status
        );
    }
    Some(svg + &frame.close(say))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_marks_are_drawn() {
        let point = |place: usize| HistoryPoint {
            place,
            commit: format!("{place:040x}"),
            level: 100.0 + place as f64,
            delta_pct: -1.0,
            interval_pct: Some([-2.0, 0.5]),
            status: "pass",
        };
        let series = HistorySeries {
            gate: "<script>".to_owned(),
            metric: "node_tps".to_owned(),
            machine: "cpu".to_owned(),
            points: (0..20).map(point).collect(),
            steps: vec![HistoryStep {
                commit: format!("{:040x}", 10),
                place: 10,
                change: "−3.0 %".to_owned(),
                what: "loss".to_owned(),
                status: "pass",
                subject: "</td><script>alert(1)</script>".to_owned(),
            }],
            change_points: vec![5],
            trend: None,
        };
        let page = page(std::slice::from_ref(&series)).unwrap();
        assert!(!page.contains("<script>"), "{page}");
        assert_eq!(page.matches("class=\"step loss\"").count(), 2);
        assert_eq!(page.matches("class=\"point\"").count(), 2);
        assert_eq!(page.matches("class=\"interval\"").count(), 20);
        let empty = HistorySeries {
            points: Vec::new(),
            ..series
        };
        assert!(!super::page(&[empty]).unwrap().contains("<svg"));
    }
}
