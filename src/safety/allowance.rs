//! What may stay although it looks like a leak: allowances in the settings, in the text itself, and in a baseline.
//!
//! An allowance needs a reason, may run out, and is reported when it allows nothing any more.

use std::cell::Cell;
use std::collections::BTreeMap;

use globset::Glob;
use globset::GlobMatcher;

use super::codes;
use super::document::Placed;
use crate::domain::finding::Finding;
use crate::domain::finding::Region;
use crate::domain::settings::Allowance;

/// Begins an allowance within a text.
const MARK: &[u8] = b"nmoe-gates: allow ";

/// An allowance written into a text: for its own line, or for the next one where it stands alone.
pub struct Inline {
    code: String,
    line: u32,
    region: Region,
    reason: bool,
    used: Cell<bool>,
}

impl Inline {
    /// Drops what a text's own lines allow, and adds what is wrong with them.
    pub fn apply(name: &str, allowances: &[Self], placed: Vec<Placed>) -> Vec<Placed> {
        if allowances.is_empty() {
            return placed;
        }
        let mut kept: Vec<Placed> = placed
            .into_iter()
            .filter(|placed| {
                let Some(region) = placed.finding.region else {
                    return true;
                };
                // They are in the order of their lines.
                let from = allowances.partition_point(|a| a.line < region.line);
                let allows = allowances[from..]
                    .iter()
                    .take_while(|a| a.line <= region.end_line)
                    .find(|a| a.reason && a.code == placed.finding.code.id);
                allows.inspect(|a| a.used.set(true)).is_none()
            })
            .collect();
        for allowance in allowances {
            let known = codes::TABLE.iter().any(|code| code.id == allowance.code);
            let finding = if !known {
                Finding::new(
                    &codes::BAD_ALLOWANCE,
                    format!("there is no code `{}` to allow", allowance.code),
                )
            } else if !allowance.reason {
                Finding::new(
                    &codes::BAD_ALLOWANCE,
                    format!("the allowance of `{}` gives no reason", allowance.code),
                )
            } else if !allowance.used.get() {
                Finding::new(
                    &codes::UNUSED_ALLOWANCE,
                    format!("nothing here is a `{}`", allowance.code),
                )
                .help("Remove the allowance.")
            } else {
                continue;
            };
            kept.push(Placed {
                finding: finding.at(allowance.region).in_path(name),
                fingerprint: None,
            });
        }
        kept.sort_by_key(|placed| placed.finding.region);
        kept
    }

    /// The allowances of a text that stands behind some lines.
    pub fn read(text: &[u8], before: u32) -> Vec<Self> {
        let mut found = Vec::new();
        if memchr::memmem::find(text, MARK).is_none() {
            return found;
        }
        for (number, row) in (before + 1..).zip(text.split(|b| *b == b'\n')) {
            let Some(at) = memchr::memmem::find(row, MARK) else {
                continue;
            };
            let rest = String::from_utf8_lossy(&row[at + MARK.len()..]).into_owned();
            let (code, reason) = rest.split_once(char::is_whitespace).unwrap_or((&rest, ""));
            // Documentation writes CODE or <code>.
            if code.is_empty() || !code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                continue;
            }
            let alone = !row[..at].iter().any(u8::is_ascii_alphanumeric);
            let words = reason.chars().filter(|c| c.is_alphanumeric()).count();
            let column =
                u32::try_from(String::from_utf8_lossy(&row[..at]).chars().count() + 1).unwrap_or(u32::MAX);
            found.push(Inline {
                code: code.to_owned(),
                line: if alone { number + 1 } else { number },
                region: Region {
                    line: number,
                    column,
                    end_line: number,
                    end_column: column + u32::try_from(MARK.len() + code.len()).unwrap_or(0),
                },
                reason: words >= 3,
                used: Cell::new(false),
            });
        }
        found
    }
}

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
    pub fn allows(&self, placed: &Placed) -> bool {
        let path = placed.finding.path.as_deref().unwrap_or_default();
        let path = path.strip_prefix("./").unwrap_or(path);
        let mut allowed = false;
        for rule in &self.rules {
            if rule.allowance.code == placed.finding.code.id && rule.path.is_match(path) {
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

/// Known leaks of an old repository: how many of each fingerprint a file may have.
#[derive(Default)]
pub struct Baseline {
    known: BTreeMap<(String, String, String), usize>,
}

impl Baseline {
    /// Reads a baseline: `code fingerprint path` a line.
    ///
    /// # Errors
    /// Names the line that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut known = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut parts = line.splitn(3, ' ');
            let (Some(code), Some(fingerprint), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                return Err(format!("line {} is not `code fingerprint path`", index + 1));
            };
            *known
                .entry((code.to_owned(), fingerprint.to_owned(), path.to_owned()))
                .or_insert(0) += 1;
        }
        Ok(Baseline { known })
    }

    /// Writes a baseline that knows these findings. It holds no part of what was found.
    pub fn write(placed: &[Placed]) -> String {
        let mut lines: Vec<String> = placed
            .iter()
            .filter_map(key)
            .map(|(code, print, path)| format!("{code} {print} {path}\n"))
            .collect();
        lines.sort();
        format!(
            "# Known leaks: code, fingerprint, path. Mend them and remove their lines.\n{}",
            lines.concat()
        )
    }

    /// Whether a finding is known; each entry knows one.
    pub fn knows(&mut self, placed: &Placed) -> bool {
        key(placed)
            .and_then(|key| self.known.get_mut(&key))
            .is_some_and(|left| {
                let known = *left > 0;
                *left = left.saturating_sub(1);
                known
            })
    }

    /// Entries that knew nothing, as findings in the baseline's file.
    pub fn findings(&self, file: &str) -> Vec<Finding> {
        self.known
            .iter()
            .filter(|(_, left)| **left > 0)
            .map(|((code, print, path), _)| {
                Finding::new(
                    &codes::UNUSED_ALLOWANCE,
                    format!("the baseline knows a `{code}` ({print}) in `{path}` that is gone"),
                )
                .in_path(file)
                .help("Remove its line.")
            })
            .collect()
    }
}

fn key(placed: &Placed) -> Option<(String, String, String)> {
    let path = placed.finding.path.clone().unwrap_or_default();
    let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
    Some((
        placed.finding.code.id.to_owned(),
        placed.fingerprint.clone()?,
        path,
    ))
}
