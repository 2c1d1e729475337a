//! Checks documents: one file per family of rules, and tables of codes.
//!
//! A rule takes a document and a context, and returns findings. Must not read files or run programs.

pub mod attestation;
pub mod body;
pub mod claims;
pub mod codes;
pub mod command;
pub mod contract;
pub mod facts;
pub mod forms;
pub mod registry;
pub mod shape;
pub mod sheet;
pub mod words;

pub mod scope;
pub mod workflows;

pub use facts::Facts;
pub use sheet::Sheet;
