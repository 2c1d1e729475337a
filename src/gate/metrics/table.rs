//! Values under the columns of a header line: CSV, TSV, and tables between bars or blanks.
//!
//! Splits lines; the fields are read by the gauges.

use std::ops::Range;

use crate::gate::metrics::name::Label;

/// Most columns of a table.
const COLUMNS: usize = 512;

/// A table that is being printed.
#[derive(Clone, Debug)]
pub struct Table {
    between: Between,
    columns: usize,
    /// Column and gauge.
    watched: Vec<(usize, usize)>,
    /// Gauge and the unit in its header.
    pub units: Vec<(usize, String)>,
    confirmed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Sign(u8),
    Blanks,
}

/// What a line is to a table.
#[derive(Debug)]
pub enum Row {
    /// A row: the field of each watched column, with its gauge.
    Fields(Vec<(usize, Range<usize>)>),
    /// A rule or an empty line.
    Skip,
    /// The table has ended.
    End,
}

impl Table {
    /// The table that this line is the header of.
    pub fn header<'a>(
        line: &[u8],
        labels: impl Iterator<Item = (usize, &'a Label)> + Clone,
    ) -> Option<Table> {
        [b'\t', b',', b';', b'|']
            .into_iter()
            .filter(|sign| line.contains(sign))
            .map(Between::Sign)
            .chain([Between::Blanks])
            .find_map(|between| {
                let fields = split(line, between);
                let words = fields.iter().all(|f| {
                    let text = &line[f.clone()];
                    text.len() <= 48 && !text.first().is_some_and(u8::is_ascii_digit)
                });
                if !words || !(2..=COLUMNS).contains(&fields.len()) {
                    return None;
                }
                let watched: Vec<(usize, usize)> = labels
                    .clone()
                    .filter_map(|(gauge, label)| {
                        let column = fields.iter().position(|f| label.is(&line[f.clone()]))?;
                        Some((column, gauge))
                    })
                    .collect();
                let unit = |(gauge, label): (usize, &Label)| {
                    let (column, _) = watched.iter().find(|(_, watching)| *watching == gauge)?;
                    Some((gauge, label.unit_in(&line[fields[*column].clone()])?))
                };
                let units = labels.clone().filter_map(unit).collect();
                (!watched.is_empty()).then_some(Table {
                    between,
                    columns: fields.len(),
                    units,
                    watched,
                    confirmed: false,
                })
            })
    }

    /// What a line is. Until the first row has numbers where they belong, the header may have been a sentence.
    pub fn row(&mut self, line: &[u8]) -> Row {
        if line.iter().all(|b| b" -=+|:\t_".contains(b)) {
            return if self.confirmed && line.is_empty() {
                Row::End
            } else {
                Row::Skip
            };
        }
        let fields = split(line, self.between);
        if fields.len() != self.columns {
            return Row::End;
        }
        let empty = |f: &Range<usize>| {
            matches!(
                &line[f.clone()],
                b"" | b"-" | b"--" | b"n/a" | b"N/A" | b"None" | b"null"
            )
        };
        let number = |f: &Range<usize>| {
            let text = &line[f.clone()];
            text.iter()
                .find(|b| !b"+-.".contains(b))
                .is_some_and(u8::is_ascii_digit)
                || text.eq_ignore_ascii_case(b"nan")
                || text.starts_with("−".as_bytes())
        };
        let watched = || self.watched.iter().map(|(column, _)| &fields[*column]);
        let fits = if self.confirmed {
            watched().any(|f| number(f) || empty(f))
        } else {
            watched().all(|f| number(f) || empty(f)) && watched().any(number)
        };
        if !fits || self.between == Between::Blanks && !fields.iter().all(|f| number(f) || empty(f)) {
            return Row::End;
        }
        self.confirmed = true;
        Row::Fields(
            self.watched
                .iter()
                .filter(|(column, _)| !empty(&fields[*column]))
                .map(|(column, gauge)| (*gauge, fields[*column].clone()))
                .collect(),
        )
    }
}

/// The fields of a line, without blanks and quotes around them. A sign inside of quotes separates nothing.
fn split(line: &[u8], between: Between) -> Vec<Range<usize>> {
    let mut fields = Vec::new();
    let Between::Sign(sign) = between else {
        let mut start = None;
        for (i, b) in line.iter().chain(b" ").enumerate() {
            match (b.is_ascii_whitespace(), start) {
                (false, None) => start = Some(i),
                (true, Some(from)) => {
                    fields.push(from..i);
                    start = None;
                }
                _ => {}
            }
            if fields.len() > COLUMNS {
                break;
            }
        }
        return fields;
    };
    let (mut from, mut quoted) = (0, false);
    for i in 0..=line.len() {
        match line.get(i) {
            Some(b'"') => quoted = !quoted,
            Some(b) if *b != sign || quoted => {}
            _ => {
                fields.push(trim(line, from..i));
                from = i + 1;
                if fields.len() > COLUMNS {
                    break;
                }
            }
        }
    }
    fields
}

fn trim(line: &[u8], field: Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (field.start, field.end);
    while start < end && line[start].is_ascii_whitespace() {
        start += 1;
    }
    while start < end && line[end - 1].is_ascii_whitespace() {
        end -= 1;
    }
    if end - start >= 2 && line[start] == b'"' && line[end - 1] == b'"' {
        return start + 1..end - 1;
    }
    start..end
}
