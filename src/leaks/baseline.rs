//! The baseline: the known leaks of an old repository, by fingerprint, so that only new leaks are reported.

use std::collections::BTreeMap;

use crate::domain::finding::Finding;
use crate::leaks::codes;
use crate::leaks::finding::LeakFinding;

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
    pub fn write(found: &[LeakFinding]) -> String {
        let mut lines: Vec<String> = found
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
    pub fn knows(&mut self, found: &LeakFinding) -> bool {
        key(found)
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

fn key(found: &LeakFinding) -> Option<(String, String, String)> {
    let path = found.finding.path.clone().unwrap_or_default();
    let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
    Some((found.finding.code.id.to_owned(), found.fingerprint.clone()?, path))
}
