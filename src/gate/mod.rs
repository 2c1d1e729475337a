//! The gates: which ones, whether they can run here, running them under full supervision, and what came of it.
//!
//! Knows nothing of how a result is shown or published.

pub mod select;
