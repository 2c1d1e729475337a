//! Reads the results files of a publication, which are untrusted, and verifies them.
//!
//! Must not depend on GitHub.

use std::path::PathBuf;

use crate::domain::evidence::{Evidence, Identity};
use crate::domain::plausible::Reading;
use crate::domain::registry::Registry;
use crate::domain::resolution::Resolution;
use crate::domain::results::Results;
use crate::domain::verdict::Overall;
use crate::pull::staleness;
use crate::report::merge_results::{self, Whole};
use crate::report::read;
use crate::report::verify::{self, Expected, Refusal, RefusalKind, Selection};

/// What is read, and what it is verified with.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// Results files, or folders of them.
    pub paths: &'a [PathBuf],
    pub resolution: Option<&'a Resolution>,
    /// The registry that the run used.
    pub registry: &'a Registry,
    /// The budget of the policy for comparisons, percent.
    pub budget_pct: f64,
    /// Whether the job that ran the gates did not succeed. The supervisor exits with an error unless the run passed, and a gate cannot
    /// change that exit code.
    pub has_job_failed: bool,
}

/// Reads and verifies the results.
pub fn verified(files: Files<'_>, mut evidence: Evidence) -> Result<Results, Refusal> {
    let resolution = files.resolution;
    let results = read_all(files)?;
    if resolution.is_none() && results.evidence.merge == evidence.head && results.evidence.head.is_none() {
        // The run tested the head itself, without a merge, so only this commit can be compared.
        evidence = Evidence {
            merge: evidence.head,
            ..Evidence::default()
        };
    }
    let expected = Expected {
        evidence,
        selection: resolution.map(|resolution| Selection {
            bundle: resolution.bundle.as_deref(),
            gate_ids: &resolution.gate_ids,
            uncovered: &resolution.uncovered,
        }),
        registry: files.registry,
        reading: Reading {
            budget_pct: Some(files.budget_pct),
            is_abridged: false,
        },
    };
    verify::verify(&results, &expected)?;
    if staleness::ran_in_other_image(&results, files.registry) {
        return Err(Refusal::new(
            RefusalKind::Foreign(vec![Identity::Image]),
            "a gate ran in another image than the registry names",
        ));
    }
    if files.has_job_failed && results.overall == Overall::Pass {
        return Err(Refusal::new(
            RefusalKind::JobFailed,
            "the results say pass, and the job that ran the gates did not succeed",
        ));
    }
    Ok(results)
}

/// Reads the results, and merges the parts of several runners.
fn read_all(files: Files<'_>) -> Result<Results, Refusal> {
    let mut parts = Vec::new();
    for path in files.paths {
        for file in merge_results::files(path).map_err(read::Refusal::from)? {
            parts.push(read::file_within(&file, verify::MAX_BYTES)?);
        }
    }
    // A single file must contain the complete run. A folder contains parts, even if only one runner wrote any.
    if let ([path], [_]) = (files.paths, &*parts)
        && !path.is_dir()
    {
        return Ok(parts.swap_remove(0));
    }
    let whole = files.resolution.map(|resolution| Whole {
        bundle: resolution.bundle.as_deref(),
        gate_ids: &resolution.gate_ids,
    });
    merge_results::merge(parts, whole)
}
