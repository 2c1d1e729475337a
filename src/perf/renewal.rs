//! Renews stored noise from the pairs of comparisons that ran anyway, so that a gate needs no separate calibration.
//!
//! Pure arithmetic over results; measures nothing and reads no file.

use crate::domain::noise::{Estimator, Noise, NoiseTable, metric_name};
use crate::domain::registry::Gate;
use crate::domain::results::{PerfMethod, PerfResult, Results};
use crate::domain::verdict::Verdict;
use crate::perf::judge::machine_class;
use crate::perf::stats::{self, HISTORY_CAP, History};

/// The spread of one metric within the sides of one comparison.
#[derive(Clone, Debug)]
struct Spread {
    metric: String,
    machine: String,
    estimator: Estimator,
    at: String,
    commit: String,
    /// Variance of the log ratio of one pair, times `dof`.
    squares: f64,
    dof: f64,
}

/// Combines stored noise with the spread of newer comparisons of a perf gate. Returns one entry for each metric and machine
/// that changed. A comparison that is not newer than the stored noise counts already, and does not count twice.
///
/// `finest` returns the finest budget of a noise, percent.
pub fn renewed(
    table: &NoiseTable,
    results: &[Results],
    gate: &str,
    (compare_gate, compare): (&str, &Gate),
    finest: impl Fn(History) -> Option<f64>,
) -> Vec<Noise> {
    let mut spreads: Vec<Spread> = results
        .iter()
        .flat_map(|results| spreads(results, gate, (compare_gate, compare)))
        .collect();
    spreads.sort_by(|a, b| a.at.cmp(&b.at));
    let mut keys: Vec<(String, String)> = Vec::new();
    for spread in &spreads {
        let key = (spread.metric.clone(), spread.machine.clone());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.iter()
        .filter_map(|(metric, machine)| {
            let stored = table.of(compare_gate, metric, machine);
            let newer: Vec<&Spread> = spreads
                .iter()
                .filter(|s| s.metric == *metric && s.machine == *machine)
                .filter(|s| stored.is_none_or(|n| s.at > n.measured_at))
                .collect();
            let last = newer.last()?;
            let noise = combined(stored, &newer, last.estimator)?;
            Some(Noise {
                gate: compare_gate.to_owned(),
                metric: metric.clone(),
                machine: machine.clone(),
                pairs: noise.pairs,
                sd_pct: rounded(noise.sd * 100.0),
                finest_pct: rounded(finest(noise)?),
                commit: last.commit.clone(),
                measured_at: last.at.clone(),
                expires: None,
                estimator: last.estimator,
            })
        })
        .collect()
}

/// Rounds to four decimals; more would claim a precision that was not measured.
pub fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The variances of these comparisons and the stored one, weighted by their degrees of freedom. The stored one is dropped if
/// the newer ones are significantly larger.
fn combined(stored: Option<&Noise>, newer: &[&Spread], estimator: Estimator) -> Option<History> {
    let alike = || newer.iter().filter(|s| s.estimator == estimator);
    let (squares, dof): (f64, f64) = (alike().map(|s| s.squares).sum(), alike().map(|s| s.dof).sum());
    let prior = stored
        .filter(|n| n.estimator == estimator)
        .map(History::from)
        .filter(|h| dof > 0.0 && !stats::varies_more(squares / dof, dof, *h));
    let prior_dof = prior.map_or(0.0, |h| f64::from(h.pairs.min(HISTORY_CAP)));
    let all = dof + prior_dof;
    let sd = ((squares + prior_dof * prior.map_or(0.0, |h| h.sd.powi(2))) / all).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and the degrees of freedom are a small whole number"
    )]
    let pairs = all as u32;
    (dof > 0.0 && sd.is_finite() && sd > 0.0).then_some(History { sd, pairs, estimator })
}

/// The spreads of one run's comparison; none if it was invalid, or measured a single pair.
fn spreads(results: &Results, gate: &str, (compare_gate, compare): (&str, &Gate)) -> Vec<Spread> {
    let Some((result, perf)) = results
        .results
        .get(gate)
        .and_then(|result| Some((result, result.perf.as_ref()?)))
    else {
        return Vec::new();
    };
    let decided = matches!(
        result.status,
        Verdict::Pass | Verdict::Fail | Verdict::Inconclusive
    );
    let (Some(at), Some(commit)) = (&results.started_at, results.evidence.commit()) else {
        return Vec::new();
    };
    if !decided || perf.method != PerfMethod::Paired || perf.compare_gate != compare_gate {
        return Vec::new();
    }
    let spread = |metric: &str, estimator: Option<Estimator>, (squares, dof): (f64, f64)| Spread {
        metric: metric_name(metric).to_owned(),
        machine: machine_class(compare, &results.evidence).to_owned(),
        estimator: estimator.unwrap_or_default(),
        at: at.clone(),
        commit: commit.to_string(),
        squares,
        dof,
    };
    let further = perf.also.iter().map(|f| {
        let dof = f.log_ratios.len().saturating_sub(1) as f64;
        spread(&f.metric, f.estimator, (stats::squares(&f.log_ratios), dof))
    });
    std::iter::once(spread(&perf.metric, perf.estimator, within_sides(perf)))
        .chain(further)
        .filter(|s| s.dof > 0.0 && s.squares.is_finite())
        .collect()
}

/// Twice the sum of squares within each side, and its degrees of freedom: their quotient is the variance of a pair.
fn within_sides(perf: &PerfResult) -> (f64, f64) {
    let logs = |side: fn(&crate::domain::results::PerfPair) -> f64| -> Vec<f64> {
        perf.pairs.iter().map(|p| side(p).ln()).collect()
    };
    let squares = stats::squares(&logs(|p| p.baseline)) + stats::squares(&logs(|p| p.result));
    (2.0 * squares, 2.0 * perf.pairs.len().saturating_sub(1) as f64)
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
