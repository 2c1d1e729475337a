//! Tests the perf gate end to end: a small trainer on the CPU whose reported speed a commit changes by a known amount, a real
//! merge, and real builds in both checkouts.

use std::path::PathBuf;

use crate::driver::git;
use crate::perf_bench::{Bench, MAKEFILE, REGISTRY, TRAINER, perf};

#[test]
fn each_checkout_is_built_separately() {
    let bench = Bench::speed(100_000, 100_000);
    let (outcome, results) = bench.run(&[]);
    let outcome = outcome.exits(0);
    let perf = perf(&results);
    assert_eq!(perf["status"], "pass", "{outcome:?}");
    assert_eq!(perf["perf"]["baseline_sha"], bench.base.as_str());
    assert_eq!(perf["perf"]["budget_pct"], -10.0);
    let launches = bench.launches();
    // The compared gate, the discarded warm-up pair in the order BA, then pairs in the order AB BA.
    let built: Vec<&str> = launches.iter().filter_map(|l| l.rsplit(' ').next()).collect();
    assert_eq!(built, ["head", "head", "base", "base", "head", "head", "base"]);
    let roots: std::collections::BTreeSet<&str> =
        launches.iter().filter_map(|l| l.split(' ').nth(1)).collect();
    assert_eq!(roots.len(), 7, "a run root for every launch: {launches:?}");
    let subject = bench.sandbox.path("subject").canonicalize().unwrap();
    for line in launches.iter().filter(|l| l.ends_with(" base")) {
        assert!(!line.starts_with(subject.to_str().unwrap()), "{line}");
    }
    assert!(
        outcome.stdout.contains("allowed −10 %: pass"),
        "{}",
        outcome.stdout
    );
    assert_eq!(bench.left_over(), Vec::<PathBuf>::new());
    let worktrees = git(&bench.sandbox.repo(), ["worktree", "list", "--porcelain"]);
    assert_eq!(worktrees.matches("worktree ").count(), 1, "{worktrees}");
}

/// Records the path from which each module is imported.
const IMPORTS: &str = r#"python3 - <<'END' >> "$NMOE_DATA_PATH/imports"
import importlib, os
found = []
for name in ["gone", "only_head", "installed"]:
    try:
        found.append(importlib.import_module("nmoe." + name).__file__)
    except ImportError:
        found.append("-")
print(os.getcwd(), *found)
END
"#;

#[test]
fn checkouts_import_only_their_own_modules() {
    let bench = Bench::from(
        "100000",
        |sandbox| {
            sandbox.file("train.sh", format!("{IMPORTS}{TRAINER}"));
        },
        |sandbox| {
            sandbox.git(["rm", "-q", "nmoe/gone.py"]);
            sandbox.file("nmoe/only_head.py", "");
        },
    );
    let site = bench.sandbox.path("site/nmoe");
    std::fs::create_dir_all(&site).unwrap();
    for module in ["gone.py", "only_head.py", "installed.py"] {
        std::fs::write(site.join(module), "").unwrap();
    }
    let subject = bench.sandbox.path("subject");
    // The other checkout on the search path is not used either.
    let path = std::env::join_paths([bench.sandbox.path("site"), subject.clone()]).unwrap();
    bench
        .call(&[])
        .env("PYTHONPATH", path)
        .run()
        .exits(0)
        .prints("perf: ");
    let imports = std::fs::read_to_string(bench.sandbox.path("data/imports")).unwrap();
    let subject = subject.canonicalize().unwrap();
    // The first is the run of the compared gate, with the runner's setup.
    for line in imports.lines().skip(1) {
        let found: Vec<&str> = line.split(' ').collect();
        let expected = if found[0] == subject.to_str().unwrap() {
            [
                "-".to_owned(),
                format!("{}/nmoe/only_head.py", found[0]),
                "-".to_owned(),
            ]
        } else {
            [
                format!("{}/nmoe/gone.py", found[0]),
                "-".to_owned(),
                "-".to_owned(),
            ]
        };
        assert_eq!(found[1..], expected, "{imports}");
    }
}

#[test]
fn loss_beyond_budget_fails() {
    let (outcome, results) = Bench::speed(100_000, 85_000).run(&[]);
    outcome.exits(1).prints("perf: ");
    assert_eq!(perf(&results)["status"], "fail");
    assert_eq!(perf(&results)["reason"], "over_budget");
    let delta = perf(&results)["perf"]["delta_pct"].as_f64().unwrap();
    assert!((-16.5..-13.5).contains(&delta), "{delta}");

    let (outcome, results) = Bench::speed(100_000, 97_000).run(&[]);
    outcome.exits(0).prints("perf: ");
    assert_eq!(perf(&results)["status"], "pass");
    let delta = perf(&results)["perf"]["delta_pct"].as_f64().unwrap();
    assert!((-4.5..-1.5).contains(&delta), "{delta}");
}

#[test]
#[ignore = "minutes: scripts/test --all"]
fn slow_repeated_comparisons_have_same_verdict() {
    for (after, status) in [(100_000, "pass"), (97_000, "pass"), (85_000, "fail")] {
        let bench = Bench::speed(100_000, after);
        for seed in 0..10 {
            bench.seed(seed * 100);
            let (outcome, results) = bench.run(&[]);
            assert_eq!(
                perf(&results)["status"],
                status,
                "{after}, seed {seed}: {outcome:?}"
            );
        }
    }
}

#[test]
fn baseline_outside_history_is_refused() {
    let bench = Bench::speed(100_000, 100_000);
    let head = git(&bench.sandbox.path("subject"), ["rev-parse", "HEAD"]);
    for bad in [
        "--lock",
        "no-such-branch",
        head.trim(),
        "work",
        "HEAD:train.sh",
        "master@{1}",
    ] {
        let (outcome, results) = bench.run(&[&format!("--baseline-ref={bad}")]);
        outcome.exits(2).reports("error: ");
        assert_eq!(results["refused"], "bad_baseline", "{bad}");
        assert_ne!(results["overall"], "pass");
    }
    assert_eq!(bench.launches().len(), 0);
    assert_eq!(bench.left_over(), Vec::<PathBuf>::new());
}

#[test]
fn budget_not_a_percentage_is_refused() {
    let bench = Bench::speed(100_000, 50_000);
    for bad in ["nan", "inf", "-inf", "-100", "100", "ten"] {
        let (outcome, results) = bench.run(&[&format!("--perf-budget-pct={bad}")]);
        let outcome = outcome.any_output();
        assert!(matches!(outcome.code(), Some(2 | 3)), "{bad}: {outcome:?}");
        assert_ne!(results["overall"], "pass", "{bad}");
    }
}

#[test]
fn zero_baseline_is_invalid() {
    let (outcome, results) = Bench::speed(0, 100_000).run(&[]);
    outcome.exits(3).prints("perf: ");
    assert_eq!(perf(&results)["status"], "invalid");
    assert_eq!(perf(&results)["reason"], "no_samples");
}

#[test]
fn baseline_without_kernels_is_invalid() {
    let (outcome, results) = Bench::from(
        "100000",
        |sandbox| {
            sandbox.file("nmoe/csrc/Makefile", "kernel.so:\n\tfalse\n");
        },
        |sandbox| {
            sandbox.file("nmoe/csrc/Makefile", MAKEFILE);
        },
    )
    .run(&[]);
    outcome.exits(3).prints("perf: ");
    assert_eq!(perf(&results)["status"], "invalid");
    assert_eq!(perf(&results)["reason"], "kernel_missing");
}

#[test]
fn baseline_is_base_parent_of_merge() {
    let bench = Bench::speed(100_000, 97_000);
    bench.sandbox.file("speed.txt", "10\n");
    bench
        .sandbox
        .git(["commit", "-qam", "A slow commit on the base branch"]);
    for named in ["", "master", "origin/master"] {
        let (outcome, results) = bench.run(&[&format!("--baseline-ref={named}")]);
        outcome.exits(0).prints("perf: ");
        assert_eq!(
            perf(&results)["perf"]["baseline_sha"],
            bench.base.as_str(),
            "{named}"
        );
    }
}

#[test]
fn single_pair_uses_threshold_method() {
    let bench = Bench::speed(100_000, 97_000);
    let registry = REGISTRY.replace("kind = \"perf\"", "kind = \"perf\"\npairs = 1");
    bench.sandbox.file("configs/gates/gates.toml", registry);
    let (outcome, results) = bench.run(&[]);
    let outcome = outcome.exits(0);
    let perf = &perf(&results)["perf"];
    assert_eq!(perf["method"], "threshold");
    assert_eq!(perf["pairs"].as_array().unwrap().len(), 1);
    assert!(outcome.stdout.contains("threshold only"), "{}", outcome.stdout);
}

#[test]
fn change_that_alters_baseline_is_detected() {
    let bench = Bench::new("100000", |sandbox| {
        // The change knows the path of the baseline and makes it slow.
        let attack = "case \"$PWD\" in */subject) for f in \"$HOME\"/.local/state/nmoe-gates/perf/*/*/speed.txt; do \
                      [ ! -e \"$f\" ] || echo 50000 > \"$f\"; done;; esac\n";
        sandbox.file("train.sh", format!("{attack}{TRAINER}"));
    });
    let (outcome, results) = bench.run(&[]);
    outcome.exits(1).prints("perf: ");
    assert_eq!(perf(&results)["reason"], "tampered");
}

const CONTRACT: &str = "nmoe:\n  issue: 07\n  slug: x\n  kind: perf\n  risk: warm\n  complexity: S\n  depends_on: []\n  merge_hotspots: []\n\n\
scope:\n  allow: [\"**\"]\n  deny: []\n\ncontract:\n  invariants:\n    - B200-only (sm_100a)\n    - No NCCL all-to-all on the MoE path\n    \
- TOML-only, container-first\n  knobs:\n    add: []\n    change: []\n\ngates:\n  required: [cpu:train, perf:baseline_delta]\n  perf:\n    \
gate: perf:baseline_delta\n    compare: cpu:train\n    metric: node_tps_p50\n    budget_pct: -10\n";

#[test]
fn measured_comparison_is_attested() {
    let bench = Bench::speed(100_000, 97_000);
    let (outcome, results) = bench.run(&[]);
    outcome.exits(0).prints("perf: ");
    let subject = bench.sandbox.path("subject");
    git(&subject, ["checkout", "-qb", "issue/07-x"]);
    let [contract, body] = ["contract.yml", "body.md"].map(|name| bench.sandbox.path(name));
    std::fs::write(&contract, CONTRACT).unwrap();
    let attest = |more: &[&str]| {
        let given = [
            "attest".to_owned(),
            format!("--subject={}", subject.display()),
            format!("--contract={}", contract.display()),
            format!("--results={}", bench.sandbox.path("results.json").display()),
            format!("--base={}", bench.base),
        ];
        bench
            .sandbox
            .gates(given.iter().map(String::as_str).chain(more.iter().copied()))
            .run()
    };
    attest(&["--write", body.to_str().unwrap()])
        .exits(0)
        .reports("next: ");
    let mut text = std::fs::read_to_string(&body).unwrap();
    let measured = &perf(&results)["perf"];
    for key in ["baseline", "result", "delta_pct", "budget_pct"] {
        let line = text
            .lines()
            .find_map(|l| l.trim().strip_prefix(&format!("{key}: ")))
            .unwrap_or_else(|| panic!("{key}: {text}"));
        let (said, measured) = (line.parse::<f64>().unwrap(), measured[key].as_f64().unwrap());
        assert!((said - measured).abs() <= 0.01, "{key}: {said} and {measured}");
    }
    assert!(text.contains("  status: pass\n"), "{text}");
    text.push_str(
        "\n## Summary\n- Slower.\n\n## Links\n- Fixes: #7\n\n## Public-safety (required)\n- [x] No internal names.\n- [x] No credentials.\n\n## Reviewer focus\n- speed.txt\n",
    );
    std::fs::write(&body, &text).unwrap();
    attest(&["--verify", body.to_str().unwrap()]).exits(0);
    let linted = bench
        .sandbox
        .gates(["lint", "attestation", body.to_str().unwrap()])
        .run()
        .exits(0);
    assert!(!linted.stdout.contains("wrong-delta"), "{}", linted.stdout);
}
