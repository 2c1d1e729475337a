//! Suppressions in the settings: which leaks may stay in which files, for which reason and until when.

use std::cell::Cell;

use anyhow::anyhow;

use crate::domain::finding::Finding;
use crate::domain::paths;
use crate::domain::settings::Allowance;
use crate::leaks::codes;
use crate::leaks::finding::LeakFinding;
use crate::system::clock;

/// The suppressions of the settings.
pub struct Suppressions {
    entries: Vec<Suppression>,
    file: String,
}

struct Suppression {
    setting: Allowance,
    expired: bool,
    used: Cell<bool>,
}

impl Suppressions {
    /// Checks the suppressions of a settings file on a day (`YYYY-MM-DD`).
    ///
    /// # Errors
    /// States which entry is invalid, and why.
    pub fn new(list: &[Allowance], file: &str, today: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for (index, allowance) in list.iter().enumerate() {
            let wrong = |what: String| format!("{file}: safety.allow entry {}: {what}", index + 1);
            if !codes::TABLE.iter().any(|code| code.id == allowance.code) {
                return Err(wrong(format!("there is no code `{}`", allowance.code)));
            }
            if allowance.reason.trim().is_empty() {
                return Err(wrong("the reason is empty".to_owned()));
            }
            let expired = match &allowance.expires {
                Some(day) if !is_day(day) => {
                    return Err(wrong(format!("`{day}` is not a day such as 2027-01-31")));
                }
                Some(day) => day.as_str() < today,
                None => false,
            };
            entries.push(Suppression {
                setting: allowance.clone(),
                expired,
                used: Cell::new(false),
            });
        }
        Ok(Suppressions {
            entries,
            file: file.to_owned(),
        })
    }

    /// Checks the suppressions of the settings on the current day.
    ///
    /// # Errors
    /// States which entry is invalid, and why.
    pub fn today(list: &[Allowance]) -> anyhow::Result<Self> {
        let now = clock::now();
        Suppressions::new(list, paths::SETTINGS, now.get(..10).unwrap_or(&now)).map_err(|why| anyhow!(why))
    }

    /// Whether a suppression that has not expired matches a finding.
    pub fn matches(&self, found: &LeakFinding) -> bool {
        let path = found.finding.path.as_deref().unwrap_or_default();
        let path = path.strip_prefix("./").unwrap_or(path);
        let mut allowed = false;
        for entry in &self.entries {
            if entry.setting.code == found.finding.code.id && entry.setting.path.matches(path) {
                entry.used.set(true);
                allowed |= !entry.expired;
            }
        }
        allowed
    }

    /// Reports expired suppressions that match and, after a scan of `everything`, all expired and unused ones. Until its end date, a
    /// suppression without a match is a warning: what it is for may not be merged yet.
    pub fn findings(&self, everything: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        for entry in &self.entries {
            let (path, code) = (entry.setting.path.to_string(), &entry.setting.code);
            if entry.expired && (everything || entry.used.get()) {
                let day = entry.setting.expires.as_deref().unwrap_or_default();
                found.push(Finding::new(
                    &codes::EXPIRED_ALLOWANCE,
                    format!("the suppression of `{code}` in `{path}` expired on {day}"),
                ));
            } else if everything && !entry.used.get() {
                found.push(
                    Finding::new(
                        &codes::UNUSED_ALLOWANCE,
                        format!("the suppression of `{code}` in `{path}` matches nothing"),
                    )
                    .help(if path.contains('*') {
                        "Remove the entry; or correct its path: `*` stops at `/`, `**` crosses it."
                    } else {
                        "Remove the entry."
                    }),
                );
            }
        }
        found
            .into_iter()
            .map(|finding| finding.in_path(&self.file))
            .collect()
    }
}

fn is_day(day: &str) -> bool {
    day.len() == 10
        && day.bytes().enumerate().all(|(at, b)| {
            if matches!(at, 4 | 7) {
                b == b'-'
            } else {
                b.is_ascii_digit()
            }
        })
}
