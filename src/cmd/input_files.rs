//! Reads the files that the command line names: recorded results, resolutions and logs.
//!
//! Must not lint them. If a document is not usable, the error names the lint that explains it.

use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::domain::plausible::Reading;
use crate::domain::registry::Registry;
use crate::domain::resolution::{self, Resolution};
use crate::domain::results::Results;
use crate::policy::Loaded;
use crate::report::escape::{self, Sink};
use crate::report::read as untrusted;
use crate::report::verify;
use crate::system::packed::{self, Packed};

/// Reads recorded results as evidence; `-` is standard input. They must follow the schema, be consistent, be possible with this registry
/// if they are of it, use no looser budget than this one of the policy, and not be of a rehearsal.
///
/// # Errors
/// The path is a link or is not a file, the file is too large, or its results cannot be used.
pub fn recorded(
    path: &Path,
    registry: Option<&Loaded<Registry>>,
    budget_pct: Option<f64>,
) -> anyhow::Result<Results> {
    let results = for_report(path, registry, budget_pct)?;
    if results.evidence.rehearsal {
        bail!(
            "cannot use the results {}: they are of a rehearsal, which proves nothing",
            path.display()
        );
    }
    Ok(results)
}

/// Reads results that are only shown.
///
/// # Errors
/// As for [`recorded`], but accepts a rehearsal.
pub fn for_report(
    path: &Path,
    registry: Option<&Loaded<Registry>>,
    budget_pct: Option<f64>,
) -> anyhow::Result<Results> {
    let results = consistent(path, untrusted::MAX_BYTES)?;
    // Rehearsals replace commands, and results of another registry are stale.
    let registry = registry.filter(|registry| {
        !results.evidence.rehearsal && results.evidence.registry.as_ref() == Some(&registry.sha256)
    });
    let reading = Reading {
        budget_pct,
        is_abridged: false,
    };
    match registry.map(|registry| verify::fits(&results, &registry.value, reading)) {
        Some(Err(refusal)) => bail!(
            "cannot use the results {}: {}: {}",
            path.display(),
            refusal.why.message(),
            escape::text(Sink::Terminal, &refusal.detail)
        ),
        _ => Ok(results),
    }
}

/// Reads results of at most `limit` bytes that follow the schema and are consistent.
///
/// # Errors
/// As for [`recorded`], but accepts a rehearsal, and does not know the registry.
pub fn consistent(path: &Path, limit: u64) -> anyhow::Result<Results> {
    let results = match path.to_str() {
        Some("-") => untrusted::stream(io::stdin().lock(), limit),
        _ => untrusted::file_within(path, limit),
    };
    results.with_context(|| format!("cannot use the results {}", path.display()))
}

/// The largest accepted resolution, in bytes.
const LARGEST_RESOLUTION: u64 = 1 << 20;

/// Opens a log, which may be compressed; `-` is standard input.
///
/// # Errors
/// The file cannot be opened or read.
pub fn log(path: &Path) -> io::Result<Packed> {
    match path.to_str() {
        Some("-") => packed::unpack(io::stdin()),
        _ => packed::open(path),
    }
}

/// Reads the output of `resolve`.
///
/// # Errors
/// The file cannot be read, or is not an output of `resolve`.
pub fn resolution(path: &Path) -> anyhow::Result<Resolution> {
    let bytes = untrusted::regular_file(path, LARGEST_RESOLUTION)
        .with_context(|| format!("cannot use the resolution {}", path.display()))?;
    let resolution: Resolution = serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "cannot use {}: the file is not an output of `resolve`",
            path.display()
        )
    })?;
    if resolution.schema != resolution::SCHEMA {
        bail!(
            "cannot use {}: the resolution has format {}, and this version reads {}\nhelp: resolve again with this version",
            path.display(),
            resolution.schema,
            resolution::SCHEMA
        );
    }
    Ok(resolution)
}
