//! Checks documents: one file per family of rules, and tables of codes.
//!
//! A rule takes a document and a context, and returns findings. Must not read files or run programs.

pub mod attestation;
pub mod attestation_evidence;
pub mod codes;
pub mod context;
pub mod contract;
pub mod diagnostics;
pub mod gate_command;
pub mod init_files;
pub mod invariants;
pub mod path_characters;
pub mod placeholders;
pub mod registry;
pub mod schema;
pub mod schemas;
pub mod template_sections;

pub mod scope;
pub mod workflows;

pub use context::LintContext;
pub use diagnostics::Diagnostics;
