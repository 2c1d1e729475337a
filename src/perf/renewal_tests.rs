//! Stored noise after comparisons whose spread is known.

use super::*;
use crate::domain::evidence::Evidence;
use crate::domain::registry::Registry;
use crate::domain::results::{GateResult, PairOrder, PerfMethod, PerfPair, PerfResult, Results};
use crate::domain::verdict::{Overall, Verdict};
use crate::perf::comparisons;

/// Results of a comparison whose measurements differ from their side's mean by these percentages.
fn results(at: &str, change_pct: f64, spread_pct: &[f64]) -> Results {
    let pair = |pct: &f64| PerfPair {
        order: PairOrder::BaseFirst,
        baseline: 1000.0 * (pct / 100.0).exp(),
        result: 1000.0 * (1.0 + change_pct / 100.0) * (-pct / 100.0).exp(),
        log_ratio: 0.0,
        baseline_total: None,
        result_total: None,
        baseline_samples: Vec::new(),
        result_samples: Vec::new(),
    };
    let mut gate = GateResult::new(Verdict::Pass, None);
    gate.perf = Some(PerfResult {
        compare_gate: "cpu:train".to_owned(),
        metric: "node_tps_p50".to_owned(),
        method: PerfMethod::Paired,
        baseline_sha: Some("368a518c4c3d390c8f4ce92c3948aa708c40dada".parse().unwrap()),
        baseline: Some(1000.0),
        result: Some(1000.0 * (1.0 + change_pct / 100.0)),
        estimator: Some(Estimator::Median),
        pairs: spread_pct.iter().map(pair).collect(),
        ..PerfResult::default()
    });
    Results {
        schema: 1,
        bundle: None,
        gate_ids: vec!["perf:delta".parse().unwrap()],
        overall: Overall::Pass,
        refused: None,
        uncovered: Vec::new(),
        evidence: Evidence {
            head: Some("268a518c4c3d390c8f4ce92c3948aa708c40dada".parse().unwrap()),
            ..Evidence::default()
        },
        started_at: Some(at.to_owned()),
        duration_s: None,
        results: std::iter::once(("perf:delta".parse().unwrap(), gate)).collect(),
    }
}

fn comparisons_of(results: &[Results]) -> Vec<Comparison> {
    let of = |r: &Results| comparisons::of_results(r, r.evidence.commit().unwrap(), &Registry::default());
    results.iter().flat_map(of).collect()
}

fn renew(table: &NoiseTable, results: &[Results]) -> Vec<Noise> {
    renewed(
        table,
        &comparisons_of(results),
        "perf:delta",
        "cpu:train",
        MAX_PAIRS,
    )
}

#[test]
fn comparisons_give_noise_whatever_their_change() {
    // Each side: ±1 %, so the variance of a measurement is 2 · 1² / (2 − 1), and a pair has twice that.
    let found = renew(
        &NoiseTable::default(),
        &[
            results("2026-02-02T00:00:00Z", -7.0, &[1.0, -1.0]),
            results("2026-02-01T00:00:00Z", 0.0, &[1.0, -1.0]),
        ],
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].pairs, 4);
    assert!((found[0].sd_pct - 2.0).abs() < 1e-3, "{found:?}");
    assert_eq!(found[0].measured_at, "2026-02-02T00:00:00Z");
    assert_eq!(
        (found[0].metric.as_str(), found[0].machine.as_str()),
        ("node_tps", "cpu")
    );
}

/// Otherwise a result that is given twice would claim more knowledge than there is.
#[test]
fn comparison_counts_once() {
    let one = results("2026-02-01T00:00:00Z", 0.0, &[1.0, -1.0]);
    let mut table = NoiseTable::default();
    table.put(renew(&table, std::slice::from_ref(&one)).remove(0));
    assert_eq!(renew(&table, std::slice::from_ref(&one)), []);
    let later = results("2026-03-01T00:00:00Z", 0.0, &[1.2, -1.2]);
    let renewed = renew(&table, &[one, later]).remove(0);
    assert_eq!(renewed.pairs, 4);
    assert!(renewed.sd_pct > 2.0 && renewed.sd_pct < 2.4, "{renewed:?}");
}

#[test]
fn much_noisier_comparisons_replace_stored_noise() {
    let mut table = NoiseTable::default();
    table.put(
        renew(
            &table,
            &[results("2026-02-01T00:00:00Z", 0.0, &[0.1, -0.1, 0.1, -0.1])],
        )
        .remove(0),
    );
    let noisy = results("2026-03-01T00:00:00Z", 0.0, &[3.0, -3.0, 3.0, -3.0]);
    let renewed = renew(&table, &[noisy]).remove(0);
    assert_eq!(renewed.pairs, 6);
    assert!(renewed.sd_pct > 4.0, "{renewed:?}");
}

/// A new comparison does not bring expired noise back.
#[test]
fn expired_noise_is_not_renewed() {
    let mut table = NoiseTable::default();
    table.put(renew(&table, &[results("2026-02-01T00:00:00Z", 0.0, &[0.9, -0.9])]).remove(0));
    let later = |at: &str| renew(&table, &[results(at, 0.0, &[1.0, -1.0])]).remove(0);
    assert_eq!(later("2026-07-01T00:00:00Z").pairs, 4);
    assert_eq!(later("2026-09-01T00:00:00Z").pairs, 2);
}

#[test]
fn single_pair_and_other_gates_give_nothing() {
    let single = results("2026-02-01T00:00:00Z", 0.0, &[1.0]);
    assert_eq!(renew(&NoiseTable::default(), &[single]), []);
    let one = comparisons_of(&[results("2026-02-01T00:00:00Z", 0.0, &[1.0, -1.0])]);
    let table = NoiseTable::default();
    assert_eq!(renewed(&table, &one, "perf:delta", "cpu:other", MAX_PAIRS), []);
}

/// Noise of one driver says nothing about another.
#[test]
fn noise_belongs_to_a_driver() {
    let of = |at: &str, driver: &str, pct: f64| {
        let mut one = results(at, 0.0, &[pct, -pct]);
        one.evidence.target = Some("b200x8".to_owned());
        one.evidence.driver = Some(driver.to_owned());
        one
    };
    let found = renew(
        &NoiseTable::default(),
        &[
            of("2026-02-01T00:00:00Z", "570.1", 3.0),
            of("2026-02-02T00:00:00Z", "580.2", 1.0),
        ],
    );
    assert_eq!(found[0].driver.as_deref(), Some("580.2"));
    assert_eq!(found[0].pairs, 2, "{found:?}");
    assert!(found[0].counts_for(Some("580.2")) && found[0].counts_for(None));
    assert!(!found[0].counts_for(Some("570.1")));
}
