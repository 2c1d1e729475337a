//! Defines what a plan is made from: contracts as plain items, and what is known beyond them.

use std::cmp::Ordering;

/// What a plan needs to know of a contract.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Contract id.
    pub issue: String,
    /// The rest of its branch's name.
    pub slug: String,
    /// The document it was read from.
    pub path: String,
    /// Contract ids that must be merged first.
    pub depends_on: Vec<String>,
    /// Declared hotspots.
    pub merge_hotspots: Vec<String>,
    /// Globs of what may change.
    pub allow: Vec<String>,
    /// Globs of what must not.
    pub deny: Vec<String>,
}

/// What is known beyond the contracts themselves.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Contract ids that are merged already.
    pub done: Vec<String>,
    /// Pairs of contracts whose branches conflict today, with the paths they conflict in.
    pub conflicts: Vec<Conflict>,
}

/// Two contracts whose branches cannot both be merged as they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Contract ids of the two.
    pub between: [String; 2],
    /// Paths they conflict in.
    pub paths: Vec<String>,
}

/// Ids in the order people expect: `2` before `10`, `03` before `03a`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let key = |s: &str| {
        let digits = s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        (
            s[..digits].parse::<u64>().unwrap_or(u64::MAX),
            s[digits..].to_owned(),
        )
    };
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}
