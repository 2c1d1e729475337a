//! Numbers taken from a gate's output while it streams by, in bounded memory whatever the gate prints.
//!
//! Lines end with `\n` or `\r`, colours are ignored, numbers may carry thousands separators, and several ranks may write
//! into one line. What is not a finite number is no sample.

use indexmap::IndexMap;
use memchr::{memchr2, memchr3, memrchr2};
use regex::bytes::{Regex, RegexBuilder};

use crate::domain::registry::{Direction, Metric};
use crate::domain::results::Series;

/// The metric that every gate's output is searched for.
pub const NODE_TPS: &str = "node_tps";

/// Most samples that are kept in memory for one metric; beyond it every second one is dropped.
const KEPT: usize = 1 << 20;
/// Most samples that go into a result; thinned evenly beyond it.
const RECORDED: usize = 1000;
/// A line longer than this is searched piece by piece.
const LONG_LINE: usize = 64 << 10;
/// No match is longer than this where a line is searched piece by piece.
const LONG_MATCH: usize = 1 << 10;

/// All samples of one metric, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    count: u64,
    stride: u64,
    kept: Vec<f64>,
}

impl Default for Samples {
    fn default() -> Self {
        Samples {
            count: 0,
            stride: 1,
            kept: Vec::new(),
        }
    }
}

impl Samples {
    /// Adds one; not a number and infinity are no samples.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.count.is_multiple_of(self.stride) {
            if self.kept.len() == KEPT {
                let mut nth = 0;
                self.kept.retain(|_| {
                    nth += 1;
                    nth % 2 == 1
                });
                self.stride *= 2;
            }
            if self.count.is_multiple_of(self.stride) {
                self.kept.push(value);
            }
        }
        self.count += 1;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Those that were kept, in order: all of them up to a million.
    pub fn values(&self) -> &[f64] {
        &self.kept
    }

    /// The median; the mean of the two in the middle where their number is even.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.kept.clone();
        let middle = sorted.len() / 2;
        if sorted.is_empty() {
            return None;
        }
        let even = sorted.len().is_multiple_of(2);
        let (below, upper, _) = sorted.select_nth_unstable_by(middle, f64::total_cmp);
        let upper = *upper;
        let lower = below
            .iter()
            .copied()
            .max_by(f64::total_cmp)
            .filter(|_| even)
            .unwrap_or(upper);
        // Halved first: the sum of two large numbers need not be finite.
        Some(if lower == upper {
            upper
        } else {
            lower / 2.0 + upper / 2.0
        })
    }
}

/// Takes every metric of one gate.
#[derive(Clone, Debug)]
pub struct Meter {
    gauges: Vec<Gauge>,
    escape: Escape,
    clean: Vec<u8>,
    line: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Gauge {
    name: String,
    unit: Option<String>,
    direction: Direction,
    pattern: Regex,
    samples: Samples,
    /// Where the search goes on in a line that is searched piece by piece.
    from: usize,
    /// How much of a match the next one may look back on: the default pattern wants to see what stands before the name.
    shared: usize,
}

impl Meter {
    /// A meter for `node_tps` and these metrics.
    ///
    /// # Errors
    /// A pattern is no regular expression, or too large; the error names the metric.
    pub fn new(metrics: &[Metric]) -> Result<Self, String> {
        let mut gauges: Vec<Gauge> = Vec::new();
        if !metrics.iter().any(|m| m.name == NODE_TPS) {
            gauges.push(Gauge::new(&Metric {
                name: NODE_TPS.to_owned(),
                pattern: None,
                unit: Some("tokens/s".to_owned()),
                direction: Direction::Higher,
            })?);
        }
        for metric in metrics {
            gauges.push(Gauge::new(metric)?);
        }
        Ok(Meter {
            gauges,
            escape: Escape::None,
            clean: Vec::new(),
            line: Vec::new(),
        })
    }

    /// Takes the next stretch of output.
    pub fn push(&mut self, output: &[u8]) {
        let mut clean = std::mem::take(&mut self.clean);
        clean.clear();
        let plain = self.escape.strip(output, &mut clean);
        self.lines(plain);
        self.clean = clean;
    }

    fn lines(&mut self, mut bytes: &[u8]) {
        if !self.line.is_empty() {
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.line.extend_from_slice(bytes);
                return self.shorten();
            };
            self.line.extend_from_slice(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        let rest = match memrchr2(b'\n', b'\r', bytes) {
            Some(end) => {
                for gauge in &mut self.gauges {
                    gauge.search_lines(&bytes[..end]);
                }
                &bytes[end + 1..]
            }
            None => bytes,
        };
        self.line.extend_from_slice(rest);
        self.shorten();
    }

    fn end_line(&mut self) {
        for gauge in &mut self.gauges {
            gauge.search_to(&self.line, self.line.len());
            gauge.from = 0;
        }
        self.line.clear();
    }

    /// Keeps a line that does not end from growing.
    fn shorten(&mut self) {
        if self.line.len() <= LONG_LINE {
            return;
        }
        let limit = self.line.len() - LONG_MATCH;
        let mut done = limit;
        for gauge in &mut self.gauges {
            gauge.search_to(&self.line, limit);
            done = done.min(gauge.from);
        }
        // One match's length stays before it, so that a pattern can look back.
        let dropped = done.saturating_sub(LONG_MATCH);
        self.line.drain(..dropped);
        for gauge in &mut self.gauges {
            gauge.from -= dropped;
        }
    }

    /// Ends the output and returns the samples by metric.
    pub fn finish(mut self) -> IndexMap<String, Measured> {
        self.end_line();
        self.gauges
            .into_iter()
            .filter(|g| g.samples.count > 0)
            .map(|g| {
                let measured = Measured {
                    unit: g.unit,
                    direction: g.direction,
                    samples: g.samples,
                };
                (g.name, measured)
            })
            .collect()
    }
}

/// What was measured of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Unit, as the registry has it.
    pub unit: Option<String>,
    /// Which way is better.
    pub direction: Direction,
    /// The samples.
    pub samples: Samples,
}

impl Measured {
    /// As results record it.
    pub fn series(&self) -> Series {
        let step = self.samples.kept.len().div_ceil(RECORDED).max(1);
        Series {
            unit: self.unit.clone(),
            direction: self.direction,
            count: self.samples.count,
            p50: self.samples.median(),
            samples: self.samples.kept.iter().copied().step_by(step).collect(),
        }
    }
}

impl Gauge {
    fn new(metric: &Metric) -> Result<Self, String> {
        let name = regex::escape(&metric.name);
        let pattern = metric.pattern.clone().unwrap_or_else(|| {
            format!(
                r"(?-u)(?:^|[^A-Za-z_\r\n]){name}:[ \t]*([+-]?[0-9][0-9,]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
            )
        });
        let pattern = RegexBuilder::new(&pattern)
            .multi_line(true)
            .crlf(true)
            .size_limit(1 << 20)
            .build()
            .map_err(|_| format!("metric `{}` has a pattern that cannot be used", metric.name))?;
        Ok(Gauge {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            direction: metric.direction,
            pattern,
            samples: Samples::default(),
            from: 0,
            shared: usize::from(metric.pattern.is_none()),
        })
    }

    /// Searches whole lines. The pattern is tried on all at once, and where it strikes, on that line alone: so a match
    /// never spans two lines, wherever the output was cut into stretches.
    fn search_lines(&mut self, lines: &[u8]) {
        let mut at = 0;
        while at <= lines.len() {
            let Some(hit) = self.pattern.find_at(lines, at) else {
                return;
            };
            let start = memrchr2(b'\n', b'\r', &lines[..hit.start()])
                .map_or(0, |n| n + 1)
                .max(at);
            let end = memchr2(b'\n', b'\r', &lines[hit.start()..]).map_or(lines.len(), |n| hit.start() + n);
            self.from = 0;
            self.search_to(&lines[start..end], end - start);
            self.from = 0;
            at = end + 1;
        }
    }

    /// Takes every match of a line that begins before `limit`.
    fn search_to(&mut self, line: &[u8], limit: usize) {
        while self.from <= line.len() {
            let Some(found) = self.pattern.captures_at(line, self.from) else {
                break;
            };
            let Some(whole) = found.get(0).filter(|m| m.start() < limit || limit == line.len()) else {
                break;
            };
            let value = found.get(1).unwrap_or(whole);
            // A throughput below nothing is a misprint.
            if let Some(value) = number(value.as_bytes()).filter(|v| *v >= 0.0 || self.name != NODE_TPS) {
                self.samples.push(value);
            }
            self.from = (whole.end() - self.shared.min(whole.len())).max(whole.start() + 1);
        }
        self.from = self.from.max(limit);
    }
}

/// A number with or without thousands separators.
fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    text.replace(',', "").parse().ok().filter(|n: &f64| n.is_finite())
}

/// Where we are in a terminal escape sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// `ESC [`: to a final byte.
    Control,
    /// `ESC ]` and its like: to BEL or `ESC \`.
    Text,
    Closing,
}

impl Escape {
    /// The output without escape sequences; the output itself where there are none.
    fn strip<'a>(&mut self, output: &'a [u8], clean: &'a mut Vec<u8>) -> &'a [u8] {
        if *self == Escape::None && memchr::memchr(0x1b, output).is_none() {
            return output;
        }
        let mut rest = output;
        while let Some((&byte, tail)) = rest.split_first() {
            if *self == Escape::None {
                let plain = memchr::memchr(0x1b, rest).unwrap_or(rest.len());
                clean.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
                if !rest.is_empty() {
                    *self = Escape::Begun;
                    rest = &rest[1..];
                }
                continue;
            }
            *self = match (*self, byte) {
                // A line's end ends a sequence that was never finished.
                (_, b'\n' | b'\r') => {
                    clean.push(byte);
                    Escape::None
                }
                (Escape::Begun, b'[') => Escape::Control,
                (Escape::Begun, b']' | b'P' | b'X' | b'^' | b'_') => Escape::Text,
                (Escape::Begun, 0x20..=0x2f) => Escape::Begun,
                (Escape::Control, 0x20..=0x3f) => Escape::Control,
                (Escape::Text, 0x1b) => Escape::Closing,
                (Escape::Text, 0x07) => Escape::None,
                (Escape::Text, _) => {
                    let end = memchr3(0x1b, 0x07, b'\n', tail).unwrap_or(tail.len());
                    rest = &tail[end..];
                    continue;
                }
                _ => Escape::None,
            };
            rest = tail;
        }
        clean
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(metrics: &[Metric], pieces: &[&[u8]]) -> IndexMap<String, Measured> {
        let mut meter = Meter::new(metrics).unwrap();
        for piece in pieces {
            meter.push(piece);
        }
        meter.finish()
    }

    fn node_tps(output: impl AsRef<[u8]>) -> Vec<f64> {
        take(&[], &[output.as_ref()])
            .swap_remove(NODE_TPS)
            .map(|m| m.samples.values().to_vec())
            .unwrap_or_default()
    }

    #[test]
    fn row_01_samples_with_thousands_separators() {
        assert_eq!(node_tps("step 1 | node_tps: 12,345 | loss 2.1\n"), [12345.0]);
        assert_eq!(
            node_tps("node_tps:7\nnode_tps: 1,234,567.5, x"),
            [7.0, 1_234_567.5]
        );
        assert_eq!(node_tps("node_tps: 12,345node_tps: 12,346\n"), [12345.0, 12346.0]);
        assert_eq!(
            node_tps("[rank0] node_tps: 1[rank1] node_tps: 2\r[rank0] node_tps: 3\r\n"),
            [1.0, 2.0, 3.0]
        );
        assert_eq!(
            node_tps("\x1b[1mnode_\x1b[0mtps:\x1b[32m 9,\x1b[7m000\x1b[0m\n"),
            [9000.0]
        );
        assert_eq!(node_tps("\x1b]0;title node_tps: 5\x07node_tps: 6\n"), [6.0]);
    }

    #[test]
    fn what_is_no_sample_is_none() {
        for line in [
            "avg_node_tps: 1",
            "xnode_tps: 1",
            "node_tps: nan",
            "node_tps: inf",
            "node_tps:\n1",
            "node_tps 1",
            "node_tps: 1e999",
            "node_tps: -5",
        ] {
            assert_eq!(node_tps(line), [] as [f64; 0], "{line}");
        }
    }

    #[test]
    fn metrics_of_the_registry() {
        let metric = |name: &str, pattern: Option<&str>| Metric {
            name: name.to_owned(),
            pattern: pattern.map(str::to_owned),
            unit: None,
            direction: Direction::Lower,
        };
        let taken = take(
            &[
                metric("loss", None),
                metric("first", Some(r"^loss=([0-9.]+)$")),
                metric("span", Some(r"a\s+(\d)")),
            ],
            &[b"loss: 2.5 x\nloss=3.5\r\nloss=4 \na\n1\n"],
        );
        let values = |name: &str| taken.get(name).map(|m| m.samples.values().to_vec());
        assert_eq!(values("loss"), Some(vec![2.5]));
        assert_eq!(values("first"), Some(vec![3.5]));
        assert_eq!(values("span"), None);
        assert!(Meter::new(&[metric("bad", Some("("))]).is_err());
    }

    #[test]
    fn medians() {
        let of = |values: &[f64]| {
            let mut samples = Samples::default();
            values.iter().for_each(|v| samples.push(*v));
            samples.median()
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(3.0));
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(of(&[f64::NAN, f64::INFINITY, 5.0]), Some(5.0));
    }

    #[test]
    fn memory_is_bounded_and_the_count_is_true() {
        let mut samples = Samples::default();
        for n in 0..3_000_000u32 {
            samples.push(f64::from(n));
        }
        assert_eq!(samples.count(), 3_000_000);
        assert!(samples.values().len() <= KEPT);
        assert!((samples.median().unwrap() - 1.5e6).abs() < 10.0);
        let measured = Measured {
            unit: None,
            direction: Direction::Higher,
            samples,
        };
        assert!(measured.series().samples.len() <= RECORDED);
        let mut meter = Meter::new(&[]).unwrap();
        for _ in 0..64 {
            meter.push(&b"xxxx node_tps: 5 yyyy".repeat(1000));
        }
        assert!(meter.line.capacity() < 1 << 20, "{}", meter.line.capacity());
        assert_eq!(meter.finish()[NODE_TPS].samples.count(), 64_000);
    }

    proptest! {
        #[test]
        fn where_the_output_is_cut_does_not_matter(
            parts in prop::collection::vec(prop_oneof![
                Just("node_tps: 1,234"), Just("\n"), Just("\r"), Just(" "), Just("\x1b[0m"), Just("node_"), Just("tps: "),
                Just("55"), Just(","), Just("x"), Just("\x1b"), Just("\x1b]a\x07"),
            ], 0..30),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let whole: String = parts.concat();
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(whole.len() + 1)).collect();
            at.sort_unstable();
            let (mut pieces, mut last) = (Vec::new(), 0);
            for cut in at {
                pieces.push(&whole.as_bytes()[last..cut]);
                last = cut;
            }
            pieces.push(&whole.as_bytes()[last..]);
            prop_assert_eq!(take(&[], &pieces), take(&[], &[whole.as_bytes()]));
        }
    }
}
