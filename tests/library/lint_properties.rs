//! Tests with arbitrary text that no lint panics and that every finding is inside its document.

use nmoe_gates::document::{Document, Source};
use nmoe_gates::domain::contract::Contract;
use nmoe_gates::domain::finding::Finding;
use nmoe_gates::domain::registry::Registry;
use nmoe_gates::lint::Diagnostics;
use nmoe_gates::lint::attestation_evidence::AttestationEvidence;
use nmoe_gates::lint::context::{LintContext, RegistryIndex};
use nmoe_gates::lint::registry::RegistryContext;
use nmoe_gates::lint::{attestation, contract, registry};
use proptest::prelude::*;

const CONTRACT: &str = include_str!("../fixtures/lint/contract.md");
const ATTESTATION: &str = include_str!("../fixtures/lint/attestation.md");
const REGISTRY: &str = include_str!("../fixtures/lint/gates.toml");

/// Fragments that one of the parsers treats specially.
const PIECES: &[&str] = &[
    "```yaml\n",
    "```\n",
    "~~~",
    "nmoe:",
    "nmoe_pr:",
    "gates:",
    "\n",
    "\r\n",
    "\r",
    "\\n",
    "  ",
    "\t",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "\"\"\"",
    "#",
    "&a ",
    "*a",
    "!t ",
    "|",
    ">",
    "~",
    "<sha>",
    "a|b",
    "é→",
    "\u{feff}",
    "\u{0}",
    "[gates.\"x\"]",
    "= ",
    "[[",
    "## ",
    "- [ ] ",
    "<!--",
    "-->",
    "1e999",
    ".nan",
    "-10",
    "perf:",
    "tier = \"a\"",
];

fn around(text: &str, findings: &[Finding]) {
    let source = Source::new(None, text);
    let lines: Vec<usize> = source.text().split('\n').map(|l| l.chars().count()).collect();
    for finding in findings {
        let region = finding.region.unwrap();
        assert!(
            (region.line, region.column) <= (region.end_line, region.end_column),
            "{finding:?}"
        );
        for (line, column) in [(region.line, region.column), (region.end_line, region.end_column)] {
            let width = lines
                .get(line as usize - 1)
                .unwrap_or_else(|| panic!("{finding:?}"));
            assert!(column as usize <= width + 1, "{finding:?} in {text:?}");
        }
    }
    assert!(findings.is_sorted_by_key(|f| f.region));
}

fn all(text: &str) {
    let source = Source::new(None, text);
    let policy = Document::<Registry>::parse(Source::new(None, REGISTRY));
    let facts = LintContext {
        registry: policy.root.map(RegistryIndex::new),
        ..LintContext::default()
    };
    let document = Document::<Contract>::parse(source.clone());
    around(text, &Diagnostics::of(&document).finish());
    around(text, &contract::lint(&document, &facts));
    let valid = Document::parse(Source::new(None, CONTRACT));
    let agreed = if document.root.is_some() {
        &document
    } else {
        &valid
    };
    around(
        text,
        &attestation::lint(
            &Document::parse(source.clone()),
            &facts,
            Some(agreed),
            &AttestationEvidence::default(),
        ),
    );
    let document = Document::<Registry>::parse(source);
    let value = Document::<Registry>::value_of(document.source.text());
    assert_eq!(value.is_some(), document.value.is_ok(), "{text:?}");
    around(text, &registry::lint(&document, &RegistryContext::default()));
}

fn edited(clean: &str, edits: &[(usize, usize, usize)]) -> String {
    let mut text = clean.to_owned();
    for (at, cut, piece) in edits {
        let start = text.floor_char_boundary(at % (text.len() + 1));
        let end = text.floor_char_boundary((start + cut).min(text.len()));
        text.replace_range(start..end.max(start), PIECES[piece % PIECES.len()]);
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn edited_documents(
        which in 0..3_usize,
        edits in prop::collection::vec((any::<usize>(), 0..12_usize, any::<usize>()), 1..6),
    ) {
        all(&edited([CONTRACT, ATTESTATION, REGISTRY][which], &edits));
    }

    #[test]
    fn pieces(words in prop::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = words.into_iter().map(|w| PIECES[w]).collect();
        all(&text);
        all(&format!("```yaml\nnmoe:\n{text}"));
    }
}
