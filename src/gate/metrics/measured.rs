//! Holds the samples of one metric, to be compared, recorded or shown. Reads no output.

use crate::domain::metric::Metric;
use crate::domain::results::{Series, Unreadable};
use crate::gate::metrics::form::{Forms, Why};
use crate::gate::metrics::gauge::{Note, Unread};
use crate::gate::metrics::samples::Samples;
use crate::gate::metrics::series::Told;

/// Most samples that go into a result; thinned evenly beyond it.
const RECORDED: usize = 1000;

/// What was measured of one metric.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The metric.
    pub metric: Metric,
    /// The samples.
    pub samples: Samples,
    /// How many numbers could not be read; with one of them the measurement is invalid.
    pub refused: u64,
    /// What was not read, the first of each kind.
    pub notes: Vec<Note>,
    /// How the numbers are written.
    pub forms: Forms,
    /// Restarts, and what could not become a sample.
    pub told: Told,
}

impl Measured {
    /// Returns the unit: the declared one, or that of the log, which is text of the gate and not for publishing.
    pub fn unit(&self) -> Option<&str> {
        let adopted = self.forms.adopted.as_ref().map(|(text, _)| text.as_str());
        self.metric.unit.as_deref().or(adopted)
    }

    /// Returns the first number that could not be read: its shape and the cause.
    pub fn unreadable(&self) -> Option<(&Note, Why)> {
        self.notes.iter().find_map(|note| match note.why {
            Unread::Refused(why) => Some((note, why)),
            _ => None,
        })
    }

    /// Returns the series for the results. If a number could not be read, the series has no values, because they are incomplete.
    pub fn series(&self) -> Series {
        let kept = self.samples.values();
        let step = kept.len().div_ceil(RECORDED).max(1);
        let unreadable = self.unreadable().map(|(note, _)| Unreadable {
            count: self.refused,
            shape: note.shape.clone(),
        });
        let usable = unreadable.is_none();
        Series {
            unit: self.metric.unit.clone(),
            direction: self.metric.direction,
            count: self.samples.count(),
            p50: self.samples.median().filter(|_| usable),
            samples: kept
                .iter()
                .copied()
                .filter(|v| v.is_finite() && usable)
                .step_by(step)
                .collect(),
            unreadable,
            not_finite: self.samples.odd().not_finite,
            restarts: self.told.restarts,
        }
    }
}

impl PartialEq for Measured {
    fn eq(&self, other: &Self) -> bool {
        self.metric == other.metric
            && self.samples == other.samples
            && self.refused == other.refused
            && self.notes == other.notes
            && self.told == other.told
    }
}
