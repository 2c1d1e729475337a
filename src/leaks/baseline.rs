//! The baseline: the known leaks of an old repository, by fingerprint, so that only new leaks are reported.

use std::collections::BTreeMap;

use crate::domain::finding::Finding;
use crate::leaks::codes;
use crate::leaks::finding::LeakFinding;

/// How many leaks of each code and fingerprint each file is known to have.
#[derive(Default)]
pub struct Baseline {
    known: BTreeMap<(String, String, String), usize>,
}

impl Baseline {
    /// Parses a baseline, with `code fingerprint path` on each line.
    ///
    /// # Errors
    /// Names the invalid line.
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

    /// Writes a baseline of these findings. The baseline does not contain the text of a leak.
    pub fn write(found: &[LeakFinding]) -> String {
        let mut lines: Vec<String> = found
            .iter()
            .filter_map(key)
            .map(|(code, print, path)| format!("{code} {print} {path}\n"))
            .collect();
        lines.sort();
        format!(
            "# Known leaks: code, fingerprint, path. Fix them and remove their lines.\n{}",
            lines.concat()
        )
    }

    /// Whether the baseline contains a finding. Each entry counts for one finding.
    pub fn contains(&mut self, found: &LeakFinding) -> bool {
        key(found)
            .and_then(|key| self.known.get_mut(&key))
            .is_some_and(|left| {
                let known = *left > 0;
                *left = left.saturating_sub(1);
                known
            })
    }

    /// Reports the entries whose leak is gone.
    pub fn findings(&self, file: &str) -> Vec<Finding> {
        self.known
            .iter()
            .filter(|(_, left)| **left > 0)
            .map(|((code, print, path), _)| {
                Finding::new(
                    &codes::UNUSED_ALLOWANCE,
                    format!("the baseline has a `{code}` ({print}) in `{path}` that is gone"),
                )
                .in_path(file)
                .help("Remove its line.")
            })
            .collect()
    }
}

fn key(found: &LeakFinding) -> Option<(String, String, String)> {
    let path = found.finding.path.clone().unwrap_or_default();
    let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
    Some((found.finding.code.id.to_owned(), found.fingerprint.clone()?, path))
}
