//! Counts what a report does not list, so that memory does not grow with the number of leaks.

use crate::kinds::Kind;
use crate::kinds::Severity;
use crate::suppression::SuppressionError;

/// Leaks, and suppressions that have no effect, that are only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// The number of leaks of each severity and kind, in no particular order.
    pub leaks: Vec<(Severity, &'static Kind, usize)>,
    /// The number of suppressions with each problem, in no particular order.
    pub problems: Vec<(SuppressionError, usize)>,
}

impl Rest {
    pub(crate) fn add_leaks(&mut self, severity: Severity, kind: &'static Kind, count: usize) {
        let mut known = self.leaks.iter_mut();
        match known.find(|(known, of, _)| *known == severity && of.id == kind.id) {
            Some((.., number)) => *number += count,
            None => self.leaks.push((severity, kind, count)),
        }
    }

    pub(crate) fn add_problems(&mut self, reason: SuppressionError, count: usize) {
        match self.problems.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, number)) => *number += count,
            None => self.problems.push((reason, count)),
        }
    }
}
