//! Lints a pull request as a whole: its description, contract, scope, public safety, use of collectives and proposed registry.
//!
//! Must not read the environment: the caller connects to GitHub.

use std::path::Path;

use crate::document::{Document, Source, Span};
use crate::domain::contract::Contract;
use crate::domain::finding::Finding;
use crate::domain::ids::CommitId;
use crate::domain::messages::{Messages, counted};
use crate::domain::path_pattern::PathPattern;
use crate::domain::paths;
use crate::git::Git;
use crate::github::api::GitHub;
use crate::github::batch::Batch;
use crate::github::error::GitHubError;
use crate::github::types::Pull;
use crate::kernel::collectives;
use crate::leaks::finding::LeakFinding;
use crate::leaks::scan_diff::{Range, RangeLeaks, Rules, scan_diff};
use crate::leaks::suppression::Suppressions;
use crate::lint::attestation_evidence::AttestationEvidence;
use crate::lint::codes::attestation::NO_CONTRACT;
use crate::lint::codes::contract::INVALID_GLOB;
use crate::lint::diagnostics::Diagnostics;
use crate::lint::registry::RegistryContext;
use crate::lint::{self, LintContext};
use crate::policy::Revision;
use crate::pull::approvals::Approvals;
use crate::pull::contract::{ContractOf, Issue};
use crate::pull::deciding_files;
use crate::pull::scope;
use crate::pull::snapshot::Snapshot;
use crate::pull::standing::Writers;
use crate::system::files;

/// The contract that a pull request is compared with.
#[derive(Default)]
pub struct Agreed {
    contract: Option<Document<Contract>>,
    /// The reason, if the contract is missing.
    findings: Vec<Finding>,
}

impl Agreed {
    /// Takes a document as the contract.
    pub fn of_document(source: Source) -> Self {
        Agreed {
            contract: Some(Document::parse(source)),
            findings: Vec::new(),
        }
    }

    /// Reads the contract of a pull request from the issue that it closes.
    ///
    /// # Errors
    /// GitHub does not answer. An issue that does not exist is a finding.
    pub fn of_issue(snapshot: &Snapshot, github: &GitHub) -> Result<Self, GitHubError> {
        let no_contract = |span: &Span, message: String, help: &str| {
            let mut diagnostics = Diagnostics::new(&snapshot.description.source);
            diagnostics.report(&NO_CONTRACT, span, message).help = Some(help.to_owned());
            Agreed {
                contract: None,
                findings: diagnostics.finish(),
            }
        };
        Ok(
            match snapshot.contract(github, |number| Issue::read(github, number))? {
                ContractOf::Found(issue) => Agreed {
                    contract: Some(issue.document.clone()),
                    findings: Vec::new(),
                },
                ContractOf::NoIssue => no_contract(
                    &(0..0),
                    "the description closes no issue".to_owned(),
                    "write `Fixes: #N` with the number of the contract's issue",
                ),
                // The number is wrong, or the token may not read the issue. The rest of the description is still checked.
                ContractOf::Missing(reference) => no_contract(
                    &reference.span,
                    format!(
                        "there is no issue #{}, or the token may not read it",
                        reference.number
                    ),
                    "give the number of the contract's issue; a workflow needs `issues: read`",
                ),
            },
        )
    }
}

/// Whether a person who may write to the repository approved the head of a pull request.
///
/// # Errors
/// GitHub does not answer.
pub fn is_approved(github: &GitHub, pull: &Pull) -> Result<bool, GitHubError> {
    let batch = Batch::default();
    Ok(Approvals::fetch(&Writers::new(github, &batch), pull)?.approved)
}

/// What a pull request is linted with.
pub struct ChangeLint<'a> {
    pub snapshot: &'a Snapshot,
    pub facts: &'a LintContext,
    pub policy: Revision<'a>,
    /// The checkout of the pull request.
    pub subject: &'a Path,
    /// The MoE path.
    pub moe: &'a [PathPattern],
    /// How the change is scanned for leaks.
    pub rules: Rules<'a>,
    /// Asks whether an approval accepts what the change proposes.
    pub is_approved: &'a dyn Fn() -> anyhow::Result<bool>,
    pub messages: &'a dyn Messages,
}

impl ChangeLint<'_> {
    /// Returns the documents that were linted, and the findings.
    ///
    /// # Errors
    /// A command of git fails, or the settings of the base are not valid.
    pub fn run(&self, agreed: Agreed) -> anyhow::Result<(Vec<Source>, Vec<Finding>)> {
        let Agreed {
            contract,
            mut findings,
        } = agreed;
        let pull = &self.snapshot.pull;
        let git = Git::at(self.subject);
        let has_commit = |sha: &str| git.commit(sha).ok().flatten().is_some();
        // A shallow checkout has only one commit, so the existence of other commits cannot be checked.
        let complete = git
            .text(["rev-parse", "--is-shallow-repository"])
            .is_ok_and(|said| said == "false");
        let known = complete && has_commit(&pull.base.sha) && has_commit(&pull.head.sha);
        if let Some(contract) = &contract {
            findings.extend(lint::contract::lint(contract, self.facts));
        }
        let evidence = AttestationEvidence {
            branch: Some(pull.head.branch.clone()),
            head: Some(pull.head.sha.clone()),
            has_commit: complete.then_some(&has_commit),
            results: Vec::new(),
        };
        let description = &self.snapshot.description;
        findings.extend(lint::attestation::lint(
            description,
            self.facts,
            contract.as_ref(),
            &evidence,
        ));
        let mut documents = vec![description.source.clone()];
        let (base, head) = (&pull.base.sha, &pull.head.sha);
        if let Some(contract) = contract {
            if known {
                let outside = scope::of_document(&git, &contract, base, head)?;
                // The lint of the contract has reported its patterns, with their place.
                let new = |f: &Finding| f.code.id != INVALID_GLOB.id && !findings.contains(f);
                let new: Vec<Finding> = outside.into_iter().filter(new).collect();
                findings.extend(new);
            } else {
                self.messages.note(match complete {
                    true => "note: the checkout lacks the commits of the event, so the scope is not checked; fetch them",
                    false => "note: the checkout has no history, so the scope is not checked; fetch the complete history",
                });
            }
            documents.push(contract.source);
        }
        if known {
            findings.extend(self.safety(&git, base, head)?);
            for (source, found) in collectives::in_change(&git, base, head, self.moe)? {
                if !found.is_empty() {
                    findings.extend(found);
                    documents.push(source);
                }
            }
            let (workflows, found) = deciding_files::new_findings(&git, base, head)?;
            documents.extend(workflows);
            findings.extend(found);
        }
        if let Some((source, found)) = self.proposed_registry() {
            findings.extend(found);
            documents.push(source);
        }
        if pull.draft {
            lint::attestation::downgrade_for_draft(&mut findings);
        }
        Ok((documents, findings))
    }

    /// Scans what the change adds. Suppressions count if the base has them. Those that the change adds are proposals, and count if an
    /// approval accepts them.
    fn safety(&self, git: &Git, base: &CommitId, head: &CommitId) -> anyhow::Result<Vec<Finding>> {
        let suppressions = Suppressions::today(&Revision::Commit(git, base).settings()?.safety.allow)?;
        let range = Range {
            git,
            base,
            head,
            branch: Some(&self.snapshot.pull.head.branch),
        };
        let RangeLeaks { found, proposed } = scan_diff(range, self.rules)?;
        let left = |found: Vec<LeakFinding>| {
            let left = found.into_iter().filter(|placed| !suppressions.matches(placed));
            left.map(|placed| placed.finding).collect::<Vec<Finding>>()
        };
        let (mut found, proposed) = (left(found), left(proposed));
        if proposed.is_empty() {
            return Ok(found);
        }
        if (self.is_approved)()? {
            let suppressions = counted(proposed.len(), "suppression");
            self.messages.note(&format!(
                "note: an approval accepts {suppressions} that this change adds"
            ));
            return Ok(found);
        }
        found.extend(proposed);
        Ok(found)
    }

    /// Lints the registry of the change, if it differs from the registry of the policy checkout.
    fn proposed_registry(&self) -> Option<(Source, Vec<Finding>)> {
        let policy = self.policy.file(paths::REGISTRY).ok()??;
        let proposed = Revision::Checkout(self.subject).file(paths::REGISTRY).ok()??;
        let proposed = String::from_utf8(proposed)
            .ok()
            .filter(|text| policy != text.as_bytes())?;
        let source = Source::new(Some(paths::REGISTRY.to_owned()), proposed);
        let has_file = |file: &str| files::contains(self.subject, file);
        let around = RegistryContext {
            has_file: Some(&has_file),
            base: self.facts.registry.as_ref(),
            leaks: self.facts.leaks.clone(),
        };
        let findings = lint::registry::lint(&Document::parse(source.clone()), &around);
        Some((source, findings))
    }
}
