//! Answers a merge queue: sets the commit statuses of Tier B on the commit of a merge group.
//!
//! A merge queue reads required statuses on its own commit, so without an answer it waits until its time limit. The answer reuses
//! published results about an equal tree. Nothing runs, and no evidence is made: the answer is not a result.

use crate::domain::contract::Contract;
use crate::domain::evidence::Evidence;
use crate::domain::ids::{CommitId, GateId};
use crate::domain::registry::{Registry, SINGLE};
use crate::domain::settings::{Settings, TierAProof};
use crate::domain::status_context::{PREFIX, status_context};
use crate::gate::select;
use crate::git::{Git, GitError, revisions};
use crate::github::api::{GitHub, status_line};
use crate::github::batch::Batch;
use crate::github::error::GitHubError;
use crate::github::event::MergeGroup;
use crate::github::statuses::Wanted;
use crate::github::types::State;
use crate::policy::Loaded;
use crate::pull::contract::{ContractOf, Issue};
use crate::pull::published::{self, Published, Trust};
use crate::pull::snapshot::Snapshot;
use crate::pull::staleness::{self, ImageHistory};
use crate::pull::standing::Writers;
use crate::pull::tier_b::{self, Dispatch};
use crate::pull::{deciding_files, tier_a};

/// What an answer is found with.
pub struct Request<'a> {
    pub group: &'a MergeGroup,
    /// The registry and the settings of the base branch.
    pub registry: &'a Loaded<Registry>,
    pub settings: &'a Settings,
    /// A clone with the history of the base branch.
    pub git: &'a Git,
}

/// What a merge queue is told.
pub struct Answer {
    pub pull: u64,
    /// The commit of the merge group.
    pub commit: CommitId,
    /// The names of the statuses.
    pub contexts: Vec<String>,
    /// Why the statuses are pending; empty if published results prove the commit.
    pub gaps: Vec<String>,
    /// Notes for the log: published results that do not count.
    pub ignored: Vec<String>,
}

impl Answer {
    /// Compares the published results of the pull request with the commit of the group.
    ///
    /// # Errors
    /// GitHub does not answer, or the base branch is not here.
    pub fn find(github: &GitHub, request: &Request<'_>) -> anyhow::Result<Self> {
        let (group, settings) = (request.group, request.settings);
        let snapshot = Snapshot::fetch(github, group.pull)?;
        let branch = &snapshot.pull.base.branch;
        let base = revisions::base_of(request.git, &settings.naming.remote, branch)?;
        let trust = Trust {
            registry: request.registry,
            publish: &settings.publish,
            is_on_base: &|commit| revisions::contains(request.git, &base, commit),
            batch: &Batch::default(),
        };
        let comments = github.comments(group.pull)?;
        let published = published::read(github, &snapshot.pull, &comments, &trust)?;
        let found = snapshot.contract(github, |number| Issue::read(github, number))?;
        let (gaps, wanted) = match found {
            ContractOf::Found(issue) => match &issue.document.value {
                Ok(contract) => {
                    let gaps = gaps(github, request, &snapshot, issue, contract, &published, &base)?;
                    (
                        gaps,
                        publications(contract, &request.registry.value, settings.tier_a),
                    )
                }
                Err(_) => (vec!["the contract has errors".to_owned()], Vec::new()),
            },
            _ => (
                vec!["the pull request closes no issue with a contract".to_owned()],
                Vec::new(),
            ),
        };
        let other_base = (*branch != settings.naming.base).then_some(branch.as_str());
        let shown = published.results.iter();
        let shown = shown.map(|results| (results.bundle.clone(), results.gate_ids.clone()));
        let mut contexts: Vec<String> = shown
            .chain(wanted)
            .map(|(bundle, gates)| {
                let key = published::publication_key(bundle.as_deref(), &gates, other_base, false);
                status_context(&key)
            })
            .chain(required(github, branch)?)
            .collect();
        contexts.sort();
        contexts.dedup();
        Ok(Answer {
            pull: group.pull,
            commit: group.head.clone(),
            contexts,
            gaps,
            ignored: published.refused.iter().map(|one| one.why.message()).collect(),
        })
    }

    /// Returns the state and the line of the statuses.
    pub fn status(&self) -> (State, String) {
        let pull = self.pull;
        match self.gaps.first() {
            None => (
                State::Success,
                format!("reused: the results published on #{pull} are about the same tree"),
            ),
            Some(gap) => (State::Pending, status_line(&format!("#{pull}: {gap}"))),
        }
    }

    /// Sets the statuses. `page` is the page of the workflow run.
    ///
    /// # Errors
    /// GitHub does not answer, or refuses a status.
    pub fn write(&self, github: &GitHub, page: Option<&str>) -> Result<(), GitHubError> {
        let login = github.login()?;
        let (state, line) = self.status();
        for context in &self.contexts {
            let wanted = Wanted {
                context,
                state,
                line: &line,
                target: page,
            };
            wanted.settle(github, &self.commit, &login, &|_| true)?;
        }
        Ok(())
    }
}

/// Returns why a run of the group proves nothing; `None` if the group and the base branch have the same workflows and action.
fn other_workflows(git: &Git, base: &CommitId, head: &CommitId) -> Result<Option<String>, GitError> {
    if git.commit(head)?.is_none() {
        return Ok(Some(
            "the commit of the group is not here; check out with fetch-depth: 0".to_owned(),
        ));
    }
    let decides = deciding_files::changed(git, base, head)?.into_iter().next();
    Ok(decides.map(|path| {
        format!("the group changes {path}, so its own run proves nothing; merge it without the queue")
    }))
}

/// Returns what published results and attestation lack for the commit of the group.
fn gaps(
    github: &GitHub,
    request: &Request<'_>,
    snapshot: &Snapshot,
    issue: &Issue,
    contract: &Contract,
    published: &Published,
    base: &CommitId,
) -> anyhow::Result<Vec<String>> {
    let settings = request.settings;
    let registry = &request.registry.value;
    let batch = Batch::default();
    let author = Writers::new(github, &batch).author(issue, &settings.contracts.authors)?;
    let doubt = author
        .doubt
        .map(|why| format!("the contract does not count: {why}"));
    let workflows = other_workflows(request.git, base, &request.group.head)?;
    let mut gaps: Vec<String> = workflows.into_iter().chain(doubt).collect();
    if settings.tier_a == TierAProof::Attest {
        let missing = tier_a::unattested(snapshot, &snapshot.pull.head.sha, contract, registry);
        if !missing.is_empty() {
            gaps.push(format!("Tier A not attested: {}", missing.join(", ")));
        }
    }
    let now = Evidence {
        base: Some(base.clone()),
        tree: Some(github.commit(&request.group.head)?.tree.sha),
        ..snapshot.evidence(None, Some(&request.registry.sha256), Some(&issue.sha256))
    };
    let history = ImageHistory {
        git: request.git,
        images: &settings.images.0,
    };
    let gates = tier_b::to_run(contract, registry, settings.tier_a);
    let blockers = tier_b::blockers(
        Dispatch {
            workflow: settings.publish.workflow(),
            pull: snapshot.pull.number,
        },
        contract,
        &gates,
        registry,
        &published.results,
        &published.refused,
        |results| staleness::all(results, &now, history, registry),
    );
    gaps.extend(blockers.into_iter().map(|blocker| blocker.message));
    Ok(gaps)
}

/// A selection that is published alone: the name of its bundle, and its gates.
type Publication = (Option<String>, Vec<GateId>);

/// Returns the publications that a pull request with this contract has: the smallest bundle with all gates, or each gate alone.
fn publications(contract: &Contract, registry: &Registry, proof: TierAProof) -> Vec<Publication> {
    let gates = tier_b::to_run(contract, registry, proof);
    match select::smallest(registry, &gates) {
        _ if gates.is_empty() => Vec::new(),
        Some(bundle) => vec![(Some(bundle.to_owned()), gates)],
        None => gates
            .into_iter()
            .map(|gate| (Some(SINGLE.to_owned()), vec![gate]))
            .collect(),
    }
}

/// Returns the statuses of this tool that rulesets require on a branch. Without permission to ask, none.
fn required(github: &GitHub, branch: &str) -> Result<Vec<String>, GitHubError> {
    let checks = match github.required_checks(branch) {
        Ok(checks) => checks,
        Err(error) if matches!(error.status(), Some(403 | 404)) => Vec::new(),
        Err(error) => return Err(error),
    };
    let names = checks.into_iter().map(|check| check.context);
    Ok(names.filter(|name| name.starts_with(PREFIX)).collect())
}
