//! Draws series of numbers: a sparkline for a terminal, a Mermaid chart for GitHub, SVG for a page. All charts use this scale.

use std::fmt::Write as _;

use crate::domain::samples::thinned;
use crate::report::number;

/// Maximum number of points of a chart. Longer series are thinned evenly.
const POINTS: usize = 100;
/// Maximum number of characters of a sparkline.
const SPARKS: usize = 40;
/// Size of the plot area of an SVG, in its own units.
pub(super) const SVG: (f64, f64) = (600.0, 160.0);
/// Height of a row of [`rows`], in the units of [`SVG`].
const ROW: usize = 30;
/// Width of a character of a label in the units of [`SVG`], at the largest size in `report.html`.
const LABEL_CHARACTER: usize = 13;
/// The blue and orange of GitHub. They differ on light and dark backgrounds, and for people with colour blindness.
const PALETTE: &str = "#0969da, #bc4c00";

/// Returns the minimum and the maximum.
fn range(samples: &[f64]) -> (f64, f64) {
    samples
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)))
}

/// Formats the samples as block characters, from lowest to highest.
pub fn sparkline(samples: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let points = thinned(samples, SPARKS);
    let (low, high) = range(&points);
    let height = |v: f64| {
        let share = if high > low { (v - low) / (high - low) } else { 0.5 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the share is between 0 and 1"
        )]
        let step = (share * 7.0).round() as usize;
        BLOCKS[step.min(7)]
    };
    points.into_iter().map(height).collect()
}

/// Draws the samples for Mermaid and for SVG. Returns nothing if their range cannot be drawn.
pub fn series(samples: &[f64], count: u64) -> Option<(String, String)> {
    let frame = Frame::around(samples.iter().copied())?;
    let x = format!("\"sample\" 1 --> {}", count.max(2));
    let mermaid = mermaid(&x, "node_tps", &frame, &[thinned(samples, POINTS)]);
    let svg = frame.open("node_tps per sample", number::quantity)
        + &frame.line(&thinned(samples, POINTS * 3), "series")
        + &frame.close(number::quantity);
    Some((mermaid, svg))
}

/// Formats a Mermaid `xychart-beta`, without its fence. The text contains only numbers and fixed words.
pub(super) fn mermaid(x: &str, y: &str, frame: &Frame, lines: &[Vec<f64>]) -> String {
    let mut text = String::new();
    if lines.len() > 1 {
        let _ = write!(
            text,
            "---\nconfig:\n  themeVariables:\n    xyChart:\n      plotColorPalette: \"{PALETTE}\"\n---\n"
        );
    }
    let _ = write!(
        text,
        "xychart-beta\n    x-axis {x}\n    y-axis \"{y}\" {} --> {}\n",
        plain(frame.low),
        plain(frame.high)
    );
    for line in lines {
        let values: Vec<String> = line.iter().map(|v| plain(*v)).collect();
        let _ = writeln!(text, "    line [{}]", values.join(", "));
    }
    text
}

/// Returns the horizontal position of one of `of` points.
fn across(at: usize, of: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen points")]
    let share = at as f64 / (of.max(2) - 1) as f64;
    share * SVG.0
}

/// One row of a drawing: its label, and its marks around the height 0.
pub(super) struct Row {
    pub(super) label: String,
    pub(super) marks: String,
}

/// A vertical line through all rows.
pub(super) struct Line {
    pub(super) at: f64,
    pub(super) class: &'static str,
}

/// Draws rows of marks over one horizontal axis. The labels contain only numbers and fixed words.
pub(super) fn rows(
    frame: &Frame,
    label: &str,
    rows: &[Row],
    lines: &[Line],
    say: impl Fn(f64) -> String,
) -> String {
    let longest = rows.iter().map(|row| row.label.chars().count()).max();
    let margin = longest.unwrap_or_default() * LABEL_CHARACTER + 12;
    let (width, height) = (SVG.0, rows.len() * ROW);
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"-{margin} 0 {} {}\" role=\"img\" aria-label=\"{label}\">\
         <path class=\"axis\" d=\"M0 0V{height}H{width}\"/>",
        width + 20.0 + margin as f64,
        height + ROW
    );
    for line in lines {
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<path class=\"{}\" d=\"M{:.1} 0V{height}\"/>",
            line.class,
            frame.x(line.at)
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let middle = at * ROW + ROW / 2;
        let _ = write!(
            svg,
            "<g transform=\"translate(0 {middle})\"><text x=\"-8\" y=\"6\">{}</text>{}</g>",
            row.label, row.marks
        );
    }
    let below = height + ROW - 8;
    let _ = write!(
        svg,
        "<text class=\"low\" x=\"0\" y=\"{below}\">{}</text><text x=\"{width}\" y=\"{below}\">{}</text></svg>",
        say(frame.low),
        say(frame.high)
    );
    svg
}

/// The range of values of a chart, with a small margin.
pub(super) struct Frame {
    low: f64,
    high: f64,
}

impl Frame {
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Option<Frame> {
        let values: Vec<f64> = values.collect();
        let (low, high) = range(&values);
        let air = ((high - low) * 0.1)
            .max(low.abs().max(high.abs()) * 0.001)
            .max(1e-3);
        let frame = Frame {
            low: low - air,
            high: high + air,
        };
        (!values.is_empty() && (frame.high - frame.low).is_finite()).then_some(frame)
    }

    /// Returns the position of a value on the horizontal axis.
    pub(super) fn x(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low) * SVG.0
    }

    /// Returns the position of a value on the vertical axis.
    pub(super) fn y(&self, value: f64) -> f64 {
        SVG.1 - (value - self.low) / (self.high - self.low) * SVG.1
    }

    /// Opens a drawing. The margin holds the labels of [`Frame::close`] at the size that phones get.
    pub(super) fn open(&self, label: &str, say: impl Fn(f64) -> String) -> String {
        let (width, height) = SVG;
        let longest = say(self.low).chars().count().max(say(self.high).chars().count());
        let margin = longest * LABEL_CHARACTER + 12;
        format!(
            "<svg class=\"plot\" viewBox=\"-{margin} -14 {} {}\" role=\"img\" aria-label=\"{label}\">\
             <path class=\"axis\" d=\"M0 0V{height}H{width}\"/>",
            width + 20.0 + margin as f64,
            height + 28.0
        )
    }

    pub(super) fn line(&self, values: &[f64], class: &str) -> String {
        let points: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(at, v)| format!("{:.1},{:.1}", across(at, values.len()), self.y(*v)))
            .collect();
        format!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "))
    }

    pub(super) fn close(&self, say: impl Fn(f64) -> String) -> String {
        format!(
            "<text x=\"-8\" y=\"8\">{}</text><text x=\"-8\" y=\"{}\">{}</text></svg>",
            say(self.high),
            SVG.1,
            say(self.low)
        )
    }
}

/// Formats a number for Mermaid: without exponent and separators.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_spans_lowest_to_highest() {
        assert_eq!(sparkline(&[1.0, 2.0, 3.0]), "▁▅█");
        assert_eq!(sparkline(&[5.0, 5.0]), "▅▅");
        assert_eq!(
            sparkline(&(0..1000).map(f64::from).collect::<Vec<_>>())
                .chars()
                .count(),
            40
        );
    }

    #[test]
    fn all_samples_are_inside_the_axes() {
        insta::assert_snapshot!(series(&[100.0, 110.5], 2).unwrap().0, @r#"
        xychart-beta
            x-axis "sample" 1 --> 2
            y-axis "node_tps" 98.95 --> 111.55
            line [100, 110.5]
        "#);
    }
}
