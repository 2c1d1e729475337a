//! A series of samples as a picture: a sparkline for a terminal, a Mermaid chart for GitHub, SVG for a page.

use std::fmt::Write as _;

use crate::report::number;

/// The most points of a chart; longer series are thinned evenly.
const POINTS: usize = 100;
/// The most characters of a sparkline.
const SPARKS: usize = 40;
/// Size of the SVG's plot area, in its own units.
const SVG: (f64, f64) = (600.0, 120.0);

/// At most `most` of the samples, evenly, the first and the last among them.
pub(super) fn thinned(samples: &[f64], most: usize) -> Vec<f64> {
    if samples.len() <= most {
        return samples.to_vec();
    }
    (0..most)
        .map(|i| samples[i * (samples.len() - 1) / (most - 1)])
        .collect()
}

/// Least and greatest.
pub(super) fn range(samples: &[f64]) -> (f64, f64) {
    samples
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)))
}

/// The samples as block characters, lowest to highest.
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

/// A Mermaid `xychart-beta`, without its fence. It holds numbers alone.
pub fn mermaid(samples: &[f64], count: u64) -> String {
    let points = thinned(samples, POINTS);
    let (low, high) = range(&points);
    let room = ((high - low) * 0.1).max(high.abs() * 0.01).max(1e-9);
    let values: Vec<String> = points.iter().map(|v| plain(*v)).collect();
    format!(
        "xychart-beta\n    x-axis \"sample\" 1 --> {}\n    y-axis \"node_tps\" {} --> {}\n    line [{}]\n",
        count.max(2),
        plain((low - room).max(if low >= 0.0 { 0.0 } else { low - room })),
        plain(high + room),
        values.join(", ")
    )
}

/// A chart as inline SVG in the colours of the page. It holds numbers alone.
pub fn svg(samples: &[f64]) -> String {
    let points = thinned(samples, POINTS * 3);
    let (low, high) = range(&points);
    let span = if high > low { high - low } else { 1.0 };
    let (width, height) = SVG;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
    let step = width / (points.len().max(2) - 1) as f64;
    let mut line = String::new();
    for (i, v) in points.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
        let x = i as f64 * step;
        // Writing to a String cannot fail.
        let _ = write!(line, "{x:.1},{:.1} ", height - (v - low) / span * height);
    }
    format!(
        "<svg class=\"plot\" viewBox=\"-70 -10 690 140\" role=\"img\" aria-label=\"node_tps per sample\">\
         <path class=\"axis\" d=\"M0 0V{height}H{width}\"/><polyline points=\"{}\"/>\
         <text x=\"-8\" y=\"8\">{}</text><text x=\"-8\" y=\"{height}\">{}</text></svg>",
        line.trim_end(),
        number::quantity(high),
        number::quantity(low)
    )
}

/// A number as Mermaid reads it: no exponent, no separators.
pub(super) fn plain(value: f64) -> String {
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
    fn a_chart_holds_its_samples_inside_its_axes() {
        insta::assert_snapshot!(mermaid(&[100.0, 110.5], 2), @r#"
        xychart-beta
            x-axis "sample" 1 --> 2
            y-axis "node_tps" 98.895 --> 111.605
            line [100, 110.5]
        "#);
    }
}
