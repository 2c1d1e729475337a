//! Suppressions in the settings: which leaks may stay in which files, for which reason and until when.

use std::cell::Cell;

use globset::Glob;
use globset::GlobMatcher;

use crate::domain::finding::Finding;
use crate::domain::settings::Allowance;
use crate::leaks::codes;
use crate::leaks::finding::LeakFinding;

/// The allowances of the settings, ready to be asked.
pub struct Allowances {
    rules: Vec<Rule>,
    file: String,
}

struct Rule {
    path: GlobMatcher,
    allowance: Allowance,
    expired: bool,
    used: Cell<bool>,
}

impl Allowances {
    /// Reads the allowances of a settings file of this name, on this day (`YYYY-MM-DD`).
    ///
    /// # Errors
    /// Says which entry cannot be used, and why.
    pub fn new(list: &[Allowance], file: &str, today: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (index, allowance) in list.iter().enumerate() {
            let wrong = |what: String| format!("{file}: safety.allow entry {}: {what}", index + 1);
            let path = Glob::new(&allowance.path)
                .map_err(|e| wrong(e.to_string()))?
                .compile_matcher();
            if !codes::TABLE.iter().any(|code| code.id == allowance.code) {
                return Err(wrong(format!("there is no code `{}`", allowance.code)));
            }
            if allowance.reason.trim().is_empty() {
                return Err(wrong("the reason is empty".to_owned()));
            }
            let expired = match &allowance.expires {
                Some(day) if !is_day(day) => {
                    return Err(wrong(format!("`{day}` is no day such as 2027-01-31")));
                }
                Some(day) => day.as_str() < today,
                None => false,
            };
            rules.push(Rule {
                path,
                allowance: allowance.clone(),
                expired,
                used: Cell::new(false),
            });
        }
        Ok(Allowances {
            rules,
            file: file.to_owned(),
        })
    }

    /// Whether a finding may stay.
    pub fn allows(&self, found: &LeakFinding) -> bool {
        let path = found.finding.path.as_deref().unwrap_or_default();
        let path = path.strip_prefix("./").unwrap_or(path);
        let mut allowed = false;
        for rule in &self.rules {
            if rule.allowance.code == found.finding.code.id && rule.path.is_match(path) {
                rule.used.set(true);
                allowed |= !rule.expired;
            }
        }
        allowed
    }

    /// What is wrong with the allowances themselves. Unused ones are told only after a look at `everything`.
    pub fn findings(&self, everything: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        for rule in &self.rules {
            let Allowance { path, code, .. } = &rule.allowance;
            if rule.expired && rule.used.get() {
                let day = rule.allowance.expires.as_deref().unwrap_or_default();
                found.push(Finding::new(
                    &codes::EXPIRED_ALLOWANCE,
                    format!("the allowance of `{code}` in `{path}` ran out on {day}"),
                ));
            } else if everything && !rule.used.get() {
                found.push(
                    Finding::new(
                        &codes::UNUSED_ALLOWANCE,
                        format!("the allowance of `{code}` in `{path}` allows nothing"),
                    )
                    .help("Remove the entry."),
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
