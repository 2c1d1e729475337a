//! Lints issue and pull-request bodies: Markdown with a YAML block. Each finding must have a position inside the document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::document::source::Source;
use nmoe_gates::lint::{attestation, claims::Evidence, contract, facts::Facts};
use nmoe_gates::domain::finding::Finding;

fuzz_target!(|text: String| {
    let source = Source::new(None, text);
    let lines = source.text().split('\n').count();
    let within = |found: Vec<Finding>| {
        for finding in found {
            let region = finding.region.as_ref().expect("a finding has a position");
            assert!((1..=lines + 1).contains(&(region.line as usize)), "{finding:?}");
        }
    };
    let facts = Facts::default();
    within(contract::lint(&source, &facts));
    let (agreed, _) = contract::agreed(&source);
    within(attestation::lint(&source, &facts, agreed.as_ref(), &Evidence::default()));
});
