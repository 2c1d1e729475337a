//! Evaluates what blocks the merge of a pull request: state, contract, reviews, attestation, scope, dependencies, merge, evidence.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::Serialize;

use crate::domain::contract::Contract;
use crate::domain::evidence::Identity;
use crate::domain::finding::Finding;
use crate::domain::ids::{CommitId, GateId, Login, short};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::registry::Registry;
use crate::domain::results::Results;
use crate::domain::settings::{Settings, TierAProof};
use crate::git::{evil_merge, merge, revisions};
use crate::github::api::GitHub;
use crate::github::error::GitHubError;
use crate::leaks;
use crate::lint;
use crate::lint::attestation_evidence::AttestationEvidence as Claims;
use crate::policy::Loaded;
use crate::pull::approvals::Approvals;
use crate::pull::blocker::{self, Blocker};
use crate::pull::contract::{ContractOf, Issue};
use crate::pull::known_results::KnownResults;
use crate::pull::local_clone::{Commits, LocalClone};
use crate::pull::merge_order::{Proof, Waiting};
use crate::pull::pull_state;
use crate::pull::queue::Queue;
use crate::pull::scope;
use crate::pull::snapshot::{Merge, Snapshot};
use crate::pull::staleness::{self, ImageHistory};
use crate::pull::standing::{self, Writers};
use crate::pull::tier_a;
use crate::pull::tier_b::{self, Dispatch};

/// What pull requests are evaluated against.
pub struct Inputs<'a> {
    pub github: &'a GitHub,
    pub clone: LocalClone,
    pub queue: Queue,
    pub registry: Loaded<Registry>,
    pub facts: lint::LintContext,
    pub settings: Settings,
    pub results: KnownResults,
    /// The other worktrees of this clone, by their branch.
    pub worktrees: HashMap<String, String>,
    pub writers: Writers<'a>,
    /// Whether the contract of an issue counts, by issue.
    pub counting: RefCell<HashMap<u64, bool>>,
}

/// A pull request and what blocks its merge.
#[derive(Debug, Serialize)]
pub struct Readiness {
    pub number: u64,
    /// The contract id; `None` if no valid contract was found.
    pub issue: Option<String>,
    pub head: CommitId,
    /// The current commit of the base branch.
    pub base: CommitId,
    /// Whether nothing blocks the merge.
    pub ready: bool,
    pub blockers: Vec<Blocker>,
    #[serde(skip)]
    pub waiting: Option<Waiting>,
}

/// What the trial merge of a pull request with the current base showed.
enum Merged {
    /// The merge has conflicts.
    Conflict,
    /// The base contains the work already.
    Nothing,
    /// The results that prove all gates of the contract, by their trees.
    Clean(Vec<Proof>),
}

/// The contract of a pull request with its findings.
struct Checked<'a> {
    issue: &'a Issue,
    findings: Vec<Finding>,
}

impl Inputs<'_> {
    /// Evaluates one pull request.
    ///
    /// # Errors
    /// GitHub or the remote does not answer, or git fails.
    pub fn evaluate(&self, snapshot: &Snapshot) -> anyhow::Result<Readiness> {
        let commits = self.clone.commits(&snapshot.pull)?;
        let found = match snapshot.contract(self.github, |number| self.queue.issue(self.github, number))? {
            ContractOf::Found(issue) if issue.has_block() => Some(Checked {
                findings: lint::contract::lint(&issue.document, &self.facts),
                issue,
            }),
            _ => None,
        };
        let contract = found
            .as_ref()
            .and_then(|found| found.issue.document.value.as_ref().ok());
        let mut blockers = pull_state::blockers(&snapshot.pull);
        if snapshot.pull.state != "open" {
            // Nothing else matters for a pull request that cannot be merged.
            return Ok(Readiness {
                number: snapshot.pull.number,
                issue: contract.map(|c| c.nmoe.issue.to_string()),
                head: commits.head,
                base: commits.base,
                ready: false,
                blockers,
                waiting: None,
            });
        }
        blockers.extend(self.workflow_run(snapshot)?);
        blockers.extend(self.contract(snapshot, &commits.base, found.as_ref())?);
        blockers.extend(self.reviews(snapshot)?);
        blockers.extend(self.attestation(snapshot, &commits.head, found.as_ref()));
        if let (Some(found), Some(contract)) = (&found, contract)
            && let Ok(fork) = revisions::merge_base(&self.clone.git, &commits.base, &commits.head)
        {
            blockers.extend(self.scope(found.issue.number, contract, &fork, &commits)?);
            blockers.extend(self.dependencies(contract)?);
            blockers.extend(self.hotspots(snapshot.pull.number, contract, &commits.base)?);
        }
        blockers.extend(self.evil_merges(&commits)?);
        let gates: Vec<GateId> = contract
            .map(|c| tier_b::to_run(c, &self.registry.value, self.settings.tier_a))
            .unwrap_or_default();
        let (merged, evidence) = self.merge_result(snapshot, &commits, found.as_ref(), &gates)?;
        blockers.extend(blocker::after_others(&blockers, evidence));
        let is_merged = match merged {
            Merged::Nothing => true,
            Merged::Conflict => self.clone.is_merged(&commits),
            Merged::Clean(_) => false,
        };
        let proofs = match merged {
            Merged::Clean(proofs) => proofs,
            _ => Vec::new(),
        };
        Ok(Readiness {
            number: snapshot.pull.number,
            issue: contract.map(|c| c.nmoe.issue.to_string()),
            waiting: contract.filter(|_| !is_merged).map(|c| Waiting {
                pull: snapshot.pull.number,
                issue: c.nmoe.issue.to_string(),
                depends_on: c.nmoe.depends_on.iter().map(ToString::to_string).collect(),
                gates,
                proofs,
            }),
            head: commits.head,
            base: commits.base,
            ready: blockers.is_empty(),
            blockers,
        })
    }

    /// Returns a blocker if no workflow ran because a workflow opened the pull request.
    fn workflow_run(&self, snapshot: &Snapshot) -> Result<Option<Blocker>, GitHubError> {
        let pull = &snapshot.pull;
        let by_workflow = pull
            .user
            .as_ref()
            .is_some_and(|user| user.login == Login::ACTIONS);
        if !by_workflow || self.github.workflow_runs(&pull.head.sha)? != Some(0) {
            return Ok(None);
        }
        let number = pull.number.to_string();
        let next = NextStep::join(
            Who::Author,
            "close and reopen it as a person, so that GitHub starts the workflows",
            "&&",
            &[&["gh", "pr", "close", &number], &["gh", "pr", "reopen", &number]],
        );
        let message =
            format!("a workflow opened #{number} with its own token, so GitHub started no workflow");
        Ok(Some(Blocker::new(&blocker::NO_WORKFLOW_RUN, message, next)))
    }

    fn contract(
        &self,
        snapshot: &Snapshot,
        base: &CommitId,
        found: Option<&Checked<'_>>,
    ) -> anyhow::Result<Vec<Blocker>> {
        let Some(found) = found else {
            let next = NextStep::manual(
                Who::Author,
                "write `Fixes: #N` into the description; N is the number of the contract's issue",
            );
            let message = "the description closes no issue with a contract";
            return Ok(vec![Blocker::new(&blocker::NO_CONTRACT, message, next)]);
        };
        let issue = found.issue.number;
        let findings: Vec<&Finding> = found.findings.iter().collect();
        let faulty = Blocker::of_errors(&blocker::CONTRACT_FAULTY, &findings, || {
            let number = issue.to_string();
            let command = ["nmoe-gates", "lint", "contract", "--issue", &number];
            NextStep::run(Who::MergeCaptain, "fix the contract", command)
        });
        let settings = self.clone.settings(base)?;
        let author = self.writers.author(found.issue, &settings.contracts.authors)?;
        let outsider = author.doubt.map(|why| standing::blocker(found.issue, &why));
        let competing = self.queue.competing(snapshot.pull.number, issue).map(|other| {
            let command = ["gh", "pr", "close", &other.to_string()];
            let next = NextStep::run(Who::MergeCaptain, "close one of the two", command);
            Blocker::new(
                &blocker::RIVAL_PULL,
                format!("#{other} also closes #{issue}"),
                next,
            )
        });
        Ok(faulty.into_iter().chain(outsider).chain(competing).collect())
    }

    fn reviews(&self, snapshot: &Snapshot) -> anyhow::Result<Vec<Blocker>> {
        let pull = &snapshot.pull;
        let approvals = Approvals::fetch(&self.writers, pull)?;
        let mut blockers: Vec<Blocker> = approvals
            .changes_requested
            .iter()
            .map(|login| {
                let next = NextStep::manual(Who::Author, "answer the review, then request another review");
                let message = format!("{login} requests changes");
                Blocker::new(&blocker::CHANGES_REQUESTED, message, next)
            })
            .collect();
        if !approvals.approved {
            let message = match (
                approvals.approved_earlier,
                approvals.without_permission.as_slice(),
            ) {
                (true, _) => "only an earlier head is approved".to_owned(),
                (false, []) => "no other person has approved this pull request".to_owned(),
                (false, logins) => format!(
                    "only people without write access approved it: {}",
                    logins.join(", ")
                ),
            };
            let next = NextStep::run(
                Who::Reviewer,
                "review scope, invariants and public safety, then approve",
                ["gh", "pr", "review", &pull.number.to_string(), "--approve"],
            );
            blockers.push(Blocker::new(&blocker::NOT_REVIEWED, message, next));
        }
        Ok(blockers)
    }

    fn attestation(&self, snapshot: &Snapshot, head: &CommitId, found: Option<&Checked<'_>>) -> Vec<Blocker> {
        let number = snapshot.pull.number.to_string();
        let claims = Claims {
            branch: Some(snapshot.pull.head.branch.clone()),
            head: Some(head.clone()),
            ..Claims::default()
        };
        let contract = found.map(|found| &found.issue.document);
        let findings = lint::attestation::lint(&snapshot.description, &self.facts, contract, &claims);
        let (private, faulty): (Vec<&Finding>, Vec<&Finding>) = findings
            .iter()
            .partition(|f| leaks::codes::is_leak(f.code) || f.code == &lint::codes::document::UNTICKED_BOX);
        let mut blockers = Vec::new();
        blockers.extend(Blocker::of_errors(&blocker::NOT_PUBLIC, &private, || {
            NextStep::run(
                Who::Author,
                "list the findings, then remove the private data from the description, or tick the boxes that you confirm",
                ["nmoe-gates", "lint", "pr", "--pr", &number],
            )
        }));
        let refresh = || {
            let mut program = vec!["nmoe-gates"];
            // The author may work in another worktree of this clone.
            let elsewhere = self.worktrees.get(&snapshot.pull.head.branch);
            if let Some(path) = elsewhere {
                program.extend(["--repo", path]);
            }
            NextStep::join(
                Who::Author,
                "run Tier A on this head and update the attestation",
                "&&",
                &[
                    &[program.as_slice(), &["run", "--tier", "a"]].concat(),
                    &[program.as_slice(), &["attest", "--pr", &number]].concat(),
                ],
            )
        };
        let (branch, faulty): (Vec<&Finding>, Vec<&Finding>) = faulty
            .into_iter()
            .partition(|f| f.code == &lint::codes::attestation::WRONG_BRANCH);
        blockers.extend(Blocker::of_errors(&blocker::ATTESTATION_FAULTY, &branch, || {
            // GitHub closes a pull request whose head branch is renamed.
            NextStep::manual(
                Who::Author,
                "push these commits to a branch of that name, and open a new pull request from it",
            )
        }));
        blockers.extend(Blocker::of_errors(&blocker::ATTESTATION_FAULTY, &faulty, refresh));
        if let Some(Ok(contract)) = found.map(|found| &found.issue.document.value)
            && self.settings.tier_a == TierAProof::Attest
        {
            let missing = tier_a::unattested(snapshot, head, contract, &self.registry.value);
            if !missing.is_empty() {
                let message = format!("not attested for {}: {}", head.short(), missing.join(", "));
                blockers.push(Blocker::new(&blocker::TIER_A_MISSING, message, refresh()));
            }
        }
        blockers
    }

    fn scope(
        &self,
        issue: u64,
        contract: &Contract,
        fork: &CommitId,
        commits: &Commits,
    ) -> anyhow::Result<Option<Blocker>> {
        let findings = scope::since(&self.clone.git, contract, fork, &commits.head)?;
        let findings: Vec<&Finding> = findings.iter().collect();
        // The command has commit ids and no branch names, because a stranger may have chosen the branch name.
        Ok(Blocker::of_errors(&blocker::SCOPE_VIOLATED, &findings, || {
            let issue = issue.to_string();
            let (base, head) = (&commits.base, &commits.head);
            NextStep::join(
                Who::Author,
                "revert these changes, or get the scope of the contract changed first",
                "&&",
                &[
                    &self.fetch(),
                    &[
                        "nmoe-gates",
                        "lint",
                        "scope",
                        "--issue",
                        &issue,
                        "--base",
                        base,
                        "--head",
                        head,
                    ],
                ],
            )
        }))
    }

    fn dependencies(&self, contract: &Contract) -> anyhow::Result<Vec<Blocker>> {
        let unmerged = self.queue.unmerged(self.github, contract)?;
        let blocker = |id: &str| {
            let next = match self.queue.pull_of(id) {
                Some(number) => NextStep::run(
                    Who::MergeCaptain,
                    format!("merge contract {id} first"),
                    ["nmoe-gates", "ready", &number.to_string()],
                ),
                None => NextStep::run(
                    Who::Author,
                    format!("contract {id} has no open pull request: start it"),
                    ["nmoe-gates", "start", id],
                ),
            };
            let message = format!("contract {id} is not merged");
            Blocker::new(&blocker::DEPENDENCY_UNMERGED, message, next)
        };
        Ok(unmerged.into_iter().map(blocker).collect())
    }

    fn hotspots(&self, pull: u64, contract: &Contract, base: &CommitId) -> anyhow::Result<Vec<Blocker>> {
        let blocker = |ahead: crate::pull::queue::Ahead| {
            let next = NextStep::run(
                Who::MergeCaptain,
                "merge that pull request first",
                ["nmoe-gates", "ready", &ahead.pull.to_string()],
            );
            let message = format!(
                "#{} (contract {}) also changes `{}` and is merged first",
                ahead.pull, ahead.contract, ahead.path
            );
            Blocker::new(&blocker::HOTSPOT_ORDER, message, next)
        };
        let mut blockers = Vec::new();
        for ahead in self.queue.ahead(pull, contract) {
            // Everybody can open an issue with a contract, and a pull request that closes it.
            if self.counts(ahead.issue, base)? {
                blockers.push(blocker(ahead));
            }
        }
        Ok(blockers)
    }

    /// Whether the contract of an open issue counts.
    fn counts(&self, number: u64, base: &CommitId) -> anyhow::Result<bool> {
        if let Some(known) = self.counting.borrow().get(&number) {
            return Ok(*known);
        }
        let issue = self.queue.issue(self.github, number)?;
        let authors = &self.clone.settings(base)?.contracts.authors;
        let counts = self.writers.author(&issue, authors)?.doubt.is_none();
        self.counting.borrow_mut().insert(number, counts);
        Ok(counts)
    }

    /// Returns the command that brings the base into the clone of the author, who may work elsewhere.
    fn fetch(&self) -> [&str; 3] {
        ["git", "fetch", &self.clone.remote]
    }

    fn evil_merges(&self, commits: &Commits) -> anyhow::Result<Vec<Blocker>> {
        let found = evil_merge::between(&self.clone.git, &commits.base, &commits.head)?;
        let blocker = |evil: &evil_merge::EvilMerge| {
            let commit = short(&evil.commit);
            let message = format!(
                "the merge {commit} changes more than the conflicting lines: {}",
                evil.paths.join(", ")
            );
            let next = NextStep::run(
                Who::Author,
                "merge again without other changes, and commit those separately",
                ["git", "show", "--remerge-diff", commit],
            );
            Blocker::new(&blocker::RESOLUTION_TOO_WIDE, message, next)
        };
        Ok(found.iter().map(blocker).collect())
    }

    /// Merges for trial: reports conflicts, otherwise compares the evidence with the merge result.
    fn merge_result(
        &self,
        snapshot: &Snapshot,
        commits: &Commits,
        found: Option<&Checked<'_>>,
        gates: &[GateId],
    ) -> anyhow::Result<(Merged, Vec<Blocker>)> {
        let trial = merge::trial(&self.clone.git, &commits.base, &commits.head)?;
        let branch = &snapshot.pull.base.branch;
        if !trial.conflicts.is_empty() {
            let message = format!("it conflicts with `{branch}` in {}", trial.conflicts.join(", "));
            let base = format!("{}/{branch}", self.clone.remote);
            let next = NextStep::join(
                Who::Author,
                "resolve the conflicts without other changes",
                "&&",
                &[&self.fetch(), &["git", "merge", &base]],
            );
            let blocker = Blocker::new(&blocker::MERGE_CONFLICT, message, next);
            return Ok((Merged::Conflict, vec![blocker]));
        }
        let Some((found, Ok(contract))) = found.map(|found| (found, &found.issue.document.value)) else {
            return Ok((Merged::Clean(Vec::new()), Vec::new()));
        };
        let base_tree = self.clone.tree(&commits.base);
        let contained = base_tree.as_ref() == Some(&trial.tree);
        let merge = Merge {
            commit: None,
            base: commits.base.clone(),
            head: commits.head.clone(),
            tree: trial.tree,
            local: true,
        };
        let now = snapshot.evidence(
            Some(&merge),
            Some(&self.registry.sha256),
            Some(&found.issue.sha256),
        );
        let history = ImageHistory {
            git: &self.clone.git,
            images: &self.settings.images.0,
        };
        let results = self.results.about(snapshot.pull.number, &merge);
        let stale = |r: &Results| staleness::all(r, &now, history, &self.registry.value);
        let blockers = tier_b::blockers(
            Dispatch {
                workflow: self.settings.publish.workflow(),
                pull: snapshot.pull.number,
            },
            contract,
            gates,
            &self.registry.value,
            &results,
            self.results
                .refused
                .get(&snapshot.pull.number)
                .map_or(&[], Vec::as_slice),
            stale,
        );
        if contained {
            return Ok((Merged::Nothing, blockers));
        }
        // Results that only the state of the base makes stale may be valid after other merges.
        let of_base =
            |identity: &Identity| matches!(identity, Identity::Base | Identity::Merge | Identity::Tree);
        let usable: Vec<Results> = results
            .iter()
            .filter(|r| stale(r).iter().all(of_base))
            .cloned()
            .collect();
        let proofs = KnownResults::proofs(&usable, gates)
            .into_iter()
            .map(|(base, tree)| Proof {
                base: match tree == merge.tree {
                    true => base_tree.clone(),
                    false => base.and_then(|base| self.clone.tree(&base)),
                },
                tree,
            })
            .collect();
        Ok((Merged::Clean(proofs), blockers))
    }
}
