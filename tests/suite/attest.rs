//! `attest`: the block says what was run, every other byte stays, and what nobody measured is a finding.

use nmoe_gates::document::Source;
use nmoe_gates::document::block;
use nmoe_gates::domain::contract::Contract;
use nmoe_gates::domain::evidence::Evidence;
use nmoe_gates::domain::read;
use nmoe_gates::domain::registry::Registry;
use nmoe_gates::domain::results::{GateResult, PerfResult, Results, SCHEMA};
use nmoe_gates::domain::verdict::{Overall, Verdict};
use nmoe_gates::lint;
use nmoe_gates::lint::claims::Evidence as Claims;
use nmoe_gates::plan::attest::{self, Head};
use proptest::prelude::*;

use crate::api::Api;
use crate::driver::Place;

pub const REGISTRY: &str = r#"
[meta]
version = "1"
target = "b200"

[gates."cpu:import"]
tier = "a"
cmd = "true"
timeout_s = 60

[gates."cpu:compileall"]
tier = "a"
cmd = "true"
timeout_s = 60

[gates."b200:moonlight_8x20"]
tier = "b"
cmd = "true"
timeout_s = 60
gpus = 8

[gates."perf:baseline_delta"]
tier = "b"
kind = "perf"
compare_gate = "b200:moonlight_8x20"
metric = "node_tps_p50"
timeout_s = 60

[bundles]
full = ["b200:moonlight_8x20", "perf:baseline_delta"]
"#;

const CONTRACT: &str = "```yaml\nnmoe:\n  issue: 07\n  slug: x\n  kind: perf\n  risk: hot\n  complexity: S\n  depends_on: []\n  merge_hotspots: []\n\n\
scope:\n  allow: [docs/**]\n  deny: []\n\ncontract:\n  invariants:\n    - B200-only (sm_100a)\n    - No NCCL all-to-all on the MoE path\n    \
- TOML-only, container-first\n  knobs:\n    add: []\n    change: []\n\ngates:\n  required: [cpu:import, cpu:compileall, b200:moonlight_8x20, perf:baseline_delta]\n  perf:\n    \
gate: perf:baseline_delta\n    compare: b200:moonlight_8x20\n    metric: node_tps_p50\n    budget_pct: -10\n```\n";

/// Results about a head, gate by gate.
pub fn results(head: &str, tree: &str, gates: &[(&str, Verdict)]) -> Results {
    let mut all = indexmap(gates);
    if let Some(gate) = all.get_mut("perf:baseline_delta") {
        gate.perf = Some(PerfResult {
            compare_gate: "b200:moonlight_8x20".to_owned(),
            metric: "node_tps_p50".to_owned(),
            baseline: Some(100_000.0),
            result: Some(98_765.4),
            delta_pct: Some(-1.2346),
            budget_pct: Some(-10.0),
            method: "threshold".to_owned(),
            ..PerfResult::default()
        });
    }
    Results {
        schema: SCHEMA,
        bundle: None,
        gate_ids: gates.iter().map(|(id, _)| (*id).to_owned()).collect(),
        overall: Overall::of(gates.iter().map(|(_, v)| *v)),
        uncovered: Vec::new(),
        refused: None,
        evidence: Evidence {
            head: Some(head.to_owned()),
            tree: Some(tree.to_owned()),
            ..Evidence::default()
        },
        started_at: Some("2026-01-01T00:00:00Z".to_owned()),
        duration_s: Some(1.0),
        results: all,
    }
}

fn indexmap(gates: &[(&str, Verdict)]) -> indexmap::IndexMap<String, GateResult> {
    gates
        .iter()
        .map(|(id, verdict)| ((*id).to_owned(), GateResult::new(*verdict, None)))
        .collect()
}

const GATES: [&str; 4] = [
    "cpu:import",
    "cpu:compileall",
    "b200:moonlight_8x20",
    "perf:baseline_delta",
];

fn a_block() -> impl Strategy<Value = String> {
    let list = prop_oneof![
        Just(" []".to_owned()),
        Just(String::new()),
        Just(" [cpu:import]  # mine".to_owned()),
        Just(" [ \"cpu:import\",'b200:moonlight_8x20' ]".to_owned()),
        Just("\n    - cpu:import # first\n    - b200:moonlight_8x20".to_owned()),
        Just("\n  # above\n  - \"cpu:compileall\"\n  - b200:gone # gone".to_owned()),
    ];
    let perf = prop_oneof![
        Just(String::new()),
        Just("\nperf:\n  gate: perf:baseline_delta\n  compare: x # which\n  metric: node_tps_p50\n  budget_pct: -10.0\n  status: pending\n".to_owned()),
        Just("perf:\n    gate: perf:baseline_delta\n    compare: b200:moonlight_8x20\n    metric: node_tps_p50\n    baseline: 1\n    result: 2 # two\n    delta_pct: 100\n    budget_pct: -10\n    status: pass\n".to_owned()),
    ];
    let sha = prop_oneof![
        Just("1188731"),
        Just("\"0000000\" # old"),
        Just(""),
        Just("<sha>"),
        Just("1e10000")
    ];
    let baseline = prop_oneof![
        Just(""),
        Just("  baseline_sha: 8203984\n"),
        Just("  baseline_sha:\n")
    ];
    (list.clone(), list, perf, sha, baseline, prop::bool::ANY).prop_map(|(a, b, perf, sha, baseline, flow)| {
        if flow {
            return format!(
                "nmoe_pr: {{issue: 01, pr_sha: \"{}\", risk: cold}}\ngates_passed: {{tier_a: [], tier_b: [cpu:x]}}\n",
                sha.trim_matches('"').split('"').next().unwrap()
            );
        }
        format!("# the block\nnmoe_pr: # head\n  issue: \"01\"\n{baseline}  pr_sha: {sha}\n  risk: cold  # or hot\n\ngates_passed:\n  tier_a:{a}\n  tier_b:{b}\n{perf}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the body: only the block changes, it reads back as what was meant, a second time changes nothing, and the lint
    /// that holds claims against results has nothing to say.
    #[test]
    fn bytes_outside_the_block_never_change(
        before in "([ -~äß→\n]{0,60}\n\n)?",
        block in a_block(),
        after in "(\n[ -~äß→\n]{0,60})?",
        fence in prop_oneof![Just("```"), Just("~~~~"), Just("````")],
        quote in prop_oneof![3 => Just(""), 1 => Just("> "), 1 => Just("   ")],
        crlf in prop::bool::ANY,
        bom in prop::bool::ANY,
        verdicts in prop::collection::vec(prop::option::of(prop_oneof![Just(Verdict::Pass), Just(Verdict::Fail)]), 4),
    ) {
        let before = before.replace(['`', '~', '<', '>', '\t'], "").replace("nmoe_pr", "");
        let after = after.replace(['`', '~', '<'], "").replace("nmoe_pr", "");
        let quoted: String = format!("{fence}yaml\n{block}{fence}\n").split_inclusive('\n').map(|l| format!("{quote}{l}")).collect();
        let mut text = format!("{before}\n\n{quoted}{after}");
        if crlf {
            text = text.replace("\r", "").replace('\n', "\r\n");
        }
        if bom {
            text.insert(0, '\u{feff}');
        }
        let source = Source::new(None, text.as_str());
        let found = block::find(&source, "nmoe_pr");
        // Some prose swallows or doubles the block; such bodies are refused, and that is another test's.
        prop_assume!(found.block.is_some() && found.defects.is_empty());
        let extent = found.block.unwrap().content.extent();

        let contract: Contract = read::contract(&Source::new(None, CONTRACT)).unwrap();
        let registry: Registry = toml::from_str(REGISTRY).unwrap();
        let head = Head { commit: "9".repeat(40), tree: "8".repeat(40), fork: "7".repeat(40) };
        let ran: Vec<(&str, Verdict)> = GATES.into_iter().zip(&verdicts).filter_map(|(id, v)| Some((id, (*v)?))).collect();
        let results = vec![results(&head.commit, &head.tree, &ran)];
        let (wanted, findings) = attest::decide(&contract, &registry, &head, &results, None);
        prop_assert!(findings.is_empty());
        let filled = match attest::fill(&source, &wanted) {
            Ok(filled) => filled,
            // A style that would have to be guessed at is refused and left alone; plain styles are not.
            Err(error) => {
                prop_assert!(block.contains('{'), "{error}\n{text}");
                return Ok(());
            }
        };

        let shift = text.len() - source.text().len();
        let (head_of, tail) = (&text[..shift + extent.start], &text[shift + extent.end..]);
        prop_assert!(filled.starts_with(head_of) && filled.ends_with(tail), "{text}\n-----\n{filled}");
        for comment in ["# the block", "# head", "# or hot", "# first", "# above", "# which"] {
            // A comment goes only with the list entry that it stands behind.
            let stays = block.contains(comment) && (comment != "# first" || ran.contains(&("cpu:import", Verdict::Pass)));
            prop_assert!(!stays || filled.contains(comment) || comment == "# first", "{comment}\n{filled}");
        }
        let again = Source::new(None, filled.as_str());
        let mut said = read::attestation(&again).unwrap();
        // What stays keeps its place.
        said.gates_passed.tier_a.sort_by_key(|id| std::cmp::Reverse(id.clone()));
        said.gates_passed.tier_b.sort();
        let passed = |tier: &[&str]| -> Vec<String> {
            tier.iter().filter(|id| ran.contains(&(**id, Verdict::Pass))).map(|id| (*id).to_owned()).collect()
        };
        prop_assert_eq!(&said.gates_passed.tier_a, &passed(&GATES[..2]));
        prop_assert_eq!(&said.gates_passed.tier_b, &passed(&GATES[2..]));
        prop_assert_eq!(&said.nmoe_pr.pr_sha, &head.commit);
        prop_assert_eq!(&said.nmoe_pr.issue, "07");
        let measured = said.perf.as_ref().and_then(|p| p.result);
        prop_assert_eq!(measured, verdicts[3].map(|_| 98_765.4));
        prop_assert_eq!(&attest::fill(&again, &wanted).unwrap(), &filled);

        let claims = Claims { head: Some(head.commit.clone()), results, ..Claims::default() };
        let said: Vec<&str> = lint::attestation::lint(&again, &lint::Facts::default(), None, &claims).iter().map(|f| f.code.id).collect();
        for code in ["wrong-head", "foreign-results", "unproven-claim", "unmeasured-number", "wrong-delta"] {
            prop_assert!(!said.contains(&code), "{code}\n{filled}");
        }
    }
}

/// A checkout with a contract's branch and one commit of work.
fn place() -> Place {
    let place = Place::new();
    place.git(["init", "-q"]);
    place
        .file("configs/gates/gates.toml", REGISTRY)
        .file("docs/a.md", "a\n");
    place.git(["add", "."]);
    place.git(["commit", "-qm", "Begin"]);
    place.git(["checkout", "-qb", "issue/07-x"]);
    place
        .file("docs/a.md", "better\n")
        .git(["commit", "-qam", "Work"]);
    std::fs::write(place.path("contract.md"), CONTRACT).unwrap();
    place
}

fn record(place: &Place, name: &str, results: &Results) -> String {
    let path = place.path(name);
    std::fs::write(&path, serde_json::to_vec(results).unwrap()).unwrap();
    path.display().to_string()
}

fn ids(place: &Place) -> (String, String) {
    let of = |rev: &str| place.git(["rev-parse", rev]).trim().to_owned();
    (of("HEAD"), of("HEAD^{tree}"))
}

const ALL: [(&str, Verdict); 4] = [
    ("cpu:import", Verdict::Pass),
    ("cpu:compileall", Verdict::Pass),
    ("b200:moonlight_8x20", Verdict::Pass),
    ("perf:baseline_delta", Verdict::Pass),
];

#[test]
fn attest_then_verify_is_clean_and_a_changed_number_is_not() {
    let place = place();
    let (head, tree) = ids(&place);
    let recorded = record(&place, "results.json", &results(&head, &tree, &ALL));
    let common = ["--contract", "../contract.md", "--results", recorded.as_str()];
    let body = place.path("pr.md");
    let out = place
        .gates(
            ["attest", "--write", "../pr.md", "--format", "json"]
                .iter()
                .chain(&common),
        )
        .run()
        .exits(0)
        .json();
    assert_eq!(
        (out["changed"].as_bool(), out["tier_a"].as_array().unwrap().len()),
        (Some(true), 2)
    );
    let text = std::fs::read_to_string(&body).unwrap();
    let full = format!(
        "{text}\n## Summary\n- Better.\n\n## Links\n- Fixes: #7\n\n## Public-safety (required)\n- [x] No internal names.\n- [x] No credentials.\n\n## Reviewer focus\n- docs\n"
    );
    std::fs::write(&body, &full).unwrap();
    let verify = || {
        place
            .gates(["attest", "--verify", "../pr.md"].iter().chain(&common))
            .run()
    };
    verify().exits(0);
    let again = place
        .gates(
            ["attest", "--write", "../pr.md", "--format", "json"]
                .iter()
                .chain(&common),
        )
        .run()
        .exits(0);
    assert_eq!(again.json()["changed"], false);

    std::fs::write(&body, full.replace("98765.4", "99999.9")).unwrap();
    let out = verify().exits(1);
    assert!(out.stdout.contains("unmeasured-number"), "{}", out.stdout);
    std::fs::write(&body, &full).unwrap();
    place.file("nmoe/x.py", "out of scope\n").git(["add", "."]);
    place.git(["commit", "-qm", "More"]);
    let out = verify().exits(1);
    for code in ["stale-results", "wrong-head", "out-of-scope"] {
        assert!(out.stdout.contains(code), "{code}\n{}", out.stdout);
    }
}

#[test]
fn a_template_is_filled_and_what_nobody_measured_goes() {
    let place = place();
    let (head, tree) = ids(&place);
    let recorded = record(&place, "results.json", &results(&head, &tree, &ALL[..2]));
    let template = include_str!("../../.github/pull_request_template.md");
    place.file(".github/pull_request_template.md", template);
    let cold = crate::plan::contract("07", "x", "", "", "docs/**");
    std::fs::write(place.path("contract.md"), cold).unwrap();
    let args = [
        "attest",
        "--write",
        "../new.md",
        "--contract",
        "../contract.md",
        "--results",
        &recorded,
    ];
    place.gates(args).run().exits(0);
    let text = std::fs::read_to_string(place.path("new.md")).unwrap();
    let (block, rest) = text.split_once("```\n\n## Summary").unwrap();
    assert!(
        block.ends_with("  tier_b: []                # filled from the maintainer's run\n"),
        "{text}"
    );
    assert!(!block.contains('<') && template.ends_with(rest), "{text}");
    // The same where a comparison stands that no result is about.
    let stale = text.replacen(
        "```\n\n## S",
        "perf:\n  gate: perf:baseline_delta\n  result: 7\n```\n\n## S",
        1,
    );
    let stale = stale.replace(&head, &"1".repeat(40));
    std::fs::write(place.path("new.md"), stale).unwrap();
    place.gates(args).run().exits(0);
    assert_eq!(std::fs::read_to_string(place.path("new.md")).unwrap(), text);
}

#[test]
fn dirty_or_stale_results_attest_nothing() {
    let place = place();
    let (head, tree) = ids(&place);
    let mut dirty = results(&head, &tree, &ALL);
    dirty.evidence.dirty = true;
    let stale = results(&"1".repeat(40), &"2".repeat(40), &ALL);
    for (one, code) in [(dirty, "dirty-results"), (stale, "stale-results")] {
        let path = record(&place, "r.json", &one);
        let out = place
            .gates([
                "attest",
                "--contract",
                "../contract.md",
                "--results",
                &path,
                "--format",
                "json",
            ])
            .run()
            .exits(0)
            .json();
        assert_eq!(out["findings"][0]["code"], code);
        assert_eq!(out["tier_a"], serde_json::json!([]));
    }
    let out = place
        .gates(["attest", "--contract", "../contract.md", "--format", "json"])
        .run()
        .exits(0);
    assert_eq!(out.json()["findings"][0]["code"], "no-results");
    place.gates(["attest"]).run().exits(2);
    place
        .gates(["attest", "--verify", "--contract", "../contract.md"])
        .run()
        .exits(2);
}

#[test]
fn a_pull_request_is_edited_unless_it_changed_meanwhile() {
    let place = place();
    let (head, tree) = ids(&place);
    let recorded = record(&place, "results.json", &results(&head, &tree, &ALL));
    let api = Api::start();
    let body = format!(
        "## PR Attestation (YAML, required)\r\n\r\n```yaml\r\nnmoe_pr:\r\n  issue: 07 # ours\r\n  pr_sha: {}\r\n  risk: hot\r\n\r\ngates_passed:\r\n  tier_a: []\r\n  tier_b: []\r\n```\r\n\r\nHello.",
        &head[..9]
    );
    api.pull(9, "issue/07-x", &head, &"3".repeat(40), &body);
    let call = || {
        api.serves(place.gates([
            "attest",
            "--pr",
            "9",
            "--contract",
            "../contract.md",
            "--results",
            &recorded,
        ]))
        .run()
    };
    call().exits(0);
    let now = api.state().pulls[&9]["body"].as_str().unwrap().to_owned();
    assert!(
        now.contains("tier_a: [cpu:import, cpu:compileall]\r\n") && now.ends_with("```\r\n\r\nHello."),
        "{now}"
    );
    assert!(
        now.contains(&format!("pr_sha: {}\r\n", &head[..9])) && now.contains("issue: 07 # ours"),
        "{now}"
    );
    assert_eq!(api.writes().len(), 1);
    call().exits(0);
    assert_eq!(api.writes().len(), 1, "nothing changed, so nothing is written");

    api.state().pulls.get_mut(&9).unwrap()["body"] = body.as_str().into();
    let reads = std::sync::atomic::AtomicUsize::new(0);
    api.before(move |seen, state| {
        if seen.path.contains("/pulls/9") && reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            state.pulls.get_mut(&9).unwrap()["body"] = "somebody else's words".into();
        }
    });
    let out = call().exits(3);
    assert!(out.stderr.contains("changed meanwhile"), "{}", out.stderr);
    assert_eq!(api.writes().len(), 1);
}
