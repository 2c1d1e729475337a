//! How numbers are written, and which forms one program does not mix.
//!
//! Knows no line but for the shape of it that may be shown.

use serde::{Deserialize, Serialize};

use crate::gate::metrics::unit::Unit;

/// Values so far apart are not written in two forms by one program.
const APART: f64 = 100.0;

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
    /// Its neighbours are written in another form, and its value is 100 times theirs or more, or a hundredth or less.
    OtherForm,
}

impl Why {
    /// The explanation, which follows the shape of the line.
    pub fn says(self) -> &'static str {
        match self {
            Why::Grouping => "digits are not in groups of three with one separator",
            Why::Blank => "one number with a blank in it, or two numbers",
            Why::HalfRead => "something follows that belongs to the number and has no known meaning",
            Why::NotAlone => "part of a list, range, ratio, product, time, date or version",
            Why::Qualified => "a sign stands before the digits",
            Why::Digits => "digits other than 0 to 9",
            Why::Unit => "the unit is unknown, ambiguous, or another than the declared one",
            Why::TooLarge => "too long or too large",
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
        self.suffix != other.suffix || self.unit != other.unit || one_way(self, other) || one_way(other, self)
    }
}

/// The forms in which a metric was written, each with its last value.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    seen: Vec<(Form, f64)>,
    proven: bool,
    resolution: Option<f64>,
    /// The unit of the log, as written and as understood, where the registry declares none.
    pub adopted: Option<(String, Unit)>,
}

/// Why two logs cannot be compared: they write the metric in two forms.
pub const TWO_FORMS: &str =
    "the logs write the metric in two forms (suffix, separator, unit), and the values are 100-fold apart";
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
        if self
            .seen
            .iter()
            .any(|(other, last)| form.clashes(*other) && far_apart(value, *last))
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

    /// Returns why this log cannot be compared with another: another unit, or another form with values that are far from these.
    pub fn clash(&self, other: &Forms) -> Option<&'static str> {
        if let (Some((_, here)), Some((_, there))) = (&self.adopted, &other.adopted)
            && here != there
        {
            return Some(TWO_UNITS);
        }
        let either = self.proven && other.proven;
        let two_forms = self.seen.iter().any(|(here, value)| {
            other.seen.iter().any(|(there, last)| {
                let (mut here, mut there) = (*here, *there);
                if either {
                    here.settle();
                    there.settle();
                }
                here.clashes(there) && far_apart(*value, *last)
            })
        });
        two_forms.then_some(TWO_FORMS)
    }
}

impl Form {
    /// Three decimals are decimals where the decimal sign is known.
    fn settle(&mut self) {
        if self.decimals == Decimals::Three {
            self.decimals = Decimals::Proven;
        }
    }
}

fn far_apart(a: f64, b: f64) -> bool {
    let ratio = (a / b).abs();
    a != 0.0 && b != 0.0 && ratio.is_finite() && (ratio >= APART || ratio <= 1.0 / APART)
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
