//! The registry, and workflows: what lint takes without an error, the types take too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::document::source::Source;
use nmoe_gates::lint::{registry, workflows};
use nmoe_gates::domain::finding::Severity;
use nmoe_gates::domain::registry::Registry;

fuzz_target!(|text: String| {
    let source = Source::new(None, text);
    let found = registry::lint(&source, &registry::Around::default());
    if found.iter().all(|finding| finding.severity != Severity::Error) {
        toml::from_str::<Registry>(source.text()).expect("what lint takes can be read");
    }
    workflows::lint(&source);
});
