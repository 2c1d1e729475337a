//! What the policy checkout and the user's files say, read for commands that act on it: the registry and the contract.
//!
//! Judges nothing: a file that cannot be used is an error that points at the lint which explains it.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

use crate::cmd::context::{self, Context};
use crate::document::source::Source;
use crate::domain::contract::Contract;
use crate::domain::ids::Sha256;
use crate::domain::read;
use crate::domain::registry::Registry;
use crate::domain::resolution::{self, Resolution, Source as Whose};
use crate::domain::results::Results;
use crate::report::read as untrusted;

/// A document with the digest of the bytes it was read from.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// What it says.
    pub value: T,
    /// SHA-256 of the file, hex.
    pub sha256: Sha256,
}

/// Reads the registry of the policy checkout.
///
/// # Errors
/// The file cannot be read or is no registry; the message points at `lint registry`.
pub fn registry(context: &Context) -> anyhow::Result<Read<Registry>> {
    let path = context.registry_path();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read the registry {}", path.display()))?;
    let value = toml::from_str(&text).map_err(|e| {
        anyhow!(
            "cannot use the registry {}; `nmoe-gates lint registry` says more\n{e}",
            path.display()
        )
    })?;
    Ok(Read {
        value,
        sha256: Sha256::of(text.as_bytes()),
    })
}

/// Reads recorded results, `-` being standard input: strictly the schema, and consistent in themselves.
///
/// # Errors
/// The file cannot be read, or holds results that `report` and `publish` would refuse too.
pub fn recorded(path: &Path) -> anyhow::Result<Results> {
    let text = context::read_input(path)?;
    untrusted::bytes(text.as_bytes()).with_context(|| format!("cannot use the results {}", path.display()))
}

/// The largest resolution that is read, in bytes.
const LARGEST_RESOLUTION: u64 = 1 << 20;

/// Reads what `resolve` decided.
///
/// # Errors
/// The file cannot be read, or is no output of `resolve`.
pub fn resolution(path: &Path) -> anyhow::Result<Resolution> {
    let bytes = untrusted::regular_file(path, LARGEST_RESOLUTION)
        .with_context(|| format!("cannot use the resolution {}", path.display()))?;
    let resolution: Resolution = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no output of `resolve`", path.display()))?;
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

/// The registry that was resolved: the policy checkout's, or the subject's own where a maintainer chose that.
///
/// # Errors
/// It cannot be used, or is not the one that was resolved.
pub fn resolved_registry(context: &Context, resolution: &Resolution) -> anyhow::Result<Read<Registry>> {
    let found = match resolution.registry.source {
        Whose::Base => registry(context),
        Whose::Proposed => registry(&Context {
            repo: context.subject.clone(),
            ..context.clone()
        }),
    }?;
    if found.sha256 != resolution.registry.sha256 {
        bail!(
            "the registry here is not the one that was resolved; check out the commit that `resolve` ran on"
        );
    }
    Ok(found)
}

/// The contract that was resolved; none where there was none, or it is no contract.
pub fn resolved_contract(resolution: &Resolution) -> Option<Read<Contract>> {
    let facts = resolution.contract.as_ref()?;
    let value = read::contract(&Source::new(None, facts.body.as_str())).ok()?;
    Some(Read {
        value,
        sha256: facts.sha256.clone(),
    })
}

/// Reads a contract from an issue body, a bare YAML file or standard input (`-`).
///
/// # Errors
/// The file cannot be read, holds no contract, or one that is no contract; the message points at `lint contract`.
pub fn contract(path: &Path) -> anyhow::Result<Read<Contract>> {
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
    Ok(Read { value, sha256 })
}
