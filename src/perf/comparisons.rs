//! Defines what the history keeps of a comparison, and finds the commit of a branch that landed what was tested.
//!
//! Reads branches with git; decides nothing about performance.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::domain::ids::CommitId;
use crate::domain::noise::{Estimator, metric_name};
use crate::domain::perf_summary;
use crate::domain::registry::{Direction, Registry};
use crate::domain::results::{FurtherResult, GateResult, PerfMethod, PerfPair, PerfResult, Results};
use crate::domain::verdict::{Reason, Verdict};
use crate::git::{Git, GitError};
use crate::perf::evaluator::machine_class;
use crate::perf::stats;

/// Version of an entry. Entries of version 1 had medians by tested commit, and are ignored.
pub const VERSION: u32 = 2;

/// Most commits of a branch that are read.
const COMMITS: &str = "20000";

/// The comparison of one metric at one commit of a branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of the entry.
    pub version: u32,
    /// When the run began, RFC 3339 in UTC.
    pub at: String,
    /// The commit that landed.
    pub commit: String,
    /// The commit of the baseline.
    pub base: String,
    /// The perf gate.
    pub perf_gate: String,
    /// The gate that was compared.
    pub gate: String,
    /// The metric, without `_p50`.
    pub metric: String,
    /// Class of machine.
    pub machine: String,
    /// Version of the GPU driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Which way the metric is better.
    pub direction: Direction,
    /// The verdict for this metric.
    pub status: Verdict,
    /// Its reason.
    pub reason: Option<Reason>,
    /// The budget, percent.
    pub budget_pct: Option<f64>,
    /// Estimate of the baseline, in the metric's unit.
    pub baseline: f64,
    /// Estimate of the change.
    pub result: f64,
    /// The paired change: the mean of ln(result) − ln(baseline) over the pairs.
    pub log_ratio: f64,
    /// The interval that decided, percent.
    pub interval_pct: Option<[f64; 2]>,
    /// Number of pairs.
    pub pairs: u32,
    /// How the measurements were reduced.
    pub estimator: Estimator,
    /// How the measurements vary; absent for a single pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
}

/// The spread of the pairs of one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Variance of the log ratio of one pair, times `dof`.
    pub squares: f64,
    /// Degrees of freedom.
    pub dof: f64,
}

/// Returns the comparisons of a run that measured something, with any verdict, as those of this commit. The registry
/// says which gates need no GPU; a gate that it does not have is assumed to need one.
pub fn of_results(results: &Results, commit: &CommitId, registry: &Registry) -> Vec<Comparison> {
    let gates = results.results.iter();
    gates
        .filter_map(|(id, result)| Some((id, result, result.perf.as_ref()?)))
        .flat_map(|(id, result, perf)| {
            let compared = registry.gates.get(&perf.compare_gate);
            let machine = match compared {
                Some(compared) => machine_class(compared, &results.evidence),
                None => results.evidence.target.as_deref().unwrap_or("cpu"),
            };
            of_gate(results, (id, result, perf), commit, machine)
        })
        .collect()
}

fn of_gate(
    results: &Results,
    (id, result, perf): (&str, &GateResult, &PerfResult),
    commit: &CommitId,
    machine: &str,
) -> Vec<Comparison> {
    let (status, reason) = perf_summary::own_verdict(perf, result.status, result.reason);
    let decided = matches!(status, Verdict::Pass | Verdict::Fail | Verdict::Inconclusive);
    let (Some(base), true) = (perf.baseline_sha.as_ref(), decided) else {
        return Vec::new();
    };
    let common = |metric: &str, baseline: Option<f64>, result: Option<f64>, log_ratios: &[f64]| {
        let (baseline, result) = (baseline?, result?);
        let log_ratio = stats::mean(log_ratios).unwrap_or_else(|| (result / baseline).ln());
        log_ratio.is_finite().then(|| Comparison {
            version: VERSION,
            at: results.started_at.clone().unwrap_or_default(),
            commit: commit.to_string(),
            base: base.to_string(),
            perf_gate: id.to_owned(),
            gate: perf.compare_gate.clone(),
            metric: metric_name(metric).to_owned(),
            machine: machine.to_owned(),
            driver: results.evidence.driver.clone().filter(|_| machine != "cpu"),
            direction: perf.direction,
            status,
            reason,
            budget_pct: perf.budget_pct,
            baseline,
            result,
            log_ratio,
            interval_pct: perf.interval_pct,
            pairs: u32::try_from(perf.pairs.len()).unwrap_or(u32::MAX),
            estimator: perf.estimator.unwrap_or_default(),
            spread: spread_of_sides(perf),
        })
    };
    let log_ratios: Vec<f64> = perf.pairs.iter().map(|pair| pair.log_ratio).collect();
    let main = common(&perf.metric, perf.baseline, perf.result, &log_ratios);
    let further = perf.also.iter().filter_map(|further: &FurtherResult| {
        let own = common(
            &further.metric,
            further.baseline,
            further.result,
            &further.log_ratios,
        )?;
        Some(Comparison {
            direction: further.direction,
            status: further.status,
            reason: further.reason,
            budget_pct: further.budget_pct,
            interval_pct: further.interval_pct,
            pairs: u32::try_from(further.log_ratios.len()).unwrap_or(u32::MAX),
            estimator: further.estimator.unwrap_or_default(),
            spread: spread_of(
                stats::squares(&further.log_ratios),
                further.log_ratios.len().saturating_sub(1),
            ),
            ..own
        })
    });
    main.into_iter().chain(further).collect()
}

fn spread_of(squares: f64, dof: usize) -> Option<Spread> {
    let dof = dof as f64;
    (dof > 0.0 && squares.is_finite()).then_some(Spread { squares, dof })
}

/// Twice the sum of squares within each side: the variance of a pair is twice that of a measurement.
fn spread_of_sides(perf: &PerfResult) -> Option<Spread> {
    if perf.method != PerfMethod::Paired {
        return None;
    }
    let logs = |side: fn(&PerfPair) -> f64| -> Vec<f64> { perf.pairs.iter().map(|p| side(p).ln()).collect() };
    let squares = stats::squares(&logs(|p| p.baseline)) + stats::squares(&logs(|p| p.result));
    spread_of(2.0 * squares, 2 * perf.pairs.len().saturating_sub(1))
}

/// The commits of a branch along its first parents, oldest first.
pub struct Branch {
    commits: Vec<Landed>,
    places: HashMap<String, usize>,
}

/// One commit of a branch.
struct Landed {
    id: CommitId,
    tree: String,
    parents: Vec<String>,
    subject: String,
}

impl Branch {
    /// Reads a branch. A repository without commits has an empty one.
    ///
    /// # Errors
    /// git fails, or the revision does not exist.
    pub fn read(git: &Git, revision: &str) -> Result<Branch, GitError> {
        let Some(tip) = git.commit(revision)? else {
            if revision == "HEAD" {
                return Ok(Branch::of(Vec::new()));
            }
            return Err(GitError::NotAnId(revision.to_owned()));
        };
        let format = "--format=%H%x00%T%x00%P%x00%s";
        let text = git.text([
            "log",
            "--first-parent",
            "-n",
            COMMITS,
            format,
            "--end-of-options",
            &tip,
        ])?;
        let mut commits: Vec<Landed> = text.lines().filter_map(landed).collect();
        commits.reverse();
        Ok(Branch::of(commits))
    }

    /// A branch of these commits, oldest first, without trees and subjects.
    #[cfg(test)]
    pub fn of_ids(ids: &[String]) -> Branch {
        let line = |id: &String| landed(&format!("{id}\0\0\0"));
        Branch::of(ids.iter().filter_map(line).collect())
    }

    fn of(commits: Vec<Landed>) -> Branch {
        let places = commits.iter().enumerate();
        Branch {
            places: places.map(|(at, c)| (c.id.to_string(), at)).collect(),
            commits,
        }
    }

    /// Returns the commit that landed what a run tested: the tested commit itself, else a commit after the base with the tested
    /// tree, else the merge of the tested head. No commit has what was tested in a checkout with uncommitted changes.
    pub fn landed(&self, results: &Results) -> Option<&CommitId> {
        let evidence = &results.evidence;
        let tested = evidence.commit().filter(|_| !evidence.dirty)?;
        if let Some(at) = self.place(tested) {
            return self.commits.get(at).map(|c| &c.id);
        }
        let base = evidence.base.as_ref().and_then(|base| self.place(base));
        let after = &self.commits[base.map_or(0, |at| at + 1)..];
        let tree = evidence.tree.as_deref();
        let same_tree = after.iter().find(|c| Some(c.tree.as_str()) == tree);
        let head = evidence.head.as_deref();
        let merge = || {
            after
                .iter()
                .find(|c| c.parents.iter().skip(1).any(|p| Some(p.as_str()) == head))
        };
        same_tree.or_else(merge).map(|c| &c.id)
    }

    /// Returns the place of a commit on the branch.
    pub fn place(&self, commit: &str) -> Option<usize> {
        self.places.get(commit).copied()
    }

    /// Returns the commits whose id begins with this, in either case.
    pub fn matching(&self, prefix: &str) -> Vec<&CommitId> {
        let prefix = prefix.to_ascii_lowercase();
        let ids = self.commits.iter().map(|c| &c.id);
        ids.filter(|id| !prefix.is_empty() && id.starts_with(&prefix))
            .collect()
    }

    /// Returns the commit at a place.
    pub fn commit(&self, place: usize) -> Option<&CommitId> {
        self.commits.get(place).map(|c| &c.id)
    }

    /// Returns the subject of a commit. Text of others: escape it.
    pub fn subject(&self, commit: &str) -> Option<&str> {
        let commit = self.commits.get(self.place(commit)?)?;
        Some(commit.subject.as_str())
    }
}

fn landed(line: &str) -> Option<Landed> {
    let mut parts = line.splitn(4, '\0');
    Some(Landed {
        id: parts.next()?.parse().ok()?,
        tree: parts.next()?.to_owned(),
        parents: parts.next()?.split(' ').map(str::to_owned).collect(),
        subject: parts.next().unwrap_or_default().to_owned(),
    })
}
