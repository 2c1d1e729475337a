//! Loads the policy of a repository, the registry and the settings, at a revision: a checkout, a local commit, or a commit on GitHub.
//!
//! Must not lint what it loads. If a file is not usable, the error names the lint that explains it.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

use crate::document::{self, Document, Node, ParseError};
use crate::domain::contract::Contract;
use crate::domain::ids::{CommitId, Sha256, short};
use crate::domain::next_step::{own_line, shell_line};
use crate::domain::paths;
use crate::domain::registry::Registry;
use crate::domain::resolution::{Resolution, Source};
use crate::domain::settings::Settings;
use crate::git::{Git, GitError};
use crate::github::api::GitHub;

/// The value of a document and the digest of its bytes.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    pub value: T,
    /// The position tree, for the lints.
    pub root: Option<Node>,
    pub sha256: Sha256,
}

impl<T> Loaded<T> {
    /// Takes the value of a document.
    ///
    /// # Errors
    /// The document is not valid. `kind` says what it should be, and names the lint that explains more.
    pub fn new(document: Document<T>, sha256: Sha256, kind: &str) -> anyhow::Result<Self> {
        let source = document.source;
        Ok(Loaded {
            value: document
                .value
                .map_err(|defect| unusable(&source, &defect, kind))?,
            root: document.root,
            sha256,
        })
    }
}

/// Makes the error of a document without a valid value. The lint with the name of `kind` explains more.
pub fn unusable(source: &document::Source, defect: &ParseError, kind: &str) -> anyhow::Error {
    anyhow!(
        "cannot use the {kind} {}, line {}: {}\nhelp: `{}`",
        source.name().unwrap_or("-"),
        source.place(defect.span.start).line,
        defect.message,
        own_line(&["lint", kind])
    )
}

/// A registry file, which may be invalid.
pub struct RegistryFile {
    pub sha256: Sha256,
    pub document: Document<Registry>,
}

impl RegistryFile {
    /// Returns the registry.
    ///
    /// # Errors
    /// The file is not a valid registry.
    pub fn registry(self) -> anyhow::Result<Loaded<Registry>> {
        Loaded::new(self.document, self.sha256, "registry")
    }
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
                let shown = git.output(["cat-file", "blob", &format!("{commit}:./{path}")])?;
                if shown.status.success() {
                    return Ok(Some(shown.stdout));
                }
                // The commit may not have the file, or git may have failed.
                let listed = git.bytes(["ls-tree", "-z", "--name-only", commit.as_str(), "--", path])?;
                match listed.is_empty() {
                    true => Ok(None),
                    false => Err(GitError::failed("cat-file", &shown).into()),
                }
            }
            Revision::GitHub(github, commit) => Ok(github.file(commit, path)?),
        }
    }

    /// Reads the registry file; `None` if the revision has none.
    ///
    /// # Errors
    /// As for [`Revision::file`].
    pub fn registry_file(&self) -> anyhow::Result<Option<RegistryFile>> {
        Ok(self
            .file(paths::REGISTRY)?
            .map(|bytes| self.parse_registry(bytes)))
    }

    /// Parses the bytes of the registry file of this revision.
    pub fn parse_registry(&self, bytes: Vec<u8>) -> RegistryFile {
        RegistryFile {
            sha256: Sha256::of(&bytes),
            document: Document::of_bytes(Some(self.describe(paths::REGISTRY)), bytes),
        }
    }

    /// Loads the registry, without the position tree.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is invalid.
    pub fn registry(&self) -> anyhow::Result<Loaded<Registry>> {
        let bytes = self.registry_bytes()?;
        match std::str::from_utf8(&bytes).ok().and_then(Document::value_of) {
            Some(value) => Ok(Loaded {
                value,
                root: None,
                sha256: Sha256::of(&bytes),
            }),
            // Only the complete document has the defect.
            None => self.parse_registry(bytes).registry(),
        }
    }

    /// Loads the registry with the position tree, for the lints.
    ///
    /// # Errors
    /// As for [`Revision::registry`].
    pub fn registry_with_tree(&self) -> anyhow::Result<Loaded<Registry>> {
        self.parse_registry(self.registry_bytes()?).registry()
    }

    fn registry_bytes(&self) -> anyhow::Result<Vec<u8>> {
        self.file(paths::REGISTRY)?.with_context(|| {
            let help = match self {
                Revision::Checkout(dir) => format!("\nhelp: {}", help_without_files(dir)),
                Revision::Commit(..) | Revision::GitHub(..) => String::new(),
            };
            format!(
                "cannot read the registry {}: not found{help}",
                self.describe(paths::REGISTRY)
            )
        })
    }

    /// Loads the settings; the defaults if the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read or is invalid.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let Some(bytes) = self.file(paths::SETTINGS)? else {
            return Ok(Settings::default());
        };
        let parse = || -> anyhow::Result<Settings> { Ok(toml::from_str(std::str::from_utf8(&bytes)?)?) };
        parse().with_context(|| format!("cannot use {}", self.describe(paths::SETTINGS)))
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

/// Says what to do about a directory that lacks the files of `init`.
pub fn help_without_files(dir: &Path) -> String {
    if Git::at(dir).is_without_work_tree() {
        return "this is a bare repository or git's own folder; name a checkout with --repo DIR".to_owned();
    }
    let mut argv = vec!["nmoe-gates".to_owned(), "init".to_owned()];
    if dir != Path::new(".") {
        argv.extend(["--repo".to_owned(), dir.display().to_string()]);
    }
    shell_line(&argv)
}

/// Loads the registry of a resolution: from `base`, or from `proposed` if a maintainer chose the registry of the pull request.
///
/// # Errors
/// The registry cannot be used, or is not the one that was resolved.
pub fn resolved_registry<'r>(
    resolution: &Resolution,
    base: &Revision<'_>,
    proposed: impl FnOnce() -> anyhow::Result<Revision<'r>>,
) -> anyhow::Result<Loaded<Registry>> {
    let loaded = match resolution.registry.source {
        Source::Base => base.registry(),
        Source::Proposed => proposed()?.registry(),
    }?;
    if loaded.sha256 != resolution.registry.sha256 {
        bail!(
            "cannot use this registry: it is not the one that was resolved\nhelp: check out the commit that `resolve` ran on"
        );
    }
    Ok(loaded)
}

/// Returns the contract of a resolution; `None` if it has none, or the text holds no usable contract.
pub fn resolved_contract(resolution: &Resolution) -> Option<Loaded<Contract>> {
    let facts = resolution.contract.as_ref()?;
    let document = Document::parse(document::Source::new(None, facts.body.as_str()));
    Loaded::new(document, facts.sha256.clone(), "contract").ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use super::*;

    /// git fails in the same way for an absent file and for a file whose content is missing.
    #[test]
    fn unreadable_file_of_commit_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::at(folder.path());
        git.text(["init", "-q"]).unwrap();
        std::fs::write(folder.path().join("a.toml"), "a\n").unwrap();
        git.text(["add", "a.toml"]).unwrap();
        let tree = git.id(["write-tree"]).unwrap();
        let at = |path: &str| Revision::Commit(&git, &tree).file(path);
        assert_eq!(at("a.toml").unwrap(), Some(b"a\n".to_vec()));
        assert_eq!(at("b.toml").unwrap(), None);
        let unknown = "0".repeat(40).parse().unwrap();
        assert!(Revision::Commit(&git, &unknown).file("a.toml").is_err());
        let blob = git.text(["rev-parse", ":a.toml"]).unwrap();
        let object = folder
            .path()
            .join(".git/objects")
            .join(&blob[..2])
            .join(&blob[2..]);
        std::fs::remove_file(object).unwrap();
        assert!(at("a.toml").is_err());
    }
}
