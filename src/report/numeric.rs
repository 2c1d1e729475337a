//! Formats a numeric comparison as notes of a table, and draws the series that differ.
//!
//! Uses numbers, fixed words and names of metrics. Decides nothing.

use std::fmt::Write as _;

use crate::domain::numeric::{Agreement, NumericResult, SeriesComparison};
use crate::report::charts::{Chart, key};
use crate::report::number;
use crate::report::plot::{Frame, SVG, mermaid};
use crate::report::rich_text::{RichText, TextSpan, rich_text, text};

/// Most series that are drawn.
const DRAWN: usize = 4;

/// What there is to say: each series, the runs, what the contract declares, and whether the base is deterministic.
pub fn notes(numeric: &NumericResult) -> Vec<RichText> {
    let mut notes: Vec<RichText> = numeric.series.iter().map(|s| series(numeric, s)).collect();
    let [base, change] = numeric.sides.names();
    if !numeric.series.is_empty() {
        let runs = |count: u32, side: &str| {
            let noun = if count == 1 { "run" } else { "runs" };
            match side.strip_suffix(" run") {
                Some(side) => format!("{count} {side} {noun}"),
                None => format!("{count} {noun} of the {side}"),
            }
        };
        let shared = if numeric.shared {
            ", shared with a perf gate"
        } else {
            ""
        };
        notes.push(vec![text(format!(
            "{} and {}{shared}",
            runs(numeric.runs[0], base),
            runs(numeric.runs[1], change)
        ))]);
        notes.push(vec![text(format!("declared: {}", numeric.declared.as_str()))]);
    }
    notes.extend(numeric.finding().map(|line| rich_text(&line)));
    if let Some(minutes) = numeric.gpu_minutes {
        notes.push(vec![text(format!("{} GPU-minutes", number::quantity(minutes)))]);
    }
    notes
}

/// The sentence of one series, with the metric as a quoted name.
fn series(numeric: &NumericResult, series: &SeriesComparison) -> RichText {
    let line = numeric.line(series);
    let rest = line.strip_prefix(&series.metric).unwrap_or(&line);
    vec![TextSpan::Code(series.metric.clone()), text(rest.to_owned())]
}

/// The charts of the series that differ.
pub fn charts(numeric: &NumericResult) -> Vec<Chart> {
    let differing = numeric.series.iter().filter(|s| s.agreement != Agreement::Equal);
    differing.take(DRAWN).filter_map(chart).collect()
}

/// Both sides by step, with a line at the first differing step.
fn chart(series: &SeriesComparison) -> Option<Chart> {
    let (steps, base, change) = (&series.plot_steps, &series.plot_base, &series.plot_change);
    if steps.len() < 2 || base.len() != steps.len() || change.len() != steps.len() {
        return None;
    }
    let frame = Frame::around(base.iter().chain(change).copied())?;
    let (first, last) = (*steps.first()?, *steps.last()?);
    let mut svg = frame.open("both sides, step by step", number::quantity);
    svg += &frame.line(base, "base");
    svg += &frame.line(change, "head");
    let at = series
        .first_step
        .and_then(|step| steps.iter().position(|s| *s == step));
    if let Some(at) = at {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
        let x = at as f64 / (steps.len() - 1) as f64 * SVG.0;
        // Writing to a String cannot fail.
        let _ = write!(svg, "<path class=\"edge\" d=\"M{x:.1} 0V{}\"/>", SVG.1);
    }
    let mut keys = vec![key("base", "the first side"), key("head", "the second side")];
    keys.extend(
        series
            .first_step
            .map(|step| key("edge", format!("the first difference, step {step}"))),
    );
    let legend = match series.first_step {
        Some(step) => format!("Blue is the first side, orange the second; they first differ at step {step}"),
        None => "Blue is the first side, orange the second".to_owned(),
    };
    Some(Chart {
        title: "Both sides, step by step",
        legend,
        keys,
        metric: Some(series.metric.clone()),
        unit: None,
        mermaid: mermaid(
            &format!("\"step\" {first} --> {}", last.max(first + 1)),
            "metric",
            &frame,
            &[base.clone(), change.clone()],
        ),
        svg: svg + &frame.close(number::quantity),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing() -> NumericResult {
        NumericResult {
            runs: [2, 1],
            base_deterministic: Some(true),
            series: vec![SeriesComparison {
                metric: "loss".to_owned(),
                agreement: Agreement::Differs,
                steps: 3,
                first_step: Some(2),
                base: Some(1.5),
                change: Some(1.500_001),
                largest_pct: Some(1e-4),
                tolerance: 0.0,
                base_first_step: None,
                missing_step: None,
                plot_steps: vec![1, 2, 3],
                plot_base: vec![3.0, 1.5, 1.0],
                plot_change: vec![3.0, 1.500_001, 1.0],
            }],
            ..NumericResult::default()
        }
    }

    fn word(span: &TextSpan) -> &str {
        match span {
            TextSpan::Text(text) | TextSpan::Code(text) => text,
        }
    }

    #[test]
    fn first_differing_step_is_named_and_marked() {
        let numeric = differing();
        let all: Vec<String> = notes(&numeric)
            .iter()
            .map(|note| note.iter().map(word).collect())
            .collect();
        assert_eq!(
            all,
            [
                "loss: first differs at step 2: 1.500001 in the change, 1.5 in the base; largest relative difference 1.0e-6",
                "2 runs of the base and 1 run of the change",
                "declared: identical",
            ]
        );
        let [chart] = charts(&numeric).try_into().unwrap();
        assert!(
            chart.svg.contains("class=\"edge\" d=\"M300.0 0V160\""),
            "{}",
            chart.svg
        );
        assert!(
            chart.mermaid.contains("x-axis \"step\" 1 --> 3"),
            "{}",
            chart.mermaid
        );
    }

    #[test]
    fn equal_series_are_not_drawn() {
        let mut numeric = differing();
        numeric.series[0].agreement = Agreement::Equal;
        numeric.series[0].first_step = None;
        assert_eq!(charts(&numeric), []);
    }
}
