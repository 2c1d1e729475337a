//! Lists the codes of findings about documents. One file per family of rules.
//!
//! `explain` and docs/reference/codes.md are generated from them.

use crate::domain::finding::Code;

pub mod attestation;
pub mod contract;
pub mod document;
pub mod registry;

/// The families in the order they are explained.
pub static TABLES: &[(&str, &[&Code])] = &[
    ("Documents", document::TABLE),
    ("Contracts", contract::TABLE),
    ("Attestations", attestation::TABLE),
    ("The registry", registry::TABLE),
];

/// The code of this name.
pub fn find(id: &str) -> Option<&'static Code> {
    TABLES
        .iter()
        .flat_map(|(_, table)| table.iter())
        .find(|code| code.id == id)
        .copied()
}
