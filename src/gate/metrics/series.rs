//! Turns the numbers of one metric into samples: rates of running totals, one value of several ranks, restarts, the last value.
//!
//! Does not parse lines. Each number comes with its step and its rank.

use std::collections::{BTreeMap, HashMap};

use crate::domain::metric::{Metric, Reduce, Take};
use crate::gate::metrics::samples::Samples;
use crate::gate::metrics::text::{digit, skip_blanks, text};
use crate::gate::metrics::unit;

/// Name of the metric that counts the steps.
pub const STEP: &str = "step";

/// Most steps that wait for the samples of other ranks.
const OPEN: usize = 16;
/// The largest number of ranks that are distinguished.
const RANKS: usize = 1 << 14;

/// Where a number was printed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// The step, where the log says.
    pub step: Option<u64>,
    /// The rank, where the line says.
    pub rank: Option<u32>,
    /// The value of the metric that a rate divides by.
    pub per: Option<f64>,
}

/// A whole number from 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is a small whole number"
)]
pub fn whole(value: f64) -> Option<u64> {
    (value >= 0.0 && value.fract() == 0.0 && value < 1e15).then_some(value as u64)
}

/// Names of the step in logs that do not print `step: 1`.
const OTHER_STEPS: [&str; 4] = ["global_step", "step", "iteration", "iter"];

/// The number after another name of the step: `Step: 11/20`, `iter 11`. Steps may begin again in each epoch, so a line with an epoch has none.
pub fn other_step(line: &[u8]) -> Option<u64> {
    let line = line.to_ascii_lowercase();
    if memchr::memmem::find(&line, b"epoch").is_some() {
        return None;
    }
    let number = |at: usize, name: &str| -> Option<u64> {
        let before = &line[..at];
        let glued = before
            .last()
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'/' | b'-' | b'.'));
        let from = at + name.len();
        let signs = line[from..]
            .iter()
            .take_while(|b| b" \t\"':=#[".contains(b))
            .count();
        let start = from + signs;
        let len = line[start..]
            .iter()
            .take(16)
            .take_while(|b| b.is_ascii_digit())
            .count();
        let end = start + len;
        let goes_on = match line.get(end) {
            Some(b'.' | b',' | b'-' | b':') => digit(&line, end + 1),
            Some(b) => b.is_ascii_alphanumeric() || matches!(b, b'_' | b'%'),
            None => false,
        };
        let next = skip_blanks(&line, end);
        let word = line[next..]
            .iter()
            .take_while(|b| b.is_ascii_alphabetic())
            .count();
        let is_time = unit::seconds(text(&line[next..next + word])).is_some();
        if glued || before.ends_with(b"per ") || signs == 0 || goes_on || is_time {
            return None;
        }
        text(&line[start..end]).parse().ok()
    };
    OTHER_STEPS
        .iter()
        .find_map(|name| memchr::memmem::find_iter(&line, name).find_map(|at| number(at, name)))
}

/// The rank that a stretch of a line names last: `[rank3]`, `[Rank 3]`, `[default3]:`, `rank=3`, or `3: ` at its beginning.
pub fn rank(line: &[u8], from: usize, to: usize) -> Option<u32> {
    let text = line.get(from..to)?;
    let number = |at: usize| -> Option<(u32, usize)> {
        let digits = text[at..]
            .iter()
            .take(6)
            .take_while(|b| b.is_ascii_digit())
            .count();
        let value = std::str::from_utf8(&text[at..at + digits]).ok()?.parse().ok()?;
        (digits < 6).then_some((value, at + digits))
    };
    let mut at = text.len();
    while let Some(found) = memchr::memmem::rfind(&text[..at], b"ank") {
        let named = found > 0
            && matches!(text[found - 1], b'r' | b'R')
            && (found < 2 || !text[found - 2].is_ascii_alphanumeric() || text[..found - 1].ends_with(b"_"));
        let sign = text[found + 3..]
            .iter()
            .take(3)
            .take_while(|b| b" :=\"']".contains(b))
            .count();
        if let Some((value, _)) = number(found + 3 + sign).filter(|_| named) {
            return Some(value);
        }
        at = found;
    }
    if let Some(found) = memchr::memmem::rfind(text, b"[default")
        && let Some((value, end)) = number(found + 8)
        && text.get(end) == Some(&b']')
    {
        return Some(value);
    }
    let start = text.iter().take_while(|b| **b == b' ').count();
    let (value, end) = number(start).filter(|_| from == 0)?;
    text[end..].starts_with(b": ").then_some(value)
}

/// The samples of one metric as they come.
#[derive(Clone, Debug)]
pub struct Series {
    reduce: Option<Reduce>,
    rate: Option<String>,
    take: Option<Take>,
    samples: Samples,
    taken: Option<(f64, Option<u64>)>,
    ranks: HashMap<Option<u32>, Rank>,
    open: BTreeMap<u64, Vec<(Option<u32>, f64)>>,
    sizes: BTreeMap<usize, u64>,
    told: Told,
}

/// Counts of what did not become a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How often the steps began again; only what came after the last time counts.
    pub restarts: u32,
    /// Samples from before the last restart.
    pub discarded: u64,
    /// Steps that lack the sample of a rank, or have one too many.
    pub partial: u64,
    /// Numbers that could not become a sample: no step or rank to reduce by, no growth to divide by.
    pub unplaced: u64,
    /// Number of distinguished ranks.
    pub ranks: u32,
}

/// What one rank printed last.
#[derive(Clone, Copy, Debug, Default)]
struct Rank {
    step: Option<u64>,
    /// The smallest distance between two steps.
    gap: u64,
    restarts: u32,
    /// Samples since another rank began again and this one did not.
    late: usize,
    ordinal: u64,
    total: Option<(f64, f64)>,
}

impl Series {
    /// An empty series of a metric.
    pub fn new(metric: &Metric) -> Series {
        Series {
            reduce: metric.reduce,
            rate: metric.rate.clone(),
            take: metric.take,
            samples: Samples::default(),
            taken: None,
            ranks: HashMap::new(),
            open: BTreeMap::new(),
            sizes: BTreeMap::new(),
            told: Told::default(),
        }
    }

    /// The step that the last number of a rank belongs to.
    pub fn last_step(&self, rank: Option<u32>) -> Option<u64> {
        self.ranks.get(&rank)?.step
    }

    /// Takes a number.
    pub fn push(&mut self, value: f64, place: &Place) {
        if place.step.is_none() && place.rank.is_none() && self.rate.is_none() && self.reduce.is_none() {
            return self.emit(value, None);
        }
        let rank = place
            .rank
            .filter(|r| self.ranks.contains_key(&Some(*r)) || self.ranks.len() < RANKS);
        let known = Rank {
            restarts: self.told.restarts,
            ..Rank::default()
        };
        let seen = self.ranks.entry(rank).or_insert(known);
        if let Some(step) = place.step
            && seen.begins_again(step, rank.is_some())
        {
            let restarts = seen.restarts;
            if restarts > self.told.restarts {
                self.told.restarts = restarts;
                self.discard();
            }
        }
        let seen = self.ranks.entry(rank).or_default();
        if rank.is_some() && seen.restarts < self.told.restarts && seen.late < OPEN {
            // This rank still prints what it did before the restart.
            seen.late += 1;
            self.told.discarded += 1;
            return;
        }
        seen.ordinal += 1;
        let ordinal = seen.ordinal;
        let mut value = value;
        if let Some(per) = &self.rate {
            let per = if per == STEP {
                place.step.map(|s| s as f64)
            } else {
                place.per
            };
            let Some(per) = per else {
                self.told.unplaced += 1;
                return;
            };
            let Some((total, before)) = seen.total.replace((value, per)) else {
                return;
            };
            if per <= before {
                self.told.unplaced += 1;
                return;
            }
            value = (value - total) / (per - before);
        }
        if self.reduce.is_none() {
            return self.emit(value, place.step);
        }
        let Some(key) = place.step.or(rank.map(|_| ordinal)) else {
            self.told.unplaced += 1;
            return;
        };
        let group = self.open.entry(key).or_default();
        match group.iter_mut().find(|(r, _)| r.is_some() && *r == rank) {
            Some((_, earlier)) => *earlier = value,
            None => group.push((rank, value)),
        }
        if self.open.len() > OPEN {
            self.close();
        }
    }

    /// How many samples there were, also those before a restart.
    pub fn sample_count(&self) -> u64 {
        self.samples.count() + self.told.discarded
    }

    /// Only what follows counts.
    fn discard(&mut self) {
        let waiting: usize = self.open.values().map(Vec::len).sum();
        self.told.discarded += self.samples.count() + waiting as u64 + u64::from(self.taken.is_some());
        self.samples = Samples::default();
        self.taken = None;
        self.open.clear();
        self.sizes.clear();
    }

    /// Reduces the earliest step that waits.
    fn close(&mut self) {
        let usual = self.usual_size();
        let Some((step, group)) = self.open.pop_first() else {
            return;
        };
        *self.sizes.entry(group.len()).or_default() += 1;
        if group.len() != usual {
            self.told.partial += 1;
            return;
        }
        let placed = self.ranks.values().any(|r| r.step.is_some());
        if let Some(value) = self.reduce.and_then(|r| r.of(group.iter().map(|(_, v)| *v))) {
            self.emit(value, placed.then_some(step));
        }
    }

    /// How many ranks most steps have.
    fn usual_size(&self) -> usize {
        let mut sizes = self.sizes.clone();
        for group in self.open.values() {
            *sizes.entry(group.len()).or_default() += 1;
        }
        sizes
            .into_iter()
            .max_by_key(|(size, count)| (*count, *size))
            .map_or(0, |(size, _)| size)
    }

    fn emit(&mut self, value: f64, step: Option<u64>) {
        let Some(take) = self.take else {
            return self.samples.push(value, step);
        };
        let better = self.taken.is_none_or(|(taken, _)| match take {
            Take::Last => true,
            // A value that is not a number is the one to report.
            Take::Max => value.is_nan() || value > taken,
            Take::Min => value.is_nan() || value < taken,
        });
        if better {
            self.taken = Some((value, step));
        }
    }

    /// Ends the series.
    pub fn finish(mut self) -> (Samples, Told) {
        while !self.open.is_empty() {
            self.close();
        }
        if let Some((value, step)) = self.taken {
            self.samples.push(value, step);
        }
        self.told.ranks = u32::try_from(self.ranks.keys().flatten().count()).unwrap_or(u32::MAX);
        (self.samples, self.told)
    }
}

impl Rank {
    /// Notes the step; whether the steps begin again with it. Lines of ranks that do not say which they are may be a little out of order.
    fn begins_again(&mut self, step: u64, labelled: bool) -> bool {
        let Some(last) = self.step else {
            self.step = Some(step);
            return false;
        };
        if step > last {
            let gap = step - last;
            self.gap = if self.gap == 0 { gap } else { self.gap.min(gap) };
        }
        let slack = if labelled { 0 } else { 2 * self.gap.max(1) };
        let again = step + slack < last;
        if again {
            self.restarts += 1;
            self.late = 0;
            self.total = None;
            self.ordinal = 0;
        }
        self.step = Some(if again { step } else { step.max(last) });
        again
    }
}
