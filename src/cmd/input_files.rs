//! Reads the files that the command line names: recorded results, resolutions and logs.
//!
//! Must not lint them. If a document is not usable, the error names the lint that explains it.

use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::domain::resolution::{self, Resolution};
use crate::domain::results::Results;
use crate::report::read as untrusted;
use crate::system::packed::{self, Packed};

/// Reads recorded results as evidence; `-` is standard input. They must follow the schema, be consistent, and not be of a rehearsal.
///
/// # Errors
/// The path is a link or is not a file, the file is too large, or its results cannot be used.
pub fn recorded(path: &Path) -> anyhow::Result<Results> {
    recorded_within(path, untrusted::MAX_BYTES)
}

/// Like [`recorded`], with another maximum size in bytes.
///
/// # Errors
/// As for [`recorded`].
pub fn recorded_within(path: &Path, limit: u64) -> anyhow::Result<Results> {
    let results = for_report(path, limit)?;
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
pub fn for_report(path: &Path, limit: u64) -> anyhow::Result<Results> {
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
