//! The results of several runs made into one: gates fan out over runners, and come back into one table.
//!
//! Parts are joined only where they are about the same thing. What no part has is `not_run`, never left out. Knows nothing of
//! where the parts were run.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::domain::evidence::{Evidence, Identity};
use crate::domain::results::{GateResult, Results};
use crate::domain::verdict::{Reason, Verdict};
use crate::report::verify::{self, Refusal, RefusalKind};

/// The most files that a folder of results may hold.
const MOST: usize = 4096;

/// What the parts must come to.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// Bundle that was asked for.
    pub bundle: Option<&'a str>,
    /// The gates, in order.
    pub gate_ids: &'a [String],
}

/// The files of results behind a path: itself, or for a folder every `*.json` in it and in its folders, in order of their names.
///
/// # Errors
/// A folder that cannot be read, holds no results, or more than any fan-out leaves.
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
            "a folder without results",
        )),
        1..=MOST => Ok(found),
        n => Err(std::io::Error::other(format!(
            "the folder holds {n} files, and at most {MOST} are read"
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

/// Joins parts, each already held to the schema. Without a whole the gates stand in the order of the parts.
///
/// # Errors
/// Parts about different things, a gate in two of them, or a gate that the whole does not have.
pub fn merge(parts: Vec<Results>, whole: Option<Whole<'_>>) -> Result<Results, Refusal> {
    let Some(first) = parts.first() else {
        return Err(Refusal::new(RefusalKind::Missing, "there are no results to join"));
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
                    format!("gate {id:?} is in two of the parts"),
                ));
            }
            joined.gate_ids.push(id.clone());
            joined.results.insert(id, result);
        }
    }
    if let Some(whole) = whole {
        fit(&mut joined, whole)?;
    }
    // Each part lists what it did not cover itself, in the contract's order.
    for id in uncovered {
        if !joined.results.contains_key(&id) && !joined.uncovered.contains(&id) {
            joined.uncovered.push(id);
        }
    }
    joined.overall = joined.judge();
    Ok(joined)
}

/// Puts the gates into the whole's order, and says of those that no part has that they were not run.
fn fit(joined: &mut Results, whole: Whole<'_>) -> Result<(), Refusal> {
    if let Some(id) = joined.gate_ids.iter().find(|id| !whole.gate_ids.contains(id)) {
        return Err(Refusal::new(
            RefusalKind::Selection,
            format!("gate {id:?} is none of those that were to be run"),
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

/// The identity of two parts together: what one machine alone can tell is taken from whichever part has it, all else must agree.
fn same(one: &Evidence, other: &Evidence) -> Result<Evidence, Vec<Identity>> {
    let mut both = one.clone();
    both.dirty |= other.dirty;
    both.image = one.image.clone().or_else(|| other.image.clone());
    both.target = one.target.clone().or_else(|| other.target.clone());
    for (path, digest) in &other.kernels {
        both.kernels.entry(path.clone()).or_insert_with(|| digest.clone());
    }
    let told = |told: &Option<String>, joined: &Option<String>| told.is_some() && told != joined;
    let differ: Vec<Identity> = [
        (Identity::Head, one.head != other.head),
        (Identity::Base, one.base != other.base),
        (Identity::Merge, one.merge != other.merge),
        (Identity::Tree, one.tree != other.tree),
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

/// From the first beginning to the last end, in seconds; nothing where a part does not say.
fn wall(parts: &[Results]) -> Option<f64> {
    let mut begins = f64::INFINITY;
    let mut ends = f64::NEG_INFINITY;
    for part in parts {
        let began: jiff::Timestamp = part.started_at.as_deref()?.parse().ok()?;
        let began = began.as_duration().as_secs_f64();
        begins = begins.min(began);
        ends = ends.max(began + part.duration_s?);
    }
    // Clocks of several machines and fractions of a second: a tenth is what can be said.
    Some(((ends - begins) * 10.0).round().max(0.0) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::verdict::Overall;

    fn part(gate: &str, status: Verdict) -> Results {
        let results = IndexMap::from([(gate.to_owned(), GateResult::new(status, None))]);
        Results {
            schema: 1,
            bundle: Some("single".to_owned()),
            gate_ids: vec![gate.to_owned()],
            overall: Overall::of([status]),
            refused: None,
            uncovered: ["a", "b", "c"]
                .into_iter()
                .filter(|id| *id != gate)
                .map(str::to_owned)
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
    fn the_parts_stand_in_the_order_of_the_whole_and_what_is_missing_was_not_run() {
        let ids = ["a", "b", "d"].map(str::to_owned);
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
    fn parts_about_different_things_and_gates_twice_are_refused() {
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
            gate_ids: &["b".to_owned()],
        };
        let extra = merge(vec![part("a", Verdict::Pass)], Some(whole)).unwrap_err();
        assert_eq!(extra.why, RefusalKind::Selection);
    }

    #[test]
    fn what_one_machine_can_tell_is_taken_from_it_and_held_against_the_others() {
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
