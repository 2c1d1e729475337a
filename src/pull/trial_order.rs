//! Finds the order in which to merge evaluated pull requests, by trial merges in the local clone.

use crate::git::merge;
use crate::pull::local_clone::LocalClone;
use crate::pull::merge_order::{self, Step, Waiting};
use crate::pull::readiness::Readiness;

/// Returns the order of merging that keeps the most evidence valid, found by one trial merge for each pull request.
pub fn order(clone: &LocalClone, evaluated: &[Readiness]) -> Vec<Step> {
    let Some(mut base) = evaluated.first().map(|row| row.base.clone()) else {
        return Vec::new();
    };
    let same_base = evaluated.iter().filter(|row| row.base == base);
    let waiting: Vec<Waiting> = same_base.filter_map(|row| row.waiting.clone()).collect();
    let Some(tree) = clone.tree(&base) else {
        return Vec::new();
    };
    let git = &clone.git;
    let head = |pull: u64| {
        evaluated
            .iter()
            .find(|row| row.number == pull)
            .map(|row| &row.head)
    };
    let mut merged: Vec<u64> = Vec::new();
    merge_order::order(&waiting, tree, |pull| {
        let head = head(pull).ok_or_else(Vec::new)?;
        let trial = merge::trial(git, &base, head).map_err(|_| Vec::new())?;
        if trial.conflicts.is_empty() {
            base = clone.commit(&base, head, &trial.tree).map_err(|_| Vec::new())?;
            merged.push(pull);
            return Ok(trial.tree);
        }
        let changes = |other: &u64| {
            let row = evaluated.iter().find(|row| row.number == *other);
            let paths = row.and_then(|row| merge::changed(git, &row.base, &row.head).ok());
            paths.is_some_and(|paths| trial.conflicts.iter().any(|path| paths.contains(path)))
        };
        Err(merged.iter().copied().filter(changes).collect())
    })
}
