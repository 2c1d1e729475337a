//! A generator of defects: each is planted alone into a clean document and must be found on its own line, and nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::driver::Place;

const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const ATTESTATION: &str = include_str!("../fixtures/lint/attestation.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

/// One defect: what to replace, by what, which code must follow, and where ([`line_of`]) it must be found.
struct Plant(&'static str, &'static str, &'static str, &'static str);

/// A checkout with a registry and the files that it requires.
fn checkout() -> Place {
    let place = Place::new();
    place
        .file("configs/gates/gates.toml", REGISTRY)
        .file("configs/moonlet.toml", "steps = 10\n")
        .file("configs/moonlight.toml", "steps = 20\n")
        .file("nmoe/model.py", "")
        .file("contract.md", CONTRACT);
    place
}

fn plant(clean: &str, Plant(from, to, ..): &Plant) -> String {
    assert!(clean.contains(from), "the clean document has no {from:?}");
    clean.replacen(from, to, 1)
}

/// The first line with this text; `text@-1` is the line before it.
fn line_of(text: &str, place: &str) -> u64 {
    let (needle, shift) = place
        .rsplit_once('@')
        .map_or((place, 0), |(n, s)| (n, s.parse().unwrap()));
    let line = text.lines().position(|l| l.contains(needle));
    let line = line.unwrap_or_else(|| panic!("no line has {needle:?} in\n{text}"));
    line.checked_add_signed(shift).unwrap() as u64 + 1
}

/// Lints every variant in one call and asserts that each gives exactly its own finding.
fn each_is_found(kind: &str, clean: &str, suffix: &str, options: &[&str], plants: &[Plant]) {
    let place = checkout();
    let mut args = vec![
        "lint".to_owned(),
        kind.to_owned(),
        "--format".to_owned(),
        "json".to_owned(),
    ];
    args.extend(options.iter().map(|o| (*o).to_owned()));
    let mut wanted = BTreeMap::new();
    for (n, defect) in plants.iter().enumerate() {
        let text = plant(clean, defect);
        let name = format!("planted/{n:03}.{suffix}");
        wanted.insert(name.clone(), (defect, line_of(&text, defect.3), text.clone()));
        place.file(&name, text);
        args.push(name);
    }
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut collect = |json: &Value| {
        for finding in json["findings"].as_array().unwrap() {
            let path = finding["path"].as_str().unwrap().to_owned();
            found.entry(path).or_default().push(finding.clone());
        }
    };
    if kind == "registry" {
        for name in wanted.keys() {
            let out = place.gates(["lint", "registry", "--format", "json", name]).run();
            collect(&out.json());
        }
    } else {
        collect(&place.gates(&args).run().json());
    }
    let mut wrong = Vec::new();
    for (name, (Plant(from, to, code, _), line, text)) in &wanted {
        let got = found.remove(name).unwrap_or_default();
        let exact = got.len() == 1 && got[0]["code"] == *code && got[0]["line"] == *line;
        let lines = text.lines().count() as u64;
        for finding in &got {
            let (first, last) = (
                finding["line"].as_u64().unwrap(),
                finding["end_line"].as_u64().unwrap(),
            );
            assert!(1 <= first && first <= last && last <= lines + 1, "{finding}");
        }
        if !exact {
            let got: Vec<_> = got
                .iter()
                .map(|f| format!("{} at {}: {}", f["code"], f["line"], f["message"]))
                .collect();
            wrong.push(format!(
                "{from:?} -> {to:?}: wanted {code} at {line}, got {got:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clean_documents_have_no_findings() {
    let place = checkout();
    place.file("pr.md", ATTESTATION);
    for args in [
        vec!["lint", "contract", "contract.md"],
        vec![
            "lint",
            "attestation",
            "pr.md",
            "--contract",
            "contract.md",
            "--branch",
            "issue/03a-attention",
        ],
        vec!["lint", "registry"],
    ] {
        let out = place.gates(&args).run().exits(0);
        assert_eq!(out.stdout, "", "{args:?}");
        let out = place
            .gates(args.iter().chain(&["--format", "json"]))
            .run()
            .exits(0);
        assert_eq!(out.json()["findings"], serde_json::json!([]));
        assert_eq!(out.json()["schema"], 1);
    }
}

#[test]
fn every_defect_of_a_contract_is_found_on_its_own_line() {
    each_is_found(
        "contract",
        CONTRACT,
        "md",
        &[],
        &[
            // Documents.
            Plant("```yaml", "```json", "no-block", "```json"),
            Plant(
                "  issue: 03a\n",
                "  issue: 03a\n  issue: 03b\n",
                "duplicate-key",
                "issue: 03b",
            ),
            Plant("issue: 03a", "issue: &id 03a", "yaml-anchor", "&id"),
            Plant("issue: 03a", "issue: !!str 03a", "yaml-tag", "!!str"),
            Plant(
                "depends_on: [01]",
                "depends_on: [01",
                "invalid-yaml",
                "depends_on: [01",
            ),
            Plant(
                "  slug: attention",
                "\tslug: attention",
                "invalid-yaml",
                "slug: attention",
            ),
            Plant(
                "    - B200-only",
                "    - \"B200-only",
                "invalid-yaml",
                "B200-only",
            ),
            Plant(
                "### Notes",
                "```yaml\nnmoe: {}\n```\n\n### Notes",
                "several-blocks",
                "nmoe: {}@-1",
            ),
            Plant(
                "slug: attention",
                "slug attention",
                "invalid-yaml",
                "slug attention",
            ),
            Plant(
                "slug: attention",
                "slug: it: attention",
                "invalid-yaml",
                "it: attention",
            ),
            Plant(
                "slug: attention",
                "slug: `attention`",
                "invalid-yaml",
                "`attention`",
            ),
            // Keys and types.
            Plant("  slug: attention\n", "", "missing-key", "nmoe:"),
            Plant("  kind: feature\n", "", "missing-key", "nmoe:"),
            Plant("  complexity: M\n", "", "missing-key", "nmoe:"),
            Plant("  issue: 03a\n", "", "missing-key", "nmoe:"),
            Plant("  risk: hot\n", "", "missing-key", "nmoe:"),
            Plant("    metric: node_tps_p50\n", "", "missing-key", "  perf:"),
            Plant("    budget_pct: -10\n", "", "missing-key", "  perf:"),
            Plant("  allow:\n", "  alow:\n", "unknown-key", "alow"),
            Plant(
                "  slug: attention\n",
                "  slug: attention\n  owner: me\n",
                "unknown-key",
                "owner",
            ),
            Plant("gates:\n", "notes: none\ngates:\n", "unknown-key", "notes: none"),
            Plant(
                "slug: attention",
                "slug: [attention]",
                "wrong-type",
                "[attention]",
            ),
            Plant(
                "- TOML-only config, container-first execution",
                "- TOML-only: container-first",
                "wrong-type",
                "TOML-only:",
            ),
            Plant("budget_pct: -10", "budget_pct: \"-10\"", "wrong-type", "\"-10\""),
            Plant("budget_pct: -10", "budget_pct: .nan", "wrong-type", ".nan"),
            Plant("budget_pct: -10", "budget_pct: .inf", "wrong-type", ".inf"),
            Plant("budget_pct: -10", "budget_pct: 10%", "wrong-type", "10%"),
            Plant(
                "deny:\n    - nmoe/csrc/**",
                "deny: nmoe/csrc/**",
                "wrong-type",
                "deny:",
            ),
            Plant("slug: attention", "slug:", "empty-value", "slug:"),
            Plant(
                "    - cpu:import\n",
                "    - cpu:import\n    -\n",
                "empty-value",
                "cpu:compileall@-1",
            ),
            Plant("deny:\n    - nmoe/csrc/**", "deny:", "empty-value", "deny:"),
            // Words.
            Plant(
                "kind: feature",
                "kind: feature|bugfix|perf",
                "unfilled-placeholder",
                "bugfix",
            ),
            Plant("issue: 03a", "issue: <NN>", "unfilled-placeholder", "<NN>"),
            Plant("slug: attention", "slug: TODO", "unfilled-placeholder", "TODO"),
            Plant(
                "budget_pct: -10",
                "budget_pct: <number>",
                "unfilled-placeholder",
                "<number>",
            ),
            Plant(
                "nmoe/attention/**",
                "nmoe/<module>/**",
                "unfilled-placeholder",
                "<module>",
            ),
            Plant("kind: feature", "kind: Feature", "invalid-value", "Feature"),
            Plant("kind: feature", "kind: chore", "invalid-value", "chore"),
            Plant("complexity: M", "complexity: XL", "invalid-value", "XL"),
            Plant("issue: 03a", "issue: \"#5\"", "invalid-issue-id", "#5"),
            Plant("issue: 03a", "issue: 03/a", "invalid-issue-id", "03/a"),
            Plant(
                "depends_on: [01]",
                "depends_on: [\"issue 1\"]",
                "invalid-issue-id",
                "issue 1",
            ),
            Plant(
                "slug: attention",
                "slug: Fast_Attention",
                "invalid-slug",
                "Fast_Attention",
            ),
            Plant(
                "depends_on: [01]",
                "depends_on: [01, 03a]",
                "self-dependency",
                "[01, 03a]",
            ),
            Plant(
                "depends_on: [01]",
                "depends_on: [01, 01]",
                "duplicate-entry",
                "[01, 01]",
            ),
            // Scope.
            Plant(
                "- nmoe/model.py",
                "- /nmoe/model.py",
                "invalid-glob",
                "/nmoe/model.py",
            ),
            Plant("- nmoe/model.py", "- ../nmoe/model.py", "invalid-glob", "../nmoe"),
            Plant("- nmoe/model.py", "- nmoe/[model.py", "invalid-glob", "[model.py"),
            Plant("- nmoe/model.py", "- \"!nmoe/model.py\"", "invalid-glob", "!nmoe"),
            Plant(
                "- nmoe/csrc/**",
                "- nmoe/model.py",
                "allow-swallowed",
                "    - nmoe/model.py",
            ),
            Plant(
                "- nmoe/csrc/**",
                "- nmoe/attention",
                "allow-swallowed",
                "nmoe/attention/**",
            ),
            Plant(
                "- nmoe/csrc/**",
                "- nmoe/attention/*/**\n    - nmoe/attention/**",
                "allow-swallowed",
                "nmoe/attention/**",
            ),
            Plant(
                "merge_hotspots: [nmoe/config.py]",
                "merge_hotspots: [nmoe/train.py]",
                "hotspot-outside-scope",
                "nmoe/train.py",
            ),
            Plant(
                "    - nmoe/attention/**\n    - nmoe/model.py\n    - nmoe/config.py\n",
                "    - nmoe/no_such/*\n    - nmoe/config*\n",
                "allow-matches-nothing",
                "  allow:",
            ),
            // Invariants and knobs.
            Plant(
                "    - B200-only (sm_100a); fail off-target\n",
                "",
                "missing-invariant",
                "invariants:",
            ),
            Plant(
                "    - No NCCL all-to-all on the MoE path\n",
                "",
                "missing-invariant",
                "invariants:",
            ),
            Plant(
                "- No NCCL all-to-all on the MoE path",
                "- NCCL all-to-all on the MoE path",
                "missing-invariant",
                "invariants:",
            ),
            Plant(
                "    - TOML-only config, container-first execution\n",
                "",
                "missing-invariant",
                "invariants:",
            ),
            Plant(
                "add: []",
                "add: [\"window = 128\"]",
                "invalid-knob",
                "window = 128",
            ),
            // Gates and budget.
            Plant(
                "- cpu:compileall",
                "- cpu:compileal",
                "unknown-gate",
                "cpu:compileal",
            ),
            Plant(
                "- cpu:compileall",
                "- hot_path_min",
                "unknown-gate",
                "hot_path_min",
            ),
            Plant(
                "- cpu:compileall",
                "- cpu:import",
                "duplicate-entry",
                "- cpu:import@+1",
            ),
            Plant(
                "    - b200:moonlight_8x20\n",
                "",
                "compare-not-required",
                "compare:",
            ),
            Plant(
                "compare: b200:moonlight_8x20",
                "compare: cpu:import",
                "perf-inconsistent",
                "compare:",
            ),
            Plant(
                "metric: node_tps_p50",
                "metric: step_ms_p50",
                "perf-inconsistent",
                "metric:",
            ),
            Plant(
                "gate: perf:baseline_delta",
                "gate: cpu:import",
                "perf-inconsistent",
                "gate: cpu:import",
            ),
            Plant(
                "gate: perf:baseline_delta",
                "gate: baseline_delta",
                "unknown-gate",
                "gate: baseline_delta",
            ),
            Plant(
                "baseline_ref: origin/master",
                "baseline_ref: --lock",
                "invalid-ref",
                "--lock",
            ),
            Plant(
                "baseline_ref: origin/master",
                "baseline_ref: a..b",
                "invalid-ref",
                "a..b",
            ),
            Plant("budget_pct: -10", "budget_pct: -100", "invalid-budget", "-100"),
            Plant(
                "budget_pct: -10",
                "budget_pct: 10",
                "positive-budget",
                "budget_pct",
            ),
            // The form around the block.
            Plant(
                "Local attention in three of four layers. It halves the cost of long contexts.",
                "_No response_",
                "empty-summary",
                "### Summary",
            ),
            Plant("- [X]", "- [ ]", "unticked-box", "- [ ]"),
            Plant(
                "- [X] Nothing private is in this issue.\n",
                "nothing\n",
                "missing-confirmation",
                "### Public-safety",
            ),
        ],
    );
}

#[test]
fn every_defect_of_an_attestation_is_found_on_its_own_line() {
    each_is_found(
        "attestation",
        ATTESTATION,
        "md",
        &["--contract", "contract.md", "--branch", "issue/03a-attention"],
        &[
            Plant("nmoe_pr:", "nmoe-pr:", "no-block", "## PR"),
            Plant(
                "## PR Attestation",
                "## Overview\n\n## PR Attestation",
                "attestation-not-first",
                "```yaml",
            ),
            Plant("  pr_sha: 1188731\n", "", "missing-key", "nmoe_pr:"),
            Plant(
                "  tier_b: [b200:moonlight_8x20]\n",
                "",
                "missing-key",
                "gates_passed:",
            ),
            Plant(
                "\nperf:\n",
                "\nevidence:\n  - it works\nperf:\n",
                "unknown-key",
                "evidence:",
            ),
            Plant(
                "  status: pass\n",
                "  status: pass\n  notes: fast\n",
                "unknown-key",
                "notes: fast",
            ),
            Plant("issue: 03a", "issue: 5", "issue-mismatch", "issue: 5"),
            Plant("issue: 03a", "issue: \"#5\"", "invalid-issue-id", "#5"),
            Plant("risk: hot", "risk: warm", "risk-mismatch", "risk: warm"),
            Plant("risk: hot", "risk: data", "invalid-value", "risk: data"),
            Plant(
                "pr_sha: 1188731",
                "pr_sha: <sha>",
                "unfilled-placeholder",
                "<sha>",
            ),
            Plant(
                "pr_sha: 1188731",
                "pr_sha: 118873",
                "invalid-sha",
                "pr_sha: 118873",
            ),
            Plant("pr_sha: 1188731", "pr_sha: HEAD", "invalid-sha", "pr_sha: HEAD"),
            Plant(
                "baseline_sha: 800ae9d",
                "baseline_sha: origin/master",
                "invalid-sha",
                "origin/master",
            ),
            Plant(
                "baseline_sha: 800ae9d",
                "baseline_sha: 1188731aa",
                "same-commit",
                "1188731aa",
            ),
            Plant("  baseline_sha: 800ae9d\n", "", "missing-baseline", "nmoe_pr:"),
            Plant(
                "- cpu:compileall",
                "- cpu:compileall\n    - cpu:syntax",
                "unknown-gate",
                "cpu:syntax",
            ),
            Plant("    - cpu:compileall\n", "", "tier-a-uncovered", "tier_a:"),
            Plant(
                "- cpu:compileall",
                "- cpu:compileall\n    - b200:moonlet_1x10",
                "wrong-tier",
                "moonlet",
            ),
            Plant(
                "tier_b: [b200:moonlight_8x20]",
                "tier_b: [b200:moonlight_8x20, cpu:import]",
                "wrong-tier",
                "tier_b:",
            ),
            Plant(
                "baseline: 125000",
                "baseline: <number>",
                "unfilled-placeholder",
                "<number>",
            ),
            Plant("baseline: 125000", "baseline: many", "wrong-type", "many"),
            Plant("delta_pct: -5.0", "delta_pct: 5.0", "wrong-delta", "delta_pct"),
            Plant("delta_pct: -5.0", "delta_pct: -5.2", "wrong-delta", "delta_pct"),
            Plant("  delta_pct: -5.0\n", "", "missing-key", "perf:"),
            Plant("  baseline: 125000\n", "", "missing-key", "perf:"),
            Plant("status: pass", "status: fail", "status-disagrees", "status: fail"),
            Plant(
                "status: pass",
                "status: pass|fail",
                "unfilled-placeholder",
                "pass|fail",
            ),
            Plant("status: pass", "status: pending", "perf-pending", "pending"),
            Plant("status: pass", "status: good", "invalid-value", "good"),
            Plant(
                "budget_pct: -10",
                "budget_pct: -20",
                "perf-inconsistent",
                "budget_pct",
            ),
            Plant(
                "compare: b200:moonlight_8x20",
                "compare: b200:moonlet_1x10",
                "perf-inconsistent",
                "compare:",
            ),
            Plant("gate: perf:baseline_delta", "gate: n/a", "unknown-gate", "n/a"),
            Plant(
                "- Local attention in three of four layers.",
                "- What changed:",
                "empty-summary",
                "## Summary",
            ),
            Plant("- [x] Paths", "- [ ] Paths", "unticked-box", "- [ ]"),
            Plant(
                "- [x] Paths come from configuration.\n",
                "",
                "missing-confirmation",
                "## Public-safety",
            ),
            Plant(
                "## Public-safety (required)",
                "## Safety",
                "missing-confirmation",
                "## Summary",
            ),
        ],
    );
}

#[test]
fn a_negative_or_zero_throughput_is_no_measurement() {
    let place = checkout();
    for (from, to) in [
        ("result: 118750", "result: 0"),
        ("baseline: 125000", "baseline: -1"),
    ] {
        let out = place
            .gates(["lint", "attestation", "-", "--format", "json"])
            .stdin(ATTESTATION.replacen(from, to, 1))
            .run()
            .exits(1)
            .json();
        assert_eq!(out["findings"][0]["code"], "invalid-number", "{out}");
        assert_eq!(out["findings"][0]["path"], Value::Null);
    }
}

#[test]
fn every_defect_of_a_registry_is_found_on_its_own_line() {
    each_is_found(
        "registry",
        REGISTRY,
        "toml",
        &[],
        &[
            Plant("timeout_s = 30", "timeout_s = = 30", "invalid-toml", "= = 30"),
            Plant(
                "timeout_s = 30",
                "timeout_s = 30\ntimeout_s = 31",
                "duplicate-key",
                "timeout_s = 31",
            ),
            Plant(
                "[gates.\"cpu:compileall\"]",
                "[gates.\"cpu:import\"]",
                "duplicate-key",
                "[gates.\"cpu:import\"]@5",
            ),
            Plant(
                "version = \"1\"",
                "version = \"9\"",
                "unsupported-version",
                "version",
            ),
            Plant("tier = \"a\"\n", "", "missing-key", "[gates.\"cpu:import\"]"),
            Plant("tier = \"a\"", "tier = \"c\"", "invalid-value", "tier = \"c\""),
            Plant(
                "kind = \"external\"",
                "kind = \"elsewhere\"",
                "invalid-value",
                "elsewhere",
            ),
            Plant("timeout_s = 30", "timeout = 30", "unknown-key", "timeout = 30"),
            Plant("timeout_s = 30", "timeout_s = \"30\"", "wrong-type", "\"30\""),
            Plant("timeout_s = 30", "timeout_s = -1", "wrong-type", "-1"),
            Plant("timeout_s = 30", "timeout_s = 1.5", "wrong-type", "1.5"),
            Plant(
                "cmd = \"python -c 'import nmoe'\"\n",
                "",
                "gate-without-command",
                "[gates.\"cpu:import\"]",
            ),
            Plant(
                "cmd = \"python -c 'import nmoe'\"",
                "cmd = \"\"",
                "gate-without-command",
                "cmd = \"\"",
            ),
            Plant(
                "[gates.\"cpu:import\"]",
                "[gates.\"cpu import\"]",
                "invalid-gate-id",
                "cpu import",
            ),
            Plant(
                "note = \"run elsewhere\"",
                "cmd = \"make\"",
                "unused-key",
                "cmd = \"make\"",
            ),
            Plant(
                "timeout_s = 60",
                "timeout_s = 60\npairs = 2",
                "unused-key",
                "pairs = 2",
            ),
            Plant(
                "timeout_s = 30",
                "timeout_s = 30\ngpus = 1",
                "tier-a-needs-gpu",
                "gpus = 1",
            ),
            Plant("gpus = 1", "gpus = 16", "too-many-gpus", "gpus = 16"),
            Plant(
                "requires = [\"NMOE_DATA_PATH\"]",
                "requires = [\"NMOE_DATA_PATH\", \"GITHUB_TOKEN\"]",
                "forbidden-env",
                "GITHUB_TOKEN",
            ),
            Plant(
                "requires = [\"NMOE_DATA_PATH\"]",
                "requires = [\"NMOE_DATA_PATH\", \"$X\"]",
                "invalid-env-name",
                "$X",
            ),
            Plant(
                "requires = [\"NMOE_DATA_PATH\", \"NMOE_RUN_ROOT\"]",
                "requires = [\"NMOE_DATA_PATH\"]",
                "undeclared-env",
                "--checkpoint_dir",
            ),
            Plant(
                "configs/moonlet.toml\"]",
                "configs/no_such.toml\"]",
                "missing-file",
                "no_such",
            ),
            Plant(
                "configs/moonlet.toml\"]",
                "../moonlet.toml\"]",
                "invalid-path",
                "../moonlet",
            ),
            Plant("nmoe/\"", "nmoe/ || true\"", "unsafe-command", "|| true"),
            Plant("nmoe/\"", "nmoe/; sudo ls\"", "unsafe-command", "sudo"),
            Plant(
                "--steps=20 \\",
                "--steps=20 ${{ inputs.x }} \\",
                "unsafe-command",
                "inputs.x",
            ),
            Plant(
                "name = \"step_ms\"",
                "name = \"Step ms\"",
                "invalid-pattern",
                "Step ms",
            ),
            Plant("([0-9.]+)", "[0-9.]+", "invalid-pattern", "pattern"),
            Plant("([0-9.]+)", "([0-9.]+", "invalid-pattern", "pattern"),
            Plant(
                "compare_gate = \"b200:moonlight_8x20\"\n",
                "",
                "missing-key",
                "[gates.\"perf:baseline_delta\"]",
            ),
            Plant(
                "compare_gate = \"b200:moonlight_8x20\"",
                "compare_gate = \"b200:moonlight\"",
                "unknown-gate",
                "compare_gate",
            ),
            Plant(
                "metric = \"node_tps_p50\"",
                "metric = \"loss_p50\"",
                "metric-not-yielded",
                "loss_p50",
            ),
            Plant(
                "metric = \"node_tps_p50\"",
                "metric = \"node_tps\"",
                "metric-not-yielded",
                "metric = \"node_tps\"",
            ),
            Plant(
                "--nproc_per_node=8",
                "--nproc_per_node=1",
                "metric-not-yielded",
                "compare_gate",
            ),
            Plant(
                "perf_args = \"--log_every=1\"\n",
                "",
                "too-few-samples",
                "compare_gate",
            ),
            Plant("max_pairs = 5", "max_pairs = 1", "wrong-type", "max_pairs"),
            Plant(
                "hot_path_min = [\"b200:moonlet_1x10\"",
                "hot_path_min = [\"b200:moonlet\"",
                "unknown-gate",
                "hot_path_min",
            ),
            Plant(
                "hot_path_min = [\"b200:moonlet_1x10\", \"b200:moonlight_8x20\"]",
                "hot_path_min = []",
                "empty-value",
                "hot_path_min",
            ),
            Plant("hot_path_min =", "single =", "reserved-name", "single ="),
            Plant(
                "  \"b200:moonlight_8x20\",\n",
                "",
                "compare-not-in-bundle",
                "  \"perf:baseline_delta\"",
            ),
            Plant(
                "  \"zero2:resume_determinism\",\n",
                "  \"zero2:resume_determinism\",\n  \"zero2:resume_determinism\",\n",
                "duplicate-entry",
                "  \"perf:baseline_delta\",@-1",
            ),
            Plant(
                "[meta]",
                "[target.b200]\narch = \"sm_90a\"\n\n[meta]",
                "off-target-definition",
                "sm_90a",
            ),
        ],
    );
}
