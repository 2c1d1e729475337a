//! Compiles the fuzz targets with the pinned toolchain, so that a change of the library cannot break one unnoticed.
//!
//! Must not run a target: `scripts/verify/fuzz` does.
#![allow(
    unused_attributes,
    reason = "a target is a program of its own, without a main function"
)]

#[path = "../../fuzz/fuzz_targets/answers.rs"]
mod answers;
#[path = "../../fuzz/fuzz_targets/commands.rs"]
mod commands;
#[path = "../../fuzz/fuzz_targets/documents.rs"]
mod documents;
#[path = "../../fuzz/fuzz_targets/host_protocol.rs"]
mod host_protocol;
#[path = "../../fuzz/fuzz_targets/journal.rs"]
mod journal;
#[path = "../../fuzz/fuzz_targets/leaks.rs"]
mod leaks;
#[path = "../../fuzz/fuzz_targets/library.rs"]
mod library;
#[path = "../../fuzz/fuzz_targets/metrics.rs"]
mod metrics;
#[path = "../../fuzz/fuzz_targets/pathspecs.rs"]
mod pathspecs;
#[path = "../../fuzz/fuzz_targets/redaction.rs"]
mod redaction;
#[path = "../../fuzz/fuzz_targets/registry.rs"]
mod registry;
#[path = "../../fuzz/fuzz_targets/results.rs"]
mod results;
#[path = "../../fuzz/fuzz_targets/templates.rs"]
mod templates;
#[path = "../../fuzz/fuzz_targets/yaml.rs"]
mod yaml;

#[test]
fn every_fuzz_target_is_compiled() {
    let own = include_str!("fuzz_targets.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(own.contains(&format!("/fuzz_targets/{name}\"]")), "{name}");
    }
}
