//! Defines the inputs of a plan: contracts as plain items, merged contracts, and conflicts of branches.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::contract::Contract;

/// The part of a contract that a plan needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// The contract id.
    pub issue: String,
    pub slug: String,
    /// The name of the document.
    pub path: String,
    /// The contract ids that must be merged first.
    pub depends_on: Vec<String>,
    /// The declared hotspots.
    pub merge_hotspots: Vec<String>,
    /// Patterns of the files that may change.
    pub allow: Vec<String>,
    /// Patterns of the files that must not change.
    pub deny: Vec<String>,
}

impl Item {
    /// Takes what a plan needs from a contract.
    pub fn of(path: &str, contract: &Contract) -> Self {
        let work = &contract.nmoe;
        Item {
            issue: work.issue.to_string(),
            slug: work.slug.to_string(),
            path: path.to_owned(),
            depends_on: work.depends_on.iter().map(ToString::to_string).collect(),
            merge_hotspots: work.merge_hotspots.clone(),
            allow: contract.scope.allow.clone(),
            deny: contract.scope.deny.clone(),
        }
    }

    /// Returns how much the patterns of the contract cost to compare: their number and lengths.
    pub fn weight(&self) -> usize {
        let lists = [&self.allow, &self.deny, &self.merge_hotspots];
        lists
            .into_iter()
            .flatten()
            .map(|pattern| pattern.len() + 16)
            .sum()
    }
}

/// What a plan needs in addition to the contracts.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The ids of merged contracts.
    pub done: Vec<String>,
    /// The pairs of contracts whose branches conflict.
    pub conflicts: Vec<Conflict>,
    /// The ids of contracts that do not count, because no person with write access wrote or adopted them.
    pub untrusted: BTreeSet<String>,
    /// The contracts in progress, by id.
    pub taken: BTreeMap<String, Taken>,
    /// The options with which `start` finds the same contracts.
    pub options: Vec<String>,
}

/// How a contract is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Who claimed it; `None` without a claim.
    pub claimed_by: Option<String>,
    /// The open pull request that closes its issue.
    pub pull: Option<u64>,
}

/// Two contracts whose branches conflict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The two contract ids.
    pub between: [String; 2],
    /// The paths in conflict.
    pub paths: Vec<String>,
}

/// Compares ids in natural order: `2` before `10`, `03` before `03a`.
pub fn natural(a: &str, b: &str) -> Ordering {
    fn key(id: &str) -> (u64, &str) {
        let rest = id.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = &id[..id.len() - rest.len()];
        (digits.parse().unwrap_or(u64::MAX), rest)
    }
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}
