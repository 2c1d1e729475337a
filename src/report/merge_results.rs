//! Merges the results of several runs into one table, for gates that ran in parallel on several runners.
//!
//! All parts must have the same evidence. Gates without results get the verdict `not_run`. Must not depend on where the parts
//! ran.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::domain::evidence::{Evidence, Identity};
use crate::domain::ids::GateId;
use crate::domain::results::{GateResult, Results};
use crate::domain::verdict::{Reason, Verdict};
use crate::report::verify::{self, Refusal, RefusalKind};

/// Maximum number of files in a folder of results.
const MOST: usize = 4096;

/// The selection that the merged results must cover.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// The selected bundle.
    pub bundle: Option<&'a str>,
    /// The gates, in order.
    pub gate_ids: &'a [GateId],
}

/// Lists the results files behind a path: the file itself, or every `*.json` in a folder and its direct subfolders, sorted by
/// name.
///
/// # Errors
/// The folder cannot be read, contains no results, or contains too many.
pub fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in sorted(path)? {
        if entry.is_dir() && !entry.is_symlink() {
            found.extend(sorted(&entry)?.into_iter().filter(|file| is_json(file)));
        } else if is_json(&entry) {
            found.push(entry);
        }
    }
    match found.len() {
        0 => Err(std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "the folder contains no results",
        )),
        1..=MOST => Ok(found),
        n => Err(std::io::Error::other(format!(
            "the folder contains {n} files, more than the limit of {MOST}"
        ))),
    }
}

fn sorted(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_unstable();
    Ok(entries)
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// Merges parts that were already checked one by one. Without `whole`, the gates keep the order of the parts.
///
/// # Errors
/// The parts have different evidence, two parts contain the same gate, or `whole` does not contain a gate.
pub fn merge(parts: Vec<Results>, whole: Option<Whole<'_>>) -> Result<Results, Refusal> {
    let Some(first) = parts.first() else {
        return Err(Refusal::new(
            RefusalKind::Missing,
            "there are no results to merge",
        ));
    };
    let mut joined = Results {
        bundle: whole.and_then(|whole| whole.bundle.map(str::to_owned)),
        gate_ids: Vec::new(),
        results: IndexMap::new(),
        uncovered: Vec::new(),
        started_at: parts
            .iter()
            .filter_map(|part| part.started_at.clone())
            .min_by_key(|at| at.parse::<jiff::Timestamp>().ok()),
        duration_s: wall(&parts),
        ..first.clone()
    };
    let mut uncovered = Vec::new();
    for part in parts {
        joined.evidence = same(&joined.evidence, &part.evidence).map_err(|differ| {
            let detail = format!("the parts differ in {}", verify::names(&differ));
            Refusal::new(RefusalKind::Foreign(differ), detail)
        })?;
        joined.refused = joined.refused.or(part.refused);
        uncovered.extend(part.uncovered);
        for (id, result) in part.results {
            if joined.results.contains_key(&id) {
                return Err(Refusal::new(
                    RefusalKind::Inconsistent,
                    format!("two parts contain gate {id:?}"),
                ));
            }
            joined.gate_ids.push(id.clone());
            joined.results.insert(id, result);
        }
    }
    if let Some(whole) = whole {
        fit(&mut joined, whole)?;
    }
    // Each part lists what it did not cover, in the order of the contract.
    for id in uncovered {
        if !joined.results.contains_key(&id) && !joined.uncovered.contains(&id) {
            joined.uncovered.push(id);
        }
    }
    joined.overall = joined.evaluate();
    Ok(joined)
}

/// Sorts the gates in the order of the selection, and adds `not_run` for gates without results.
fn fit(joined: &mut Results, whole: Whole<'_>) -> Result<(), Refusal> {
    if let Some(id) = joined.gate_ids.iter().find(|id| !whole.gate_ids.contains(id)) {
        return Err(Refusal::new(
            RefusalKind::Selection,
            format!("gate {id:?} was not selected"),
        ));
    }
    let mut results = std::mem::take(&mut joined.results);
    for id in whole.gate_ids {
        let result = results
            .swap_remove(id)
            .unwrap_or_else(|| GateResult::new(Verdict::NotRun, Some(Reason::NoResults)));
        joined.results.insert(id.clone(), result);
    }
    joined.gate_ids = whole.gate_ids.to_vec();
    Ok(())
}

/// Merges the evidence of two parts. Values that only some machines have come from the part that has them; all others must be
/// equal.
fn same(one: &Evidence, other: &Evidence) -> Result<Evidence, Vec<Identity>> {
    let mut both = one.clone();
    both.dirty |= other.dirty;
    both.image = one.image.clone().or_else(|| other.image.clone());
    both.target = one.target.clone().or_else(|| other.target.clone());
    // The weakest isolation applies to the table as a whole.
    both.isolation = one.isolation.max(other.isolation);
    both.driver = one.driver.clone().or_else(|| other.driver.clone());
    for (path, digest) in &other.kernels {
        both.kernels.entry(path.clone()).or_insert_with(|| digest.clone());
    }
    for (cache, digests) in &other.jit {
        both.add_jit(*cache, digests.iter().cloned());
    }
    let told = |told: &Option<String>, joined: &Option<String>| told.is_some() && told != joined;
    let differ: Vec<Identity> = [
        (Identity::Head, one.head != other.head),
        (Identity::Base, one.base != other.base),
        (Identity::Merge, one.merge != other.merge),
        (Identity::Tree, one.tree != other.tree),
        (Identity::Rehearsal, one.rehearsal != other.rehearsal),
        (Identity::Registry, one.registry != other.registry),
        (Identity::Contract, one.contract != other.contract),
        (
            Identity::Kernels,
            other
                .kernels
                .iter()
                .any(|(path, digest)| both.kernels.get(path) != Some(digest)),
        ),
        (Identity::Image, told(&other.image, &both.image)),
        (Identity::Tool, one.tool != other.tool),
        (Identity::Target, told(&other.target, &both.target)),
        (Identity::Run, one.run != other.run),
    ]
    .into_iter()
    .filter_map(|(identity, differs)| differs.then_some(identity))
    .collect();
    if differ.is_empty() { Ok(both) } else { Err(differ) }
}

/// Returns the seconds from the first start to the last end, or nothing if a part lacks the times.
fn wall(parts: &[Results]) -> Option<f64> {
    let mut begins = f64::INFINITY;
    let mut ends = f64::NEG_INFINITY;
    for part in parts {
        let began: jiff::Timestamp = part.started_at.as_deref()?.parse().ok()?;
        let began = began.as_duration().as_secs_f64();
        begins = begins.min(began);
        ends = ends.max(began + part.duration_s?);
    }
    // The clocks of the machines differ, so round to a tenth of a second.
    Some(((ends - begins) * 10.0).round().max(0.0) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::verdict::Overall;

    fn part(gate: &str, status: Verdict) -> Results {
        let results = IndexMap::from([(gate.parse().unwrap(), GateResult::new(status, None))]);
        Results {
            schema: 1,
            bundle: Some("single".to_owned()),
            gate_ids: vec![gate.parse().unwrap()],
            overall: Overall::of([status]),
            refused: None,
            uncovered: ["a", "b", "c"]
                .into_iter()
                .filter(|id| *id != gate)
                .map(|id| id.parse().unwrap())
                .collect(),
            evidence: Evidence {
                head: "1".repeat(40).parse().ok(),
                ..Evidence::default()
            },
            started_at: Some("2026-01-01T00:00:00Z".to_owned()),
            duration_s: Some(2.0),
            results,
        }
    }

    #[test]
    fn missing_parts_are_not_run() {
        let ids = ["a", "b", "d"].map(|id| id.parse().unwrap());
        let whole = Whole {
            bundle: Some("all"),
            gate_ids: &ids,
        };
        let mut late = part("a", Verdict::Pass);
        late.started_at = Some("2026-01-01T00:00:03Z".to_owned());
        let joined = merge(vec![part("b", Verdict::Pass), late], Some(whole)).unwrap();
        assert_eq!(joined.gate_ids, ids);
        assert_eq!(joined.results["d"].status, Verdict::NotRun);
        assert_eq!(joined.results["d"].reason, Some(Reason::NoResults));
        assert_eq!(joined.overall, Overall::Inconclusive);
        assert_eq!(joined.uncovered, ["c"]);
        assert_eq!(joined.duration_s, Some(5.0));
        assert_eq!(joined.bundle.as_deref(), Some("all"));
    }

    #[test]
    fn different_evidence_and_duplicate_gates_are_refused() {
        let mut other = part("b", Verdict::Pass);
        other.evidence.head = "2".repeat(40).parse().ok();
        let why = merge(vec![part("a", Verdict::Pass), other], None)
            .unwrap_err()
            .why;
        assert_eq!(why, RefusalKind::Foreign(vec![Identity::Head]));
        let twice = vec![part("a", Verdict::Fail), part("a", Verdict::Pass)];
        assert_eq!(merge(twice, None).unwrap_err().why, RefusalKind::Inconsistent);
        let whole = Whole {
            bundle: None,
            gate_ids: &["b".parse().unwrap()],
        };
        let extra = merge(vec![part("a", Verdict::Pass)], Some(whole)).unwrap_err();
        assert_eq!(extra.why, RefusalKind::Selection);
    }

    #[test]
    fn machine_evidence_is_merged_and_compared() {
        let gpu = |gate: &str, kernel: &str| {
            let mut part = part(gate, Verdict::Pass);
            part.evidence.target = Some("b200x8".to_owned());
            part.evidence
                .kernels
                .insert("rdep.so".to_owned(), kernel.repeat(64).parse().unwrap());
            part
        };
        let joined = merge(vec![part("c", Verdict::Pass), gpu("a", "1"), gpu("b", "1")], None).unwrap();
        assert_eq!(joined.evidence.target.as_deref(), Some("b200x8"));
        assert_eq!(joined.evidence.kernels.len(), 1);
        assert_eq!(joined.overall, Overall::Pass);
        let why = merge(vec![gpu("a", "1"), gpu("b", "2")], None).unwrap_err().why;
        assert_eq!(why, RefusalKind::Foreign(vec![Identity::Kernels]));
    }
}
