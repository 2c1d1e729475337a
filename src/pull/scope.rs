//! Checks the changes between two commits against the scope and the knobs of a contract. Reads the changed files from git.
//!
//! Must not decide which commits and which contract: the callers know.

use std::collections::BTreeSet;

use crate::document::Document;
use crate::domain::contract::Contract;
use crate::domain::finding::Finding;
use crate::git::diff::{self, Change, Kind};
use crate::git::{Git, revisions};
use crate::lint::diagnostics::Diagnostics;
use crate::lint::scope::ScopeMatcher;
use crate::lint::scope::knobs::{self, Config, Keys};

/// Checks what a branch changed since it left its base, against a contract that may be invalid.
pub fn of_document(
    git: &Git,
    contract: &Document<Contract>,
    base: &str,
    head: &str,
) -> anyhow::Result<Vec<Finding>> {
    match &contract.value {
        Ok(agreed) => between(git, agreed, base, head),
        Err(defect) => {
            let mut diagnostics = Diagnostics::new(&contract.source);
            diagnostics.defect(defect);
            Ok(diagnostics.finish())
        }
    }
}

/// Checks what a branch changed since it left its base.
fn between(git: &Git, contract: &Contract, base: &str, head: &str) -> anyhow::Result<Vec<Finding>> {
    since(git, contract, &revisions::merge_base(git, base, head)?, head)
}

/// Checks the changes from `fork` to `head`.
pub fn since(git: &Git, contract: &Contract, fork: &str, head: &str) -> anyhow::Result<Vec<Finding>> {
    check(git, contract, &diff::between(git, fork, head, false)?, fork)
}

/// Checks changes; `since` is the commit or tree that they are relative to.
pub fn check(
    git: &Git,
    contract: &Contract,
    changes: &[Change],
    since: &str,
) -> anyhow::Result<Vec<Finding>> {
    let rules = ScopeMatcher::new(&contract.scope);
    let mut findings = rules.faults().to_vec();
    let mut elsewhere = None;
    for change in changes {
        let target = match change.new.kind {
            Kind::Link if !change.same_content() || change.renamed() => {
                Some(diff::blob(git, &change.new.id)?)
            }
            _ => None,
        };
        findings.extend(rules.check(change, target.as_deref()));
        let path = change.new.shown();
        match knobs::is_config(&path) {
            Config::Foreign if change.new.kind != Kind::Absent && !change.same_content() => {
                findings.push(knobs::foreign(&path));
            }
            Config::Toml if !change.same_content() => {
                let old = text(git, change.old.kind, &change.old.id)?.filter(|_| !change.copied);
                let new = text(git, change.new.kind, &change.new.id)?;
                if old.is_none() && elsewhere.is_none() {
                    elsewhere = Some(all_keys(git, since)?);
                }
                let nowhere = BTreeSet::new();
                let file = knobs::File {
                    path: &path,
                    old: old.as_deref(),
                    new: new.as_deref(),
                    elsewhere: elsewhere.as_ref().unwrap_or(&nowhere),
                };
                findings.extend(knobs::check(&contract.contract.knobs, &file));
            }
            _ => {}
        }
    }
    if let Some(limits) = contract.contract.limits {
        let files = changes.len() as u64;
        let lines = match limits.lines {
            Some(_) => changes
                .iter()
                .map(|change| lines(git, change))
                .sum::<anyhow::Result<u64>>()?,
            None => 0,
        };
        findings.extend(ScopeMatcher::size(limits, files, lines));
    }
    Ok(findings)
}

/// Counts the added and removed lines of a change. A link, a submodule and a binary file have none.
fn lines(git: &Git, change: &Change) -> anyhow::Result<u64> {
    let is_file = |kind: Kind| matches!(kind, Kind::File | Kind::Executable);
    let old = is_file(change.old.kind) && !change.copied;
    match (old, is_file(change.new.kind)) {
        (true, true) if change.same_content() => Ok(0),
        (true, true) => {
            let ids = [change.old.id.as_str(), change.new.id.as_str()];
            let counted = git.text([
                "diff",
                "--numstat",
                "--no-ext-diff",
                "--no-textconv",
                ids[0],
                ids[1],
            ])?;
            // git prints `-` for a binary file.
            Ok(counted
                .split_whitespace()
                .take(2)
                .filter_map(|n| n.parse::<u64>().ok())
                .sum())
        }
        (false, true) => content_lines(git, &change.new.id),
        (true, false) => content_lines(git, &change.old.id),
        (false, false) => Ok(0),
    }
}

fn content_lines(git: &Git, id: &str) -> anyhow::Result<u64> {
    let content = diff::blob(git, id)?;
    Ok(if content.contains(&0) {
        0
    } else {
        content.split_inclusive(|b| *b == b'\n').count() as u64
    })
}

fn text(git: &Git, kind: Kind, id: &str) -> anyhow::Result<Option<String>> {
    Ok(match kind {
        Kind::File | Kind::Executable => Some(String::from_utf8_lossy(&diff::blob(git, id)?).into_owned()),
        _ => None,
    })
}

/// Returns the keys of all configuration files of a commit.
fn all_keys(git: &Git, commit: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    for line in git.name_texts(["ls-tree", "-r", "-z", commit])? {
        let Some((head, path)) = line.split_once('\t') else {
            continue;
        };
        let mut words = head.split(' ');
        let (Some(mode), Some("blob"), Some(id)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if mode != "120000" && knobs::is_config(path) == Config::Toml {
            let text = String::from_utf8_lossy(&diff::blob(git, id)?).into_owned();
            // An invalid file of the base has no keys.
            let read = Keys::read(&text).unwrap_or_default();
            keys.extend(read.names().map(str::to_owned));
        }
    }
    Ok(keys)
}
