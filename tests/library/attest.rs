//! Tests `pull::attestation` with generated pull request bodies: only the block changes, and the claims lint accepts the result.

use nmoe_gates::document::{Document, Source};
use nmoe_gates::domain::attestation::Attestation;
use nmoe_gates::domain::contract::Contract;
use nmoe_gates::domain::ids::CommitId;
use nmoe_gates::domain::registry::Registry;
use nmoe_gates::domain::results::Results;
use nmoe_gates::lint;
use nmoe_gates::lint::attestation_evidence::AttestationEvidence as Claims;
use nmoe_gates::pull::attestation::{self, Head};
use proptest::prelude::*;

use crate::support::results::{CONTRACT, REGISTRY, results};

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

fn id(digit: &str) -> CommitId {
    digit.repeat(40).parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// For every body, only the block changes, and the block reads back as written. A second fill changes nothing, and the lint that
    /// compares claims with results has no findings.
    #[test]
    fn bytes_outside_block_never_change(
        before in "([ -~äß→\n]{0,60}\n\n)?",
        block in a_block(),
        after in "(\n[ -~äß→\n]{0,60})?",
        fence in prop_oneof![Just("```"), Just("~~~~"), Just("````")],
        quote in prop_oneof![3 => Just(""), 1 => Just("> "), 1 => Just("   ")],
        crlf in prop::bool::ANY,
        bom in prop::bool::ANY,
        verdicts in prop::collection::vec(prop::option::of(prop_oneof![Just("pass"), Just("fail")]), 4),
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
        let source = Document::parse(Source::new(None, text.as_str()));
        // Some generated prose hides or repeats the block. Such bodies are refused, and another test covers them.
        let refused = |kind: &str| ["no-block", "several-blocks", "unclosed-fence", "literal-newlines"].contains(&kind);
        prop_assume!(source.block.is_some() && !source.defects.iter().any(|defect| refused(defect.kind)));
        let extent = source.block.as_ref().unwrap().content.full_span();

        let contract = Document::<Contract>::parse(Source::new(None, CONTRACT)).value.unwrap();
        let registry = Document::<Registry>::parse(Source::new(None, REGISTRY)).value.unwrap();
        let head = Head { commit: id("9"), tree: id("8"), fork: id("7") };
        let ran: Vec<(&str, &str)> = GATES.into_iter().zip(&verdicts).filter_map(|(id, v)| Some((id, (*v)?))).collect();
        let recorded: Results = serde_json::from_value(results(&head.commit, &head.tree, &ran)).unwrap();
        let results = vec![recorded];
        let (wanted, findings) = attestation::decide(&contract, &registry, &head, &results, None);
        prop_assert!(findings.is_empty());
        let filled = match attestation::fill(&source, &wanted) {
            Ok(filled) => filled,
            // An ambiguous YAML style is refused and left unchanged; plain styles are filled.
            Err(error) => {
                prop_assert!(block.contains('{'), "{error}\n{text}");
                return Ok(());
            }
        };

        let shift = text.len() - source.source.text().len();
        let (head_of, tail) = (&text[..shift + extent.start], &text[shift + extent.end..]);
        prop_assert!(filled.starts_with(head_of) && filled.ends_with(tail), "{text}\n-----\n{filled}");
        for comment in ["# the block", "# head", "# or hot", "# first", "# above", "# which"] {
            // A comment is removed only together with the list entry in front of it, or with a measurement that was not made.
            let stays = block.contains(comment)
                && (comment != "# first" || ran.contains(&("cpu:import", "pass")))
                && (comment != "# which" || filled.contains("compare:"));
            prop_assert!(!stays || filled.contains(comment) || comment == "# first", "{comment}\n{filled}");
        }
        let again = Document::parse(Source::new(None, filled.as_str()));
        let mut said: Attestation = again.value.clone().unwrap();
        // The remaining entries keep their order.
        said.gates_passed.tier_a.sort_by_key(|id| std::cmp::Reverse(id.clone()));
        said.gates_passed.tier_b.sort();
        let passed = |tier: &[&str]| -> Vec<String> {
            tier.iter().filter(|id| ran.contains(&(**id, "pass"))).map(|id| (*id).to_owned()).collect()
        };
        prop_assert_eq!(&said.gates_passed.tier_a, &passed(&GATES[..2]));
        prop_assert_eq!(&said.gates_passed.tier_b, &passed(&GATES[2..]));
        prop_assert_eq!(said.nmoe_pr.pr_sha.as_str(), head.commit.as_str());
        prop_assert_eq!(&said.nmoe_pr.issue, "07");
        let measured = said.perf.as_ref().and_then(|p| p.result);
        prop_assert_eq!(measured, verdicts[3].map(|_| 98_765.4));
        prop_assert_eq!(&attestation::fill(&again, &wanted).unwrap(), &filled);

        let claims = Claims { head: Some(head.commit.clone()), results, ..Claims::default() };
        let said: Vec<&str> = lint::attestation::lint(&again, &lint::LintContext::default(), None, &claims).iter().map(|f| f.code.id).collect();
        for code in ["wrong-head", "foreign-results", "unproven-claim", "unmeasured-number", "wrong-delta"] {
            prop_assert!(!said.contains(&code), "{code}\n{filled}");
        }
    }
}
