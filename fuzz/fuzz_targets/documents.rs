//! Issue and pull-request bodies: Markdown, the YAML block in it, every lint. A finding must have a place that is in the document.
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
            let region = finding.region.as_ref().expect("a finding has a place");
            assert!((1..=lines + 1).contains(&(region.line as usize)), "{finding:?}");
        }
    };
    let facts = Facts::default();
    within(contract::lint(&source, &facts));
    let (agreed, _) = contract::agreed(&source);
    within(attestation::lint(&source, &facts, agreed.as_ref(), &Evidence::default()));
});
