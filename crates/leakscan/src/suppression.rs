//! Suppressions that a text contains: a marker, a kind and a reason, for the same line or for the next one.

use std::cell::Cell;

use crate::kinds;
use crate::located::LocatedLeak;
use crate::located::Place;
use crate::located::Region;

/// A suppression for the leaks of one line.
pub struct Suppression {
    kind: String,
    /// The line whose leaks are suppressed: its own, or the next one if the line has no other text.
    line: u32,
    region: Region,
    has_reason: bool,
    used: Cell<bool>,
}

/// A suppression that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressionProblem {
    /// The kind that the suppression names.
    pub kind: String,
    /// The place of the suppression.
    pub region: Region,
    /// Why the suppression has no effect.
    pub reason: SuppressionError,
}

/// Why a suppression has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuppressionError {
    /// No kind has this name.
    UnknownKind,
    /// The reason has fewer than three letters or digits.
    NoReason,
    /// The line has no leak of this kind.
    Unused,
}

impl Suppression {
    /// Reads the suppressions of a text that begins after `lines_before` lines.
    pub(crate) fn read(text: &[u8], lines_before: u32, marker: &str) -> Vec<Self> {
        let marker = marker.as_bytes();
        let mut found = Vec::new();
        if marker.is_empty() || memchr::memmem::find(text, marker).is_none() {
            return found;
        }
        for (number, row) in (lines_before + 1..).zip(text.split(|b| *b == b'\n')) {
            let Some(at) = memchr::memmem::find(row, marker) else {
                continue;
            };
            let rest = String::from_utf8_lossy(&row[at + marker.len()..]).into_owned();
            let (kind, reason) = rest.split_once(char::is_whitespace).unwrap_or((&rest, ""));
            // Documentation writes KIND or <kind>.
            if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                continue;
            }
            let alone = !row[..at].iter().any(u8::is_ascii_alphanumeric);
            let letters = reason.chars().filter(|c| c.is_alphanumeric()).count();
            let column =
                u32::try_from(String::from_utf8_lossy(&row[..at]).chars().count() + 1).unwrap_or(u32::MAX);
            found.push(Suppression {
                kind: kind.to_owned(),
                line: if alone { number + 1 } else { number },
                region: Region {
                    line: number,
                    column,
                    end_line: number,
                    end_column: column + u32::try_from(marker.len() + kind.len()).unwrap_or(0),
                },
                has_reason: letters >= 3,
                used: Cell::new(false),
            });
        }
        found
    }

    /// Removes the suppressed leaks. `suppressions` is in the order of the lines.
    pub(crate) fn apply(suppressions: &[Self], leaks: &mut Vec<LocatedLeak>) {
        leaks.retain(|leak| {
            let Place::Lines(region) = leak.place else {
                return true;
            };
            let from = suppressions.partition_point(|s| s.line < region.line);
            let suppression = suppressions[from..]
                .iter()
                .take_while(|s| s.line <= region.end_line)
                .find(|s| s.has_reason && s.kind == leak.kind.id);
            suppression.inspect(|s| s.used.set(true)).is_none()
        });
    }

    /// The problem of this suppression, after [`apply`](Self::apply).
    pub(crate) fn problem(&self) -> Option<SuppressionProblem> {
        let reason = if !kinds::TABLE.iter().any(|kind| kind.id == self.kind) {
            SuppressionError::UnknownKind
        } else if !self.has_reason {
            SuppressionError::NoReason
        } else if !self.used.get() {
            SuppressionError::Unused
        } else {
            return None;
        };
        Some(SuppressionProblem {
            kind: self.kind.clone(),
            region: self.region,
            reason,
        })
    }
}
