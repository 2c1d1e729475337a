//! Loads the policy of a repository, the registry and the settings, at a revision: a checkout, a local commit, or a commit on GitHub.
//!
//! Must not lint what it loads. If a file is not usable, the error names the lint that explains it.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

use crate::document::Document;
use crate::domain::contract::Contract;
use crate::domain::ids::{CommitId, Sha256, short};
use crate::domain::paths;
use crate::domain::registry::Registry;
use crate::domain::resolution::{Resolution, Source};
use crate::domain::settings::Settings;
use crate::git::Git;
use crate::github::api::GitHub;

/// A parsed document and the digest of its bytes.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    pub value: T,
    pub sha256: Sha256,
}

/// A registry file, which may be invalid.
pub struct RegistryFile {
    pub sha256: Sha256,
    /// The registry, or why the file is not usable.
    pub registry: anyhow::Result<Registry>,
}

/// The state of a repository whose files are read.
#[derive(Clone, Copy)]
pub enum Revision<'a> {
    /// The files in a directory.
    Checkout(&'a Path),
    /// A commit in a local repository.
    Commit(&'a Git, &'a CommitId),
    /// A commit on GitHub.
    GitHub(&'a GitHub, &'a CommitId),
}

impl Revision<'_> {
    /// Reads a file; `None` if the revision does not have it.
    ///
    /// # Errors
    /// The file exists but cannot be read, git cannot be started, or GitHub does not answer.
    pub fn file(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self {
            Revision::Checkout(dir) => match std::fs::read(dir.join(path)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
                Err(e) => Err(e).with_context(|| format!("cannot read {}", self.describe(path))),
            },
            Revision::Commit(git, commit) => {
                let shown = git.output(["show", &format!("{commit}:./{path}")])?;
                Ok(shown.status.success().then_some(shown.stdout))
            }
            Revision::GitHub(hub, commit) => Ok(hub.file(commit, path)?),
        }
    }

    /// Reads the registry file; `None` if the revision has none.
    ///
    /// # Errors
    /// As for [`Revision::file`].
    pub fn registry_file(&self) -> anyhow::Result<Option<RegistryFile>> {
        let bytes = self.file(paths::REGISTRY)?;
        Ok(bytes.map(|bytes| RegistryFile {
            sha256: Sha256::of(&bytes),
            registry: self.parse(&bytes).map_err(|cause| {
                let name = self.describe(paths::REGISTRY);
                anyhow!("cannot use the registry {name}; `nmoe-gates lint registry` says more\n{cause}")
            }),
        }))
    }

    /// Loads the registry.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is invalid.
    pub fn registry(&self) -> anyhow::Result<Loaded<Registry>> {
        match self.registry_file()? {
            Some(file) => Ok(Loaded {
                value: file.registry?,
                sha256: file.sha256,
            }),
            None => bail!(
                "cannot read the registry {}: not found",
                self.describe(paths::REGISTRY)
            ),
        }
    }

    /// Loads the settings; the defaults if the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read or is invalid.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let Some(bytes) = self.file(paths::SETTINGS)? else {
            return Ok(Settings::default());
        };
        self.parse(&bytes)
            .with_context(|| format!("cannot use {}", self.describe(paths::SETTINGS)))
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> anyhow::Result<T> {
        Ok(toml::from_str(std::str::from_utf8(bytes)?)?)
    }

    fn describe(&self, path: &str) -> String {
        match self {
            Revision::Checkout(dir) => dir.join(path).display().to_string(),
            Revision::Commit(_, commit) | Revision::GitHub(_, commit) => {
                format!("{path} of commit {}", short(commit))
            }
        }
    }
}

/// Loads the registry of a resolution: from `base`, or from `proposed` if a maintainer chose the registry of the pull request.
///
/// # Errors
/// The registry cannot be used, or is not the one that was resolved.
pub fn resolved_registry(
    resolution: &Resolution,
    base: &Revision<'_>,
    proposed: &Revision<'_>,
) -> anyhow::Result<Loaded<Registry>> {
    let loaded = match resolution.registry.source {
        Source::Base => base.registry(),
        Source::Proposed => proposed.registry(),
    }?;
    if loaded.sha256 != resolution.registry.sha256 {
        bail!(
            "the registry here is not the one that was resolved; check out the commit that `resolve` ran on"
        );
    }
    Ok(loaded)
}

/// Returns the contract of a resolution; `None` if it has none, or the text holds no usable contract.
pub fn resolved_contract(resolution: &Resolution) -> Option<Loaded<Contract>> {
    let facts = resolution.contract.as_ref()?;
    let source = crate::document::Source::new(None, facts.body.as_str());
    Some(Loaded {
        value: Document::parse(source).value.ok()?,
        sha256: facts.sha256.clone(),
    })
}
