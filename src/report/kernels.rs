//! Lists the kernel checks of gates, and what they prove about a library. Depends on the names of the checks only.

use std::path::Path;

use serde::Serialize;

use crate::domain::results::{GateResult, KernelCheck, Results};
use crate::domain::verdict::{Reason, Verdict};
use crate::report::number;

/// One kernel check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The name of the check.
    pub name: String,
    /// The verdict, one word.
    pub status: &'static str,
    /// The reason code. Empty for a pass.
    pub reason: Option<&'static str>,
    /// Wall time, if it was measured.
    pub duration: Option<String>,
}

/// Returns the checks of a gate in the order in which they ran.
pub fn rows(result: &GateResult) -> Vec<Check> {
    let row = |check: &KernelCheck| Check {
        name: check.name.clone(),
        status: check.status.as_str(),
        reason: check.reason.map(Reason::as_str),
        duration: check.duration_s.map(number::duration),
    };
    result.kernel_checks.iter().map(row).collect()
}

/// Describes what was proven about a library: inspected, compared with its sources, loaded. Returns nothing if no gate
/// checked the library.
pub fn proven_of(results: &Results, path: &str) -> Option<String> {
    let passed = |what: &str| {
        let name = KernelCheck::of_library(Path::new(path), what);
        let rows = results.results.values().flat_map(|r| &r.kernel_checks);
        // Libraries of the same name in two folders share the names of their checks.
        let mut found = rows
            .filter(|check| check.name == name && check.library.as_deref().is_none_or(|l| l == path))
            .peekable();
        found.peek()?;
        Some(found.all(|check| check.status == Verdict::Pass))
    };
    let inspected = passed("inspect")?;
    let mut said = vec![if inspected {
        "inspected"
    } else {
        "refused by inspection"
    }];
    let any = |name: &str| {
        let mut rows = results.results.values().flat_map(|r| &r.kernel_checks);
        rows.any(|check| check.name == name && check.status == Verdict::Pass)
    };
    if any(KernelCheck::BUILT_FROM_SCRATCH) {
        said.push("built from scratch in this run");
    }
    match passed("mapped") {
        Some(true) => said.push("mapped by a gate"),
        Some(false) => said.push("another file was mapped by a gate"),
        None => {}
    }
    if passed("collectives") == Some(false) {
        said.push("imports an all-to-all");
    }
    said.extend_from_slice(match (passed("fresh"), passed("load")) {
        (None, _) => &["never loaded by this tool"],
        (Some(false), _) => &["stale"],
        (Some(true), None) => &["built from these sources", "not loaded"],
        (Some(true), Some(true)) => &["built from these sources", "loaded"],
        (Some(true), Some(false)) => &["built from these sources", "failed to load"],
    });
    Some(said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::results::GateResult;

    fn proven(rows: &[(&str, Verdict)]) -> Option<String> {
        let mut gate = GateResult::new(Verdict::Pass, None);
        gate.kernel_checks = rows
            .iter()
            .map(|(name, status)| KernelCheck {
                name: (*name).to_owned(),
                library: None,
                status: *status,
                reason: None,
                duration_s: None,
                deltas: Vec::new(),
            })
            .collect();
        let text = include_str!("../../tests/fixtures/report/mixed.json");
        let mut results: Results = serde_json::from_str(text).unwrap();
        results.results.clear();
        results.results.insert("b200:train".parse().unwrap(), gate);
        proven_of(&results, "nmoe/csrc/rdep.cpython-311.so")
    }

    #[test]
    fn only_proven_properties_are_listed() {
        use Verdict::{Fail, Invalid, Pass};
        let cases = [
            (&[][..], None),
            (&[("gpu_inspect", Pass)], None),
            (
                &[("rdep_inspect", Pass)],
                Some("inspected, never loaded by this tool"),
            ),
            (
                &[("rdep_inspect", Invalid)],
                Some("refused by inspection, never loaded by this tool"),
            ),
            (
                &[("rdep_inspect", Pass), ("rdep_fresh", Invalid)],
                Some("inspected, stale"),
            ),
            (
                &[("rdep_inspect", Pass), ("rdep_fresh", Pass), ("rdep_load", Pass)],
                Some("inspected, built from these sources, loaded"),
            ),
            (
                &[("rdep_inspect", Pass), ("rdep_collectives", Fail)],
                Some("inspected, imports an all-to-all, never loaded by this tool"),
            ),
            (
                &[
                    ("rdep_inspect", Pass),
                    ("built_from_scratch", Pass),
                    ("rdep_mapped", Pass),
                ],
                Some(
                    "inspected, built from scratch in this run, mapped by a gate, never loaded by this tool",
                ),
            ),
        ];
        for (rows, says) in cases {
            assert_eq!(proven(rows).as_deref(), says, "{rows:?}");
        }
    }

    #[test]
    fn libraries_with_one_name_keep_their_checks() {
        let row = |library: &str, status| KernelCheck {
            name: "rdep_inspect".to_owned(),
            library: Some(library.to_owned()),
            status,
            reason: None,
            duration_s: None,
            deltas: Vec::new(),
        };
        let mut gate = GateResult::new(Verdict::Fail, None);
        gate.kernel_checks = vec![
            row("a/rdep.so", Verdict::Pass),
            row("b/rdep.so", Verdict::Invalid),
        ];
        let text = include_str!("../../tests/fixtures/report/mixed.json");
        let mut results: Results = serde_json::from_str(text).unwrap();
        results.results.clear();
        results.results.insert("b200:train".parse().unwrap(), gate);
        assert!(proven_of(&results, "a/rdep.so").unwrap().starts_with("inspected"));
        assert!(proven_of(&results, "b/rdep.so").unwrap().starts_with("refused"));
    }
}
