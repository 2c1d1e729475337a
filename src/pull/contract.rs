//! Finds the contract of a pull request. All commands use this answer.

use crate::document::{Document, Source};
use crate::domain::attestation::Attestation;
use crate::domain::contract::Contract;
use crate::domain::ids::Sha256;
use crate::github::api::GitHub;
use crate::github::closing_keywords::{self, ClosingReference};
use crate::github::error::GitHubError;
use crate::github::types;

/// The most issues that are requested for one pull request.
const MOST_ISSUES: usize = 10;

/// An issue that a pull request closes.
#[derive(Clone, Debug)]
pub struct Issue {
    pub number: u64,
    /// The SHA-256 of the body.
    pub sha256: Sha256,
    /// What the author of the issue is to the repository.
    pub association: Option<String>,
    /// The body; its name is `issue #N`.
    pub document: Document<Contract>,
}

/// The answer to "which contract does this pull request have".
pub enum ContractOf {
    /// The description closes no issue.
    NoIssue,
    /// None of the issues exists, or the token may not read them; the first reference.
    Missing(ClosingReference),
    /// The issue with the contract. Without a valid contract, the issue that is most like one.
    Found(Box<Issue>),
}

/// How well an issue matches; the largest value wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    NoBlock,
    Faulty,
    Contract,
    AttestedContract,
}

impl Issue {
    /// Requests an issue.
    ///
    /// # Errors
    /// GitHub does not answer, or has no such issue.
    pub fn read(github: &GitHub, number: u64) -> Result<Self, GitHubError> {
        Ok(Issue::of(github.issue(number)?))
    }

    /// Parses the body of an issue.
    pub fn of(issue: types::Issue) -> Self {
        let number = issue.number;
        Issue {
            number,
            association: issue.author_association,
            sha256: Sha256::of(issue.body.as_bytes()),
            document: Document::parse(Source::new(Some(format!("issue #{number}")), issue.body)),
        }
    }

    /// Whether the body has a contract block, valid or not.
    pub fn has_block(&self) -> bool {
        self.document.block.is_some()
    }

    fn fit(&self, attested: Option<&str>) -> Fit {
        match &self.document.value {
            Ok(contract) if attested.is_none_or(|id| contract.nmoe.issue == id) => Fit::AttestedContract,
            Ok(_) => Fit::Contract,
            Err(_) if self.has_block() => Fit::Faulty,
            Err(_) => Fit::NoBlock,
        }
    }
}

/// Finds the contract among the issues that the description closes: the contract that the attestation names, otherwise the first
/// one.
///
/// # Errors
/// GitHub does not answer. A missing issue is ignored.
pub fn contract_of(
    github: &GitHub,
    description: &Document<Attestation>,
    read: impl Fn(u64) -> Result<Issue, GitHubError>,
) -> Result<ContractOf, GitHubError> {
    let attested = description.text(&["nmoe_pr", "issue"]);
    let references = closing_keywords::references(description.source.text(), github.site());
    let Some(first) = references.first().cloned() else {
        return Ok(ContractOf::NoIssue);
    };
    let mut best: Option<(Fit, Issue)> = None;
    for reference in references.into_iter().take(MOST_ISSUES) {
        let issue = match read(reference.number) {
            Ok(issue) => issue,
            Err(fault) if fault.is_missing() => continue,
            Err(fault) => return Err(fault),
        };
        let fit = issue.fit(attested);
        if best.as_ref().is_none_or(|(known, _)| fit > *known) {
            best = Some((fit, issue));
        }
        if fit == Fit::AttestedContract {
            break;
        }
    }
    Ok(match best {
        Some((_, issue)) => ContractOf::Found(Box::new(issue)),
        None => ContractOf::Missing(first),
    })
}
