//! Finds and redacts what must not be public: credentials, the identity of a cluster, personal data, private terms.
//!
//! [`scan`] maps a text to the places of its leaks; [`redact`] maps a stream to one without leaks. This crate depends on no
//! other crate of the workspace. It knows nothing of git, of settings or of how findings are shown.
//!
//! Each family of rules is one file with a table of rules. Every rule names literal keywords. One pass finds all keywords of
//! all rules; a rule then examines only a bounded window around its keywords.

mod address;
mod assignment;
mod base64_text;
mod checksum;
mod cloud;
mod cluster;
mod commands;
pub mod confusables;
#[cfg(test)]
mod corpus;
mod decoded_text;
mod deobfuscate;
mod encoded;
mod engine;
mod engine_tables;
#[cfg(test)]
mod examples;
mod false_positives;
mod file_role;
mod generic_secrets;
mod generic_values;
mod hardware;
mod hidden;
mod hosts;
pub mod identity;
mod keys;
mod keywords;
pub mod kinds;
mod links;
pub mod located;
mod markup;
mod nodes;
mod obfuscated_tokens;
mod passphrases;
mod paths;
mod pattern;
mod people;
mod placeholder_marks;
mod prefilter;
#[cfg(test)]
mod prefilter_tables;
mod prefilter_windows;
pub mod private_terms;
pub mod redact;
pub mod rest;
mod rule;
pub mod scan;
pub mod scan_files;
pub mod scan_text;
pub mod suppression;
mod tables;
mod tokens;
mod unicode_tables;
mod unreserved;
mod window;
#[cfg(test)]
mod worst_case_inputs;
