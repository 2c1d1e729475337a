//! Joins what the ranks of a job reported into the result of the gate.
//!
//! Pure: the same reports give the same result. A job is green only if every rank proved the same and passed.

use std::collections::BTreeSet;

use crate::domain::evidence::Evidence;
use crate::domain::registry::Gate;
use crate::domain::results::{GateResult, RankResult};
use crate::domain::verdict::{Reason, Verdict};
use crate::executor::folder::{JobSpec, Key, Ready, Report};
use crate::executor::scheduler::End;
use crate::executor::series;

/// How a job ended for `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The scheduler says how; `None` if it does not know.
    Ended(Option<End>),
    /// The scheduler started the job again.
    Restarted,
    /// The job waited in the queue for too long.
    Queued,
    /// Some ranks did not reach the barrier in time.
    Incomplete,
    /// A rank cannot run the gate, or found other code than the other ranks.
    Refused,
    /// The job took longer than its deadline.
    TimedOut,
    /// The run was stopped.
    Stopped,
    /// The scheduler refused the job.
    NotSubmitted,
}

/// What is known about one rank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rank {
    /// What the rank found before the barrier.
    pub ready: Option<Ready>,
    /// What the rank reported at its end.
    pub report: Option<Report>,
}

impl Rank {
    /// Returns the name of the node, if the rank started. A report is authenticated, so its name counts.
    fn node(&self) -> Option<&str> {
        let reported = self.report.as_ref().map(|report| report.node.as_str());
        reported.or_else(|| Some(self.ready.as_ref()?.node.as_str()))
    }

    /// Returns what the rank found on its node.
    fn evidence(&self) -> Option<&Evidence> {
        let reported = self.report.as_ref().map(|report| &report.results.evidence);
        reported.or_else(|| Some(&self.ready.as_ref()?.evidence))
    }
}

/// Whether a rank found other code or is another version of this tool than `run`.
pub fn differs(wanted: &Evidence, found: &Evidence) -> bool {
    fn code(e: &Evidence) -> impl PartialEq + '_ {
        (&e.head, &e.base, &e.merge, &e.tree, e.dirty, &e.tool)
    }
    // Registry, contract and nonce of a rank come from the folder of the job, so a comparison would prove nothing.
    code(wanted) != code(found)
}

/// Whether two ranks have different machines or kernels.
fn disagree(one: &Evidence, other: &Evidence) -> bool {
    (&one.kernels, &one.image, &one.target) != (&other.kernels, &other.image, &other.target)
}

/// Whether the ranks that are known contradict `run` or each other, or share a node.
pub fn contradict(spec: &JobSpec, ranks: &[Rank]) -> bool {
    let found = || ranks.iter().filter_map(Rank::evidence);
    let nodes: Vec<&str> = ranks.iter().filter_map(Rank::node).collect();
    let distinct: BTreeSet<&&str> = nodes.iter().collect();
    distinct.len() != nodes.len()
        || found().any(|evidence| differs(&spec.evidence, evidence))
        || found()
            .zip(found().skip(1))
            .any(|(one, other)| disagree(one, other))
}

/// Returns what all ranks proved; `None` if a rank is missing or differs.
pub fn proven(spec: &JobSpec, ranks: &[Rank]) -> Option<Evidence> {
    if contradict(spec, ranks) {
        return None;
    }
    let found = |rank: &Rank| Some(rank.report.as_ref()?.results.evidence.clone());
    let mut all = ranks.iter().map(found);
    let mut joined = all.next()??;
    for evidence in all {
        let evidence = evidence?;
        for (cache, digests) in evidence.jit {
            joined.add_jit(cache, digests);
        }
        joined.isolation = joined.isolation.max(evidence.isolation);
    }
    Some(joined)
}

/// Returns the result of a gate from everything that is known about its job.
pub fn join(spec: &JobSpec, gate: &Gate, key: &Key, ranks: &[Rank], ending: Ending) -> GateResult {
    let reported: Vec<&GateResult> = ranks
        .iter()
        .filter_map(|rank| rank.report.as_ref()?.results.results.get(&spec.gate))
        .collect();
    let is_complete = reported.len() == spec.nodes as usize && ranks.len() == reported.len();
    let of_ranks: Vec<RankResult> = (0..)
        .zip(ranks)
        .map(|(number, rank)| of_rank(spec, key, number, rank))
        .collect();
    let (status, reason) = match ending {
        Ending::Stopped => (Verdict::Cancelled, Some(Reason::CancelledRun)),
        _ if contradict(spec, ranks) => (Verdict::Invalid, Some(Reason::RankMismatch)),
        _ if is_complete => of_all(
            &reported,
            gate.gpus > 0 && of_ranks.iter().any(RankResult::is_idle),
            ending,
        ),
        _ => (Verdict::Invalid, Some(missing(&reported, ranks, ending))),
    };
    let mut result = GateResult::new(status, reason);
    // The numbers are those of the rank that decided.
    let decided = reported.iter().find(|r| r.status == status && r.reason == reason);
    if let Some(rank) = decided {
        result.rc = rank.rc;
        result.signal = rank.signal;
        result.missing_env.clone_from(&rank.missing_env);
        result.missing_files.clone_from(&rank.missing_files);
    }
    result.duration_s = reported.iter().filter_map(|r| r.duration_s).reduce(f64::max);
    result.leaks = reported.iter().map(|r| r.leaks).sum();
    if is_complete {
        result.set_metrics(series::join(gate, &reported));
        if let Some(first) = reported.first() {
            result.kernel_checks.clone_from(&first.kernel_checks);
        }
        let evidence = ranks.iter().find_map(|rank| rank.report.as_ref());
        result.image = evidence.and_then(|report| report.results.evidence.image.clone());
    }
    result.ranks = of_ranks;
    result
}

/// Returns the verdict of ranks that all reported, if their job ended without a cancel. A rank that could not decide makes the gate invalid,
/// because the others may have failed for that reason.
fn of_all(reported: &[&GateResult], is_idle: bool, ending: Ending) -> (Verdict, Option<Reason>) {
    let end = match ending {
        Ending::Ended(Some(end @ (End::Completed | End::Failed))) => end,
        // Signals of the scheduler look like a failure of the gate.
        Ending::TimedOut | Ending::Ended(Some(End::TimedOut)) => {
            return (Verdict::Invalid, Some(Reason::Timeout));
        }
        _ => return (Verdict::Invalid, Some(Reason::JobLost)),
    };
    let undecided = reported.iter().find(|r| r.status == Verdict::Invalid);
    // After the first failure, SLURM ends the other ranks.
    let failed = reported.iter().filter(|r| r.status == Verdict::Fail);
    let earlier = |a: &&&GateResult, b: &&&GateResult| {
        let time = |r: &GateResult| r.duration_s.unwrap_or(f64::INFINITY);
        time(a).total_cmp(&time(b))
    };
    if let Some(rank) = undecided {
        (Verdict::Invalid, rank.reason)
    } else if let Some(rank) = failed.min_by(earlier) {
        (Verdict::Fail, rank.reason)
    } else if is_idle {
        (Verdict::Invalid, Some(Reason::GpuIdle))
    } else if end == End::Completed && reported.iter().all(|r| r.status == Verdict::Pass) {
        (Verdict::Pass, None)
    } else {
        (Verdict::Invalid, Some(Reason::JobLost))
    }
}

/// Returns why a gate with missing reports has no verdict.
fn missing(reported: &[&GateResult], ranks: &[Rank], ending: Ending) -> Reason {
    let refused = reported.iter().find(|r| r.status == Verdict::Invalid);
    match ending {
        Ending::Refused => refused.and_then(|r| r.reason).unwrap_or(Reason::RankMismatch),
        Ending::Queued => Reason::QueueTimeout,
        Ending::TimedOut | Ending::Ended(Some(End::TimedOut)) => Reason::Timeout,
        Ending::Incomplete | Ending::Ended(Some(End::Completed)) => Reason::RankMissing,
        Ending::Ended(Some(End::Failed)) if ranks.iter().any(|rank| rank.ready.is_some()) => {
            Reason::RankMissing
        }
        Ending::NotSubmitted | Ending::Ended(Some(End::Failed)) => Reason::JobRefused,
        Ending::Restarted | Ending::Ended(_) | Ending::Stopped => Reason::JobLost,
    }
}

fn of_rank(spec: &JobSpec, key: &Key, number: u32, rank: &Rank) -> RankResult {
    let reported = rank.report.as_ref();
    let result = reported.and_then(|report| report.results.results.get(&spec.gate));
    RankResult {
        rank: number,
        node: rank.node().map(|node| key.salted(node)),
        status: result.map_or(Verdict::NotRun, |r| r.status),
        reason: result.map_or(Some(Reason::RankMissing), |r| r.reason),
        rc: result.and_then(|r| r.rc),
        duration_s: result.and_then(|r| r.duration_s),
        busy_gpus: result.and_then(|r| r.busy_gpus),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::results::{Results, SCHEMA};
    use crate::domain::verdict::Overall;
    use crate::executor::folder::JobFolder;

    pub(crate) fn spec(nodes: u32) -> JobSpec {
        JobSpec {
            gate: "b200:two".parse().unwrap(),
            nodes,
            registry: toml::from_str("[gates.\"b200:two\"]\ntier = \"b\"\ncmd = \"true\"\nmetrics = [{ name = \"loss\" }, { name = \"tps\", reduce = \"sum\" }]").unwrap(),
            evidence: evidence("1"),
            policy: "/policy".into(),
            subject: "/subject".into(),
        }
    }

    fn evidence(tree: &str) -> Evidence {
        Evidence {
            tree: tree.repeat(40).parse().ok(),
            ..Evidence::default()
        }
    }

    pub(crate) fn results(rank: u32) -> Results {
        let gate: crate::domain::ids::GateId = "b200:two".parse().unwrap();
        let mut result = GateResult::new(Verdict::Pass, None);
        result.rc = Some(0);
        result.duration_s = Some(f64::from(rank) + 1.0);
        Results {
            schema: SCHEMA,
            bundle: None,
            gate_ids: vec![gate.clone()],
            overall: Overall::Pass,
            refused: None,
            uncovered: Vec::new(),
            evidence: evidence("1"),
            started_at: None,
            duration_s: None,
            results: [(gate, result)].into_iter().collect(),
        }
    }

    pub(crate) fn rank(number: u32) -> Rank {
        let node = format!("n{number}");
        Rank {
            ready: Some(Ready {
                rank: number,
                node: node.clone(),
                host: node.clone(),
                port: 1,
                names: vec![node.clone()],
                evidence: evidence("1"),
            }),
            report: Some(Report {
                rank: number,
                node,
                results: results(number),
            }),
        }
    }

    pub(crate) fn with(number: u32, change: impl FnOnce(&mut GateResult)) -> Rank {
        let mut rank = rank(number);
        change(&mut rank.report.as_mut().unwrap().results.results[0]);
        rank
    }

    pub(crate) fn joined(ranks: &[Rank], ending: Ending) -> GateResult {
        let spec = spec(2);
        let place = tempfile::tempdir().unwrap();
        let (_, key) = JobFolder::create(&place.path().join("job"), &spec).unwrap();
        join(&spec, &spec.registry.gates[0], &key, ranks, ending)
    }

    pub(crate) const COMPLETED: Ending = Ending::Ended(Some(End::Completed));

    #[test]
    fn every_rank_must_prove_the_same() {
        let both = joined(&[rank(0), rank(1)], COMPLETED);
        assert_eq!((both.status, both.reason), (Verdict::Pass, None));
        assert_eq!((both.duration_s, both.ranks.len()), (Some(2.0), 2));
        assert_ne!(both.ranks[0].node, both.ranks[1].node);
        assert!(both.ranks[0].node.as_deref().is_some_and(|node| node.len() == 12));
        let verdict = |ranks: &[Rank], ending| {
            let result = joined(ranks, ending);
            (result.status, result.reason)
        };
        let invalid = |reason| (Verdict::Invalid, Some(reason));
        let absent = Rank {
            report: None,
            ..rank(1)
        };
        let mut on_first_node = rank(1);
        on_first_node.report.as_mut().unwrap().node = "n0".to_owned();
        for (ranks, ending, reason) in [
            // One of two nodes was allocated and never used.
            (vec![rank(0), absent.clone()], COMPLETED, Reason::RankMissing),
            (vec![rank(0)], COMPLETED, Reason::RankMissing),
            (
                vec![rank(0), Rank::default()],
                Ending::Incomplete,
                Reason::RankMissing,
            ),
            (
                vec![rank(0), absent.clone()],
                Ending::Ended(Some(End::Lost)),
                Reason::JobLost,
            ),
            (
                vec![rank(0), absent.clone()],
                Ending::Ended(None),
                Reason::JobLost,
            ),
            (vec![rank(0), absent.clone()], Ending::Restarted, Reason::JobLost),
            (vec![rank(0), absent.clone()], Ending::TimedOut, Reason::Timeout),
            (
                vec![Rank::default(), Rank::default()],
                Ending::Queued,
                Reason::QueueTimeout,
            ),
            (
                vec![Rank::default(), Rank::default()],
                Ending::NotSubmitted,
                Reason::JobRefused,
            ),
            // Both passed, and the job was cancelled.
            (
                vec![rank(0), rank(1)],
                Ending::Ended(Some(End::Cancelled)),
                Reason::JobLost,
            ),
            (vec![rank(0), rank(1)], Ending::Ended(None), Reason::JobLost),
            (vec![rank(0), on_first_node], COMPLETED, Reason::RankMismatch),
        ] {
            assert_eq!(verdict(&ranks, ending), invalid(reason), "{ending:?}");
        }
        let other = |change: fn(&mut Evidence)| {
            let mut other = rank(1);
            change(&mut other.report.as_mut().unwrap().results.evidence);
            other
        };
        let changes: [fn(&mut Evidence); 6] = [
            |e| e.tree = "2".repeat(40).parse().ok(),
            |e| e.dirty = true,
            |e| e.image = Some(format!("sha256:{}", "a".repeat(64))),
            |e| e.target = Some("b200x7".to_owned()),
            |e| e.tool = Some("0.0.1".to_owned()),
            |e| {
                let digest = "b".repeat(64).parse().unwrap();
                e.kernels.insert("a.so".to_owned(), digest);
            },
        ];
        for change in changes {
            assert_eq!(
                verdict(&[rank(0), other(change)], COMPLETED),
                invalid(Reason::RankMismatch)
            );
        }
        assert_eq!(
            verdict(&[rank(0), absent], Ending::Stopped),
            (Verdict::Cancelled, Some(Reason::CancelledRun))
        );
    }

    #[test]
    fn idle_gpus_make_gate_invalid() {
        let mut spec = spec(2);
        spec.registry.gates[0].gpus = 8;
        let place = tempfile::tempdir().unwrap();
        let (_, key) = JobFolder::create(&place.path().join("job"), &spec).unwrap();
        let uses = |number, busy| with(number, |r| r.busy_gpus = busy);
        for (second, verdict) in [
            (Some(8), (Verdict::Pass, None)),
            (Some(0), (Verdict::Invalid, Some(Reason::GpuIdle))),
            (None, (Verdict::Invalid, Some(Reason::GpuIdle))),
        ] {
            let ranks = [uses(0, Some(8)), uses(1, second)];
            let joined = join(&spec, &spec.registry.gates[0], &key, &ranks, COMPLETED);
            assert_eq!((joined.status, joined.reason), verdict, "{second:?}");
        }
    }

    #[test]
    fn verdict_is_of_the_rank_that_decides() {
        let fails = |number| {
            with(number, |r| {
                (r.status, r.reason, r.rc) = (Verdict::Fail, Some(Reason::ExitCode), Some(3));
            })
        };
        let stopped = with(1, |r| {
            (r.status, r.reason, r.rc) = (Verdict::Cancelled, Some(Reason::CancelledRun), None);
        });
        let invalid = with(1, |r| {
            (r.status, r.reason, r.rc) = (Verdict::Invalid, Some(Reason::KernelStale), None);
        });
        let failed = Ending::Ended(Some(End::Failed));
        let one = joined(&[fails(0), stopped.clone()], failed);
        assert_eq!(
            (one.status, one.reason, one.rc),
            (Verdict::Fail, Some(Reason::ExitCode), Some(3))
        );
        assert_eq!(one.ranks[1].status, Verdict::Cancelled);
        let second = joined(&[rank(0), fails(1)], failed);
        assert_eq!((second.status, second.rc), (Verdict::Fail, Some(3)));
        // The scheduler ended the first rank after the second one had failed.
        let signalled = with(0, |r| {
            (r.status, r.reason, r.rc) = (Verdict::Fail, Some(Reason::Signal), None);
            r.duration_s = Some(9.0);
        });
        let later = joined(&[signalled.clone(), fails(1)], failed);
        assert_eq!((later.reason, later.rc), (Some(Reason::ExitCode), Some(3)));
        for end in [Some(End::Cancelled), Some(End::Lost), None] {
            let ended = joined(&[signalled.clone(), fails(1)], Ending::Ended(end));
            assert_eq!(
                (ended.status, ended.reason),
                (Verdict::Invalid, Some(Reason::JobLost))
            );
        }
        let undecided = joined(&[fails(0), invalid], failed);
        assert_eq!(
            (undecided.status, undecided.reason),
            (Verdict::Invalid, Some(Reason::KernelStale))
        );
        let cancelled = joined(&[rank(0), stopped], failed);
        assert_eq!(
            (cancelled.status, cancelled.reason),
            (Verdict::Invalid, Some(Reason::JobLost))
        );
    }
}
