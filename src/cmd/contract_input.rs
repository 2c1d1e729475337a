//! Not a subcommand: the options that name a contract, and the document that they name.

use std::path::PathBuf;

use anyhow::bail;

use crate::cmd::context::Context;
use crate::cmd::github;
use crate::cmd::lint::gather;
use crate::document::Document;
use crate::domain::contract::Contract;
use crate::domain::ids::Sha256;
use crate::git::Git;
use crate::policy::{self, Loaded};
use crate::pull::contract::Issue;
use crate::workspace::stored_contract;

/// Where a contract is read.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ContractInput {
    /// Read the contract from this file: an issue body or a bare YAML file, `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// Read the contract from this issue on GitHub.
    #[arg(long, value_name = "N", conflicts_with = "contract")]
    pub issue: Option<u64>,
}

impl ContractInput {
    /// Reads the named document, which may hold no valid contract; `None` if none is named. An issue also replaces the copy of it that
    /// `start` stored for this worktree.
    ///
    /// # Errors
    /// The file or the issue cannot be read.
    pub fn document(&self, context: &Context) -> anyhow::Result<Option<Document<Contract>>> {
        if let Some(path) = self.file() {
            return Ok(Some(Document::parse(gather::source(path)?)));
        }
        let Some(number) = self.issue else {
            return Ok(None);
        };
        let document = Issue::read(&github::connect(context)?, number)?.document;
        stored_contract::refresh(&Git::at(&context.subject), number, &document.source.written())?;
        Ok(Some(document))
    }

    /// Like [`ContractInput::document`]; without a name, reads the contract that `start` stored for this worktree.
    ///
    /// # Errors
    /// As for [`ContractInput::document`], or there is no stored contract.
    pub fn or_stored(&self, context: &Context) -> anyhow::Result<Document<Contract>> {
        if let Some(document) = self.document(context)? {
            return Ok(document);
        }
        let Some(path) = stored_contract::find(&Git::at(&context.subject)) else {
            bail!(
                "cannot find a contract: none is named or stored\nhelp: pass `--contract FILE` or `--issue N`"
            );
        };
        Ok(Document::parse(gather::source(&path)?))
    }

    /// Returns the options that name the same contract to another command. Standard input cannot be read again.
    pub fn options(&self) -> Vec<String> {
        match (self.file(), self.issue) {
            (Some(path), _) if path.as_os_str() == "-" => Vec::new(),
            (Some(path), _) => vec!["--contract".to_owned(), path.display().to_string()],
            (None, Some(number)) => vec!["--issue".to_owned(), number.to_string()],
            (None, None) => Vec::new(),
        }
    }

    /// Whether nothing is named, so that the stored contract is used.
    pub fn is_empty(&self) -> bool {
        self.file().is_none() && self.issue.is_none()
    }

    /// Returns the named file. An action passes an empty text for an input without a value.
    fn file(&self) -> Option<&PathBuf> {
        self.contract.as_ref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Reads the named contract; `None` if none is named.
    ///
    /// # Errors
    /// As for [`ContractInput::document`], or the contract is not valid.
    pub fn loaded(&self, context: &Context) -> anyhow::Result<Option<Loaded<Contract>>> {
        self.document(context)?.map(loaded).transpose()
    }
}

/// Takes the contract of a document.
///
/// # Errors
/// The contract is not valid; the message names `lint contract`.
pub fn loaded(document: Document<Contract>) -> anyhow::Result<Loaded<Contract>> {
    let sha256 = Sha256::of(document.source.written().as_bytes());
    Loaded::new(document, sha256, "contract")
}

/// Returns an error for a document without a valid contract.
///
/// # Errors
/// The contract is not valid; the message names `lint contract`.
pub fn valid(document: &Document<Contract>) -> anyhow::Result<&Contract> {
    document
        .value
        .as_ref()
        .map_err(|defect| policy::unusable(&document.source, defect, "contract"))
}
