//! Compares the perf gate's statistics with SciPy on random inputs.

use std::path::Path;
use std::process::Command;

use nmoe_gates::perf::stats::{self, History};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// Computes the same figures with SciPy: a pooled variance, then Student's t.
const REFERENCE: &str = r#"
import json, sys
import numpy as np
from scipy import stats

out = []
for case in json.load(sys.stdin):
    d, sd, pairs, alpha = np.array(case["d"]), case["sd"], case["pairs"], case["alpha"]
    live = np.var(d, ddof=1) if len(d) > 1 else 0.0
    if len(d) > 1 and pairs and live ** 0.5 > 2 * sd:
        pairs = 0
    v0 = min(pairs, 20)
    dof = len(d) - 1 + v0
    s = (((len(d) - 1) * live + v0 * sd**2) / dof) ** 0.5
    low, high = stats.t.interval(1 - 2 * alpha, dof, loc=np.mean(d), scale=s / len(d) ** 0.5)
    out.append([float(low), float(high), float(stats.t.ppf(1 - alpha, dof)), float(np.median(d))])
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
        proptest::collection::vec(-0.2..0.2f64, 1..12),
        1e-5..0.1f64,
        0u32..40,
        0.001..0.4f64,
    )
        .prop_filter("one pair says nothing alone", |(d, _, pairs, _)| {
            d.len() > 1 || *pairs > 0
        });
    let cases: Vec<(Vec<f64>, f64, u32, f64)> = (0..2000)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect();
    let asked: Vec<Value> = cases
        .iter()
        .map(|(d, sd, pairs, alpha)| json!({"d": d, "sd": sd, "pairs": pairs, "alpha": alpha}))
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
    let theirs: Vec<[f64; 4]> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs.len(), cases.len());
    for ((d, sd, pairs, alpha), [low, high, quantile, median]) in cases.iter().zip(theirs) {
        let estimate = stats::estimate(
            d,
            Some(History {
                sd: *sd,
                pairs: *pairs,
            }),
        )
        .unwrap();
        let [our_low, our_high] = estimate.interval(*alpha).unwrap();
        let ours = [
            our_low,
            our_high,
            stats::t_quantile(1.0 - alpha, estimate.dof).unwrap(),
            stats::median(d).unwrap(),
        ];
        for (a, b) in ours.into_iter().zip([low, high, quantile, median]) {
            assert!(
                (a - b).abs() <= 1e-9 * b.abs().max(1.0),
                "{a} and {b} for {d:?} {sd} {pairs} {alpha}"
            );
        }
    }
}
