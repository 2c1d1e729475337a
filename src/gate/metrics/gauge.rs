//! Finds the numbers of one metric in a line, converts them to its unit, and rejects those that are ambiguous.
//!
//! Works on single lines. Does not know how the output is split into lines.

use std::ops::Range;
use std::sync::Arc;

use crate::domain::metric::{Decimal, Metric, MetricPattern};
use crate::gate::metrics::form::{self, Forms, Why};
use crate::gate::metrics::name::{Label, Named};
use crate::gate::metrics::number::{self, Number, Reading, Writing};
use crate::gate::metrics::series::{Place, STEP, Series};
use crate::gate::metrics::text::skip_blanks;
use crate::gate::metrics::unit::Unit;

/// Most different notes that are kept of one metric.
const NOTES: usize = 8;

/// What happened at a place of a line where a metric is named.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where the value stands.
    pub at: usize,
    /// Which gauge.
    pub gauge: usize,
    /// What follows the name.
    pub what: What,
}

/// What follows the name of a metric.
#[derive(Clone, Debug)]
pub enum What {
    /// A number, and the unit between the name and it.
    Number(Number, Option<Range<usize>>),
    /// Something that begins like a number.
    Refused(Why),
    /// No number.
    NoNumber,
    /// The name, without `:` or `=` after it.
    Mention,
}

/// Why something was not read, for people who ask what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unread {
    /// It begins like a number.
    Refused(Why),
    /// No number follows the name.
    NoNumber,
    /// Neither `:` nor `=` follows the name.
    NoSign,
}

/// Something that was not read: how often, and where first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub why: Unread,
    /// The shape of the text, never the text.
    pub shape: String,
    /// The line of the first, from 1; 0 where lines are not counted.
    pub line: u64,
    /// How often.
    pub count: u64,
}

/// A metric and what was read of it.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// The metric.
    pub metric: Metric,
    found: Found,
    unit: Option<Unit>,
    bare: bool,
    /// The unit in the header of its column.
    pub column_unit: Option<String>,
    labels: Arc<[Label]>,
    /// How its numbers are written.
    pub forms: Forms,
    /// What was not read.
    pub notes: Vec<Note>,
    /// How many numbers cannot be read.
    pub refused: u64,
    /// The samples.
    pub series: Series,
    /// Where the search goes on in a line that is searched piece by piece.
    pub from: usize,
    /// Where the name or pattern is found next in the stretch at hand.
    pub next: usize,
}

#[derive(Clone, Debug)]
enum Found {
    Label(Box<Label>),
    Pattern(Box<Pattern>),
}

#[derive(Clone, Debug)]
struct Pattern {
    pattern: MetricPattern,
    /// A comma ends the number: the pattern speaks of fields between commas.
    fields: bool,
}

impl Gauge {
    /// A gauge for a metric.
    ///
    /// # Errors
    /// Its pattern cannot be used; the error names the metric.
    pub fn new(metric: &Metric) -> Result<Self, String> {
        let found = match &metric.pattern {
            None => {
                let label = metric.label.as_deref().unwrap_or(&metric.name);
                Found::Label(Box::new(Label::new(label, metric.unit.as_deref())))
            }
            Some(pattern) => Found::Pattern(Box::new(Pattern::new(pattern).map_err(|fault| {
                format!(
                    "metric `{}` has a pattern that cannot be used: {fault}",
                    metric.name
                )
            })?)),
        };
        Ok(Gauge {
            found,
            unit: metric.unit.as_deref().map(Unit::declared),
            bare: false,
            column_unit: None,
            labels: Arc::new([]),
            forms: Forms::default(),
            notes: Vec::new(),
            refused: 0,
            series: Series::new(metric),
            from: 0,
            next: usize::MAX,
            metric: metric.clone(),
        })
    }

    /// The name it is found by, where it is found by a name.
    pub fn label(&self) -> Option<&Label> {
        match &self.found {
            Found::Label(label) => Some(label),
            Found::Pattern(_) => None,
        }
    }

    /// Tells it the names of all metrics: a name may follow a number without a blank.
    pub fn know(&mut self, labels: &Arc<[Label]>) {
        self.labels = Arc::clone(labels);
    }

    /// Where it may be found next.
    pub fn find(&self, text: &[u8], from: usize) -> usize {
        let found = match &self.found {
            Found::Label(label) => label.find(text, from),
            Found::Pattern(pattern) => pattern.pattern.0.find_at(text, from).map(|m| m.start()),
        };
        found.unwrap_or(usize::MAX)
    }

    /// Takes every place of a line that begins before `limit`.
    pub fn search(&mut self, line: &[u8], limit: usize, gauge: usize, events: &mut Vec<Event>) {
        let mut from = self.from;
        let inside = |at: usize| at < limit || limit == line.len();
        match &self.found {
            Found::Label(label) => {
                while let Some(at) = label.find(line, from).filter(|at| inside(*at)) {
                    let (place, what, end) = match label.at(line, at) {
                        Named::Other => {
                            from = at + 1;
                            continue;
                        }
                        Named::Mention { end } => (end, What::Mention, end),
                        Named::Value { at, unit } => {
                            let (what, end) = self.read(line, at, 0, unit);
                            (at, what, end)
                        }
                    };
                    events.push(Event {
                        at: place,
                        gauge,
                        what,
                    });
                    from = end.max(at + 1);
                }
            }
            Found::Pattern(pattern) => {
                while from <= line.len()
                    && let Some((whole, group)) =
                        pattern.at(line, from).filter(|(whole, _)| inside(whole.start))
                {
                    let what = self.in_group(line, pattern, &whole, &group);
                    events.push(Event {
                        at: group.start,
                        gauge,
                        what,
                    });
                    from = whole.end.max(whole.start + 1);
                }
            }
        }
        self.from = from.max(limit);
    }

    /// Reads a whole field of a table.
    pub fn field(&self, line: &[u8], field: Range<usize>) -> What {
        let text = &line[..field.end];
        match self.read(text, field.start, 0, None) {
            (What::Number(number, _), _) if skip_blanks(text, number.end) < field.end => {
                What::Refused(Why::HalfRead)
            }
            (what, _) => what,
        }
    }

    fn read(&self, line: &[u8], at: usize, matched: usize, unit: Option<Range<usize>>) -> (What, usize) {
        let labels = &self.labels;
        let name = |rest: &[u8]| {
            rest.first().is_some_and(u8::is_ascii_alphabetic) && labels.iter().any(|label| label.begins(rest))
        };
        let how = Writing {
            decimal: self.metric.decimal.unwrap_or(Decimal::Point),
            counts: self.metric.name == STEP,
            unit: self.metric.unit.as_deref().zip(self.unit.as_ref()),
            name: &name,
            matched,
        };
        match number::read(line, at, &how) {
            Reading::Number(number) => {
                let end = number.end;
                (What::Number(number, unit), end)
            }
            Reading::Text => (What::NoNumber, at),
            Reading::Unreadable(why) => (What::Refused(why), at),
        }
    }

    /// What a pattern's group holds: one number, whole.
    fn in_group(&self, line: &[u8], pattern: &Pattern, whole: &Range<usize>, group: &Range<usize>) -> What {
        let at = skip_blanks(line, group.start);
        if cut_before(line, at, pattern.fields) {
            return What::Refused(Why::HalfRead);
        }
        let end = if pattern.fields && line.get(group.end) == Some(&b',') {
            group.end
        } else {
            line.len()
        };
        match self.read(&line[..end], at, whole.end, None).0 {
            What::Number(number, unit) => {
                let rest = line.get(number.end..group.end).unwrap_or_default();
                let punctuation =
                    |b: &u8| b.is_ascii_whitespace() || matches!(b, b',' | b';' | b':' | b'.' | b')' | b'|');
                if rest.iter().all(punctuation) {
                    What::Number(number, unit)
                } else {
                    What::Refused(Why::HalfRead)
                }
            }
            what => what,
        }
    }

    /// Handles the text at a place.
    pub fn take(&mut self, line: &[u8], event: &Event, place: &Place, line_number: u64) {
        let why = match &event.what {
            What::Number(number, between) => match self.value(line, number, between.clone()) {
                Ok(value) => return self.series.push(value, place),
                Err(why) => Unread::Refused(why),
            },
            What::Refused(why) => Unread::Refused(*why),
            What::NoNumber => Unread::NoNumber,
            What::Mention => Unread::NoSign,
        };
        self.note(why, line, event.at, line_number);
    }

    fn note(&mut self, why: Unread, line: &[u8], at: usize, line_number: u64) {
        self.refused += u64::from(matches!(why, Unread::Refused(_)));
        let shape = form::shape(line, at);
        if let Some(note) = self.notes.iter_mut().find(|n| n.why == why && n.shape == shape) {
            note.count += 1;
        } else if self.notes.len() < NOTES || self.refused == 1 && matches!(why, Unread::Refused(_)) {
            self.notes.push(Note {
                why,
                shape,
                line: line_number,
                count: 1,
            });
        }
    }

    /// The value in the metric's unit, where it can be believed.
    fn value(&mut self, line: &[u8], number: &Number, between: Option<Range<usize>>) -> Result<f64, Why> {
        if number.unknown_word && self.unit.is_some() {
            return Err(Why::UnknownWord);
        }
        let mut form = number.form;
        let scale = self.metric.scale.unwrap_or(1.0);
        let written = number.unit.clone().or(between);
        let text = written.map(|range| String::from_utf8_lossy(&line[range]).trim().to_owned());
        let text = text.or_else(|| self.column_unit.clone());
        form.unit = text.is_some();
        if !number.value.is_finite() {
            return Ok(number.value);
        }
        let said = match &text {
            Some(text) => Some(self.unit_of(text)?),
            None => None,
        };
        let meant =
            said.as_ref()
                .or(self.unit.as_ref())
                .or(self.forms.adopted.as_ref().map(|(_, unit)| unit));
        // `1.2K` with the unit `ktok/s` or a scale: it is unclear whether both factors apply.
        if form.suffix != 0 && (scale != 1.0 || meant.is_some_and(Unit::is_prefixed)) {
            return Err(Why::Unit);
        }
        let mut value = number.value;
        match (said, &self.unit, &self.forms.adopted) {
            (Some(said), Some(meant), _) => value = said.convert(value, meant).ok_or(Why::Unit)?,
            (Some(said), None, Some((_, meant))) => value = said.convert(value, meant).ok_or(Why::Unit)?,
            (Some(_), None, None) if self.bare => return Err(Why::Unit),
            (Some(said), None, None) => self.forms.adopted = text.map(|text| (text, said)),
            (None, None, Some(_)) => return Err(Why::Unit),
            (None, None, None) => self.bare = true,
            (None, Some(_), _) => {}
        }
        if scale != 1.0 {
            if value != number.value {
                return Err(Why::Unit);
            }
            value *= scale;
        }
        if self.metric.name != STEP && !self.forms.admits(form, value) {
            return Err(Why::OtherForm);
        }
        // A conversion or a scale changes the unit of the last digit in the same way.
        let resolution = match value / number.value {
            factor if factor.is_finite() && factor != 0.0 => number.resolution * factor.abs(),
            _ => number.resolution,
        };
        self.forms.rounded |= number.rounded;
        if self.metric.rate.is_none() {
            self.forms.written_to(resolution);
        }
        Ok(value)
    }

    /// The unit that a text of the log means.
    fn unit_of(&self, text: &str) -> Result<Unit, Why> {
        if let (Some(declared), Some(unit)) = (&self.metric.unit, &self.unit)
            && Unit::is_spelling(text, declared)
        {
            return Ok(unit.clone());
        }
        // Without a declaration, `7B` are bytes or billions.
        let ambiguous = text == "B" && self.unit.is_none();
        match Unit::known(text) {
            Some(unit) if !ambiguous => Ok(unit),
            None if self.unit.is_none() => Ok(Unit::declared(text)),
            _ => Err(Why::Unit),
        }
    }
}

impl Pattern {
    fn new(source: &str) -> Result<Pattern, String> {
        Ok(Pattern {
            pattern: MetricPattern::new(source)?,
            fields: source.contains("[^,") || comma_follows(source),
        })
    }

    /// The next match: all of it, and its group.
    fn at(&self, line: &[u8], from: usize) -> Option<(Range<usize>, Range<usize>)> {
        let mut from = from;
        loop {
            let found = self.pattern.0.captures_at(line, from)?;
            let whole = found.get(0)?.range();
            match found.get(1) {
                Some(group) => return Some((whole, group.range())),
                // An alternative without the group.
                None if whole.end < line.len() => from = whole.end.max(from + 1),
                None => return None,
            }
        }
    }
}

/// Whether a comma follows the one group of a pattern.
fn comma_follows(source: &str) -> bool {
    let bytes = source.as_bytes();
    let (mut i, mut class, mut open) = (0, false, Vec::new());
    while let Some(byte) = bytes.get(i) {
        match byte {
            b'\\' => i += 1,
            b'[' if !class => class = true,
            b']' if class => class = false,
            b'(' if !class => {
                let captures = bytes.get(i + 1) != Some(&b'?')
                    || source[i..].starts_with("(?P<")
                    || source[i..].starts_with("(?<");
                open.push(captures);
            }
            b')' if !class && open.pop() == Some(true) => {
                let rest = source[i + 1..]
                    .trim_start_matches([' ', '*', '?', '"'])
                    .trim_start_matches("\\s*");
                return [",", "(?:,", "[,"].iter().any(|comma| rest.starts_with(comma));
            }
            _ => {}
        }
        i += 1;
    }
    false
}

/// Whether a number does not begin at `at` but somewhere before it.
fn cut_before(line: &[u8], at: usize, fields: bool) -> bool {
    if !line.get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'.') {
        return false;
    }
    let before = |n: usize| at.checked_sub(n).map(|i| line[i]);
    let digit = |n: usize| before(n).is_some_and(|b| b.is_ascii_digit());
    match before(1) {
        Some(b'0'..=b'9') => true,
        Some(b'.' | b'_' | b'\'') => digit(2),
        Some(b',') => digit(2) && !fields,
        Some(b'x' | b'X') => before(2) == Some(b'0'),
        Some(b'e' | b'E') => digit(2),
        Some(b'-') => before(2).is_none_or(|b| {
            b.is_ascii_whitespace() || matches!(b, b':' | b'=' | b'(' | b'[' | b'"' | b'e' | b'E')
        }),
        Some(0x80..) => line[..at].ends_with("−".as_bytes()),
        _ => false,
    }
}
