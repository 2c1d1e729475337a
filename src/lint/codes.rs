//! The table of codes: what each kind of finding means, why it matters, and what the mended document looks like.
//!
//! `explain` and docs/reference/codes.md are made from it. One file per family of rules.

use crate::domain::finding::Code;

/// Declares the codes of one family and the table that lists them.
macro_rules! codes {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $explain:literal, $bad:literal, $good:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: $crate::domain::finding::Code = $crate::domain::finding::Code {
                id: $id,
                severity: $crate::domain::finding::Severity::$severity,
                title: $title,
                explain: $explain,
                bad: $bad,
                good: $good,
            };
        )*

        /// Every code of this family.
        pub static TABLE: &[&$crate::domain::finding::Code] = &[$(&$name,)*];
    };
}

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
