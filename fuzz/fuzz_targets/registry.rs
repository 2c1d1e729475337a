//! Lints registries and workflows. A registry without lint errors must deserialize into the types.
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
        toml::from_str::<Registry>(source.text()).expect("a registry without lint errors can be parsed");
    }
    workflows::lint(&source);
});
