//! Rules over documents: one file per family, one table of codes.
//!
//! A family takes a document and the facts it may be held against, and gives findings. It reads no file and runs nothing.

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
