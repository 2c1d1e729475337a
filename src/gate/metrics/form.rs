//! How numbers are written, and which forms one program does not mix.
//!
//! Knows no line but for the shape of it that may be shown.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::gate::metrics::unit::Unit;

/// Values so far apart are not written in two forms by one program.
const APART: f64 = 100.0;

/// Two logs whose values are so far apart are not compared if one has a suffix, unit or word that the other lacks. Minutes and seconds, bits and
/// bytes, or eight GPUs and one are further apart.
const LOGS_APART: f64 = 5.0;

/// Most forms of one log. Further words count as one.
const FORMS: usize = 32;

/// Why something that begins like a number is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Thousands are not separated in groups of three, or two separators are mixed.
    Grouping,
    /// One number with a blank in it, or two numbers.
    Blank,
    /// Letters, digits or signs follow that belong to it and have no meaning here.
    HalfRead,
    /// It is part of a list, a range, a ratio, a product, a time, a date or a version.
    NotAlone,
    /// A sign such as `~` or `>` precedes it.
    Qualified,
    /// Digits other than 0 to 9.
    Digits,
    /// Its unit is unknown, ambiguous, or measures something else than the declared one.
    Unit,
    /// It is too long or too large.
    TooLarge,
    /// A word follows that is not a form of the declared unit.
    UnknownWord,
    /// Its neighbours are written in another form, and its value is 100 times theirs or more, or a hundredth or less.
    OtherForm,
}

impl Why {
    /// The explanation, which follows the shape of the line.
    pub fn message(self) -> &'static str {
        match self {
            Why::Grouping => "digits are not in groups of three with one separator",
            Why::Blank => "one number with a blank in it, or two numbers",
            Why::HalfRead => "something follows that belongs to the number and has no known meaning",
            Why::NotAlone => "part of a list, range, ratio, product, time, date or version",
            Why::Qualified => "a sign stands before the digits",
            Why::Digits => "digits other than 0 to 9",
            Why::Unit => "the unit is unknown, ambiguous, or another than the declared one",
            Why::TooLarge => "too long or too large",
            Why::UnknownWord => {
                "the next word is not a form of the declared unit: write that unit, put a comma after the number, or give the metric a `pattern` that includes the word"
            }
            Why::OtherForm => "written in another form than other samples, and 100-fold apart from them",
        }
    }
}

/// How many decimals a number has, as far as it tells what the decimal sign is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decimals {
    /// No decimal sign.
    #[default]
    None,
    /// Three after one to three digits: with the other decimal sign it would be a number of thousands.
    Three,
    /// Any others: the sign can only be a decimal sign.
    Proven,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Thousands are separated.
    pub grouped: bool,
    /// Four digits or more before the decimal sign, without separators.
    pub plain: bool,
    /// Decimals.
    pub decimals: Decimals,
    /// Suffix, upper case; 0 for none.
    pub suffix: u8,
    /// Whether a unit is written.
    pub unit: bool,
    /// A fingerprint of the word after the number, if the word has no known meaning; 0 for none.
    pub word: u32,
}

impl Form {
    /// Whether a program that prints numbers in one of these forms does not print the other: then one of the two may be misread.
    pub fn clashes(self, other: Form) -> bool {
        let one_way = |a: Form, b: Form| {
            let integer = |f: Form| f.decimals == Decimals::None && (f.grouped || f.plain);
            a.grouped
                && !b.grouped
                && (b.plain || (a.decimals == Decimals::None && b.decimals != Decimals::None))
                || integer(a) && b.decimals == Decimals::Three && !b.grouped
        };
        self.written_apart(other) || one_way(self, other) || one_way(other, self)
    }
}

/// The forms in which a metric was written, each with its last value.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    seen: Vec<(Form, f64)>,
    proven: bool,
    resolution: Option<f64>,
    /// Whether a number has more digits than the value that stands for it.
    pub rounded: bool,
    /// The unit of the log, as written and as understood, where the registry declares none.
    pub adopted: Option<(String, Unit)>,
}

/// Why two logs cannot be compared: they write the metric in two forms.
pub const TWO_FORMS: &str =
    "the logs write the metric in two forms (suffix, separator, unit), and the values are 100-fold apart";
/// Why two logs cannot be compared: a suffix, unit or word differs, and the values are far apart.
pub const OTHER_SCALE: &str = "one log writes the metric with a suffix, unit or word that the other lacks, and the values are 5-fold apart; print the same form";
/// Why two logs cannot be compared: other words follow the numbers.
pub const TWO_WORDS: &str = "the word after the number differs between the logs and may be a unit; declare the metric's `unit`, or a `pattern` that includes the word";
/// Why two logs cannot be compared: no unit is declared, and they print two.
pub const TWO_UNITS: &str = "the logs write the metric in two units; declare its `unit` in the registry";

impl Forms {
    /// Returns whether a number in this form fits the other numbers.
    pub fn admits(&mut self, mut form: Form, value: f64) -> bool {
        if form.decimals == Decimals::Proven && !self.proven {
            self.proven = true;
            for (seen, _) in &mut self.seen {
                seen.settle();
            }
        }
        if self.proven {
            form.settle();
        }
        if self.seen.len() >= FORMS && form.word != 0 {
            form.word = u32::MAX;
        }
        if self
            .seen
            .iter()
            .any(|(other, last)| form.clashes(*other) && far_apart(value, *last, APART))
        {
            return false;
        }
        match self.seen.iter_mut().find(|(seen, _)| *seen == form) {
            Some((_, last)) => *last = value,
            None => self.seen.push((form, value)),
        }
        true
    }

    /// Takes one unit of the last digit of a number.
    pub fn written_to(&mut self, resolution: f64) {
        self.resolution = Some(
            self.resolution
                .map_or(resolution, |finest| finest.min(resolution)),
        );
    }

    /// Returns one unit of the last digit of the number with the finest digits: 0.1 for `61.0`.
    pub fn resolution(&self) -> Option<f64> {
        self.resolution.filter(|finest| *finest > 0.0)
    }

    /// Returns why this log cannot be compared with another: another unit, other words, or another form with values that are far from these.
    pub fn clash(&self, other: &Forms) -> Option<&'static str> {
        if self.seen.is_empty() || other.seen.is_empty() {
            return None;
        }
        let unit = |forms: &Forms| forms.adopted.as_ref().map(|(_, unit)| unit.clone());
        if unit(self) != unit(other) {
            return Some(TWO_UNITS);
        }
        if self.other_words(other) {
            return Some(TWO_WORDS);
        }
        let either = self.proven && other.proven;
        let any = |clash: &dyn Fn(Form, Form, f64, f64) -> bool| {
            self.seen.iter().any(|(here, value)| {
                other.seen.iter().any(|(there, last)| {
                    let (mut here, mut there) = (*here, *there);
                    if either {
                        here.settle();
                        there.settle();
                    }
                    clash(here, there, *value, *last)
                })
            })
        };
        if any(&|here, there, value, last| here.clashes(there) && far_apart(value, last, APART)) {
            return Some(TWO_FORMS);
        }
        // A form that both logs have is the form of the program.
        let common = any(&|here, there, _, _| !here.written_apart(there));
        let apart = || any(&|_, _, value, last| far_apart(value, last, LOGS_APART));
        (!common && apart()).then_some(OTHER_SCALE)
    }

    /// Whether the words after the numbers differ. A word that follows only some numbers of both logs is a remark and not a unit.
    fn other_words(&self, other: &Forms) -> bool {
        let words = |forms: &Forms| {
            forms
                .seen
                .iter()
                .map(|(form, _)| form.word)
                .collect::<BTreeSet<u32>>()
        };
        let (here, there) = (words(self), words(other));
        here.is_disjoint(&there) || here != there && !here.contains(&0) && !there.contains(&0)
    }
}

impl Form {
    /// Whether the suffix, the presence of a unit, or the next word differs.
    fn written_apart(self, other: Form) -> bool {
        (self.suffix, self.unit, self.word) != (other.suffix, other.unit, other.word)
    }

    /// Three decimals are decimals where the decimal sign is known.
    fn settle(&mut self) {
        if self.decimals == Decimals::Three {
            self.decimals = Decimals::Proven;
        }
    }
}

fn far_apart(a: f64, b: f64, limit: f64) -> bool {
    let ratio = (a / b).abs();
    a != 0.0 && b != 0.0 && ratio.is_finite() && (ratio >= limit || ratio <= 1.0 / limit)
}

/// Returns the shape of the text at `at`: digits as 9, letters as a, other signs outside a short list as `?`. Never the text.
pub fn shape(line: &[u8], at: usize) -> String {
    let piece = line.get(at..(at + 24).min(line.len())).unwrap_or_default();
    let mut shape: String = String::from_utf8_lossy(piece)
        .chars()
        .map(|c| match c {
            c if c.is_numeric() => '9',
            c if c.is_alphabetic() => 'a',
            '.' | ',' | ':' | ';' | '_' | '\'' | '/' | '+' | '-' | '%' | '(' | ')' | '=' | '~' => c,
            '\t' => ' ',
            c if c.is_whitespace() => ' ',
            _ => '?',
        })
        .collect();
    shape.truncate(shape.trim_end().len());
    shape
}
