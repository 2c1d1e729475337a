//! Compares the perf gate's statistics with SciPy on random inputs.

use std::path::Path;
use std::process::Command;

use nmoe_gates::domain::noise::Estimator;
use nmoe_gates::perf::stats::{self, History, Sides};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// The same figures by SciPy: the pooled variance of both sides, blended with the stored one, then its own t.
const REFERENCE: &str = r#"
import json, sys
import numpy as np
from scipy import stats

out = []
for case in json.load(sys.stdin):
    base, change = np.array(case["base"]), np.array(case["change"])
    d, n, sd, pairs, alpha = change - base, len(base), case["sd"], case["pairs"], case["alpha"]
    live = np.var(base, ddof=1) + np.var(change, ddof=1) if n > 1 else 0.0
    if n > 1 and pairs and live > sd**2 and stats.f.sf(live / sd**2, 2 * n - 2, pairs) < 0.05:
        pairs = 0
    v0 = min(pairs, 20)
    dof = 2 * n - 2 + v0
    s = (((2 * n - 2) * live + v0 * sd**2) / dof) ** 0.5
    low, high = stats.t.interval(1 - 2 * alpha, dof, loc=np.mean(d), scale=s / n**0.5)
    middle = np.mean(np.sort(d)[n // 4 : n - n // 4])
    out.append([float(low), float(high), float(stats.t.ppf(1 - alpha, dof)), float(np.median(d)), float(middle), float(stats.t.sf(2.5, dof))])
json.dump(out, sys.stdout)
"#;

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_scipy_agrees_to_nine_digits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = Command::new(root.join("scripts/dev/install-scipy"))
        .output()
        .unwrap();
    if !installed.status.success() {
        let why = String::from_utf8_lossy(&installed.stderr).into_owned();
        assert!(
            std::env::var_os("NMOE_GATES_REQUIRE_TOOLS").is_none(),
            "SciPy cannot be installed:\n{why}"
        );
        eprintln!("SKIPPED: SciPy cannot be installed, so nothing was compared\n{why}");
        return;
    }
    let python = String::from_utf8(installed.stdout).unwrap();
    let mut runner = TestRunner::deterministic();
    let strategy = (
        proptest::collection::vec((-0.2..0.2f64, -0.2..0.2f64), 1..12),
        1e-5..0.1f64,
        0u32..40,
        0.001..0.4f64,
    )
        .prop_filter("one pair says nothing alone", |(d, _, pairs, _)| {
            d.len() > 1 || *pairs > 0
        });
    let cases: Vec<_> = (0..2000)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect();
    let asked: Vec<Value> = cases
        .iter()
        .map(|(d, sd, pairs, alpha)| {
            let (base, change): (Vec<f64>, Vec<f64>) = d.iter().copied().unzip();
            json!({"base": base, "change": change, "sd": sd, "pairs": pairs, "alpha": alpha})
        })
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_vec(&asked).unwrap()).unwrap();
    let output = Command::new(python.trim())
        .args(["-c", REFERENCE])
        .stdin(std::fs::File::open(file.path()).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let theirs: Vec<[f64; 6]> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs.len(), cases.len());
    for ((d, sd, pairs, alpha), theirs) in cases.iter().zip(theirs) {
        let (base, change): (Vec<f64>, Vec<f64>) = d.iter().copied().unzip();
        let weights = vec![1.0 / base.len() as f64; base.len()];
        let ratios: Vec<f64> = d.iter().map(|(base, change)| change - base).collect();
        let sides = Sides {
            base: &base,
            change: &change,
            weights: &weights,
        };
        let stored = History {
            sd: *sd,
            pairs: *pairs,
            estimator: Estimator::Median,
        };
        let estimate = stats::estimate(&sides, Some(stored)).unwrap();
        let [our_low, our_high] = estimate.interval(*alpha).unwrap();
        let ours = [
            our_low,
            our_high,
            stats::t_quantile(1.0 - alpha, estimate.dof).unwrap(),
            stats::median(&ratios).unwrap(),
            stats::middle_half(&ratios).unwrap(),
            stats::t_tail(2.5, estimate.dof).unwrap(),
        ];
        for (a, b) in ours.into_iter().zip(theirs) {
            assert!(
                (a - b).abs() <= 1e-9 * b.abs().max(1.0),
                "{a} and {b} for {d:?} {sd} {pairs} {alpha}"
            );
        }
    }
}
