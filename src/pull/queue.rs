//! Describes what competes with a pull request: the other open pull requests, the contracts of open issues, and what is merged.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::domain::contract::Contract;
use crate::domain::finding::Finding;
use crate::domain::ids::ContractId;
use crate::domain::settings::Hotspots;
use crate::git::{Git, claims};
use crate::github::api::GitHub;
use crate::github::closing_keywords;
use crate::github::error::GitHubError;
use crate::github::types::Pull;
use crate::plan::hotspots::Hotspot;
use crate::plan::{self, Facts, Item, contracts, natural};
use crate::pull::contract::Issue;

/// An open pull request, and the issues that it closes.
pub struct OpenPull {
    pub pull: Pull,
    closes: Vec<u64>,
}

/// The open pull requests and the open contracts of a repository.
pub struct Queue {
    /// All open pull requests.
    pub pulls: Vec<OpenPull>,
    /// The bodies of open issues, by issue number.
    issues: HashMap<u64, Issue>,
    /// The contracts of open issues, by issue number.
    contracts: HashMap<u64, Item>,
    /// The ids of these contracts.
    open: HashSet<ContractId>,
    /// The ids of contracts that a ref on the remote marks as merged.
    done: BTreeSet<String>,
    /// Whether the issue of a contract is closed as completed, by id; requested only if needed.
    completed: RefCell<HashMap<String, bool>>,
    hotspots: Hotspots,
    /// Found only if needed.
    in_review: OnceCell<InReview>,
}

/// The contracts that open pull requests close, without drafts, and the hotspots that they share.
struct InReview {
    /// Each with its issue and its pull request.
    contracts: Vec<(Item, u64, u64)>,
    hotspots: Vec<Hotspot>,
    /// About contracts whose patterns were not compared.
    limit: Option<Finding>,
}

/// An open pull request that must be merged first, because both change the same hotspot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ahead {
    pub pull: u64,
    /// The issue of its contract.
    pub issue: u64,
    pub contract: String,
    pub path: String,
}

impl Queue {
    /// Requests pull requests and issues, and reads the refs of merged contracts in a clone.
    ///
    /// # Errors
    /// GitHub does not answer, or git fails.
    pub fn load(github: &GitHub, clone: &Git, hotspots: Hotspots) -> anyhow::Result<Self> {
        let (mut issues, mut contracts, mut open) = (HashMap::new(), HashMap::new(), HashSet::new());
        for body in github.open_issues()? {
            let issue = Issue::of(body);
            if let Ok(contract) = &issue.document.value
                && open.insert(contract.nmoe.issue.clone())
            {
                let path = issue.document.source.name().unwrap_or_default();
                contracts.insert(issue.number, Item::of(path, contract));
            }
            issues.insert(issue.number, issue);
        }
        Ok(Queue {
            issues,
            contracts,
            open,
            pulls: github
                .open_pulls()?
                .into_iter()
                .map(|pull| OpenPull {
                    closes: closing_keywords::closes(&pull.body, github.site()),
                    pull,
                })
                .collect(),
            done: claims::listed(clone, claims::DONE)?.into_keys().collect(),
            completed: RefCell::default(),
            hotspots,
            in_review: OnceCell::new(),
        })
    }

    /// Returns an open issue, or requests a closed one.
    ///
    /// # Errors
    /// GitHub does not answer, or has no such issue.
    pub fn issue(&self, github: &GitHub, number: u64) -> Result<Issue, GitHubError> {
        match self.issues.get(&number) {
            Some(issue) => Ok(issue.clone()),
            None => Issue::read(github, number),
        }
    }

    /// Returns the open issues that these pull requests close.
    pub fn closed_by<'p>(&self, github: &GitHub, pulls: impl Iterator<Item = &'p Pull>) -> Vec<u64> {
        let closes = pulls.flat_map(|pull| closing_keywords::closes(&pull.body, github.site()));
        let known: BTreeSet<u64> = closes.filter(|number| self.issues.contains_key(number)).collect();
        known.into_iter().collect()
    }

    /// Returns the other open pull requests that close this issue.
    pub fn competing(&self, pull: u64, issue: u64) -> impl Iterator<Item = u64> {
        self.pulls
            .iter()
            .filter(move |other| other.pull.number != pull && other.closes.contains(&issue))
            .map(|other| other.pull.number)
    }

    /// Returns the open pull request that closes the issue of a contract.
    pub fn pull_of(&self, contract: &str) -> Option<u64> {
        let (issue, _) = self.contracts.iter().find(|(_, item)| item.issue == contract)?;
        let open = self.pulls.iter().find(|open| open.closes.contains(issue))?;
        Some(open.pull.number)
    }

    /// Returns the dependencies of a contract that are not merged.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub fn unmerged<'a>(&self, github: &GitHub, contract: &'a Contract) -> anyhow::Result<Vec<&'a str>> {
        let is_open = |id: &str| id.parse::<ContractId>().is_ok_and(|id| self.open.contains(&id));
        let mut unmerged: Vec<&str> = contract.nmoe.depends_on.iter().map(|id| id.as_str()).collect();
        unmerged.retain(|id| !self.done.contains(*id));
        let mut completed = self.completed.borrow_mut();
        let unknown: Vec<&str> = unmerged
            .iter()
            .copied()
            .filter(|id| !is_open(id) && !completed.contains_key(*id))
            .collect();
        if !unknown.is_empty() {
            // One look through the closed issues answers for all.
            let found = contracts::completed(github, &unknown)?;
            completed.extend(
                unknown
                    .iter()
                    .map(|id| ((*id).to_owned(), found.iter().any(|f| f == id))),
            );
        }
        unmerged.retain(|id| is_open(id) || !completed.get(*id).copied().unwrap_or_default());
        Ok(unmerged)
    }

    /// Returns the open pull requests that change an exclusive hotspot of this contract and must be merged first.
    pub fn ahead(&self, pull: u64, contract: &Contract) -> Vec<Ahead> {
        let in_review = self.in_review.get_or_init(|| self.find_in_review());
        let own = contract.nmoe.issue.to_string();
        let of_own: Vec<&Hotspot> = in_review
            .hotspots
            .iter()
            .filter(|shared| shared.exclusive && shared.contracts.contains(&own))
            .collect();
        let mut ahead: Vec<Ahead> = in_review
            .contracts
            .iter()
            .filter(|(item, _, number)| {
                *number != pull && natural(&item.issue, &own).is_lt() && !item.depends_on.contains(&own)
            })
            .filter_map(|(item, issue, number)| {
                let shared = of_own.iter().find(|s| s.contracts.contains(&item.issue))?;
                Some(Ahead {
                    pull: *number,
                    issue: *issue,
                    contract: item.issue.clone(),
                    path: shared.path.clone(),
                })
            })
            .collect();
        ahead.sort();
        ahead
    }

    /// Returns a finding about contracts whose hotspots [`Queue::ahead`] does not know.
    pub fn limit(&self) -> Option<&Finding> {
        self.in_review.get()?.limit.as_ref()
    }

    fn find_in_review(&self) -> InReview {
        let is_draft = |number: u64| {
            let open = self.pulls.iter().find(|open| open.pull.number == number);
            open.is_none_or(|open| open.pull.draft)
        };
        let contracts: Vec<(Item, u64, u64)> = self
            .contracts
            .iter()
            .filter_map(|(issue, item)| Some((item.clone(), *issue, self.pull_of(&item.issue)?)))
            .filter(|(_, _, number)| !is_draft(*number))
            .collect();
        let items: Vec<Item> = contracts.iter().map(|(item, ..)| item.clone()).collect();
        let ids = items.iter().enumerate();
        let index = ids.map(|(n, item)| (item.issue.clone(), n)).collect();
        let spots = plan::hotspots::find(&items, &Facts::default(), &self.hotspots, &index);
        InReview {
            limit: spots.finding(&items),
            hotspots: spots.shared,
            contracts,
        }
    }
}
