//! The words of the house as plain types: what a contract, an attestation, a registry and a result are.
//!
//! Data only. Nothing here reads a file, runs a process or renders a line; types that two rooms share live here.

pub mod attestation;
pub mod comparison;
pub mod contract;
pub mod event;
pub mod evidence;
pub mod exit;
pub mod finding;
pub mod nearest;
pub mod next;
pub mod noise;
pub mod proposal;
pub mod read;
pub mod registry;
pub mod resolution;
pub mod results;
pub mod settings;
pub mod verdict;
