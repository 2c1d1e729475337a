//! Reads the documents that the command line names: recorded results, resolutions and contracts.
//!
//! Must not lint them. If a document is not usable, the error names the lint that explains it.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

use crate::cmd::context;
use crate::document::source::Source;
use crate::domain::contract::Contract;
use crate::domain::ids::Sha256;
use crate::domain::read;
use crate::domain::resolution::{self, Resolution};
use crate::domain::results::Results;
use crate::policy::Loaded;
use crate::report::read as untrusted;

/// Reads recorded results; `-` is standard input. They must follow the schema and be consistent.
///
/// # Errors
/// The file cannot be read, or `report` and `publish` would refuse its results.
pub fn recorded(path: &Path) -> anyhow::Result<Results> {
    let text = context::read_input(path)?;
    untrusted::bytes(text.as_bytes()).with_context(|| format!("cannot use the results {}", path.display()))
}

/// The largest accepted resolution, in bytes.
const LARGEST_RESOLUTION: u64 = 1 << 20;

/// Reads the output of `resolve`.
///
/// # Errors
/// The file cannot be read, or is not an output of `resolve`.
pub fn resolution(path: &Path) -> anyhow::Result<Resolution> {
    let bytes = untrusted::regular_file(path, LARGEST_RESOLUTION)
        .with_context(|| format!("cannot use the resolution {}", path.display()))?;
    let resolution: Resolution = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not an output of `resolve`", path.display()))?;
    if resolution.schema != resolution::SCHEMA {
        bail!(
            "{} has format {}, and this tool reads {}",
            path.display(),
            resolution.schema,
            resolution::SCHEMA
        );
    }
    Ok(resolution)
}

/// Reads a contract from an issue body, a bare YAML file or standard input (`-`).
///
/// # Errors
/// The file cannot be read, or contains no valid contract; the message names `lint contract`.
pub fn contract(path: &Path) -> anyhow::Result<Loaded<Contract>> {
    let text = context::read_input(path)?;
    let sha256 = Sha256::of(text.as_bytes());
    let source = Source::new(Some(path.display().to_string()), text);
    let value = read::contract(&source).map_err(|defect| {
        let place = source.place(defect.span.start);
        anyhow!(
            "cannot use the contract {}, line {}: {}; `nmoe-gates lint contract` says more",
            path.display(),
            place.line,
            defect.message
        )
    })?;
    Ok(Loaded { value, sha256 })
}
