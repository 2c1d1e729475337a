//! What `ready` knows: GitHub's open pull requests and issues, the checkout, the registry, recorded results.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::cmd::NoJudgement;
use crate::cmd::api;
use crate::cmd::context::Context;
use crate::cmd::contracts;
use crate::cmd::input_files;
use crate::cmd::lint::gather;
use crate::cmd::ready::attested;
use crate::cmd::ready::is_merged;
use crate::cmd::ready::published;
use crate::document::{Document, Source};
use crate::domain::attestation::Attestation;
use crate::domain::contract::Contract;
use crate::domain::evidence::{Evidence, Identity};
use crate::domain::finding::Finding;
use crate::domain::ids::{CommitId, Sha256};
use crate::domain::next_step::{NextStep, Who};
use crate::domain::registry::{Registry, Tier};
use crate::domain::results::Results;
use crate::domain::settings::{Hotspots, Image, Naming};
use crate::git::Git;
use crate::git::claims;
use crate::git::diff;
use crate::git::merge;
use crate::github::api::GitHub;
use crate::github::closing_keywords;
use crate::github::types::Pull;
use crate::lint;
use crate::plan::images;
use crate::plan::ready::{self, Blocker, Step, Waiting};
use crate::plan::{self, Facts as PlanFacts, Item, natural};
use crate::pull::contract::{ContractOf, contract_of};

/// Everything around the pull requests that are judged.
pub struct Around<'a> {
    context: &'a Context,
    /// GitHub.
    pub hub: GitHub,
    /// git, with its new objects in a place that goes away.
    pub git: Git,
    _scratch: TempDir,
    /// Open pull requests.
    pub open: Vec<Pull>,
    /// Branches and the remote.
    pub naming: Naming,
    hotspots: Hotspots,
    images: Vec<Image>,
    /// Registry of the policy checkout.
    pub registry: Registry,
    /// Its digest.
    pub registry_sha256: Sha256,
    /// For the lints.
    pub facts: lint::Facts,
    results: Vec<Results>,
    published: HashMap<u64, Vec<Results>>,
    /// Contracts of open issues, with GitHub's number.
    contracts: HashMap<u64, Item>,
    done: BTreeSet<String>,
    closed: OnceCell<Vec<String>>,
}

/// The contract that a pull request is held against.
pub struct Found {
    /// GitHub's number of its issue.
    pub issue: u64,
    /// SHA-256 of the issue's body.
    pub sha256: Sha256,
    pub document: Document<Contract>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

impl<'a> Around<'a> {
    /// Asks GitHub, fetches from the remote and reads the files that the user named.
    pub fn gather(context: &'a Context, results: &[PathBuf], attested: bool) -> anyhow::Result<Self> {
        let settings = context.settings()?;
        let hub = api::hub(context)?;
        let here = Git::at(&context.subject);
        claims::fetch(&here, &settings.naming.remote).map_err(|error| {
            NoJudgement(format!("cannot fetch from `{}`: {error}", settings.naming.remote))
        })?;
        let scratch = TempDir::with_prefix("nmoe-gates-ready-").context("cannot make a temporary folder")?;
        let registry = context.registry()?;
        let documents = contracts::gather(context, &[])?;
        let (items, _) = contracts::read(&documents);
        let mut recorded: Vec<Results> = Vec::new();
        for path in results {
            let results = input_files::recorded(path)?;
            if attested && let Err(why) = attested::verify(path, &results, hub.repository()) {
                context.note(format_args!("{} does not count: {why}", path.display()));
            } else {
                recorded.push(results);
            }
        }
        Ok(Around {
            context,
            open: hub.open_pulls()?,
            hub,
            git: here.with_scratch_objects(scratch.path())?,
            _scratch: scratch,
            naming: settings.naming,
            hotspots: settings.hotspots,
            images: settings.images.0,
            registry: registry.value,
            registry_sha256: registry.sha256,
            facts: gather::facts(context)?,
            results: recorded,
            published: HashMap::new(),
            contracts: items
                .into_iter()
                .filter_map(|(item, n)| Some((documents[n].number?, item)))
                .collect(),
            done: claims::listed(&here, claims::DONE)?.into_keys().collect(),
            closed: OnceCell::new(),
        })
    }

    /// Base and head of a pull request as commits that are here.
    pub fn commits(&self, pull: &Pull) -> anyhow::Result<(CommitId, CommitId)> {
        let base = format!("refs/remotes/{}/{}", self.naming.remote, pull.base.branch);
        let base = self.git.commit(&base)?.with_context(|| {
            let (remote, branch) = (&self.naming.remote, &pull.base.branch);
            format!("the remote `{remote}` has no branch `{branch}`")
        })?;
        if self.git.commit(&pull.head.sha)?.is_none() {
            let name = format!("refs/pull/{}/head", pull.number);
            self.git
                .bytes(["fetch", "--quiet", "--no-tags", &self.naming.remote, &name])
                .map_err(|error| {
                    NoJudgement(format!("cannot fetch the head of #{}: {error}", pull.number))
                })?;
        }
        match self.git.commit(&pull.head.sha)? {
            Some(head) => Ok((base, head)),
            None => Err(NoJudgement(format!(
                "#{} moved while it was looked at; run the command again",
                pull.number
            ))
            .into()),
        }
    }

    /// Parses the description of a pull request.
    pub fn attestation(&self, pull: &Pull) -> Document<Attestation> {
        Document::parse(Source::new(
            Some(format!("pull request #{}", pull.number)),
            pull.body.as_str(),
        ))
    }

    /// The contract of a pull request, usable or not.
    pub fn contract(&self, attestation: &Document<Attestation>) -> anyhow::Result<Option<Found>> {
        let found = contract_of(&self.hub, attestation)?;
        let ContractOf::Found(issue) = found else {
            return Ok(None);
        };
        Ok(issue.has_block().then(|| Found {
            issue: issue.number,
            findings: lint::contract::lint(&issue.document, &self.facts),
            sha256: issue.sha256,
            document: issue.document,
        }))
    }

    /// Other open pull requests that close the same issue.
    pub fn rivals(&self, pull: &Pull, issue: u64) -> Vec<u64> {
        self.open
            .iter()
            .filter(|other| {
                other.number != pull.number
                    && closing_keywords::closes(&other.body, self.hub.site()).contains(&issue)
            })
            .map(|other| other.number)
            .collect()
    }

    /// The pull request that closes the issue of this contract.
    fn pull_of(&self, contract: &str) -> Option<u64> {
        let (issue, _) = self.contracts.iter().find(|(_, item)| item.issue == contract)?;
        let closes = |pull: &&Pull| closing_keywords::closes(&pull.body, self.hub.site()).contains(issue);
        self.open.iter().find(closes).map(|pull| pull.number)
    }

    /// Dependencies that are not merged.
    pub fn dependencies(&self, contract: &Contract) -> anyhow::Result<Vec<Blocker>> {
        let mut blockers = Vec::new();
        for id in &contract.nmoe.depends_on {
            if self.done.contains(id) {
                continue;
            }
            if !self.contracts.values().any(|item| item.issue == *id) {
                let closed = match self.closed.get() {
                    Some(closed) => closed,
                    None => {
                        let closed = contracts::merged(self.context, &[])?;
                        self.closed.get_or_init(|| closed)
                    }
                };
                if closed.contains(id) {
                    continue;
                }
            }
            let next = match self.pull_of(id) {
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
            blockers.push(Blocker::new(
                &ready::DEPENDENCY_UNMERGED,
                format!("contract {id} is not merged"),
                next,
            ));
        }
        Ok(blockers)
    }

    /// Open pull requests that go first at a hotspot that both touch.
    pub fn hotspots(&self, pull: &Pull, contract: &Contract) -> Vec<Blocker> {
        let in_review: Vec<(&Item, u64)> = self
            .contracts
            .values()
            .filter_map(|item| Some((item, self.pull_of(&item.issue)?)))
            .filter(|(_, number)| self.open.iter().any(|p| p.number == *number && !p.draft))
            .collect();
        let items: Vec<Item> = in_review.iter().map(|(item, _)| (*item).clone()).collect();
        let index = items
            .iter()
            .enumerate()
            .map(|(n, i)| (i.issue.clone(), n))
            .collect();
        let spots = plan::hotspots::find(&items, &PlanFacts::default(), &self.hotspots, &index);
        let mine = &contract.nmoe.issue;
        let mut blockers = Vec::new();
        for (item, number) in in_review {
            let goes_first = natural(&item.issue, mine).is_lt() && !item.depends_on.contains(mine);
            let shared = spots
                .shared
                .iter()
                .find(|s| s.exclusive && s.contracts.contains(mine) && s.contracts.contains(&item.issue));
            if let Some(spot) = shared.filter(|_| goes_first && number != pull.number) {
                let says = format!(
                    "#{number} (contract {}) touches `{}` too and goes first",
                    item.issue, spot.path
                );
                let next = NextStep::run(
                    Who::MergeCaptain,
                    "merge that one first",
                    ["nmoe-gates", "ready", &number.to_string()],
                );
                blockers.push(Blocker::new(&ready::HOTSPOT_ORDER, says, next));
            }
        }
        blockers.sort_by(|a, b| a.message.cmp(&b.message));
        blockers
    }

    /// Reads what was published on a pull request, too.
    pub fn read_published(&mut self, pull: u64) -> anyhow::Result<()> {
        let found = published::read(&self.hub, pull, &self.registry)?;
        for doubt in found.doubts {
            self.context.note(format_args!("#{pull}: {doubt}"));
        }
        self.published.insert(pull, found.results);
        Ok(())
    }

    /// Results that were published on this pull request, and recorded ones about its head or this very tree; the last is the newest.
    pub fn about(&self, pull: u64, head: &str, tree: &str) -> Vec<Results> {
        let about = |r: &&Results| {
            r.evidence.head.as_deref() == Some(head) || r.evidence.tree.as_deref() == Some(tree)
        };
        let recorded = self.results.iter().filter(about);
        let mut found: Vec<Results> = recorded
            .chain(self.published.get(&pull).into_iter().flatten())
            .cloned()
            .collect();
        found.sort_by(|a, b| a.started_at.cmp(&b.started_at));
        found
    }

    /// What makes results be about something else than what is wanted on this base. An image is of another environment where what images
    /// are made of changed on the base since.
    pub fn stale(&self, results: &Results, wanted: &Evidence, base: &str) -> Vec<Identity> {
        let mut stale = results.evidence.stale_for(wanted);
        if results.evidence.image.is_some()
            && !stale.contains(&Identity::Image)
            && results
                .evidence
                .base
                .as_deref()
                .is_some_and(|was| self.environment_changed(was, base))
        {
            stale.push(Identity::Image);
        }
        stale
    }

    /// Whether images must be built anew between two commits of the base. Where the earlier one is not here, nobody can say that nothing
    /// changed.
    fn environment_changed(&self, was: &str, base: &str) -> bool {
        let changes = diff::between(&self.git, was, base, false);
        changes.map_or(true, |changes| {
            images::decide(&self.images, &changes)
                .iter()
                .any(|image| image.rebuild)
        })
    }

    /// The Tier-B gates of a contract.
    pub fn tier_b(&self, contract: &Contract) -> Vec<String> {
        let is_b = |id: &&String| {
            self.registry
                .gates
                .get(*id)
                .is_some_and(|gate| gate.tier == Tier::B)
        };
        contract.gates.required.iter().filter(is_b).cloned().collect()
    }

    /// The order of merging that keeps the most evidence, found by merging for trial.
    pub fn order(&self, pulls: &[Pull], waiting: &[Waiting]) -> anyhow::Result<Vec<Step>> {
        let mut commits = HashMap::new();
        for pull in pulls {
            commits.insert(pull.number, self.commits(pull)?);
        }
        let waiting: Vec<Waiting> = waiting
            .iter()
            .filter(|w| {
                commits
                    .get(&w.pull)
                    .is_some_and(|(base, head)| !is_merged(self, base, head))
            })
            .cloned()
            .collect();
        let mut bases: HashMap<Vec<u64>, Option<CommitId>> = HashMap::new();
        let gates: HashMap<u64, &Vec<String>> = waiting.iter().map(|w| (w.pull, &w.gates)).collect();
        Ok(ready::order(&waiting, |done, pull| {
            let Some((base, head)) = commits.get(&pull) else {
                return false;
            };
            let Some(base) = self.base_after(base, done, &commits, &mut bases) else {
                return false;
            };
            let Ok(trial) = merge::trial(&self.git, &base, head) else {
                return false;
            };
            let wanted = Evidence {
                tree: Some(trial.tree.clone()),
                ..Evidence::default()
            };
            let standing = |id: &String| {
                self.results
                    .iter()
                    .chain(self.published.values().flatten())
                    .any(|r| {
                        r.evidence.stale_for(&wanted).is_empty()
                            && r.results
                                .get(id)
                                .is_some_and(|gate| gate.status.as_str() == "pass")
                    })
            };
            trial.conflicts.is_empty() && gates.get(&pull).is_some_and(|gates| gates.iter().all(standing))
        }))
    }

    /// The base after these were merged in this order; none where one of them conflicts.
    fn base_after(
        &self,
        base: &CommitId,
        done: &[u64],
        commits: &HashMap<u64, (CommitId, CommitId)>,
        known: &mut HashMap<Vec<u64>, Option<CommitId>>,
    ) -> Option<CommitId> {
        let Some((last, before)) = done.split_last() else {
            return Some(base.clone());
        };
        if let Some(found) = known.get(done) {
            return found.clone();
        }
        let after = self.base_after(base, before, commits, known).and_then(|base| {
            let head = &commits.get(last)?.1;
            let trial = merge::trial(&self.git, &base, head).ok()?;
            let identity = [
                "-c",
                "user.name=nmoe-gates",
                "-c",
                "user.email=nmoe-gates@localhost",
            ];
            let commit = [
                "commit-tree",
                "--no-gpg-sign",
                "-m",
                "Trial",
                "-p",
                &base,
                "-p",
                head,
                &trial.tree,
            ];
            trial
                .conflicts
                .is_empty()
                .then(|| self.git.text(identity.iter().chain(&commit)).ok()?.parse().ok())
                .flatten()
        });
        known.insert(done.to_vec(), after.clone());
        after
    }
}
