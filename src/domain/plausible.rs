//! Decides whether a run of this tool can have written results: contradictions, odd forms, and passes that the registry makes impossible.
//!
//! Every reader of results uses these rules: `run --external`, `report`, `ready`, `attest`, `publish`. Must not depend on where results
//! come from.

use std::collections::BTreeSet;

use crate::domain::evidence::Evidence;
use crate::domain::ids::Sha256;
use crate::domain::metric::NODE_TPS;
use crate::domain::noise;
use crate::domain::registry::{Gate, GateKind, Leaks, Registry};
use crate::domain::results::{GateResult, PerfResult, RankResult, Results, Series, Unreadable};
use crate::domain::verdict::{Reason, Verdict};

/// Returns what is odd about a run apart from its gates: a negative duration, or a time or a version in another form than this tool
/// writes, which could carry text.
pub fn odd_run(results: &Results) -> Option<String> {
    let e = &results.evidence;
    let facts = [
        ("image", &e.image, Sha256::is_image_digest as fn(&str) -> bool),
        ("tool", &e.tool, is_version),
        ("driver", &e.driver, is_driver),
        ("started_at", &results.started_at, is_time),
    ];
    for (name, value, fits) in facts {
        if value.as_deref().is_some_and(|value| !fits(value)) {
            return Some(format!("`{name}` has another form than this tool writes"));
        }
    }
    let is_negative = results.duration_s.is_some_and(|duration| duration < 0.0);
    is_negative.then(|| "`duration_s` is negative".to_owned())
}

/// Returns the contradiction in the result of one gate, if there is one.
pub fn contradiction(result: &GateResult) -> Option<&'static str> {
    let pass = result.status == Verdict::Pass;
    // Only a pass that was recorded elsewhere has a reason.
    if pass && !matches!(result.reason, None | Some(Reason::External)) {
        return Some("a pass with a reason");
    }
    if pass && result.rc.is_some_and(|rc| rc != 0) {
        return Some("a pass with a non-zero exit code");
    }
    if pass && result.perf.as_ref().is_some_and(is_outside_budget) {
        return Some("a pass outside of its budget");
    }
    if pass && result.signal.is_some() {
        return Some("a pass that a signal ended");
    }
    if pass && !(result.missing_env.is_empty() && result.missing_files.is_empty()) {
        return Some("a pass that lacks prerequisites");
    }
    if pass && result.kernel_checks.iter().any(|c| c.status != Verdict::Pass) {
        return Some("a pass with a failed kernel check");
    }
    if pass && result.numeric.as_ref().is_some_and(|n| !n.may_pass()) {
        return Some("a pass with other numbers than declared");
    }
    if pass && !are_passed_ranks(&result.ranks) {
        return Some("a pass with other ranks than those of a passed job");
    }
    if result.metrics.values().any(|series| !is_median(series)) {
        return Some("a median that its samples do not have");
    }
    let tps = result.metrics.get(NODE_TPS);
    if tps.is_some_and(|tps| (tps.p50, tps.count) != (result.node_tps_p50, result.node_tps_samples)) {
        return Some("`node_tps_p50` differs from its metric");
    }
    if result.duration_s.is_some_and(|d| d < 0.0) {
        return Some("a negative duration");
    }
    if result.metrics.values().any(|s| s.samples.len() as u64 > s.count) {
        return Some("a metric has more samples than it counts");
    }
    let unreadable = || result.metrics.values().filter_map(|s| s.unreadable.as_ref());
    if unreadable().any(|u| !Unreadable::is_shape(&u.shape)) {
        return Some("an invalid shape of a number");
    }
    None
}

/// Whether each rank passed and is listed once.
fn are_passed_ranks(ranks: &[RankResult]) -> bool {
    let numbers: BTreeSet<_> = ranks.iter().map(|rank| rank.rank).collect();
    let are_numbered = numbers.len() == ranks.len() && numbers.iter().zip(0..).all(|(rank, n)| *rank == n);
    are_numbered && ranks.iter().all(|rank| rank.status == Verdict::Pass)
}

/// More samples than these may be thinned, so that their median need not be that of the series.
const THINNED: usize = 500;

/// Whether the median of a series is one of its samples: at most half of them are below, and at most half above.
fn is_median(series: &Series) -> bool {
    let Some(p50) = series.p50 else {
        return true;
    };
    let samples = &series.samples;
    let near = p50.abs() * 1e-9;
    let below = samples.iter().filter(|sample| **sample < p50 - near).count();
    let above = samples.iter().filter(|sample| **sample > p50 + near).count();
    let is_middle = 2 * below.max(above) <= samples.len();
    !samples.is_empty() && (is_middle || samples.len() > THINNED)
}

/// What a reader knows about results in addition to their registry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// The budget of the policy, percent, which a contract can only tighten; none if it is not known.
    pub budget_pct: Option<f64>,
    /// Whether the results are those of a comment: verdicts without measurements.
    pub is_abridged: bool,
}

/// How much longer than its limit a passed command may seem to have run, in seconds: clocks are rounded.
const TOLERANCE_S: f64 = 1.0;

/// Returns a pass that no run with this registry records.
pub fn impossible(results: &Results, registry: &Registry, reading: Reading) -> Option<String> {
    results.results.iter().find_map(|(id, result)| {
        let gate = registry.gates.get(id.as_str())?;
        let is_pass = result.status == Verdict::Pass;
        let why = if is_pass && gate.kind == GateKind::External && result.supplied_by.is_none() {
            "is external, and nobody supplied its results"
        } else {
            impossible_pass(gate, result, &results.evidence, registry, reading)?
        };
        Some(format!("gate {id:?} passed and {why}"))
    })
}

/// Returns why a gate cannot have passed with this result.
pub fn impossible_pass(
    gate: &Gate,
    result: &GateResult,
    evidence: &Evidence,
    registry: &Registry,
    reading: Reading,
) -> Option<&'static str> {
    if result.status != Verdict::Pass {
        return None;
    }
    let limit = gate.timeout_s as f64 + TOLERANCE_S;
    let has_limit = matches!(gate.kind, GateKind::Command | GateKind::External) && gate.timeout_s > 0;
    if has_limit && result.duration_s.is_some_and(|duration| duration > limit) {
        return Some("took longer than its limit");
    }
    if gate.needs_target() && evidence.target.is_none() {
        return Some("needs a target, and none was found");
    }
    if gate.leaks == Some(Leaks::Fail) && result.leaks > 0 {
        return Some("left processes behind, which its registry does not allow");
    }
    if result
        .perf
        .as_ref()
        .is_some_and(|perf| is_loose(gate, perf, reading))
    {
        return Some("used a looser budget than the policy");
    }
    let numeric = result.numeric.as_ref();
    if numeric.is_some_and(|numeric| !numeric.is_within(gate.tolerance)) {
        return Some("used a larger tolerance than its registry");
    }
    let is_job = registry.submits(gate).is_ok_and(|executor| executor.is_some());
    let has_to_measure = !reading.is_abridged && !evidence.rehearsal;
    if has_to_measure && lacks_measurement(gate, result, is_job) {
        return Some("has no result of what its kind measures");
    }
    (is_job && !has_all_ranks(gate, result)).then_some("ran in a job, and not every node passed")
}

/// Whether a result lacks what a pass of this kind of gate always has.
fn lacks_measurement(gate: &Gate, result: &GateResult, is_job: bool) -> bool {
    match gate.kind {
        GateKind::Command => !is_job && (result.rc.is_none() || result.duration_s.is_none()),
        GateKind::External => false,
        GateKind::Perf => {
            let perf = result.perf.as_ref();
            perf.is_none_or(|perf| perf.delta_pct.is_none() || perf.budget_pct.is_none())
        }
        GateKind::Kernel => result.kernel_checks.is_empty(),
        GateKind::Numeric => result.numeric.is_none(),
    }
}

/// Whether a comparison allowed more than the policy for its main metric, or than the registry for another one.
fn is_loose(gate: &Gate, perf: &PerfResult, reading: Reading) -> bool {
    let is_below = |used: Option<f64>, allowed: f64| used.is_some_and(|used| used < allowed - 1e-9);
    reading
        .budget_pct
        .is_some_and(|allowed| is_below(perf.budget_pct, allowed))
        || perf.also.iter().any(|further| {
            let declared = gate
                .also
                .iter()
                .find(|declared| declared.metric == further.metric);
            declared.is_some_and(|declared| is_below(further.budget_pct, declared.budget_pct))
        })
}

/// Whether every rank of a job passed on another node.
fn has_all_ranks(gate: &Gate, result: &GateResult) -> bool {
    let nodes: BTreeSet<_> = result
        .ranks
        .iter()
        .filter_map(|rank| rank.node.as_ref())
        .collect();
    let all = gate.nodes as usize;
    if gate.gpus > 0 && result.ranks.iter().any(RankResult::is_idle) {
        return false;
    }
    result.ranks.len() == all && nodes.len() == all && result.ranks.iter().all(|r| r.status == Verdict::Pass)
}

/// Whether a comparison of throughput lost more than its budget allows, or one of its metrics did not pass.
fn is_outside_budget(perf: &PerfResult) -> bool {
    let is_throughput = noise::metric_name(&perf.metric) == NODE_TPS;
    let lost = perf.delta_pct.zip(perf.budget_pct);
    let has_failed = |status: &Verdict| *status != Verdict::Pass;
    is_throughput && lost.is_some_and(|(delta, budget)| delta < budget - 1e-9)
        || perf.own_status.as_ref().is_some_and(has_failed)
        || perf.also.iter().any(|further| has_failed(&further.status))
}

/// Whether a text is a time as this tool writes it: `2026-01-02T03:04:05Z`, perhaps with a fraction. Other forms could carry text.
fn is_time(text: &str) -> bool {
    let (seconds, fraction) = match text.strip_suffix('Z').map(|text| text.split_once('.')) {
        Some(Some(parts)) => parts,
        Some(None) => (text.trim_end_matches('Z'), "0"),
        None => return false,
    };
    // The parser also reads shorter forms and a 60th second.
    let written = format!("{seconds}Z").parse::<jiff::Timestamp>();
    written.is_ok_and(|time| {
        let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
        time.to_string().strip_suffix('Z') == Some(seconds) && (2020..2100).contains(&year)
    }) && is_of(fraction, 9, |b| b.is_ascii_digit())
}

/// Whether a text has some, and at most this many, bytes, and all of them fit.
pub fn is_of(text: &str, most: usize, fits: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= most && text.bytes().all(fits)
}

/// The version of a driver, such as `570.124.06`.
fn is_driver(text: &str) -> bool {
    text.len() <= 20
        && text
            .split('.')
            .all(|part| is_of(part, 20, |b| b.is_ascii_digit()))
}

/// `1.2.3`, or `1.2.3-rc.4`.
fn is_version(text: &str) -> bool {
    let (release, candidate) = text.split_once("-rc.").unwrap_or((text, "0"));
    let numbers: Vec<&str> = release.split('.').collect();
    numbers.len() == 3
        && numbers
            .iter()
            .chain([&candidate])
            .all(|number| is_of(number, 6, |b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_throughput_itself_has_a_lower_limit() {
        let lost = |metric: &str| PerfResult {
            metric: metric.to_owned(),
            delta_pct: Some(-40.0),
            budget_pct: Some(-10.0),
            ..PerfResult::default()
        };
        assert!(is_outside_budget(&lost("node_tps_p50")));
        // A smaller spread is not a loss.
        assert!(!is_outside_budget(&lost("node_tps_spread_p50")));
    }

    #[test]
    fn pass_needs_what_its_kind_measures() {
        let gate = |kind: &str| -> Gate {
            serde_json::from_value(serde_json::json!({"tier": "a", "kind": kind})).unwrap()
        };
        let pass = GateResult::new(Verdict::Pass, None);
        for kind in ["command", "perf", "kernel", "numeric"] {
            assert!(lacks_measurement(&gate(kind), &pass, false), "{kind}");
        }
        assert!(!lacks_measurement(&gate("external"), &pass, false));
        assert!(!lacks_measurement(&gate("command"), &pass, true));
    }

    #[test]
    fn times_have_one_form() {
        for good in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.25Z"] {
            assert!(is_time(good), "{good}");
        }
        for odd in [
            "20260101T000000Z",
            "2026-01-01T00:00:60Z",
            "2999-01-01T00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
        ] {
            assert!(!is_time(odd), "{odd}");
        }
        assert!(is_driver("570.124.06") && !is_driver("..."));
    }
}
