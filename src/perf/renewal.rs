//! Renews stored noise from the pairs of comparisons that ran anyway, so that a gate needs no separate calibration.
//!
//! Pure arithmetic over results; measures nothing and reads no file.

use crate::domain::noise::{Estimator, Noise, NoiseTable};
use crate::domain::registry::MAX_PAIRS;
use crate::perf::comparisons::Comparison;
use crate::perf::decision::finest_budget;
use crate::perf::stats::{self, HISTORY_CAP, History};

/// Combines stored noise with the spread of newer comparisons of a perf gate. Returns one entry for each metric and machine
/// that changed. A comparison that is not newer than the stored noise counts already, and does not count twice.
///
/// `most` is the largest number of pairs of the gate.
pub fn renewed(
    table: &NoiseTable,
    comparisons: &[Comparison],
    gate: &str,
    compare_gate: &str,
    most: u32,
) -> Vec<Noise> {
    let mut known: Vec<&Comparison> = comparisons
        .iter()
        .filter(|c| c.perf_gate == gate && c.gate == compare_gate && c.spread.is_some())
        .collect();
    known.sort_by(|a, b| a.at.cmp(&b.at));
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for comparison in &known {
        let key = (comparison.metric.as_str(), comparison.machine.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.into_iter()
        .filter_map(|(metric, machine)| {
            let stored = table.of(compare_gate, metric, machine);
            let mut newer: Vec<&Comparison> = known
                .iter()
                .copied()
                .filter(|c| c.metric == metric && c.machine == machine)
                .filter(|c| stored.is_none_or(|n| c.at > n.measured_at))
                .collect();
            let last = *newer.last()?;
            // Another driver is another machine.
            newer.retain(|c| c.driver == last.driver);
            // Nor does noise count that had expired by then.
            let stored = stored
                .filter(|n| n.driver.is_none() || n.driver == last.driver)
                .filter(|n| n.counts_at(&last.at));
            let noise = combined(stored, &newer, last.estimator)?;
            Some(Noise {
                gate: compare_gate.to_owned(),
                metric: metric.to_owned(),
                machine: machine.to_owned(),
                driver: last.driver.clone(),
                pairs: noise.pairs,
                sd_pct: rounded(noise.sd * 100.0),
                finest_pct: rounded(finest_budget(noise, most)?),
                commit: last.commit.clone(),
                measured_at: last.at.clone(),
                expires: None,
                estimator: last.estimator,
            })
        })
        .collect()
}

/// The table with all noise that the comparisons of a history renew, for verdicts.
pub fn renewed_table(mut table: NoiseTable, comparisons: &[Comparison]) -> NoiseTable {
    let mut gates: Vec<(&str, &str)> = Vec::new();
    for comparison in comparisons {
        let key = (comparison.perf_gate.as_str(), comparison.gate.as_str());
        if !gates.contains(&key) {
            gates.push(key);
        }
    }
    for (gate, compare_gate) in gates {
        for noise in renewed(&table, comparisons, gate, compare_gate, MAX_PAIRS) {
            table.put(noise);
        }
    }
    table
}

/// Rounds to four decimals; more would claim a precision that was not measured.
pub fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The variances of these comparisons and the stored one, weighted by their degrees of freedom. The stored one is dropped if
/// the newer ones are significantly larger.
fn combined(stored: Option<&Noise>, newer: &[&Comparison], estimator: Estimator) -> Option<History> {
    let alike = || newer.iter().filter(|s| s.estimator == estimator);
    let spreads = || alike().filter_map(|c| c.spread);
    let (squares, dof): (f64, f64) = (spreads().map(|s| s.squares).sum(), spreads().map(|s| s.dof).sum());
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

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
