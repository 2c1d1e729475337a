//! Lints issue and pull-request bodies: Markdown with a YAML block. Each finding must have a position inside the document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::document::{Document, Source};
use nmoe_gates::domain::attestation::Attestation;
use nmoe_gates::domain::contract::Contract;
use nmoe_gates::domain::finding::Finding;
use nmoe_gates::lint::{LintContext, attestation, attestation_evidence::AttestationEvidence, contract};

fuzz_target!(|text: String| {
    let source = Source::new(None, text);
    let lines = source.text().split('\n').count();
    let within = |found: Vec<Finding>| {
        for finding in found {
            let region = finding.region.as_ref().expect("a finding has a position");
            assert!((1..=lines + 1).contains(&(region.line as usize)), "{finding:?}");
        }
    };
    let facts = LintContext::default();
    let agreed = Document::<Contract>::parse(source.clone());
    within(contract::lint(&agreed, &facts));
    let attested = Document::<Attestation>::parse(source.clone());
    within(attestation::lint(
        &attested,
        &facts,
        Some(&agreed),
        &AttestationEvidence::default(),
    ));
});
