//! Lints registries and workflows. A registry without lint errors must deserialize into the types.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::document::{Document, Source};
use nmoe_gates::domain::finding::Severity;
use nmoe_gates::domain::registry::Registry;
use nmoe_gates::lint::{registry, workflows};

fuzz_target!(|text: String| {
    let source = Source::new(None, text);
    let document = Document::<Registry>::parse(source.clone());
    let found = registry::lint(&document, &registry::RegistryContext::default());
    if found.iter().all(|finding| finding.severity != Severity::Error) {
        document
            .value
            .expect("a registry without lint errors can be read");
    }
    workflows::lint(&source);
});
