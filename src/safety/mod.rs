//! Public safety: what must not leave, found and taken out.
//!
//! Text in, places out ([`detect`]); bytes in, clean bytes out ([`redact`]). Knows nothing of contracts, gates or GitHub.
//!
//! A family of detectors is one file with a table of [`rule::Rule`]s. Every rule names literal anchors; one pass looks
//! for all of them at once, and only where an anchor stands does a rule look closer, within a bounded window.

mod address;
#[cfg(test)]
mod adversaries;
mod allow;
pub mod allowance;
mod anchors;
mod assign;
pub mod change;
mod checksum;
mod cloud;
mod cluster;
pub mod codes;
mod commands;
pub mod detect;
mod disguise;
pub mod document;
mod encoded;
mod glyphs;
mod hardware;
mod hosts;
pub mod identity;
mod keys;
mod links;
mod literals;
mod nodes;
mod paths;
mod people;
pub mod redact;
mod rule;
mod spelled;
mod tables;
pub mod terms;
mod tokens;
pub mod tree;
