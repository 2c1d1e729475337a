//! Decides whether a contract counts: people who may write to the repository wrote it, or one of them adopted exactly this text.
//!
//! Every user can open an issue, so a contract decides about scope, gates and budget only with this standing. Must not read the
//! terms of the contract.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::domain::finding::{Finding, Severity};
use crate::domain::ids::{Login, Sha256};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::resolution::{Resolution, Standing};
use crate::github::api::GitHub;
use crate::github::batch::Batch;
use crate::github::error::GitHubError;
use crate::github::types::{Authorship, Review, is_insider};
use crate::pull::blocker::{Blocker, CONTRACT_UNTRUSTED};
use crate::pull::contract::{ContractOf, Issue};
use crate::pull::snapshot::Snapshot;

/// The start of a comment that adopts a contract. The digest of the text follows.
const ADOPT: &str = "nmoe-gates adopt ";

/// Who may write to the repository. Each person is looked up once.
pub struct Writers<'a> {
    github: &'a GitHub,
    /// The authors of issues that are known already.
    batch: &'a Batch,
    known: RefCell<HashMap<String, bool>>,
}

/// The standing of a contract, and who wrote it.
pub struct Author {
    pub standing: Standing,
    /// Who adopted the text.
    pub adopted_by: Option<String>,
    /// Why the contract has no standing.
    pub doubt: Option<String>,
    pub authorship: Authorship,
}

impl<'a> Writers<'a> {
    pub fn new(github: &'a GitHub, batch: &'a Batch) -> Self {
        Writers {
            github,
            batch,
            known: RefCell::default(),
        }
    }

    /// Whether a person may write to the repository. The association only spares the look-up of outsiders, since a member may
    /// have read access. Without an answer, the person may not.
    pub fn may_write(&self, login: &str, association: Option<&str>) -> Result<bool, GitHubError> {
        if !is_insider(association) {
            return Ok(false);
        }
        if let Some(known) = self.known.borrow().get(login) {
            return Ok(*known);
        }
        let may = self.github.may_write(login)?.unwrap_or(false);
        self.known.borrow_mut().insert(login.to_owned(), may);
        Ok(may)
    }

    /// Returns the reviews of a pull request, oldest first.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub fn reviews(&self, pull: u64) -> Result<Vec<Review>, GitHubError> {
        self.batch.reviews(self.github, pull)
    }

    /// Decides about the contract of an issue. `authors` are the logins of the settings whose contracts count.
    ///
    /// # Errors
    /// GitHub does not answer now. If it refuses to tell who wrote the contract, the contract has no standing.
    pub fn author(&self, issue: &Issue, authors: &[Login]) -> Result<Author, GitHubError> {
        let mut found = Author {
            standing: Standing::Written,
            adopted_by: None,
            doubt: None,
            authorship: Authorship::default(),
        };
        match self.batch.authorship(self.github, issue.number) {
            Ok(authorship) => {
                found.doubt = self.doubt(issue, &authorship, authors)?;
                found.authorship = authorship;
            }
            // An outage says nothing about the author. The result of a run that began so would stay pending.
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => {
                found.doubt = Some(format!(
                    "GitHub does not tell who wrote it: {}",
                    error.without_help()
                ))
            }
        }
        if found.doubt.is_none() {
            return Ok(found);
        }
        found.standing = Standing::Unconfirmed;
        let wanted = adoption(&issue.sha256);
        for comment in self.github.comments(issue.number)? {
            let Some(user) = comment.user.filter(|_| comment.body.trim() == wanted) else {
                continue;
            };
            if self.may_write(&user.login, None)? {
                found.standing = Standing::Adopted;
                found.adopted_by = Some(user.login);
                found.doubt = None;
                break;
            }
        }
        Ok(found)
    }

    /// Returns why the people who wrote a contract do not count.
    fn doubt(
        &self,
        issue: &Issue,
        authorship: &Authorship,
        authors: &[Login],
    ) -> Result<Option<String>, GitHubError> {
        let counts = |login: &String, association| {
            Ok::<_, GitHubError>(
                authors.iter().any(|author| author == login) || self.may_write(login, association)?,
            )
        };
        let Some(author) = &authorship.author else {
            return Ok(Some("the account of its author is deleted".to_owned()));
        };
        if !counts(author, issue.association.as_deref())? {
            return Ok(Some(format!(
                "its author {author} may not write to this repository"
            )));
        }
        match &authorship.editor {
            Some(editor) if !counts(editor, None)? => Ok(Some(format!(
                "its last editor {editor} may not write to this repository"
            ))),
            None if authorship.edited_at.is_some() => {
                Ok(Some("the account of its last editor is deleted".to_owned()))
            }
            _ => Ok(None),
        }
    }
}

/// Returns what a pass lacks: without a contract that counts, scope, gates and budget are not agreed. The contract is the one
/// that was resolved, or else that of the pull request.
///
/// # Errors
/// GitHub does not answer.
pub fn gap(
    github: &GitHub,
    resolution: Option<&Resolution>,
    snapshot: &Snapshot,
    authors: &[Login],
) -> Result<Option<&'static str>, GitHubError> {
    let standing = match resolution {
        Some(resolution) => resolution.contract.as_ref().map(|contract| contract.standing),
        None => match snapshot.contract(github, |number| Issue::read(github, number))? {
            ContractOf::Found(issue) if issue.document.value.is_ok() => {
                let batch = Batch::default();
                Some(Writers::new(github, &batch).author(issue, authors)?.standing)
            }
            _ => None,
        },
    };
    Ok(match standing {
        None => Some("the pull request has no contract"),
        Some(Standing::Unconfirmed) => Some("nobody with write access wrote or adopted the contract"),
        Some(Standing::Written | Standing::Adopted) => None,
    })
}

/// Returns the blocker of a contract without standing.
pub fn blocker(issue: &Issue, why: &str) -> Blocker {
    let number = issue.number.to_string();
    let next = NextStep::run(
        Who::MergeCaptain,
        "check scope, gates and budget of the contract, then adopt exactly this text",
        [
            "gh",
            "issue",
            "comment",
            &number,
            "--body",
            &adoption(&issue.sha256),
        ],
    );
    let message = format!("the contract in #{number} does not count: {why}");
    Blocker::new(&CONTRACT_UNTRUSTED, message, next)
}

/// Warns of a contract without standing, if an outsider wrote it.
///
/// # Errors
/// GitHub does not answer.
pub fn warning(
    writers: &Writers<'_>,
    issue: &Issue,
    authors: &[Login],
) -> Result<Option<Finding>, GitHubError> {
    let why = writers.author(issue, authors)?.doubt;
    Ok(why.map(|why| {
        let Blocker { message, next, .. } = blocker(issue, &why);
        let command = next.command().unwrap_or_default();
        Finding::new(&CONTRACT_UNTRUSTED, message)
            .severity(Severity::Warning)
            .in_path(issue.document.source.name().unwrap_or_default())
            .help(format!("{}: `{command}`", next.what))
    }))
}

/// Returns the comment that adopts a contract with this digest.
fn adoption(sha256: &Sha256) -> String {
    format!("{ADOPT}{sha256}")
}
