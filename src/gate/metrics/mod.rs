//! Reads numbers from the output of a gate while it runs, in bounded memory.
//!
//! A number is read whole or not at all. An ambiguous number is counted and reported by its shape, never guessed.

mod boundary;
mod decode;
mod form;
mod gauge;
mod measured;
mod name;
mod number;
mod samples;
mod series;
mod table;
mod tail;
mod text;
mod unit;
mod unit_text;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use memchr::{memchr2, memrchr2};

use crate::domain::metric::{Metric, NODE_TPS};
use crate::gate::metrics::decode::Decoder;
pub use crate::gate::metrics::decode::{Encoding, Escape};
pub use crate::gate::metrics::form::{Forms, Why};
use crate::gate::metrics::gauge::{Event, Gauge, What};
pub use crate::gate::metrics::gauge::{Note, Unread};
pub use crate::gate::metrics::measured::Measured;
pub use crate::gate::metrics::samples::Samples;
pub use crate::gate::metrics::series::Told;
use crate::gate::metrics::series::{Place, STEP, other_step, rank, whole};
use crate::gate::metrics::table::{Row, Table};

/// A line longer than this is searched piece by piece.
const LONG_LINE: usize = 64 << 10;
/// No match is longer than this where a line is searched piece by piece.
const LONG_MATCH: usize = 1 << 10;

/// Reads every metric of one gate.
#[derive(Clone, Debug)]
pub struct Meter {
    gauges: Vec<Gauge>,
    decoder: Decoder,
    escape: Escape,
    clean: Vec<u8>,
    line: Vec<u8>,
    table: Option<Table>,
    events: Vec<Event>,
    step: Option<usize>,
    /// Whether to distinguish ranks, which is necessary only for `reduce` and `rate`.
    ranked: bool,
    at: Position,
    /// The number of the line at hand, from 1; none where lines are not counted.
    lines: Option<u64>,
}

/// What the lines so far say about the values that come next.
#[derive(Clone, Debug, Default)]
struct Position {
    rank: Option<u32>,
    step: Option<u64>,
    steps: HashMap<Option<u32>, u64>,
    /// In this line values precede their step; known from its first value and step.
    value_first: Option<bool>,
    /// How far a line that is searched piece by piece was looked through for ranks.
    looked: usize,
}

impl Meter {
    /// A meter for `node_tps` and these metrics.
    ///
    /// # Errors
    /// A pattern is not a regular expression with one group, or is too large; the error names the metric.
    pub fn new(metrics: &[Metric]) -> Result<Self, String> {
        let node_tps = Metric::node_tps();
        let implied = metrics.iter().all(|m| m.name != NODE_TPS).then_some(&node_tps);
        Meter::only(implied.into_iter().chain(metrics))
    }

    /// A meter for these metrics and no other.
    ///
    /// # Errors
    /// As [`Meter::new`].
    pub fn only<'a>(metrics: impl IntoIterator<Item = &'a Metric>) -> Result<Self, String> {
        let mut gauges = metrics
            .into_iter()
            .map(Gauge::new)
            .collect::<Result<Vec<_>, _>>()?;
        let labels: Arc<[name::Label]> = gauges.iter().filter_map(|g| g.label().cloned()).collect();
        for gauge in &mut gauges {
            gauge.know(&labels);
        }
        let step = gauges.iter().position(|g| g.metric.name == STEP);
        Ok(Meter {
            ranked: step.is_some()
                || gauges
                    .iter()
                    .any(|g| g.metric.reduce.is_some() || g.metric.rate.is_some()),
            step,
            gauges,
            decoder: Decoder::default(),
            escape: Escape::None,
            clean: Vec::new(),
            line: Vec::new(),
            table: None,
            events: Vec::new(),
            at: Position::default(),
            lines: None,
        })
    }

    /// Counts lines, so that what is not read can be found.
    #[must_use]
    pub fn counting_lines(mut self) -> Self {
        self.lines = Some(1);
        self
    }

    /// Takes the next stretch of output.
    pub fn push(&mut self, output: &[u8]) {
        self.decode(output, false);
    }

    fn decode(&mut self, output: &[u8], last: bool) {
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut clean = std::mem::take(&mut self.clean);
        clean.clear();
        let plain = self.escape.strip(decoder.decode(output, last), &mut clean);
        self.take(plain);
        self.clean = clean;
        self.decoder = decoder;
    }

    fn take(&mut self, mut bytes: &[u8]) {
        if !self.line.is_empty() {
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.line.extend_from_slice(bytes);
                return self.shorten();
            };
            self.line.extend_from_slice(&bytes[..end]);
            self.end_line();
            self.count(&bytes[end..=end]);
            bytes = &bytes[end + 1..];
        }
        let rest = match memrchr2(b'\n', b'\r', bytes) {
            Some(end) => {
                self.whole_lines(&bytes[..end]);
                self.count(&bytes[end..=end]);
                &bytes[end + 1..]
            }
            None => bytes,
        };
        self.line.extend_from_slice(rest);
        self.shorten();
    }

    /// Searches whole lines. Each metric is looked for in all of them at once, and the line where one is found is read alone: so nothing
    /// that is found spans two lines, wherever the output was cut into stretches.
    fn whole_lines(&mut self, text: &[u8]) {
        let mut at = 0;
        for gauge in &mut self.gauges {
            gauge.next = gauge.find(text, 0);
        }
        while at <= text.len() {
            let first = match &self.table {
                Some(_) => at,
                None => self.gauges.iter().map(|g| g.next).min().unwrap_or(usize::MAX),
            };
            if first > text.len() {
                break;
            }
            let start = memrchr2(b'\n', b'\r', &text[at..first]).map_or(at, |n| at + n + 1);
            let end = memchr2(b'\n', b'\r', &text[first..]).map_or(text.len(), |n| first + n);
            self.count(&text[at..start]);
            self.read_line(&text[start..end]);
            self.count(&text[end..text.len().min(end + 1)]);
            at = end + 1;
            for gauge in &mut self.gauges {
                if gauge.next < at {
                    gauge.next = gauge.find(text, at.min(text.len()));
                }
            }
        }
        self.count(&text[at.min(text.len())..]);
    }

    fn count(&mut self, text: &[u8]) {
        if let Some(lines) = &mut self.lines {
            *lines += memchr::memchr_iter(b'\n', text).count() as u64;
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.read_line(&line);
        self.line = line;
        self.line.clear();
    }

    /// Keeps a line that does not end from growing.
    fn shorten(&mut self) {
        if self.line.len() <= LONG_LINE {
            return;
        }
        let line = std::mem::take(&mut self.line);
        let limit = line.len() - LONG_MATCH;
        self.end_table();
        self.search(&line, limit);
        self.settle(&line);
        // One match's length stays before it, so that a pattern can look back.
        let done = self.gauges.iter().map(|g| g.from).min().unwrap_or(limit);
        let dropped = done.min(limit).saturating_sub(LONG_MATCH);
        for gauge in &mut self.gauges {
            gauge.from -= dropped;
        }
        self.at.looked = self.at.looked.saturating_sub(dropped);
        self.line = line;
        self.line.drain(..dropped);
    }

    fn end_table(&mut self) {
        self.table = None;
        for gauge in &mut self.gauges {
            gauge.column_unit = None;
        }
    }

    /// Reads a line to its end.
    fn read_line(&mut self, line: &[u8]) {
        let in_table = match self.table.as_mut().map(|table| table.row(line)) {
            Some(Row::Fields(fields)) => {
                for (gauge, field) in fields {
                    let (at, what) = (field.start, self.gauges[gauge].field(line, field));
                    self.events.push(Event { at, gauge, what });
                }
                true
            }
            Some(Row::Skip) => true,
            Some(Row::End) => {
                self.end_table();
                false
            }
            None => false,
        };
        if !in_table {
            self.search(line, line.len());
            let found = |what: &What| matches!(what, What::Mention);
            if !self.events.is_empty() && self.events.iter().all(|e| found(&e.what)) {
                let labels = self.gauges.iter().enumerate();
                self.table = Table::header(line, labels.filter_map(|(at, gauge)| Some((at, gauge.label()?))));
                if let Some(table) = &mut self.table {
                    self.events.clear();
                    for (gauge, unit) in table.units.drain(..) {
                        self.gauges[gauge].column_unit = Some(unit);
                    }
                }
            }
        }
        self.settle(line);
        for gauge in &mut self.gauges {
            gauge.from = 0;
        }
        self.at.rank = None;
        self.at.value_first = None;
        self.at.looked = 0;
    }

    fn search(&mut self, line: &[u8], limit: usize) {
        for (at, gauge) in self.gauges.iter_mut().enumerate() {
            gauge.search(line, limit, at, &mut self.events);
        }
        if self.gauges.len() > 1 {
            self.events.sort_by_key(|event| event.at);
        }
    }

    /// Gives what was found in a line to the gauges, each value with its step and rank.
    fn settle(&mut self, line: &[u8]) {
        let events = std::mem::take(&mut self.events);
        let number = self.lines.unwrap_or(0);
        if !self.ranked {
            for event in &events {
                self.gauges[event.gauge].take(line, event, &Place::default(), number);
            }
            self.events = events;
            self.events.clear();
            return;
        }
        let step_of = |event: &Event| match &event.what {
            What::Number(found, _) if Some(event.gauge) == self.step => whole(found.value),
            _ => None,
        };
        let is_value =
            |event: &Event| Some(event.gauge) != self.step && matches!(event.what, What::Number(..));
        let steps: Vec<(usize, u64)> = events.iter().filter_map(|e| Some((e.at, step_of(e)?))).collect();
        if self.at.value_first.is_none() && !steps.is_empty() {
            let first = events.iter().find(|e| is_value(e) || step_of(e).is_some());
            self.at.value_first = first.map(is_value);
        }
        let value_first = self.at.value_first == Some(true);
        let other_step = if self.lacks_steps() && events.iter().any(is_value) {
            other_step(line)
        } else {
            None
        };
        for event in &events {
            if let Some(rank) = rank(line, self.at.looked, event.at) {
                self.at.rank = Some(rank);
            }
            self.at.looked = event.at;
            let rank = self.at.rank;
            if let Some(step) = step_of(event) {
                self.at.step = Some(step);
                self.at.steps.insert(rank.filter(|r| *r < 1 << 14), step);
            }
            let here = if value_first {
                steps
                    .iter()
                    .find(|(at, _)| *at >= event.at)
                    .or(steps.last())
                    .map(|(_, s)| *s)
            } else {
                steps
                    .iter()
                    .rev()
                    .find(|(at, _)| *at <= event.at)
                    .or(steps.first())
                    .map(|(_, s)| *s)
            };
            let carried = || {
                let step = self.at.steps.get(&rank).copied().or(self.at.step);
                // Only the first value after a line with a step belongs to this step.
                step.filter(|_| self.gauges[event.gauge].series.last_step(rank) != step)
            };
            let place = Place {
                step: here.or_else(carried).or(other_step),
                rank,
                per: self.per(event, &events),
            };
            self.gauges[event.gauge].take(line, event, &place, number);
        }
        self.events = events;
        self.events.clear();
    }

    /// Whether the log has had no `step: 1`, and the registry does not say how the log writes the step.
    fn lacks_steps(&self) -> bool {
        self.at.step.is_none()
            && self.step.is_some_and(|at| {
                let metric = &self.gauges[at].metric;
                metric.label.is_none() && metric.pattern.is_none()
            })
    }

    /// The value of the metric that an event's rate divides by: the nearest of the same line.
    fn per(&self, event: &Event, events: &[Event]) -> Option<f64> {
        let name = self.gauges[event.gauge].metric.rate.as_deref()?;
        let gauge = self.gauges.iter().position(|g| g.metric.name == name)?;
        let near = events.iter().filter(|e| e.gauge == gauge);
        near.filter_map(|e| match &e.what {
            What::Number(number, _) => Some((e.at.abs_diff(event.at), number.value)),
            _ => None,
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, value)| value)
    }

    /// The encoding of the output, once known.
    pub fn encoding(&self) -> Option<Encoding> {
        self.decoder.encoding()
    }

    /// The largest number of samples of one metric so far; the number of the step does not count.
    pub fn sample_count(&self) -> u64 {
        let is_value = |gauge: &&Gauge| gauge.metric.name != STEP;
        let counts = self
            .gauges
            .iter()
            .filter(is_value)
            .map(|gauge| gauge.series.sample_count());
        counts.max().unwrap_or(0)
    }

    /// How many lines there were, where they are counted.
    pub fn line_count(&self) -> Option<u64> {
        self.lines
    }

    /// Ends the output and returns what was read of each metric, of which anything was read or should have been.
    pub fn finish(mut self) -> IndexMap<String, Measured> {
        self.end();
        self.measured()
            .filter(|(_, m)| m.samples.count() > 0 || m.refused > 0)
            .collect()
    }

    /// Ends the output: nothing follows.
    pub fn end(&mut self) {
        self.decode(&[], true);
        self.end_line();
    }

    /// What was read of every metric.
    pub fn measured(self) -> impl Iterator<Item = (String, Measured)> {
        self.gauges.into_iter().map(|gauge| {
            let (samples, told) = gauge.series.finish();
            let measured = Measured {
                forms: gauge.forms,
                notes: gauge.notes,
                refused: gauge.refused,
                samples,
                told,
                metric: gauge.metric,
            };
            (measured.metric.name.clone(), measured)
        })
    }
}

#[cfg(test)]
mod comparison_tests;
#[cfg(test)]
mod tests;
