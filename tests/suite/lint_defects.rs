//! Plants one defect at a time into a valid document. The lint must find it on its line, and find nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::driver::Sandbox;

const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const ATTESTATION: &str = include_str!("../fixtures/lint/attestation.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

/// A defect: the text to replace, its replacement, the expected code, and the expected line (see [`line_of`]).
struct ParseError(&'static str, &'static str, &'static str, &'static str);

/// Creates a checkout with a registry and the files that the registry requires.
fn checkout() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("configs/moonlet.toml", "steps = 10\n")
        .file("configs/moonlight.toml", "steps = 20\n")
        .file("nmoe/model.py", "")
        .file("contract.md", CONTRACT);
    sandbox
}

fn plant(clean: &str, ParseError(from, to, ..): &ParseError) -> String {
    assert!(clean.contains(from), "the clean document has no {from:?}");
    clean.replacen(from, to, 1)
}

/// Returns the first line with this text; `text@-1` is the line before it.
fn line_of(text: &str, position: &str) -> u64 {
    let (needle, shift) = position
        .rsplit_once('@')
        .map_or((position, 0), |(n, s)| (n, s.parse().unwrap()));
    let line = text.lines().position(|l| l.contains(needle));
    let line = line.unwrap_or_else(|| panic!("no line has {needle:?} in\n{text}"));
    line.checked_add_signed(shift).unwrap() as u64 + 1
}

/// Lints all variants in one call and asserts that each has exactly its own finding.
fn each_is_found(kind: &str, clean: &str, suffix: &str, options: &[&str], plants: &[ParseError]) {
    let sandbox = checkout();
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
        sandbox.file(&name, text);
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
            let out = sandbox
                .gates(["lint", "registry", "--format", "json", name])
                .run();
            collect(&out.findings());
        }
    } else {
        collect(&sandbox.gates(&args).run().findings());
    }
    let mut wrong = Vec::new();
    for (name, (ParseError(from, to, code, _), line, text)) in &wanted {
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
    let sandbox = checkout();
    sandbox.file("pr.md", ATTESTATION);
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
        let out = sandbox.gates(&args).run().exits(0);
        assert_eq!(out.stdout, "", "{args:?}");
        let out = sandbox
            .gates(args.iter().chain(&["--format", "json"]))
            .run()
            .exits(0);
        assert_eq!(out.json()["findings"], serde_json::json!([]));
        assert_eq!(out.json()["schema"], 1);
    }
}

#[test]
fn contract_defects_are_found_on_their_lines() {
    each_is_found(
        "contract",
        CONTRACT,
        "md",
        &[],
        &[
            // Documents.
            ParseError("```yaml", "```json", "no-block", "```json"),
            ParseError(
                "  issue: 03a\n",
                "  issue: 03a\n  issue: 03b\n",
                "duplicate-key",
                "issue: 03b",
            ),
            ParseError("issue: 03a", "issue: &id 03a", "yaml-anchor", "&id"),
            ParseError("issue: 03a", "issue: !!str 03a", "yaml-tag", "!!str"),
            ParseError(
                "depends_on: [01]",
                "depends_on: [01",
                "invalid-yaml",
                "depends_on: [01",
            ),
            ParseError(
                "  slug: attention",
                "\tslug: attention",
                "invalid-yaml",
                "slug: attention",
            ),
            ParseError(
                "    - B200-only",
                "    - \"B200-only",
                "invalid-yaml",
                "B200-only",
            ),
            ParseError(
                "### Notes",
                "```yaml\nnmoe: {}\n```\n\n### Notes",
                "several-blocks",
                "nmoe: {}@-1",
            ),
            ParseError(
                "slug: attention",
                "slug attention",
                "invalid-yaml",
                "slug attention",
            ),
            ParseError(
                "slug: attention",
                "slug: it: attention",
                "invalid-yaml",
                "it: attention",
            ),
            ParseError(
                "slug: attention",
                "slug: `attention`",
                "invalid-yaml",
                "`attention`",
            ),
            // Keys and types.
            ParseError("  slug: attention\n", "", "missing-key", "nmoe:"),
            ParseError("  kind: feature\n", "", "missing-key", "nmoe:"),
            ParseError("  complexity: M\n", "", "missing-key", "nmoe:"),
            ParseError("  issue: 03a\n", "", "missing-key", "nmoe:"),
            ParseError("  risk: hot\n", "", "missing-key", "nmoe:"),
            ParseError("    metric: node_tps_p50\n", "", "missing-key", "  perf:"),
            ParseError("    budget_pct: -10\n", "", "missing-key", "  perf:"),
            ParseError("  allow:\n", "  alow:\n", "unknown-key", "alow"),
            ParseError(
                "  slug: attention\n",
                "  slug: attention\n  owner: me\n",
                "unknown-key",
                "owner",
            ),
            ParseError("gates:\n", "notes: none\ngates:\n", "unknown-key", "notes: none"),
            ParseError(
                "slug: attention",
                "slug: [attention]",
                "wrong-type",
                "[attention]",
            ),
            ParseError(
                "- TOML-only config, container-first execution",
                "- TOML-only: container-first",
                "wrong-type",
                "TOML-only:",
            ),
            ParseError("budget_pct: -10", "budget_pct: \"-10\"", "wrong-type", "\"-10\""),
            ParseError("budget_pct: -10", "budget_pct: .nan", "wrong-type", ".nan"),
            ParseError("budget_pct: -10", "budget_pct: .inf", "wrong-type", ".inf"),
            ParseError("budget_pct: -10", "budget_pct: 10%", "wrong-type", "10%"),
            ParseError(
                "deny:\n    - nmoe/csrc/**",
                "deny: nmoe/csrc/**",
                "wrong-type",
                "deny:",
            ),
            ParseError("slug: attention", "slug:", "empty-value", "slug:"),
            ParseError(
                "    - cpu:import\n",
                "    - cpu:import\n    -\n",
                "empty-value",
                "cpu:compileall@-1",
            ),
            ParseError("deny:\n    - nmoe/csrc/**", "deny:", "empty-value", "deny:"),
            // Words.
            ParseError(
                "kind: feature",
                "kind: feature|bugfix|perf",
                "unfilled-placeholder",
                "bugfix",
            ),
            ParseError("issue: 03a", "issue: <NN>", "unfilled-placeholder", "<NN>"),
            ParseError("slug: attention", "slug: TODO", "unfilled-placeholder", "TODO"),
            ParseError(
                "budget_pct: -10",
                "budget_pct: <number>",
                "unfilled-placeholder",
                "<number>",
            ),
            ParseError(
                "nmoe/attention/**",
                "nmoe/<module>/**",
                "unfilled-placeholder",
                "<module>",
            ),
            ParseError("kind: feature", "kind: Feature", "invalid-value", "Feature"),
            ParseError("kind: feature", "kind: chore", "invalid-value", "chore"),
            ParseError("complexity: M", "complexity: XL", "invalid-value", "XL"),
            ParseError("issue: 03a", "issue: \"#5\"", "invalid-issue-id", "#5"),
            ParseError("issue: 03a", "issue: 03/a", "invalid-issue-id", "03/a"),
            ParseError(
                "depends_on: [01]",
                "depends_on: [\"issue 1\"]",
                "invalid-issue-id",
                "issue 1",
            ),
            ParseError(
                "slug: attention",
                "slug: Fast_Attention",
                "invalid-slug",
                "Fast_Attention",
            ),
            ParseError(
                "depends_on: [01]",
                "depends_on: [01, 03a]",
                "self-dependency",
                "[01, 03a]",
            ),
            ParseError(
                "depends_on: [01]",
                "depends_on: [01, 01]",
                "duplicate-entry",
                "[01, 01]",
            ),
            // Scope.
            ParseError(
                "- nmoe/model.py",
                "- /nmoe/model.py",
                "invalid-glob",
                "/nmoe/model.py",
            ),
            ParseError("- nmoe/model.py", "- ../nmoe/model.py", "invalid-glob", "../nmoe"),
            ParseError("- nmoe/model.py", "- nmoe/[model.py", "invalid-glob", "[model.py"),
            ParseError("- nmoe/model.py", "- \"!nmoe/model.py\"", "invalid-glob", "!nmoe"),
            ParseError(
                "- nmoe/csrc/**",
                "- nmoe/model.py",
                "allow-swallowed",
                "    - nmoe/model.py",
            ),
            ParseError(
                "- nmoe/csrc/**",
                "- nmoe/attention",
                "allow-swallowed",
                "nmoe/attention/**",
            ),
            ParseError(
                "- nmoe/csrc/**",
                "- nmoe/attention/*/**\n    - nmoe/attention/**",
                "allow-swallowed",
                "nmoe/attention/**",
            ),
            ParseError(
                "merge_hotspots: [nmoe/config.py]",
                "merge_hotspots: [nmoe/train.py]",
                "hotspot-outside-scope",
                "nmoe/train.py",
            ),
            ParseError(
                "    - nmoe/attention/**\n    - nmoe/model.py\n    - nmoe/config.py\n",
                "    - nmoe/no_such/*\n    - nmoe/config*\n",
                "allow-matches-nothing",
                "  allow:",
            ),
            // A plain name next to a misspelled folder may be a new file, but the folder is not.
            ParseError(
                "    - nmoe/model.py\n",
                "    - nmoe/model.py\n    - nmo/attention/**\n",
                "allow-matches-nothing",
                "nmo/attention/**",
            ),
            // Invariants and knobs.
            ParseError(
                "    - B200-only (sm_100a); fail off-target\n",
                "",
                "missing-invariant",
                "invariants:",
            ),
            ParseError(
                "    - No NCCL all-to-all on the MoE path\n",
                "",
                "missing-invariant",
                "invariants:",
            ),
            ParseError(
                "- No NCCL all-to-all on the MoE path",
                "- NCCL all-to-all on the MoE path",
                "missing-invariant",
                "invariants:",
            ),
            ParseError(
                "    - TOML-only config, container-first execution\n",
                "",
                "missing-invariant",
                "invariants:",
            ),
            ParseError(
                "add: []",
                "add: [\"window = 128\"]",
                "invalid-knob",
                "window = 128",
            ),
            // Gates and budget.
            ParseError(
                "- cpu:compileall",
                "- cpu:compileal",
                "unknown-gate",
                "cpu:compileal",
            ),
            ParseError(
                "- cpu:compileall",
                "- hot_path_min",
                "unknown-gate",
                "hot_path_min",
            ),
            ParseError(
                "- cpu:compileall",
                "- cpu:import",
                "duplicate-entry",
                "- cpu:import@+1",
            ),
            ParseError(
                "    - b200:moonlight_8x20\n",
                "",
                "compare-not-required",
                "compare:",
            ),
            ParseError(
                "compare: b200:moonlight_8x20",
                "compare: cpu:import",
                "perf-inconsistent",
                "compare:",
            ),
            ParseError(
                "metric: node_tps_p50",
                "metric: step_ms_p50",
                "perf-inconsistent",
                "metric:",
            ),
            ParseError(
                "gate: perf:baseline_delta",
                "gate: cpu:import",
                "perf-inconsistent",
                "gate: cpu:import",
            ),
            ParseError(
                "gate: perf:baseline_delta",
                "gate: baseline_delta",
                "unknown-gate",
                "gate: baseline_delta",
            ),
            ParseError(
                "baseline_ref: origin/master",
                "baseline_ref: --lock",
                "invalid-ref",
                "--lock",
            ),
            ParseError(
                "baseline_ref: origin/master",
                "baseline_ref: a..b",
                "invalid-ref",
                "a..b",
            ),
            ParseError("budget_pct: -10", "budget_pct: -100", "invalid-budget", "-100"),
            ParseError(
                "budget_pct: -10",
                "budget_pct: 10",
                "positive-budget",
                "budget_pct",
            ),
            // The form around the block.
            ParseError(
                "Local attention in three of four layers. It halves the cost of long contexts.",
                "_No response_",
                "empty-summary",
                "### Summary",
            ),
            ParseError("- [X]", "- [ ]", "unticked-box", "- [ ]"),
            ParseError(
                "- [X] Nothing private is in this issue.\n",
                "nothing\n",
                "missing-confirmation",
                "### Public-safety",
            ),
        ],
    );
}

#[test]
fn attestation_defects_are_found_on_their_lines() {
    each_is_found(
        "attestation",
        ATTESTATION,
        "md",
        &["--contract", "contract.md", "--branch", "issue/03a-attention"],
        &[
            ParseError("nmoe_pr:", "nmoe-pr:", "no-block", "## PR"),
            ParseError(
                "## PR Attestation",
                "## Overview\n\n## PR Attestation",
                "attestation-not-first",
                "```yaml",
            ),
            ParseError("  pr_sha: 1188731\n", "", "missing-key", "nmoe_pr:"),
            ParseError(
                "  tier_b: [b200:moonlight_8x20]\n",
                "",
                "missing-key",
                "gates_passed:",
            ),
            ParseError(
                "\nperf:\n",
                "\nevidence:\n  - it works\nperf:\n",
                "unknown-key",
                "evidence:",
            ),
            ParseError(
                "  status: pass\n",
                "  status: pass\n  notes: fast\n",
                "unknown-key",
                "notes: fast",
            ),
            ParseError("issue: 03a", "issue: 5", "issue-mismatch", "issue: 5"),
            ParseError("issue: 03a", "issue: \"#5\"", "invalid-issue-id", "#5"),
            ParseError("risk: hot", "risk: warm", "risk-mismatch", "risk: warm"),
            ParseError("risk: hot", "risk: data", "invalid-value", "risk: data"),
            ParseError(
                "pr_sha: 1188731",
                "pr_sha: <sha>",
                "unfilled-placeholder",
                "<sha>",
            ),
            ParseError(
                "pr_sha: 1188731",
                "pr_sha: 118873",
                "invalid-sha",
                "pr_sha: 118873",
            ),
            ParseError("pr_sha: 1188731", "pr_sha: HEAD", "invalid-sha", "pr_sha: HEAD"),
            ParseError(
                "baseline_sha: 800ae9d",
                "baseline_sha: origin/master",
                "invalid-sha",
                "origin/master",
            ),
            ParseError(
                "baseline_sha: 800ae9d",
                "baseline_sha: 1188731aa",
                "same-commit",
                "1188731aa",
            ),
            ParseError("  baseline_sha: 800ae9d\n", "", "missing-baseline", "nmoe_pr:"),
            ParseError(
                "- cpu:compileall",
                "- cpu:compileall\n    - cpu:syntax",
                "unknown-gate",
                "cpu:syntax",
            ),
            ParseError("    - cpu:compileall\n", "", "tier-a-uncovered", "tier_a:"),
            ParseError(
                "- cpu:compileall",
                "- cpu:compileall\n    - b200:moonlet_1x10",
                "wrong-tier",
                "moonlet",
            ),
            ParseError(
                "tier_b: [b200:moonlight_8x20]",
                "tier_b: [b200:moonlight_8x20, cpu:import]",
                "wrong-tier",
                "tier_b:",
            ),
            ParseError(
                "baseline: 125000",
                "baseline: <number>",
                "unfilled-placeholder",
                "<number>",
            ),
            ParseError("baseline: 125000", "baseline: many", "wrong-type", "many"),
            ParseError("delta_pct: -5.0", "delta_pct: 5.0", "wrong-delta", "delta_pct"),
            ParseError("delta_pct: -5.0", "delta_pct: -5.2", "wrong-delta", "delta_pct"),
            ParseError("  delta_pct: -5.0\n", "", "missing-key", "perf:"),
            ParseError("  baseline: 125000\n", "", "missing-key", "perf:"),
            ParseError("status: pass", "status: fail", "status-disagrees", "status: fail"),
            ParseError(
                "status: pass",
                "status: pass|fail",
                "unfilled-placeholder",
                "pass|fail",
            ),
            ParseError("status: pass", "status: pending", "perf-pending", "pending"),
            ParseError("status: pass", "status: good", "invalid-value", "good"),
            ParseError(
                "budget_pct: -10",
                "budget_pct: -20",
                "perf-inconsistent",
                "budget_pct",
            ),
            ParseError(
                "compare: b200:moonlight_8x20",
                "compare: b200:moonlet_1x10",
                "perf-inconsistent",
                "compare:",
            ),
            ParseError("gate: perf:baseline_delta", "gate: n/a", "unknown-gate", "n/a"),
            ParseError(
                "- Local attention in three of four layers.",
                "- What changed:",
                "empty-summary",
                "## Summary",
            ),
            ParseError("- [x] Paths", "- [ ] Paths", "unticked-box", "- [ ]"),
            ParseError(
                "- [x] Paths come from configuration.\n",
                "",
                "missing-confirmation",
                "## Public-safety",
            ),
            ParseError(
                "## Public-safety (required)",
                "## Safety",
                "missing-confirmation",
                "## Summary",
            ),
        ],
    );
}

#[test]
fn nonpositive_throughput_is_a_finding() {
    let sandbox = checkout();
    for (from, to) in [
        ("result: 118750", "result: 0"),
        ("baseline: 125000", "baseline: -1"),
    ] {
        let out = sandbox
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
fn registry_defects_are_found_on_their_lines() {
    each_is_found(
        "registry",
        REGISTRY,
        "toml",
        &[],
        &[
            ParseError("timeout_s = 30", "timeout_s = = 30", "invalid-toml", "= = 30"),
            ParseError(
                "timeout_s = 30",
                "timeout_s = 30\ntimeout_s = 31",
                "duplicate-key",
                "timeout_s = 31",
            ),
            ParseError(
                "[gates.\"cpu:compileall\"]",
                "[gates.\"cpu:import\"]",
                "duplicate-key",
                "[gates.\"cpu:import\"]@5",
            ),
            ParseError(
                "version = \"1\"",
                "version = \"9\"",
                "unsupported-version",
                "version",
            ),
            ParseError("tier = \"a\"\n", "", "missing-key", "[gates.\"cpu:import\"]"),
            ParseError("tier = \"a\"", "tier = \"c\"", "invalid-value", "tier = \"c\""),
            ParseError(
                "kind = \"external\"",
                "kind = \"elsewhere\"",
                "invalid-value",
                "elsewhere",
            ),
            ParseError("timeout_s = 30", "timeout = 30", "unknown-key", "timeout = 30"),
            ParseError("timeout_s = 30", "timeout_s = \"30\"", "wrong-type", "\"30\""),
            ParseError("timeout_s = 30", "timeout_s = -1", "wrong-type", "-1"),
            ParseError("timeout_s = 30", "timeout_s = 1.5", "wrong-type", "1.5"),
            ParseError(
                "cmd = \"python -c 'import nmoe'\"\n",
                "",
                "gate-without-command",
                "[gates.\"cpu:import\"]",
            ),
            ParseError(
                "cmd = \"python -c 'import nmoe'\"",
                "cmd = \"\"",
                "gate-without-command",
                "cmd = \"\"",
            ),
            ParseError(
                "[gates.\"cpu:import\"]",
                "[gates.\"cpu import\"]",
                "invalid-gate-id",
                "cpu import",
            ),
            ParseError(
                "note = \"run elsewhere\"",
                "cmd = \"make\"",
                "unused-key",
                "cmd = \"make\"",
            ),
            ParseError(
                "timeout_s = 60",
                "timeout_s = 60\npairs = 2",
                "unused-key",
                "pairs = 2",
            ),
            ParseError(
                "timeout_s = 30",
                "timeout_s = 30\ngpus = 1",
                "tier-a-needs-gpu",
                "gpus = 1",
            ),
            ParseError("gpus = 1", "gpus = 16", "too-many-gpus", "gpus = 16"),
            ParseError(
                "requires = [\"NMOE_DATA_PATH\"]",
                "requires = [\"NMOE_DATA_PATH\", \"GITHUB_TOKEN\"]",
                "forbidden-env",
                "GITHUB_TOKEN",
            ),
            ParseError(
                "requires = [\"NMOE_DATA_PATH\"]",
                "requires = [\"NMOE_DATA_PATH\", \"$X\"]",
                "invalid-env-name",
                "$X",
            ),
            ParseError(
                "requires = [\"NMOE_DATA_PATH\", \"NMOE_RUN_ROOT\"]",
                "requires = [\"NMOE_DATA_PATH\"]",
                "undeclared-env",
                "--checkpoint_dir",
            ),
            ParseError(
                "configs/moonlet.toml\"]",
                "configs/no_such.toml\"]",
                "missing-file",
                "no_such",
            ),
            ParseError(
                "configs/moonlet.toml\"]",
                "../moonlet.toml\"]",
                "invalid-path",
                "../moonlet",
            ),
            ParseError("nmoe/\"", "nmoe/ || true\"", "unsafe-command", "|| true"),
            ParseError("nmoe/\"", "nmoe/; sudo ls\"", "unsafe-command", "sudo"),
            ParseError(
                "--steps=20 \\",
                "--steps=20 ${{ inputs.x }} \\",
                "unsafe-command",
                "inputs.x",
            ),
            ParseError(
                "name = \"step_ms\"",
                "name = \"Step ms\"",
                "invalid-pattern",
                "Step ms",
            ),
            ParseError("([0-9.]+)", "[0-9.]+", "invalid-pattern", "pattern"),
            ParseError("([0-9.]+)", "([0-9.]+", "invalid-pattern", "pattern"),
            ParseError(
                "compare_gate = \"b200:moonlight_8x20\"\n",
                "",
                "missing-key",
                "[gates.\"perf:baseline_delta\"]",
            ),
            ParseError(
                "compare_gate = \"b200:moonlight_8x20\"",
                "compare_gate = \"b200:moonlight\"",
                "unknown-gate",
                "compare_gate",
            ),
            ParseError(
                "metric = \"node_tps_p50\"",
                "metric = \"loss_p50\"",
                "metric-not-yielded",
                "loss_p50",
            ),
            ParseError(
                "metric = \"node_tps_p50\"",
                "metric = \"node_tps\"",
                "metric-not-yielded",
                "metric = \"node_tps\"",
            ),
            ParseError(
                "--nproc_per_node=8",
                "--nproc_per_node=1",
                "metric-not-yielded",
                "compare_gate",
            ),
            ParseError(
                "perf_args = \"--log_every=1\"\n",
                "",
                "too-few-samples",
                "compare_gate",
            ),
            ParseError("max_pairs = 5", "max_pairs = 1", "wrong-type", "max_pairs"),
            ParseError(
                "hot_path_min = [\"b200:moonlet_1x10\"",
                "hot_path_min = [\"b200:moonlet\"",
                "unknown-gate",
                "hot_path_min",
            ),
            ParseError(
                "hot_path_min = [\"b200:moonlet_1x10\", \"b200:moonlight_8x20\"]",
                "hot_path_min = []",
                "empty-value",
                "hot_path_min",
            ),
            ParseError("hot_path_min =", "single =", "reserved-name", "single ="),
            ParseError(
                "  \"b200:moonlight_8x20\",\n",
                "",
                "compare-not-in-bundle",
                "  \"perf:baseline_delta\"",
            ),
            ParseError(
                "  \"zero2:resume_determinism\",\n",
                "  \"zero2:resume_determinism\",\n  \"zero2:resume_determinism\",\n",
                "duplicate-entry",
                "  \"perf:baseline_delta\",@-1",
            ),
            ParseError(
                "[meta]",
                "[target.b200]\narch = \"sm_90a\"\n\n[meta]",
                "off-target-definition",
                "sm_90a",
            ),
        ],
    );
}
