//! Defines the types that several modules share: contract, attestation, registry, results, finding.
//!
//! Must not read files, run processes or render output.

pub mod attestation;
pub mod container;
pub mod contract;
pub mod event;
pub mod evidence;
pub mod executor;
pub mod exit;
pub mod finding;
pub mod gate_environment;
pub mod ids;
pub mod messages;
pub mod metric;
pub mod next_step;
pub mod noise;
pub mod numeric;
pub mod page;
pub mod path_pattern;
pub mod paths;
pub mod perf_summary;
pub mod plausible;
pub mod preset;
pub mod proposal;
pub mod registry;
pub mod resolution;
pub mod results;
pub mod samples;
pub mod settings;
pub mod status_context;
pub mod suggest;
pub mod verdict;

/// Whether a value is the default of its type, so that serde leaves its key out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
