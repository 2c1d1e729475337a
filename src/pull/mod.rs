//! Evaluates a pull request as it is now: resolves a run, checks what blocks the merge, fills the attestation, publishes results.
//!
//! A service for commands: no command line, no output, no environment variables. [`snapshot`] reads the pull request; the other
//! modules evaluate it.

pub mod approvals;
pub mod attestation;
pub mod attestation_check;
pub mod blocker;
pub mod change_lint;
pub mod contract;
pub mod current;
pub mod deciding_files;
pub mod fresh_merge;
pub mod known_results;
pub mod local_clone;
pub mod merge_group;
pub mod merge_order;
pub mod provenance;
pub mod publication;
pub mod published;
pub mod pull_state;
pub mod queue;
pub mod readiness;
pub mod resolution;
pub mod results_files;
pub mod scope;
pub mod signature;
pub mod snapshot;
pub mod staleness;
pub mod standing;
pub mod tier_a;
pub mod tier_b;
pub mod trial_order;
