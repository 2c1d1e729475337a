//! Rules over documents: one file per family, one table of codes.
pub mod workflows;
